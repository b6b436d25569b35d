use cqrs_es::Aggregate;
use cqrs_es::test::TestFramework;
use proptest::prelude::*;

use super::*;
use crate::EventId;
use crate::person::Sealed;

fn user() -> TestFramework<User> {
    TestFramework::with(())
}

fn profile(name: &str) -> SealedProfile {
    let sealed = |field: &str| Sealed(format!("{name}-{field}"));
    let sealed_in = EventId::from_uuid(uuid::Uuid::from_u128(9));
    SealedProfile { sealed_in, name: sealed("name"), email: sealed("email"), birth_date: sealed("birth") }
}

fn registered() -> UserEvent {
    UserEvent::UserRegistered { profile: profile("ana"), role: Role::Customer }
}

fn register() -> UserCommand {
    UserCommand::Register { profile: profile("ana"), role: Role::Customer }
}

fn erased() -> UserEvent {
    UserEvent::UserErased {}
}

#[test]
fn a_person_registers_once() {
    user().given_no_previous_events().when(register()).then_expect_events(vec![registered()]);
    user().given(vec![registered()]).when(register()).then_expect_error(UserError::AlreadyRegistered);
}

#[test]
fn a_profile_can_be_changed() {
    let profile = profile("ana maria");
    user()
        .given(vec![registered()])
        .when(UserCommand::ChangeProfile { profile: profile.clone() })
        .then_expect_events(vec![UserEvent::UserProfileChanged { profile }]);
}

#[test]
fn a_role_is_given_once() {
    let change = || UserCommand::ChangeRole { role: Role::Analyst };
    let changed = || UserEvent::UserRoleChanged { role: Role::Analyst };
    user().given(vec![registered()]).when(change()).then_expect_events(vec![changed()]);
    user().given(vec![registered(), changed()]).when(change()).then_expect_events(vec![]);
}

#[test]
fn nobody_cannot_be_changed() {
    for command in [
        UserCommand::ChangeProfile { profile: profile("x") },
        UserCommand::ChangeRole { role: Role::Admin },
        UserCommand::Erase,
    ] {
        user().given_no_previous_events().when(command).then_expect_error(UserError::UnknownUser);
    }
}

#[test]
fn erased_is_final() {
    user().given(vec![registered()]).when(UserCommand::Erase).then_expect_events(vec![erased()]);
    user().given(vec![registered(), erased()]).when(UserCommand::Erase).then_expect_events(vec![]);
    for command in [UserCommand::ChangeProfile { profile: profile("x") }, UserCommand::ChangeRole { role: Role::Admin }]
    {
        user().given(vec![registered(), erased()]).when(command).then_expect_error(UserError::UserErased);
    }
    user().given(vec![registered(), erased()]).when(register()).then_expect_error(UserError::AlreadyRegistered);
}

fn any_command() -> impl Strategy<Value = UserCommand> {
    prop_oneof![
        Just(register()),
        Just(UserCommand::ChangeProfile { profile: profile("new") }),
        Just(UserCommand::ChangeRole { role: Role::Analyst }),
        Just(UserCommand::ChangeRole { role: Role::Customer }),
        Just(UserCommand::Erase),
    ]
}

proptest! {
    #[test]
    fn any_sequence_of_commands_is_refused_or_leaves_the_account_consistent(
        commands in proptest::collection::vec(any_command(), 0..20)
    ) {
        let mut user = User::New;
        let mut erased = false;
        for command in commands {
            for event in user.decide(command).unwrap_or_default() {
                prop_assert!(!erased, "an erased account changed");
                erased |= event == UserEvent::UserErased {};
                user.apply(event);
            }
            prop_assert_eq!(erased, user == User::Erased);
        }
    }
}

#[test]
fn an_admin_is_erased_only_after_the_role_was_given_up() {
    let promoted = UserEvent::UserRoleChanged { role: Role::Admin };
    let demoted = UserEvent::UserRoleChanged { role: Role::Customer };
    let erase = || UserCommand::Erase;
    user().given(vec![registered(), promoted.clone()]).when(erase()).then_expect_error(UserError::AdminCannotBeErased);
    user().given(vec![registered(), promoted, demoted]).when(erase()).then_expect_events(vec![erased()]);
}
