use super::{CancelReason, DisputePolicy, Offer, RefundGround};
use crate::payment::{DisputeStatus, Failure, PaymentMethod};
use crate::user::AgeSignal;
use crate::{GameId, PaymentId, UserId};

/// What can be asked of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderCommand {
    /// Buy games.
    Place {
        /// Who buys.
        buyer: UserId,
        /// How old they are, and how the store knows.
        age: AgeSignal,
        /// What, at today's prices.
        offers: Vec<Offer>,
        /// How they will pay.
        payment_method: PaymentMethod,
    },
    /// Note that a payment failed or was cancelled.
    RecordPaymentFailure {
        /// Which.
        payment: PaymentId,
        /// Its number, from 1.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
    /// Hand over the games: they are paid.
    Complete {
        /// What paid.
        payment: PaymentId,
    },
    /// Give it up.
    Cancel {
        /// Why.
        reason: CancelReason,
    },
    /// Note that the bank disputes what paid it, or has decided.
    Dispute {
        /// What paid.
        payment: PaymentId,
        /// Where the dispute stands.
        status: DisputeStatus,
        /// What that means for the games.
        policy: DisputePolicy,
    },
    /// Ask for the money of games.
    RequestRefund {
        /// Which; all that are left where none is named.
        games: Vec<GameId>,
        /// By what right.
        ground: RefundGround,
    },
    /// Take games back whose money went back.
    Refund {
        /// Which refund.
        number: u32,
    },
    /// Leave games with the buyer whose money cannot go back.
    FailRefund {
        /// Which refund.
        number: u32,
        /// Why.
        failure: Failure,
    },
}
