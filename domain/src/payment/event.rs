use super::{DisputeStatus, Failure, LetterNote, NextAction, PspReference, Terms};
use crate::money::Money;
use crate::{OrderId, UserId};

/// What happened to a payment.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr, strum::VariantNames)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum PaymentEvent {
    /// It was begun.
    PaymentInitiated(Terms),
    /// The PSP knows it.
    PaymentSubmitted {
        /// The PSP's id.
        reference: PspReference,
    },
    /// It waits for the buyer or the bank.
    PaymentPending {
        /// For what.
        next_action: Option<NextAction>,
    },
    /// The money came.
    PaymentSucceeded {
        /// What is paid.
        order: OrderId,
        /// The PSP's id.
        reference: PspReference,
        /// Whether it came after the payment was given up.
        late: bool,
    },
    /// The money will not come.
    PaymentFailed {
        /// What was to be paid.
        order: OrderId,
        /// Who was to pay.
        buyer: UserId,
        /// The attempt's number.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
    /// It was given up.
    PaymentCancelled {
        /// What was to be paid.
        order: OrderId,
        /// The attempt's number.
        attempt: u32,
    },
    /// Its dead work was put back into the queue; who did so, the event's metadata says.
    PaymentRedriven(LetterNote),
    /// Its dead work was forgotten; who did so, the event's metadata says.
    PaymentDiscarded(LetterNote),
    /// The buyer's bank disputes it.
    PaymentDisputed {
        /// What was paid.
        order: OrderId,
        /// Who paid.
        buyer: UserId,
        /// The PSP's id of the dispute.
        dispute: PspReference,
        /// How much of it.
        amount: Money,
        /// Why, in the PSP's word.
        reason: String,
    },
    /// The bank decided.
    PaymentDisputeClosed {
        /// What was paid.
        order: OrderId,
        /// The PSP's id of the dispute.
        dispute: PspReference,
        /// For whom.
        outcome: DisputeStatus,
    },
    /// Money went back.
    PaymentRefunded {
        /// What had been paid.
        order: OrderId,
        /// How much this time.
        amount: Money,
        /// The PSP's id of the refund.
        refund: PspReference,
        /// Which of the order's refunds; none where no order asked for it: nothing was bought with the payment, or
        /// somebody refunded it at the PSP itself.
        number: Option<u32>,
    },
}
