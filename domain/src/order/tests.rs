#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use chrono::TimeDelta;
use cqrs_es::Aggregate;
use cqrs_es::test::TestFramework;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::money::{Currency, InvalidMoney};
use crate::payment::MethodToken;
use crate::payment::{DisputeStatus, Failure};
use crate::user::AgeSource;

fn order() -> TestFramework<Order> {
    TestFramework::with(())
}

fn buyer() -> UserId {
    UserId::from_uuid(Uuid::from_u128(1))
}

fn game(n: u128) -> GameId {
    GameId::from_uuid(Uuid::from_u128(n))
}

fn payment(n: u128) -> PaymentId {
    PaymentId::from_uuid(Uuid::from_u128(n))
}

fn brl(amount: i64) -> Money {
    Money { amount, currency: Currency::BRL }
}

fn offer(n: u128, amount: i64, rating: i32) -> Offer {
    Offer {
        game: game(n),
        title: Title::parse(&format!("Game {n}")).unwrap(),
        price: Price::parse(brl(amount), Currency::BRL).unwrap(),
        price_before: None,
        age_rating: AgeRating::parse(rating).unwrap(),
    }
}

fn line(n: u128, amount: i64) -> Line {
    let Offer { game, title, price, .. } = offer(n, amount, 0);
    Line { game, title, price, price_before: None }
}

fn visa() -> PaymentMethod {
    PaymentMethod::Card { token: MethodToken::parse("pm_card_visa").unwrap() }
}

fn declined() -> Failure {
    Failure { code: "card_declined".into(), message: "Your card was declined".into() }
}

fn place(offers: Vec<Offer>) -> OrderCommand {
    let age = AgeSignal { years: 17, source: AgeSource::SelfDeclared };
    OrderCommand::Place { buyer: buyer(), age, offers, payment_method: visa() }
}

fn placed() -> OrderEvent {
    let lines = vec![line(1, 5990), line(2, 1000)];
    created(lines, 6990)
}

fn created(lines: Vec<Line>, total: i64) -> OrderEvent {
    let age_source = Some(AgeSource::SelfDeclared);
    OrderEvent::OrderCreated { buyer: buyer(), lines, total: brl(total), payment_method: visa(), age_source }
}

fn failed(attempt: u32) -> OrderEvent {
    OrderEvent::OrderPaymentFailed { buyer: buyer(), payment: payment(1), attempt, failure: declined() }
}

fn fail(attempt: u32) -> OrderCommand {
    OrderCommand::RecordPaymentFailure { payment: payment(1), attempt, failure: declined() }
}

fn completed() -> Vec<OrderEvent> {
    vec![
        OrderEvent::PurchaseCompleted { buyer: buyer(), line: line(1, 5990) },
        OrderEvent::PurchaseCompleted { buyer: buyer(), line: line(2, 1000) },
        OrderEvent::OrderCompleted { buyer: buyer(), payment: Some(payment(1)), total: brl(6990) },
    ]
}

fn bought() -> Vec<OrderEvent> {
    [vec![placed()], completed()].concat()
}

fn complete(n: u128) -> OrderCommand {
    OrderCommand::Complete { payment: payment(n) }
}

fn cancel() -> OrderCommand {
    OrderCommand::Cancel { reason: CancelReason::Requested }
}

fn cancelled() -> OrderEvent {
    OrderEvent::OrderCancelled { buyer: buyer(), open_attempt: 1, reason: CancelReason::Requested }
}

fn goodwill() -> RefundGround {
    RefundGround::Goodwill { reason: RefundReason::parse("it never started").unwrap() }
}

fn withdrawal(days: i64) -> RefundGround {
    RefundGround::Withdrawal { since: TimeDelta::days(days), window: TimeDelta::days(7) }
}

fn ask(games: Vec<GameId>) -> OrderCommand {
    OrderCommand::RequestRefund { games, ground: withdrawal(7) }
}

fn asked(number: u32, games: Vec<GameId>, amount: i64) -> OrderEvent {
    let payment = Some(payment(1));
    OrderEvent::OrderRefundRequested { buyer: buyer(), payment, number, games, amount: brl(amount), reason: None }
}

fn refund(number: u32) -> OrderCommand {
    OrderCommand::Refund { number }
}

fn refunded(number: u32, games: Vec<GameId>, whole: bool) -> OrderEvent {
    OrderEvent::OrderRefunded { buyer: buyer(), number, games, whole }
}

fn fail_refund(number: u32) -> OrderCommand {
    OrderCommand::FailRefund { number, failure: declined() }
}

fn refund_failed(number: u32) -> OrderEvent {
    OrderEvent::OrderRefundFailed { buyer: buyer(), number, failure: declined() }
}

#[test]
fn an_order_is_placed_at_the_prices_of_the_moment() {
    order()
        .given_no_previous_events()
        .when(place(vec![offer(1, 5990, 16), offer(2, 1000, 0)]))
        .then_expect_events(vec![placed()]);
    order().given(vec![placed()]).when(place(vec![offer(1, 1, 0)])).then_expect_error(OrderError::AlreadyPlaced);
}

#[test]
fn an_order_holds_1_to_50_distinct_games() {
    let refused = |offers, error| order().given_no_previous_events().when(place(offers)).then_expect_error(error);
    refused(vec![], OrderError::EmptyOrder);
    refused(vec![offer(1, 1, 0), offer(1, 1, 0)], OrderError::DuplicateGame(game(1)));
    refused((0..51).map(|n| offer(n, 1, 0)).collect(), OrderError::TooManyGames);
}

#[test]
fn a_buyer_must_be_old_enough_for_each_game() {
    order()
        .given_no_previous_events()
        .when(place(vec![offer(1, 1, 16), offer(2, 1, 18)]))
        .then_expect_error(OrderError::BuyerTooYoung { game: game(2), rating: 18 });
}

#[test]
fn a_total_that_no_provider_charges_is_refused() {
    order()
        .given_no_previous_events()
        .when(place(vec![offer(1, Price::MAX, 0), offer(2, 1, 0)]))
        .then_expect_error(OrderError::TotalNotChargeable(InvalidMoney::TooLarge));
}

#[test]
fn a_free_order_completes_without_a_payment() {
    order().given_no_previous_events().when(place(vec![offer(1, 0, 0)])).then_expect_events(vec![
        created(vec![line(1, 0)], 0),
        OrderEvent::PurchaseCompleted { buyer: buyer(), line: line(1, 0) },
        OrderEvent::OrderCompleted { buyer: buyer(), payment: None, total: brl(0) },
    ]);
}

#[test]
fn a_failed_payment_leaves_the_order_open_for_another() {
    order().given(vec![placed()]).when(fail(1)).then_expect_events(vec![failed(1)]);
    order().given(vec![placed(), failed(1)]).when(fail(1)).then_expect_events(vec![]);
    order().given(vec![placed(), failed(1)]).when(fail(2)).then_expect_events(vec![failed(2)]);
    order().given(vec![placed(), failed(1)]).when(complete(1)).then_expect_events(completed());
}

#[test]
fn a_paid_order_hands_over_each_game_once() {
    order().given(vec![placed()]).when(complete(1)).then_expect_events(completed());
    order().given(bought()).when(complete(1)).then_expect_events(vec![]);
    order().given(bought()).when(complete(2)).then_expect_error(OrderError::OrderCompleted);
    order().given(bought()).when(fail(1)).then_expect_events(vec![]);
}

#[test]
fn a_paid_order_cannot_be_cancelled() {
    order().given(bought()).when(cancel()).then_expect_error(OrderError::OrderCompleted);
}

#[test]
fn a_cancelled_order_stays_cancelled() {
    order().given(vec![placed()]).when(cancel()).then_expect_events(vec![cancelled()]);
    order().given(vec![placed(), cancelled()]).when(cancel()).then_expect_events(vec![]);
    order().given(vec![placed(), cancelled()]).when(complete(1)).then_expect_error(OrderError::OrderCancelled);
    order().given(vec![placed(), cancelled()]).when(fail(1)).then_expect_events(vec![]);
}

#[test]
fn games_of_a_completed_order_go_back_once_each() {
    let (first, second) = (vec![game(1)], vec![game(2)]);
    order().given(bought()).when(ask(first.clone())).then_expect_events(vec![asked(1, first.clone(), 5990)]);
    let waiting = || [bought(), vec![asked(1, first.clone(), 5990)]].concat();
    order().given(waiting()).when(ask(first.clone())).then_expect_error(OrderError::RefundInProgress);
    order().given(waiting()).when(ask(vec![])).then_expect_events(vec![asked(2, second.clone(), 1000)]);
    order().given(waiting()).when(refund(1)).then_expect_events(vec![refunded(1, first.clone(), false)]);
    order().given(waiting()).when(refund(2)).then_expect_events(vec![]);
    let half = || [waiting(), vec![refunded(1, first.clone(), false)]].concat();
    order().given(half()).when(refund(1)).then_expect_events(vec![]);
    order().given(half()).when(ask(first.clone())).then_expect_error(OrderError::GameNotInOrder(game(1)));
    let last = || [half(), vec![asked(2, second.clone(), 1000)]].concat();
    order().given(half()).when(ask(vec![])).then_expect_events(vec![asked(2, second.clone(), 1000)]);
    order().given(last()).when(refund(2)).then_expect_events(vec![refunded(2, second.clone(), true)]);
    let none = || [last(), vec![refunded(2, second.clone(), true)]].concat();
    order().given(none()).when(ask(vec![])).then_expect_error(OrderError::OrderRefunded);
    order().given(none()).when(refund(2)).then_expect_events(vec![]);
}

#[test]
fn a_refund_is_asked_for_of_a_completed_order_and_of_its_games_only() {
    order().given(bought()).when(ask(vec![game(1), game(1)])).then_expect_error(OrderError::DuplicateGame(game(1)));
    order().given(bought()).when(ask(vec![game(3)])).then_expect_error(OrderError::GameNotInOrder(game(3)));
    order().given(vec![placed()]).when(ask(vec![])).then_expect_error(OrderError::OrderNotCompleted);
    order().given(vec![placed(), cancelled()]).when(ask(vec![])).then_expect_error(OrderError::OrderCancelled);
}

#[test]
fn a_buyer_may_withdraw_for_seven_days_and_staff_may_refund_at_any_time() {
    let by = |ground| OrderCommand::RequestRefund { games: vec![], ground };
    order().given(bought()).when(by(withdrawal(8))).then_expect_error(OrderError::RefundWindowClosed(7));
    let reason = Some(RefundReason::parse("it never started").unwrap());
    let (buyer, payment, games) = (buyer(), Some(payment(1)), vec![game(1), game(2)]);
    let amount = brl(6990);
    order().given(bought()).when(by(goodwill())).then_expect_events(vec![OrderEvent::OrderRefundRequested {
        buyer,
        payment,
        number: 1,
        games,
        amount,
        reason,
    }]);
}

#[test]
fn games_whose_money_cannot_go_back_stay_and_can_be_asked_for_again() {
    let waiting = || [bought(), vec![asked(1, vec![game(1)], 5990)]].concat();
    order().given(waiting()).when(fail_refund(1)).then_expect_events(vec![refund_failed(1)]);
    let failed = || [waiting(), vec![refund_failed(1)]].concat();
    order().given(failed()).when(fail_refund(1)).then_expect_events(vec![]);
    order().given(failed()).when(ask(vec![game(1)])).then_expect_events(vec![asked(2, vec![game(1)], 5990)]);
}

#[test]
fn what_was_free_goes_back_at_once() {
    let free = vec![
        created(vec![line(1, 0)], 0),
        OrderEvent::PurchaseCompleted { buyer: buyer(), line: line(1, 0) },
        OrderEvent::OrderCompleted { buyer: buyer(), payment: None, total: brl(0) },
    ];
    let (payment, games, reason) = (None, vec![game(1)], None);
    let requested =
        OrderEvent::OrderRefundRequested { buyer: buyer(), payment, number: 1, games, amount: brl(0), reason };
    order().given(free).when(ask(vec![])).then_expect_events(vec![requested, refunded(1, vec![game(1)], true)]);
}

fn dispute(n: u128, status: DisputeStatus, policy: DisputePolicy) -> OrderCommand {
    OrderCommand::Dispute { payment: payment(n), status, policy }
}

fn both() -> Vec<GameId> {
    vec![game(1), game(2)]
}

fn suspended() -> OrderEvent {
    OrderEvent::OrderSuspended { buyer: buyer(), games: both() }
}

fn revoked() -> OrderEvent {
    OrderEvent::OrderRevoked { buyer: buyer(), games: both() }
}

#[test]
fn games_of_a_disputed_payment_are_out_of_reach_until_the_bank_decides() {
    use DisputeStatus::{Lost, Open, Won};
    let waiting = || [bought(), vec![suspended()]].concat();
    let suspend = |status| dispute(1, status, DisputePolicy::Suspend);
    order().given(bought()).when(suspend(Open)).then_expect_events(vec![suspended()]);
    order().given(waiting()).when(suspend(Open)).then_expect_events(vec![]);
    order().given(waiting()).when(ask(vec![])).then_expect_error(OrderError::OrderDisputed);
    let reinstated = OrderEvent::OrderReinstated { buyer: buyer(), games: both() };
    order().given(waiting()).when(suspend(Won)).then_expect_events(vec![reinstated]);
    order().given(waiting()).when(suspend(Lost)).then_expect_events(vec![revoked()]);
    let over = [waiting(), vec![revoked()]].concat();
    order().given(over).when(suspend(Lost)).then_expect_events(vec![]);
}

#[test]
fn the_policy_says_what_a_dispute_takes() {
    use DisputeStatus::{Lost, Open};
    for (policy, opened, lost) in [
        (DisputePolicy::Suspend, vec![suspended()], vec![revoked()]),
        (DisputePolicy::RevokeWhenLost, vec![], vec![revoked()]),
        (DisputePolicy::Keep, vec![], vec![]),
    ] {
        order().given(bought()).when(dispute(1, Open, policy)).then_expect_events(opened);
        order().given(bought()).when(dispute(1, Lost, policy)).then_expect_events(lost);
    }
}

#[test]
fn a_dispute_of_another_payment_takes_no_games() {
    let lost = dispute(2, DisputeStatus::Lost, DisputePolicy::Suspend);
    order().given(bought()).when(lost.clone()).then_expect_events(vec![]);
    order().given(vec![placed(), cancelled()]).when(lost).then_expect_events(vec![]);
}

#[test]
fn an_unknown_order_refuses_everything_but_being_placed() {
    for command in [fail(1), complete(1), cancel(), ask(vec![]), refund(1), fail_refund(1)] {
        order().given_no_previous_events().when(command).then_expect_error(OrderError::UnknownOrder);
    }
}

fn any_command() -> impl Strategy<Value = OrderCommand> {
    prop_oneof![
        proptest::collection::vec((1..4_u128, 0..3_i64), 0..4)
            .prop_map(|games| place(games.into_iter().map(|(n, amount)| offer(n, amount, 0)).collect())),
        (1..4_u32).prop_map(fail),
        (1..3_u128).prop_map(complete),
        Just(cancel()),
        proptest::collection::vec(1..4_u128, 0..3).prop_map(|games| ask(games.into_iter().map(game).collect())),
        (1..4_u32).prop_map(refund),
        (1..4_u32).prop_map(fail_refund),
        (1..3_u128).prop_map(|n| dispute(n, DisputeStatus::Open, DisputePolicy::Suspend)),
        (1..3_u128).prop_map(|n| dispute(n, DisputeStatus::Won, DisputePolicy::Suspend)),
        (1..3_u128).prop_map(|n| dispute(n, DisputeStatus::Lost, DisputePolicy::Suspend)),
    ]
}

proptest! {
    #[test]
    fn any_sequence_of_commands_is_refused_or_leaves_the_order_consistent(
        commands in proptest::collection::vec(any_command(), 0..24)
    ) {
        let mut order = Order::New;
        let (mut ordered, mut total, mut granted, mut returned) = (0, 0, 0, 0);
        let (mut completions, mut cancellations) = (0, 0);
        for command in commands {
            for event in order.decide(command).unwrap_or_default() {
                match &event {
                    OrderEvent::OrderCreated { lines, total: sum, .. } => {
                        ordered += lines.len();
                        total = lines.iter().map(|line| line.price.money().amount).sum::<i64>();
                        prop_assert_eq!(total, sum.amount);
                    }
                    OrderEvent::PurchaseCompleted { .. } => granted += 1,
                    OrderEvent::OrderCompleted { payment, total: paid, .. } => {
                        completions += 1;
                        prop_assert_eq!(paid.amount, total);
                        prop_assert_eq!(payment.is_none(), total == 0);
                    }
                    OrderEvent::OrderCancelled { .. } => cancellations += 1,
                    OrderEvent::OrderRefunded { games, .. } | OrderEvent::OrderRevoked { games, .. } => {
                        returned += games.len();
                    }
                    OrderEvent::OrderPaymentFailed { .. }
                    | OrderEvent::OrderRefundRequested { .. }
                    | OrderEvent::OrderRefundFailed { .. }
                    | OrderEvent::OrderSuspended { .. }
                    | OrderEvent::OrderReinstated { .. } => (),
                }
                order.apply(event);
            }
            prop_assert!(completions + cancellations <= 1, "an order ends once");
            prop_assert_eq!(granted, if completions == 1 { ordered } else { 0 });
            prop_assert!(returned <= granted);
        }
    }
}
