//! What is to follow from where an order and its payments stand, whatever happened last.
//!
//! Nothing here looks at an event: asked again, the answer is the same, so what leads to the question may come late,
//! twice, out of order, or not at all where something else comes after it.

use crate::order::{DisputePolicy, Order, OrderCommand, RefundGround};
use crate::payment::{Failure, Payment};
use crate::{OrderId, PaymentId};

#[cfg(test)]
mod tests;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum FollowUp {
    /// Have the order told.
    Tell(OrderCommand),
    /// Have the payment worker do something at the PSP.
    Send(PaymentId, Errand),
}

/// What only the PSP can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// Take the money, from wherever an earlier try left it.
    Charge,
    /// Give the payment up.
    Cancel,
    /// Send back what is left of it: nothing was bought with it.
    PayBack,
    /// Send the money of returned games back.
    Refund {
        /// Which of the order's refunds.
        number: u32,
    },
}

/// What follows; `payments` are the order's, by attempt, from the first.
#[must_use]
pub fn follow_ups(id: OrderId, order: &Order, payments: &[Payment], policy: DisputePolicy) -> Vec<FollowUp> {
    let mut next = vec![];
    for (attempt, payment) in (1..).zip(payments) {
        let name = PaymentId::for_attempt(id, attempt);
        next.extend(errands(order, name, payment).into_iter().map(|errand| FollowUp::Send(name, errand)));
        next.extend(news(order, name, attempt, payment, policy).map(FollowUp::Tell));
    }
    next
}

/// What an order does not know yet of one of its payments. What it would refuse is left out.
pub fn news(
    order: &Order,
    name: PaymentId,
    attempt: u32,
    payment: &Payment,
    policy: DisputePolicy,
) -> impl Iterator<Item = OrderCommand> {
    let changes = |command: &OrderCommand| order.decide(command.clone()).is_ok_and(|events| !events.is_empty());
    reports(order, name, attempt, payment, policy).into_iter().filter(changes)
}

/// What is left to do at the PSP for one payment of an order.
#[must_use]
pub fn errands(order: &Order, name: PaymentId, payment: &Payment) -> Vec<Errand> {
    match (payment, order) {
        (Payment::Initiated(_) | Payment::Submitted(..) | Payment::Pending(..), Order::Open { .. }) => {
            vec![Errand::Charge]
        }
        (Payment::Initiated(_) | Payment::Submitted(..) | Payment::Pending(..), _) => vec![Errand::Cancel],
        (
            Payment::Succeeded { late: false, refunds, .. },
            Order::Completed { payment: Some(paid_by), open_refunds, .. },
        ) if *paid_by == name => open_refunds
            .iter()
            .filter(|_| !payment.is_all_back())
            .filter(|open| !open.amount.is_zero())
            .filter(|open| refunds.iter().all(|done| done.number != Some(open.number)))
            .map(|open| Errand::Refund { number: open.number })
            .collect(),
        // It will complete the order, or has, and all of it went back since.
        (Payment::Succeeded { late: false, .. }, Order::Open { .. } | Order::Refunded { .. }) => vec![],
        // What the bank has taken, or may take, cannot be paid back.
        (Payment::Succeeded { .. }, _) if !payment.is_all_back() && !payment.is_with_the_bank() => {
            vec![Errand::PayBack]
        }
        (Payment::New | Payment::Succeeded { .. } | Payment::Failed(..) | Payment::Cancelled(_), _) => vec![],
    }
}

/// What an order is told of one of its payments, whether it knows it already or not.
fn reports(
    order: &Order,
    payment: PaymentId,
    attempt: u32,
    known: &Payment,
    policy: DisputePolicy,
) -> Vec<OrderCommand> {
    let failed = |failure| vec![OrderCommand::RecordPaymentFailure { payment, attempt, failure }];
    match known {
        Payment::New | Payment::Initiated(_) | Payment::Submitted(..) | Payment::Pending(..) => vec![],
        Payment::Failed(_, failure) => failed(failure.clone()),
        Payment::Cancelled(_) => {
            failed(Failure { code: "cancelled".into(), message: "the payment was cancelled".into() })
        }
        // Late money completes nothing, and what it came after may never have been told.
        Payment::Succeeded { late: true, .. } => {
            failed(Failure { code: "late".into(), message: "the money came too late and goes back".into() })
        }
        Payment::Succeeded { late: false, refunds, .. } => {
            let returned = refunds.iter().filter_map(|refund| refund.number);
            let returned = returned.map(|number| OrderCommand::Refund { number });
            let elsewhere = returned_elsewhere(order, payment, known);
            let disputed = known.dispute_standing().map(|status| OrderCommand::Dispute { payment, status, policy });
            let complete = matches!(order, Order::Open { .. }).then_some(OrderCommand::Complete { payment });
            complete.into_iter().chain(returned).chain(elsewhere).chain(disputed).collect()
        }
    }
}

/// What an order should hear where all that was left of its money went back at the PSP, and nobody asked for it here:
/// whatever was on its way back is back, and so is the rest.
fn returned_elsewhere(order: &Order, name: PaymentId, payment: &Payment) -> Vec<OrderCommand> {
    match order {
        Order::Completed { payment: Some(paid_by), open_refunds, .. }
            if *paid_by == name && payment.is_all_back() && payment.refunded_elsewhere() =>
        {
            let open = open_refunds.iter().map(|open| OrderCommand::Refund { number: open.number });
            let rest = OrderCommand::RequestRefund { games: vec![], ground: RefundGround::MadeAtPsp };
            open.chain([rest]).collect()
        }
        _ => vec![],
    }
}

impl std::fmt::Display for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Charge => f.write_str("charge"),
            Self::Cancel => f.write_str("cancel"),
            Self::PayBack => f.write_str("refund"),
            Self::Refund { number } => write!(f, "refund:{number}"),
        }
    }
}
