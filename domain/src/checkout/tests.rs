#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::game::AgeRating;
use crate::money::{Currency, Money, Price};
use crate::order::{CancelReason, Offer, RefundGround, RefundReason};
use crate::payment::{Dispute, DisputeStatus, MethodToken, PaymentCommand, PaymentMethod, PspReference, Refund, Terms};
use crate::text::Title;
use crate::user::{AgeSignal, AgeSource};
use crate::{GameId, UserId};

const ORDER: OrderId = OrderId::from_uuid(Uuid::from_u128(7));
const BUYER: UserId = UserId::from_uuid(Uuid::from_u128(1));

/// An order with its payments, and what became of them.
#[derive(Debug, Clone, PartialEq)]
struct World {
    order: Order,
    payments: Vec<Payment>,
}

/// What happens to an order from outside.
#[derive(Debug, Clone)]
enum Act {
    Submit,
    Pending,
    Succeed,
    Fail,
    /// The same, appended together with what the order hears of it.
    SucceedTold,
    FailTold,
    CancelPayment,
    Dispute(u8, DisputeStatus),
    CancelOrder,
    PayAgain,
    ReturnGame(u128),
    /// Somebody sends money back in the PSP's dashboard; all that is left, where no amount is said.
    DashboardRefund(Option<i64>),
}

fn text(of: &str) -> PspReference {
    PspReference::parse(of).unwrap()
}

fn offer(n: u128) -> Offer {
    let price = Price::parse(Money { amount: 1_000, currency: Currency::BRL }, Currency::BRL).unwrap();
    let title = Title::parse(&format!("Game {n}")).unwrap();
    let age_rating = AgeRating::parse(0).unwrap();
    Offer { game: GameId::from_uuid(Uuid::from_u128(n)), title, price, price_before: None, age_rating }
}

fn method() -> PaymentMethod {
    PaymentMethod::Card { token: MethodToken::parse("pm_card_visa").unwrap() }
}

impl World {
    fn placed() -> Self {
        let mut world = Self { order: Order::New, payments: vec![Payment::New] };
        let offers = vec![offer(1), offer(2)];
        let age = AgeSignal { years: 40, source: AgeSource::SelfDeclared };
        world.tell(OrderCommand::Place { buyer: BUYER, age, offers, payment_method: method() });
        let terms = world.order.first_terms(ORDER).unwrap();
        world.pay(0, PaymentCommand::Initiate(terms));
        world
    }

    fn tell(&mut self, command: OrderCommand) {
        for event in self.order.decide(command).unwrap_or_default() {
            self.order.evolve(event);
        }
    }

    /// Refusals are no matter: the outside tries whatever it likes.
    fn pay(&mut self, index: usize, command: PaymentCommand) {
        let Some(payment) = self.payments.get_mut(index) else { return };
        for event in payment.decide(command).unwrap_or_default() {
            payment.evolve(event);
        }
    }

    /// As the store records an end: with the first thing that the order is to hear of it.
    fn end(&mut self, index: usize, command: PaymentCommand) {
        let Some(before) = self.payments.get(index).cloned() else { return };
        self.pay(index, command);
        let Some(payment) = self.payments.get(index).filter(|payment| **payment != before) else { return };
        let attempt = u32::try_from(index).unwrap() + 1;
        let name = PaymentId::for_attempt(ORDER, attempt);
        let told = news(&self.order, name, attempt, payment, DisputePolicy::Suspend).next();
        if let Some(command) = told {
            self.tell(command);
        }
    }

    fn begin(&mut self, attempt: u32) {
        let Order::Open { total, .. } = &self.order else { return };
        let terms = Terms { order: ORDER, buyer: BUYER, attempt, amount: *total, method: method() };
        self.payments.resize(attempt as usize, Payment::New);
        self.pay(attempt as usize - 1, PaymentCommand::Initiate(terms));
    }

    fn reference(index: usize) -> PspReference {
        text(&format!("pi_{index}"))
    }

    fn act(&mut self, act: &Act) {
        let last = self.payments.len().saturating_sub(1);
        let failure = Failure { code: "card_declined".into(), message: "declined".into() };
        match act {
            Act::Submit => self.pay(last, PaymentCommand::Submit { reference: Self::reference(last) }),
            Act::Pending => self.pay(last, PaymentCommand::RecordPending { next_action: None }),
            Act::Succeed => self.pay(last, PaymentCommand::Succeed { reference: Self::reference(last) }),
            Act::Fail => self.pay(last, PaymentCommand::Fail(failure)),
            Act::SucceedTold => self.end(last, PaymentCommand::Succeed { reference: Self::reference(last) }),
            Act::FailTold => self.end(last, PaymentCommand::Fail(failure)),
            Act::CancelPayment => self.pay(last, PaymentCommand::Cancel),
            Act::Dispute(n, status) => {
                let amount = Money { amount: 2_000, currency: Currency::BRL };
                let reference = text(&format!("du_{n}"));
                let dispute = Dispute { reference, amount, reason: "fraudulent".into(), status: *status };
                self.pay(last, PaymentCommand::RecordDispute(dispute));
            }
            Act::CancelOrder => self.tell(OrderCommand::Cancel { reason: CancelReason::Requested }),
            Act::PayAgain => {
                if let Order::Open { failed_attempts: failed @ 1.., .. } = self.order {
                    self.begin(failed + 1);
                }
            }
            Act::ReturnGame(n) => {
                let games = vec![GameId::from_uuid(Uuid::from_u128(*n))];
                let ground = RefundGround::Goodwill { reason: RefundReason::parse("asked").unwrap() };
                self.tell(OrderCommand::RequestRefund { games, ground });
            }
            Act::DashboardRefund(amount) => {
                let left = self.payments.get(last).and_then(refunded).map_or(0, |back| 2_000 - back);
                self.refund(last, amount.unwrap_or(left), None);
            }
        }
    }

    fn refund(&mut self, index: usize, amount: i64, number: Option<u32>) {
        let reference = text(&format!("re_{index}_{number:?}_{amount}"));
        let amount = Money { amount, currency: Currency::BRL };
        self.pay(index, PaymentCommand::Refund { amount, refund: Refund { reference, number } });
    }

    /// One delivery: everything that follows, but for what only the PSP can do.
    fn deliver(&mut self) -> Vec<(usize, Errand)> {
        loop {
            let (mut told, mut sent) = (false, vec![]);
            for next in follow_ups(ORDER, &self.order, &self.payments, DisputePolicy::Suspend) {
                match next {
                    FollowUp::Tell(command) => {
                        self.tell(command);
                        told = true;
                    }
                    FollowUp::Send(payment, errand) => {
                        let attempt =
                            (1_u32..100).find(|attempt| PaymentId::for_attempt(ORDER, *attempt) == payment).unwrap();
                        sent.push((attempt as usize - 1, errand));
                    }
                }
            }
            if !told {
                return sent;
            }
        }
    }

    /// A PSP that does what it is asked; what waits for the buyer goes on waiting.
    fn work(&mut self, (index, errand): (usize, Errand)) {
        match errand {
            Errand::Charge => (),
            Errand::Cancel => self.pay(index, PaymentCommand::Cancel),
            Errand::PayBack => {
                let back = self.payments.get(index).and_then(refunded).unwrap_or_default();
                self.refund(index, 2_000 - back, None);
            }
            Errand::Refund { number } => {
                let before = self.payments.clone();
                self.refund(index, 1_000, Some(number));
                // More than is left: the PSP refuses, and the games stay.
                if before == self.payments {
                    let failure = Failure { code: "refused_by_psp".into(), message: "too much".into() };
                    self.tell(OrderCommand::FailRefund { number, failure });
                }
            }
        }
    }

    /// Until nothing is left to do but to wait.
    fn settle(&mut self) {
        for _ in 0..20 {
            let sent = self.deliver();
            if sent.iter().all(|(_, errand)| *errand == Errand::Charge) {
                return;
            }
            for errand in sent {
                self.work(errand);
            }
        }
        panic!("it comes to no end: {self:?}");
    }
}

fn any_status() -> impl Strategy<Value = DisputeStatus> {
    prop_oneof![Just(DisputeStatus::Open), Just(DisputeStatus::Won), Just(DisputeStatus::Lost)]
}

/// What the PSP says of a payment.
fn any_word_of_the_psp() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Submit),
        1 => Just(Act::Pending),
        1 => Just(Act::Succeed),
        2 => Just(Act::SucceedTold),
        1 => Just(Act::Fail),
        1 => Just(Act::FailTold),
        1 => Just(Act::CancelPayment),
        3 => (0_u8..3, any_status()).prop_map(|(n, status)| Act::Dispute(n, status)),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => any_word_of_the_psp(),
        1 => Just(Act::CancelOrder),
        1 => Just(Act::PayAgain),
        2 => (1_u128..3).prop_map(Act::ReturnGame),
        1 => prop_oneof![Just(None), Just(Some(500))].prop_map(Act::DashboardRefund),
    ]
}

proptest! {
    /// Invariant: follow-ups decide from state. Deliveries that are late, doubled or lost change nothing, as long as one comes last.
    #[test]
    fn however_often_and_whenever_checkout_is_asked_the_end_is_the_same(
        words in proptest::collection::vec((any_word_of_the_psp(), 0_u8..3), 0..12)
    ) {
        let mut begun = World::placed();
        begun.deliver();
        let (mut each, mut some) = (begun.clone(), begun);
        for (word, deliveries) in &words {
            each.act(word);
            each.deliver();
            some.act(word);
            for _ in 0..*deliveries {
                some.deliver();
            }
        }
        some.deliver();
        prop_assert_eq!(each, some);
    }

    /// Invariant: no money is kept for nothing, and nobody who paid and whose bank does not object is without games.
    #[test]
    fn whatever_happens_money_and_games_agree_in_the_end(
        acts in proptest::collection::vec((any_act(), any::<bool>(), any::<bool>()), 0..25)
    ) {
        let mut world = World::placed();
        world.deliver();
        for (act, delivered, worked) in &acts {
            world.act(act);
            if *delivered {
                let sent = world.deliver();
                if *worked {
                    for errand in sent {
                        world.work(errand);
                    }
                }
            }
        }
        world.settle();

        for (attempt, payment) in (1..).zip(&world.payments) {
            let Payment::Succeeded { terms, late, refunded, .. } = payment else { continue };
            prop_assert!(!matches!(world.order, Order::Open { .. }) || *late, "paid and open: {:?}", world);
            let bought = matches!(&world.order, Order::Completed { payment, .. }
                if *payment == Some(PaymentId::for_attempt(ORDER, attempt)));
            let back = *refunded == terms.amount || payment.is_with_the_bank();
            prop_assert!(bought || back, "kept for nothing: {:?}", world);
            if let (true, Order::Completed { suspended, lines, open_refunds, .. }) = (bought, &world.order) {
                let standing = payment.dispute_standing();
                let open = standing == Some(DisputeStatus::Open) && !lines.is_empty();
                prop_assert_eq!(*suspended, open, "games follow the bank: {:?}", world);
                prop_assert_eq!(lines.is_empty(), standing == Some(DisputeStatus::Lost), "{:?}", world);
                prop_assert!(open_refunds.is_empty(), "{:?}", world);
                let kept = !payment.is_all_back() || *suspended || lines.is_empty();
                prop_assert!(kept, "games whose money is back: {:?}", world);
            }
        }
        let before = world.clone();
        world.settle();
        prop_assert_eq!(before, world, "asked again, nothing follows");
    }
}

fn refunded(payment: &Payment) -> Option<i64> {
    if let Payment::Succeeded { refunded, .. } = payment { Some(refunded.amount) } else { None }
}

#[test]
fn a_dispute_first_heard_of_when_it_is_won_hides_nothing() {
    let mut world = World::placed();
    world.act(&Act::Submit);
    world.act(&Act::Succeed);
    world.deliver();
    world.act(&Act::Dispute(1, DisputeStatus::Won));
    world.deliver();
    assert!(matches!(world.order, Order::Completed { suspended: false, .. }), "{world:?}");
}

#[test]
fn a_won_dispute_reinstates_nothing_while_another_is_open() {
    let mut world = World::placed();
    world.act(&Act::Submit);
    world.act(&Act::Succeed);
    world.act(&Act::Dispute(1, DisputeStatus::Open));
    world.act(&Act::Dispute(2, DisputeStatus::Open));
    world.deliver();
    world.act(&Act::Dispute(1, DisputeStatus::Won));
    world.deliver();
    assert!(matches!(world.order, Order::Completed { suspended: true, .. }), "{world:?}");
    world.act(&Act::Dispute(2, DisputeStatus::Won));
    world.deliver();
    assert!(matches!(world.order, Order::Completed { suspended: false, .. }), "{world:?}");
}

#[test]
fn all_money_sent_back_at_the_psp_takes_what_was_on_its_way_back_and_the_rest() {
    let mut world = World::placed();
    world.act(&Act::Submit);
    world.act(&Act::Succeed);
    world.deliver();
    world.act(&Act::ReturnGame(1));
    world.act(&Act::DashboardRefund(Some(500)));
    assert_eq!(world.deliver(), [(0, Errand::Refund { number: 1 })]);
    world.act(&Act::DashboardRefund(None));
    assert_eq!(world.deliver(), []);
    assert!(matches!(world.order, Order::Refunded { .. }), "{world:?}");
}

#[test]
fn money_that_came_too_late_goes_back_once_the_bank_leaves_it_to_the_store() {
    let mut world = World::placed();
    world.act(&Act::Submit);
    world.act(&Act::CancelPayment);
    world.act(&Act::CancelOrder);
    world.act(&Act::Succeed);
    world.act(&Act::Dispute(1, DisputeStatus::Open));
    assert_eq!(world.deliver(), []);
    world.act(&Act::Dispute(1, DisputeStatus::Won));
    assert_eq!(world.deliver(), [(0, Errand::PayBack)]);
}
