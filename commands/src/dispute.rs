use domain::order::{Order, OrderCommand};
use domain::payment::{Dispute, DisputeStatus, PaymentCommand};
use domain::{OrderId, PaymentId};

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

    /// Does with an order's games what the store's policy wants of games whose payment is disputed. What is lost can
    /// be bought again.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn dispute_order(
        &self,
        context: &Context,
        order: OrderId,
        payment: PaymentId,
        status: DisputeStatus,
    ) -> Result<(), CommandError> {
        let policy = self.rules.dispute_policy;
        let command = || OrderCommand::Dispute { payment, status, policy };
        self.execute::<Order, CommandError>(context, order.as_uuid(), |_| Ok(vec![command()])).await.map(drop)
    }
}
