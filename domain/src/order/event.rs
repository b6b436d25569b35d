use super::{CancelReason, Line, RefundReason};
use crate::money::Money;
use crate::payment::{Failure, PaymentMethod};
use crate::user::AgeSource;
use crate::{GameId, PaymentId, UserId};

/// What happened to an order.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr, strum::VariantNames)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum OrderEvent {
    /// It was placed.
    OrderCreated {
        /// Who buys.
        buyer: UserId,
        /// What, at the prices of that moment.
        lines: Vec<Line>,
        /// Their sum.
        total: Money,
        /// How the first attempt pays.
        payment_method: PaymentMethod,
        /// How the store knew that the buyer was old enough; nothing in orders from before that was noted.
        age_source: Option<AgeSource>,
    },
    /// A payment failed; the buyer may pay again.
    OrderPaymentFailed {
        /// Who buys.
        buyer: UserId,
        /// Which payment.
        payment: PaymentId,
        /// Its number, from 1.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
    /// One game became the buyer's.
    PurchaseCompleted {
        /// Who bought.
        buyer: UserId,
        /// What.
        line: Line,
    },
    /// All games of the order are the buyer's.
    OrderCompleted {
        /// Who bought.
        buyer: UserId,
        /// What paid; nothing for a free order.
        payment: Option<PaymentId>,
        /// How much.
        total: Money,
    },
    /// It was given up; the games can be ordered again.
    OrderCancelled {
        /// Who would have bought.
        buyer: UserId,
        /// The number of the payment that may be under way.
        open_attempt: u32,
        /// Why.
        reason: CancelReason,
    },
    /// Its payment is disputed; the games are out of reach until the bank decides.
    OrderSuspended {
        /// Who bought.
        buyer: UserId,
        /// Which games.
        games: Vec<GameId>,
    },
    /// The bank decided for the store; the games are the buyer's again.
    OrderReinstated {
        /// Who bought.
        buyer: UserId,
        /// Which games.
        games: Vec<GameId>,
    },
    /// The bank decided for the buyer; the games are not theirs any more.
    OrderRevoked {
        /// Who had bought.
        buyer: UserId,
        /// Which games.
        games: Vec<GameId>,
    },
    /// The money of games is to go back.
    OrderRefundRequested {
        /// Who bought.
        buyer: UserId,
        /// What paid; nothing for a free order.
        payment: Option<PaymentId>,
        /// The refund's number within the order, from 1.
        number: u32,
        /// Which games.
        games: Vec<GameId>,
        /// What they had cost together.
        amount: Money,
        /// Why, where staff decided so.
        reason: Option<RefundReason>,
    },
    /// The money cannot go back; the games stay.
    OrderRefundFailed {
        /// Who bought.
        buyer: UserId,
        /// The refund's number.
        number: u32,
        /// Why.
        failure: Failure,
    },
    /// Games went back.
    OrderRefunded {
        /// Who had bought.
        buyer: UserId,
        /// The refund's number.
        number: u32,
        /// Which games.
        games: Vec<GameId>,
        /// Whether nothing of the order is left.
        whole: bool,
    },
}
