//! What is stored of a payment, version by version in `domain/corpus`.

use serde::{Deserialize, Serialize};

use super::{DisputeStatus, Failure, LetterNote, NextAction, PaymentEvent, PspReference, Terms};
use crate::money::Money;
use crate::{OrderId, UserId};

/// The current form of each event; older ones are brought to it by `crate::stored`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
#[expect(clippy::enum_variant_names, reason = "the names are stored")]
pub(super) enum Stored {
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

impl From<PaymentEvent> for Stored {
    fn from(event: PaymentEvent) -> Self {
        match event {
            PaymentEvent::PaymentInitiated(it) => Self::PaymentInitiated(it),
            PaymentEvent::PaymentSubmitted { reference } => Self::PaymentSubmitted { reference },
            PaymentEvent::PaymentPending { next_action } => Self::PaymentPending { next_action },
            PaymentEvent::PaymentSucceeded { order, reference, late } => {
                Self::PaymentSucceeded { order, reference, late }
            }
            PaymentEvent::PaymentFailed { order, buyer, attempt, failure } => {
                Self::PaymentFailed { order, buyer, attempt, failure }
            }
            PaymentEvent::PaymentCancelled { order, attempt } => Self::PaymentCancelled { order, attempt },
            PaymentEvent::PaymentRedriven(it) => Self::PaymentRedriven(it),
            PaymentEvent::PaymentDiscarded(it) => Self::PaymentDiscarded(it),
            PaymentEvent::PaymentDisputed { order, buyer, dispute, amount, reason } => {
                Self::PaymentDisputed { order, buyer, dispute, amount, reason }
            }
            PaymentEvent::PaymentDisputeClosed { order, dispute, outcome } => {
                Self::PaymentDisputeClosed { order, dispute, outcome }
            }
            PaymentEvent::PaymentRefunded { order, amount, refund, number } => {
                Self::PaymentRefunded { order, amount, refund, number }
            }
        }
    }
}

impl From<Stored> for PaymentEvent {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::PaymentInitiated(it) => Self::PaymentInitiated(it),
            Stored::PaymentSubmitted { reference } => Self::PaymentSubmitted { reference },
            Stored::PaymentPending { next_action } => Self::PaymentPending { next_action },
            Stored::PaymentSucceeded { order, reference, late } => Self::PaymentSucceeded { order, reference, late },
            Stored::PaymentFailed { order, buyer, attempt, failure } => {
                Self::PaymentFailed { order, buyer, attempt, failure }
            }
            Stored::PaymentCancelled { order, attempt } => Self::PaymentCancelled { order, attempt },
            Stored::PaymentRedriven(it) => Self::PaymentRedriven(it),
            Stored::PaymentDiscarded(it) => Self::PaymentDiscarded(it),
            Stored::PaymentDisputed { order, buyer, dispute, amount, reason } => {
                Self::PaymentDisputed { order, buyer, dispute, amount, reason }
            }
            Stored::PaymentDisputeClosed { order, dispute, outcome } => {
                Self::PaymentDisputeClosed { order, dispute, outcome }
            }
            Stored::PaymentRefunded { order, amount, refund, number } => {
                Self::PaymentRefunded { order, amount, refund, number }
            }
        }
    }
}
