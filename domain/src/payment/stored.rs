//! What is stored of a payment, version by version in `domain/corpus`.

use serde::{Deserialize, Serialize};

use super::{DisputeStatus, Failure, LetterNote, NextAction, PaymentEvent, PspReference, Terms};
use crate::money::Money;
use crate::{OrderId, UserId};

/// The current form of each event; older ones are brought to it by `crate::stored`. That both have the same fields, the
/// compiler holds them to; where they no longer should, the conversion belongs here.
#[derive(Serialize, Deserialize)]
#[serde(remote = "PaymentEvent", tag = "type")]
#[expect(clippy::enum_variant_names, reason = "the names are stored")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Stored {
    PaymentInitiated(Terms),
    PaymentSubmitted {
        reference: PspReference,
    },
    PaymentPending {
        next_action: Option<NextAction>,
    },
    PaymentSucceeded {
        order: OrderId,
        reference: PspReference,
        late: bool,
    },
    PaymentFailed {
        order: OrderId,
        buyer: UserId,
        attempt: u32,
        failure: Failure,
    },
    PaymentCancelled {
        order: OrderId,
        attempt: u32,
    },
    PaymentRedriven(LetterNote),
    PaymentDiscarded(LetterNote),
    PaymentDisputed {
        order: OrderId,
        buyer: UserId,
        dispute: PspReference,
        amount: Money,
        reason: String,
    },
    PaymentDisputeClosed {
        order: OrderId,
        dispute: PspReference,
        outcome: DisputeStatus,
    },
    PaymentRefunded {
        order: OrderId,
        amount: Money,
        refund: PspReference,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u32>,
    },
}
