#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use chrono::TimeZone;
use cqrs_es::Aggregate;
use cqrs_es::test::TestFramework;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::PaymentId;
use crate::money::Currency;

fn payment() -> TestFramework<Payment> {
    TestFramework::with(())
}

fn brl(amount: i64) -> Money {
    Money { amount, currency: Currency::BRL }
}

fn terms() -> Terms {
    Terms {
        order: OrderId::from_uuid(Uuid::from_u128(7)),
        buyer: UserId::from_uuid(Uuid::from_u128(1)),
        attempt: 1,
        amount: brl(5990),
        method: PaymentMethod::Card { token: MethodToken::parse("pm_card_visa").unwrap() },
    }
}

fn reference(name: &str) -> PspReference {
    PspReference::parse(name).unwrap()
}

fn failure() -> Failure {
    Failure { code: "card_declined".into(), message: "Your card was declined".into() }
}

fn qr_code() -> NextAction {
    NextAction {
        kind: "pix_display_qr_code".into(),
        code: Some("00020126".into()),
        expires_at: Utc.timestamp_opt(1_700_000_000, 0).single(),
    }
}

fn initiated() -> PaymentEvent {
    PaymentEvent::PaymentInitiated(terms())
}

fn submitted() -> PaymentEvent {
    PaymentEvent::PaymentSubmitted { reference: reference("pi_1") }
}

fn pending() -> PaymentEvent {
    PaymentEvent::PaymentPending { next_action: Some(qr_code()) }
}

fn succeeded(late: bool) -> PaymentEvent {
    PaymentEvent::PaymentSucceeded { order: terms().order, reference: reference("pi_1"), late }
}

fn failed() -> PaymentEvent {
    PaymentEvent::PaymentFailed { order: terms().order, buyer: terms().buyer, attempt: 1, failure: failure() }
}

fn cancelled() -> PaymentEvent {
    PaymentEvent::PaymentCancelled { order: terms().order, attempt: 1 }
}

fn refunded(amount: i64) -> PaymentEvent {
    let refund = reference(&format!("re_{amount}"));
    PaymentEvent::PaymentRefunded { order: terms().order, amount: brl(amount), refund, number: Some(1) }
}

fn submit() -> PaymentCommand {
    PaymentCommand::Submit { reference: reference("pi_1") }
}

fn succeed() -> PaymentCommand {
    PaymentCommand::Succeed { reference: reference("pi_1") }
}

fn refund(amount: i64) -> PaymentCommand {
    let refund = Refund { reference: reference(&format!("re_{amount}")), number: Some(1) };
    PaymentCommand::Refund { amount: brl(amount), refund }
}

fn note() -> LetterNote {
    LetterNote { class: "exhausted".to_owned(), reason: Text::parse("the PSP is back").unwrap() }
}

fn wait() -> PaymentCommand {
    PaymentCommand::RecordPending { next_action: Some(qr_code()) }
}

/// The histories in which the outcome is still open.
fn unsettled() -> [Vec<PaymentEvent>; 2] {
    [vec![initiated(), submitted()], vec![initiated(), submitted(), pending()]]
}

#[test]
fn a_payment_begins_once_and_only_on_its_own_terms() {
    payment().given_no_previous_events().when(PaymentCommand::Initiate(terms())).then_expect_events(vec![initiated()]);
    payment().given(vec![initiated()]).when(PaymentCommand::Initiate(terms())).then_expect_events(vec![]);
    let other = Terms { method: PaymentMethod::Pix, ..terms() };
    payment()
        .given(vec![initiated()])
        .when(PaymentCommand::Initiate(other))
        .then_expect_error(PaymentError::PaymentInProgress);
}

#[test]
fn a_payment_is_submitted_before_anything_else_is_known_of_it() {
    payment().given(vec![initiated()]).when(submit()).then_expect_events(vec![submitted()]);
    payment().given(vec![initiated(), submitted()]).when(submit()).then_expect_events(vec![]);
    payment().given(vec![initiated()]).when(succeed()).then_expect_error(PaymentError::NotSubmitted);
    payment().given(vec![initiated()]).when(wait()).then_expect_error(PaymentError::NotSubmitted);
    payment()
        .given(vec![initiated(), submitted()])
        .when(PaymentCommand::Submit { reference: reference("pi_2") })
        .then_expect_error(PaymentError::OtherReference);
}

#[test]
fn every_outcome_is_recorded_once() {
    for history in unsettled() {
        let given = || payment().given(history.clone());
        given().when(succeed()).then_expect_events(vec![succeeded(false)]);
        given().when(PaymentCommand::Fail(failure())).then_expect_events(vec![failed()]);
        given().when(PaymentCommand::Cancel).then_expect_events(vec![cancelled()]);
    }
    let after = |event| payment().given(vec![initiated(), submitted(), event]);
    after(pending()).when(wait()).then_expect_events(vec![]);
    after(succeeded(false)).when(succeed()).then_expect_events(vec![]);
    after(failed()).when(PaymentCommand::Fail(failure())).then_expect_events(vec![]);
    after(cancelled()).when(PaymentCommand::Cancel).then_expect_events(vec![]);
}

#[test]
fn a_succeeded_payment_stays_succeeded() {
    for command in [PaymentCommand::Fail(failure()), PaymentCommand::Cancel, wait(), submit()] {
        payment()
            .given(vec![initiated(), submitted(), succeeded(false)])
            .when(command)
            .then_expect_error(PaymentError::PaymentSettled);
    }
}

#[test]
fn money_that_comes_after_the_payment_was_given_up_is_recorded_as_late() {
    for end in [failed(), cancelled()] {
        payment().given(vec![initiated(), submitted(), end]).when(succeed()).then_expect_events(vec![succeeded(true)]);
    }
}

#[test]
fn a_success_under_another_reference_is_refused() {
    for history in [unsettled().to_vec(), vec![vec![initiated(), submitted(), succeeded(false)]]].concat() {
        payment()
            .given(history)
            .when(PaymentCommand::Succeed { reference: reference("pi_2") })
            .then_expect_error(PaymentError::OtherReference);
    }
}

#[test]
fn refunds_never_exceed_what_was_paid() {
    let paid = || vec![initiated(), submitted(), succeeded(false)];
    payment().given(paid()).when(refund(5990)).then_expect_events(vec![refunded(5990)]);
    let too_large =
        |refunded, asked| PaymentError::RefundTooLarge { paid: brl(5990), refunded: brl(refunded), asked: brl(asked) };
    payment().given(paid()).when(refund(5991)).then_expect_error(too_large(0, 5991));
    payment().given(paid()).when(refund(0)).then_expect_error(too_large(0, 0));
    let half = || [paid(), vec![refunded(3000)]].concat();
    payment().given(half()).when(refund(2990)).then_expect_events(vec![refunded(2990)]);
    payment().given(half()).when(refund(3000)).then_expect_events(vec![]);
    payment().given(half()).when(refund(2991)).then_expect_error(too_large(3000, 2991));
    payment().given(vec![initiated()]).when(refund(1)).then_expect_error(PaymentError::NotSucceeded);
}

#[test]
fn what_was_done_to_its_dead_letters_is_kept_whatever_became_of_the_payment() {
    for history in unsettled().to_vec().into_iter().chain([vec![initiated(), failed()]]) {
        let redriven = PaymentEvent::PaymentRedriven(note());
        payment().given(history.clone()).when(PaymentCommand::Redrive(note())).then_expect_events(vec![redriven]);
        let discarded = PaymentEvent::PaymentDiscarded(note());
        payment().given(history).when(PaymentCommand::Discard(note())).then_expect_events(vec![discarded]);
    }
}

#[test]
fn an_unknown_payment_refuses_everything_but_being_begun() {
    for command in [submit(), wait(), succeed(), PaymentCommand::Fail(failure()), PaymentCommand::Cancel, refund(1)] {
        payment().given_no_previous_events().when(command).then_expect_error(PaymentError::UnknownPayment);
    }
}

fn dispute(status: DisputeStatus) -> PaymentCommand {
    let (reference, reason) = (reference("dp_1"), "fraudulent".to_owned());
    PaymentCommand::RecordDispute(Dispute { reference, amount: brl(5990), reason, status })
}

fn disputed() -> PaymentEvent {
    let Terms { order, buyer, .. } = terms();
    let (dispute, reason) = (reference("dp_1"), "fraudulent".to_owned());
    PaymentEvent::PaymentDisputed { order, buyer, dispute, amount: brl(5990), reason }
}

fn closed(outcome: DisputeStatus) -> PaymentEvent {
    PaymentEvent::PaymentDisputeClosed { order: terms().order, dispute: reference("dp_1"), outcome }
}

#[test]
fn a_dispute_is_recorded_once_in_whatever_order_it_is_reported() {
    use DisputeStatus::{Lost, Open, Won};
    let paid = || vec![initiated(), submitted(), succeeded(false)];
    payment().given(paid()).when(dispute(Open)).then_expect_events(vec![disputed()]);
    payment().given(paid()).when(dispute(Lost)).then_expect_events(vec![disputed(), closed(Lost)]);
    let open = || [paid(), vec![disputed()]].concat();
    payment().given(open()).when(dispute(Open)).then_expect_events(vec![]);
    payment().given(open()).when(dispute(Won)).then_expect_events(vec![closed(Won)]);
    let over = || [open(), vec![closed(Won)]].concat();
    for late in [Open, Won, Lost] {
        payment().given(over()).when(dispute(late)).then_expect_events(vec![]);
    }
    payment().given(vec![initiated()]).when(dispute(Open)).then_expect_error(PaymentError::NotSucceeded);
}

#[test]
fn the_payment_of_an_attempt_has_always_the_same_id() {
    let order = terms().order;
    assert_eq!(PaymentId::for_attempt(order, 1), PaymentId::for_attempt(order, 1));
    assert_ne!(PaymentId::for_attempt(order, 1), PaymentId::for_attempt(order, 2));
}

fn any_command() -> impl Strategy<Value = PaymentCommand> {
    prop_oneof![
        Just(PaymentCommand::Initiate(terms())),
        Just(submit()),
        Just(wait()),
        Just(succeed()),
        Just(PaymentCommand::Fail(failure())),
        Just(PaymentCommand::Cancel),
        (-1..6000_i64).prop_map(refund),
    ]
}

proptest! {
    #[test]
    fn any_sequence_of_commands_is_refused_or_leaves_the_payment_consistent(
        commands in proptest::collection::vec(any_command(), 0..30)
    ) {
        let mut payment = Payment::New;
        let (mut successes, mut returned) = (0, 0);
        for command in commands {
            let was_paid = matches!(payment, Payment::Succeeded { .. });
            for event in payment.decide(command).unwrap_or_default() {
                match &event {
                    PaymentEvent::PaymentSucceeded { .. } => successes += 1,
                    PaymentEvent::PaymentRefunded { amount, .. } => returned += amount.amount,
                    _ => (),
                }
                payment.apply(event);
            }
            prop_assert!(successes <= 1, "a success is recorded once");
            prop_assert!((0..=5990).contains(&returned), "refunds fit the amount");
            prop_assert!(!was_paid || matches!(payment, Payment::Succeeded { .. }), "succeeded is absorbing");
        }
    }
}
