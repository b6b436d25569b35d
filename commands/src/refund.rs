use chrono::TimeDelta;
use domain::order::{Order, OrderCommand, OrderError, RefundGround, RefundReason};
use domain::payment::{Failure, PaymentCommand, Refund};
use domain::{GameId, Money, OrderId, PaymentId};
use journal::Loaded;

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::Receipt;

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
        let window = self.rules.refund_window;
        self.execute(context, order.as_uuid(), |loaded: &Loaded<Order>| {
            let buyer = loaded.aggregate.buyer().ok_or(CommandError::NotFound)?;
            context.actor.must_own(buyer)?;
            let ground = match reason.clone() {
                Some(reason) if context.actor.must_be_admin().is_ok() => RefundGround::Goodwill { reason },
                Some(_) | None if context.actor.user() == Some(buyer) => {
                    let completed = loaded.first("OrderCompleted").map(|completed| completed.recorded_at);
                    let since = completed.map_or(TimeDelta::zero(), |at| self.clock.now().signed_duration_since(at));
                    RefundGround::Withdrawal { since, window }
                }
                Some(_) | None => return Err(OrderError::RefundReasonMissing.into()),
            };
            Ok::<_, CommandError>(vec![OrderCommand::RequestRefund { games: games.clone(), ground }])
        })
        .await
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
        self.execute::<Order, CommandError>(context, order.as_uuid(), |_| Ok(vec![command()])).await.map(drop)
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
}
