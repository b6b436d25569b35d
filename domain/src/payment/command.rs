use super::{Dispute, Failure, LetterNote, NextAction, PspReference, Refund, Terms};
use crate::money::Money;

/// What can be asked of a payment.
#[derive(Debug, Clone)]
pub enum PaymentCommand {
    /// Begin.
    Initiate(Terms),
    /// Note that the PSP knows it, before it is asked to charge.
    Submit {
        /// The PSP's id.
        reference: PspReference,
    },
    /// Note that it waits.
    RecordPending {
        /// For what.
        next_action: Option<NextAction>,
    },
    /// Note that the money came.
    Succeed {
        /// The PSP's id.
        reference: PspReference,
    },
    /// Note that the money will not come.
    Fail(Failure),
    /// Note that it was cancelled at the PSP, or before the PSP knew of it.
    Cancel,
    /// Note that its dead work was put back into the queue.
    Redrive(LetterNote),
    /// Note that its dead work was forgotten.
    Discard(LetterNote),
    /// Note where a dispute stands.
    RecordDispute(Dispute),
    /// Note that money went back.
    Refund {
        /// How much this time.
        amount: Money,
        /// Which refund.
        refund: Refund,
    },
}
