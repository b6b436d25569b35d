use domain::PaymentId;
use domain::payment::{Dispute, PaymentCommand};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;

impl Commands {
    /// Notes where a dispute of a payment stands. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The payment's refusal, and those of every use case.
    pub async fn record_dispute(
        &self,
        context: &Context,
        payment: PaymentId,
        dispute: Dispute,
    ) -> Result<bool, CommandError> {
        let receipt = self.pay(context, payment, PaymentCommand::RecordDispute(dispute)).await?;
        Ok(receipt.position.is_some())
    }
}
