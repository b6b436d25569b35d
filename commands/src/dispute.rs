use domain::order::{Order, OrderCommand, OrderEvent};
use domain::payment::{Dispute, DisputeStatus, PaymentCommand};
use domain::{OrderId, PaymentId};
use journal::{Claims, Release};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::{Loaded, Wish};
use crate::order::ownership;

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
        self.execute(context, order.as_uuid(), |loaded: &Loaded<Order>| {
            let lost = loaded.aggregate.decide(command())?.into_iter().find_map(|event| match event {
                OrderEvent::OrderRevoked { buyer, games } => Some((buyer, games)),
                _ => None,
            });
            let released = lost.map_or_else(Vec::new, |(buyer, games)| {
                games.into_iter().map(|game| Release::One(ownership(buyer, game))).collect()
            });
            Ok::<_, CommandError>(Wish { commands: vec![command()], claims: Claims { taken: vec![], released } })
        })
        .await
        .map(drop)
    }
}
