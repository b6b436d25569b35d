use cqrs_es::test::TestFramework;

use super::*;
use crate::TreeHeadId;

fn tree_head() -> TestFramework<TreeHead> {
    TestFramework::with(())
}

fn head(size: u64, root: &str) -> SignedHead {
    SignedHead::parse(format!("ludoteca/journal\n{size}\n{root}\n\n— ludoteca/journal c2ln\n")).unwrap()
}

fn signed(root: &str) -> TreeHeadEvent {
    TreeHeadEvent::TreeHeadSigned(head(8, root))
}

fn sign(root: &str) -> TreeHeadCommand {
    TreeHeadCommand::Sign(head(8, root))
}

#[test]
fn a_root_is_signed_once() {
    tree_head().given_no_previous_events().when(sign("cm9vdA==")).then_expect_events(vec![signed("cm9vdA==")]);
    tree_head().given(vec![signed("cm9vdA==")]).when(sign("cm9vdA==")).then_expect_events(vec![]);
}

#[test]
fn another_root_of_the_same_events_is_refused() {
    let (size, signed_root, found) = (8, "cm9vdA==".to_owned(), "b3RoZXI=".to_owned());
    tree_head().given(vec![signed("cm9vdA==")]).when(sign("b3RoZXI=")).then_expect_error(TreeHeadError::RootChanged {
        size,
        signed: signed_root,
        found,
    });
}

#[test]
fn a_size_has_one_id() {
    assert_eq!(TreeHeadId::of_size(8), TreeHeadId::of_size(8));
    assert_ne!(TreeHeadId::of_size(8), TreeHeadId::of_size(9));
    assert_eq!(<&str>::from(&signed("cm9vdA==")), SIGNED);
}

#[test]
fn what_is_no_checkpoint_is_no_head() {
    for text in
        ["", "ludoteca/journal\n", "origin\neight\nroot\n\n— name c2ln\n", "origin\n8\nroot\n", "origin\n8\nroot\n\n"]
    {
        assert_eq!(SignedHead::parse(text.to_owned()), Err(InvalidCheckpoint), "{text:?}");
    }
}
