use domain::PaymentId;
use domain::payment::{LetterNote, PaymentCommand};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;

impl Commands {
    /// Notes who puts the dead work of a payment back into the queue, and why. For admins.
    ///
    /// # Errors
    /// [`CommandError::Forbidden`], and those of every use case.
    pub async fn note_redrive(
        &self,
        context: &Context,
        payment: PaymentId,
        note: LetterNote,
    ) -> Result<(), CommandError> {
        context.actor.must_be_admin()?;
        self.pay(context, payment, PaymentCommand::Redrive(note)).await.map(drop)
    }

    /// Notes who forgets the dead work of a payment, and why. For admins.
    ///
    /// # Errors
    /// [`CommandError::Forbidden`], and those of every use case.
    pub async fn note_discard(
        &self,
        context: &Context,
        payment: PaymentId,
        note: LetterNote,
    ) -> Result<(), CommandError> {
        context.actor.must_be_admin()?;
        self.pay(context, payment, PaymentCommand::Discard(note)).await.map(drop)
    }
}
