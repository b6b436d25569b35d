use domain::PaymentId;
use domain::payment::{LetterNote, PaymentCommand};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;

/// What somebody does to a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterAction {
    /// Its work goes back into the queue.
    Redrive,
    /// It is forgotten.
    Discard,
}

impl Commands {
    /// Notes who does what to the dead work of a payment, and why. For admins.
    ///
    /// # Errors
    /// [`CommandError::Forbidden`], and those of every use case.
    pub async fn note_letter(
        &self,
        context: &Context,
        payment: PaymentId,
        action: LetterAction,
        note: LetterNote,
    ) -> Result<(), CommandError> {
        context.actor.must_be_admin()?;
        let command = match action {
            LetterAction::Redrive => PaymentCommand::Redrive(note),
            LetterAction::Discard => PaymentCommand::Discard(note),
        };
        self.pay(context, payment, command).await.map(drop)
    }
}
