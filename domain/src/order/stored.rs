//! What is stored of an order, version by version in `domain/corpus`.

use serde::{Deserialize, Serialize};

use super::{CancelReason, Line, OrderEvent, RefundReason};
use crate::money::Money;
use crate::payment::{Failure, PaymentMethod};
use crate::{GameId, PaymentId, UserId};

/// The current form of each event; older ones are brought to it by `crate::stored`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Stored {
    OrderCreated {
        buyer: UserId,
        lines: Vec<Line>,
        total: Money,
        payment_method: PaymentMethod,
    },
    OrderPaymentFailed {
        buyer: UserId,
        payment: PaymentId,
        attempt: u32,
        failure: Failure,
    },
    PurchaseCompleted {
        buyer: UserId,
        line: Line,
    },
    OrderCompleted {
        buyer: UserId,
        payment: Option<PaymentId>,
        total: Money,
    },
    OrderCancelled {
        buyer: UserId,
        open_attempt: u32,
        reason: CancelReason,
    },
    OrderSuspended {
        buyer: UserId,
        games: Vec<GameId>,
    },
    OrderReinstated {
        buyer: UserId,
        games: Vec<GameId>,
    },
    OrderRevoked {
        buyer: UserId,
        games: Vec<GameId>,
    },
    OrderRefundRequested {
        buyer: UserId,
        payment: Option<PaymentId>,
        number: u32,
        games: Vec<GameId>,
        amount: Money,
        reason: Option<RefundReason>,
    },
    OrderRefundFailed {
        buyer: UserId,
        number: u32,
        failure: Failure,
    },
    OrderRefunded {
        buyer: UserId,
        number: u32,
        games: Vec<GameId>,
        whole: bool,
    },
}

impl From<OrderEvent> for Stored {
    fn from(event: OrderEvent) -> Self {
        match event {
            OrderEvent::OrderCreated { buyer, lines, total, payment_method } => {
                Self::OrderCreated { buyer, lines, total, payment_method }
            }
            OrderEvent::OrderPaymentFailed { buyer, payment, attempt, failure } => {
                Self::OrderPaymentFailed { buyer, payment, attempt, failure }
            }
            OrderEvent::PurchaseCompleted { buyer, line } => Self::PurchaseCompleted { buyer, line },
            OrderEvent::OrderCompleted { buyer, payment, total } => Self::OrderCompleted { buyer, payment, total },
            OrderEvent::OrderCancelled { buyer, open_attempt, reason } => {
                Self::OrderCancelled { buyer, open_attempt, reason }
            }
            OrderEvent::OrderSuspended { buyer, games } => Self::OrderSuspended { buyer, games },
            OrderEvent::OrderReinstated { buyer, games } => Self::OrderReinstated { buyer, games },
            OrderEvent::OrderRevoked { buyer, games } => Self::OrderRevoked { buyer, games },
            OrderEvent::OrderRefundRequested { buyer, payment, number, games, amount, reason } => {
                Self::OrderRefundRequested { buyer, payment, number, games, amount, reason }
            }
            OrderEvent::OrderRefundFailed { buyer, number, failure } => {
                Self::OrderRefundFailed { buyer, number, failure }
            }
            OrderEvent::OrderRefunded { buyer, number, games, whole } => {
                Self::OrderRefunded { buyer, number, games, whole }
            }
        }
    }
}

impl From<Stored> for OrderEvent {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::OrderCreated { buyer, lines, total, payment_method } => {
                Self::OrderCreated { buyer, lines, total, payment_method }
            }
            Stored::OrderPaymentFailed { buyer, payment, attempt, failure } => {
                Self::OrderPaymentFailed { buyer, payment, attempt, failure }
            }
            Stored::PurchaseCompleted { buyer, line } => Self::PurchaseCompleted { buyer, line },
            Stored::OrderCompleted { buyer, payment, total } => Self::OrderCompleted { buyer, payment, total },
            Stored::OrderCancelled { buyer, open_attempt, reason } => {
                Self::OrderCancelled { buyer, open_attempt, reason }
            }
            Stored::OrderSuspended { buyer, games } => Self::OrderSuspended { buyer, games },
            Stored::OrderReinstated { buyer, games } => Self::OrderReinstated { buyer, games },
            Stored::OrderRevoked { buyer, games } => Self::OrderRevoked { buyer, games },
            Stored::OrderRefundRequested { buyer, payment, number, games, amount, reason } => {
                Self::OrderRefundRequested { buyer, payment, number, games, amount, reason }
            }
            Stored::OrderRefundFailed { buyer, number, failure } => Self::OrderRefundFailed { buyer, number, failure },
            Stored::OrderRefunded { buyer, number, games, whole } => {
                Self::OrderRefunded { buyer, number, games, whole }
            }
        }
    }
}
