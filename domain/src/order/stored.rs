//! What is stored of an order, version by version in `domain/corpus`.

use serde::{Deserialize, Serialize};

use super::{CancelReason, Line, OrderEvent, RefundReason};
use crate::money::Money;
use crate::payment::{Failure, PaymentMethod};
use crate::user::AgeSource;
use crate::{GameId, PaymentId, UserId};

/// The current form of each event; older ones are brought to it by `crate::stored`. That both have the same fields, the
/// compiler holds them to; where they no longer should, the conversion belongs here.
#[derive(Serialize, Deserialize)]
#[serde(remote = "OrderEvent", tag = "type")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Stored {
    OrderCreated {
        buyer: UserId,
        lines: Vec<Line>,
        total: Money,
        payment_method: PaymentMethod,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        age_source: Option<AgeSource>,
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
