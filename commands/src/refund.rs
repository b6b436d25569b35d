use chrono::TimeDelta;
use domain::order::{Order, OrderCommand, OrderError, OrderEvent, RefundGround, RefundReason};
use domain::payment::{Failure, PaymentCommand, Refund};
use domain::{GameId, Money, OrderId, PaymentId};
use journal::{Claims, Release, clock};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::{Loaded, Receipt, Wish};
use crate::order::ownership;

impl Commands {
    /// Asks for the money of games of a completed order; for that of all that are left where none is named.
    /// The buyer may do so for some days without a reason, an admin at any time with one.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, the order's refusal, and those of every use case.
    pub async fn request_refund(
        &self,
        context: &Context,
        order: OrderId,
        games: Vec<GameId>,
        reason: Option<RefundReason>,
    ) -> Result<Receipt<Order>, CommandError> {
        let buyer = self.order(order).await?.buyer().ok_or(CommandError::NotFound)?;
        context.actor.must_own(buyer)?;
        let ground = match reason {
            Some(reason) if context.actor.must_be_admin().is_ok() => RefundGround::Goodwill { reason },
            Some(_) | None if context.actor.user() == Some(buyer) => self.withdrawal(order).await?,
            Some(_) | None => return Err(OrderError::RefundReasonMissing.into()),
        };
        let command = || OrderCommand::RequestRefund { games: games.clone(), ground: ground.clone() };
        self.execute_or(
            context,
            order.as_uuid(),
            |loaded: &Loaded<Order>| {
                let commands = vec![command()];
                // What is free comes back in the same breath.
                let events = loaded.aggregate.decide(command())?;
                let games = events.iter().find_map(|event| match event {
                    OrderEvent::OrderRefunded { games, .. } => Some(games.as_slice()),
                    _ => None,
                });
                let released = games.unwrap_or_default().iter();
                let released = released.map(|game| Release::One(ownership(buyer, *game))).collect();
                Ok::<_, CommandError>(Wish { commands, claims: Claims { taken: vec![], released } })
            },
            |_| CommandError::Conflict,
        )
        .await
    }

    /// Takes the games of a refund back, whose money went back; they can be bought again.
    ///
    /// # Errors
    /// The order's refusal, and those of every use case.
    pub async fn refund_order(&self, context: &Context, order: OrderId, number: u32) -> Result<(), CommandError> {
        self.execute::<Order, CommandError>(context, order.as_uuid(), |loaded| {
            let buyer = loaded.aggregate.buyer().ok_or(CommandError::NotFound)?;
            let games = loaded.aggregate.open_refunds().iter().filter(|refund| refund.number == number);
            let released = games.flat_map(|refund| &refund.games).map(|game| Release::One(ownership(buyer, *game)));
            let claims = Claims { taken: vec![], released: released.collect() };
            Ok(Wish { commands: vec![OrderCommand::Refund { number }], claims })
        })
        .await
        .map(drop)
    }

    /// Notes that the money of a refund cannot go back: its games stay.
    ///
    /// # Errors
    /// The order's refusal, and those of every use case.
    pub async fn fail_refund(
        &self,
        context: &Context,
        order: OrderId,
        number: u32,
        failure: Failure,
    ) -> Result<(), CommandError> {
        let command = || OrderCommand::FailRefund { number, failure: failure.clone() };
        self.execute::<Order, CommandError>(context, order.as_uuid(), |_| Ok(Wish::of(command()))).await.map(drop)
    }

    /// Notes that money of a payment went back. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The payment's refusal, and those of every use case.
    pub async fn refund_payment(
        &self,
        context: &Context,
        payment: PaymentId,
        amount: Money,
        refund: Refund,
    ) -> Result<bool, CommandError> {
        let command = PaymentCommand::Refund { amount, refund };
        self.pay(context, payment, command).await.map(|receipt| receipt.position.is_some())
    }

    async fn withdrawal(&self, order: OrderId) -> Result<RefundGround, CommandError> {
        let completed = self.journal.happened_at::<Order>(order.as_uuid(), "OrderCompleted").await?;
        let since = completed.map_or(TimeDelta::zero(), |at| clock::now().signed_duration_since(at));
        Ok(RefundGround::Withdrawal { since, window: self.rules.refund_window })
    }
}
