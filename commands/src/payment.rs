use chrono::{DateTime, Utc};
use domain::order::Order;
use domain::payment::{Failure, NextAction, Payment, PaymentCommand, PaymentMethod, PspReference, Terms};
use domain::{OrderId, PaymentId};
use uuid::Uuid;

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::{Receipt, Wish};

/// A payment with the order it is for, as the journal knows both.
#[derive(Debug, Clone)]
pub struct PaymentState {
    /// The payment.
    pub payment: Payment,
    /// Its order.
    pub order: Order,
    /// What both belong to.
    pub correlation: Uuid,
}

impl Commands {
    /// Begins an order's first payment. A free order has none, and an order that is over needs none.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn initiate_payment(&self, context: &Context, order: OrderId) -> Result<(), CommandError> {
        let Order::Open { buyer, total, failed_attempts: 0, payment_method, .. } = self.order(order).await? else {
            return Ok(());
        };
        let terms = Terms { order, buyer, attempt: 1, amount: total, method: payment_method };
        self.pay(context, PaymentId::for_attempt(order, 1), PaymentCommand::Initiate(terms)).await.map(drop)
    }

    /// Begins another payment of an order whose last one failed.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, [`CommandError::NothingToPay`], and those of every use case.
    pub async fn pay_again(
        &self,
        context: &Context,
        order: OrderId,
        method: PaymentMethod,
    ) -> Result<(PaymentId, Receipt<Payment>), CommandError> {
        let known = self.order(order).await?;
        context.actor.must_own(known.buyer().ok_or(CommandError::NotFound)?)?;
        // The same request, carried out before: not a wish for yet another payment.
        let earlier: Vec<PaymentId> = match &known {
            Order::Open { failed_attempts, .. } => {
                (2..=failed_attempts.saturating_add(1)).map(|n| PaymentId::for_attempt(order, n)).collect()
            }
            Order::Completed { payment, .. } => payment.iter().copied().collect(),
            Order::New | Order::Cancelled { .. } | Order::Refunded { .. } => vec![],
        };
        for payment in earlier {
            if let Some(aggregate) = self.was_done::<Payment>(context, payment.as_uuid()).await? {
                return Ok((payment, Receipt { position: None, version: 0, aggregate }));
            }
        }
        let Order::Open { buyer, total, failed_attempts, .. } = known else {
            return Err(CommandError::NothingToPay);
        };
        if failed_attempts == 0 {
            return Err(CommandError::NothingToPay);
        }
        let attempt = failed_attempts.saturating_add(1);
        let payment = PaymentId::for_attempt(order, attempt);
        let terms = Terms { order, buyer, attempt, amount: total, method };
        Ok((payment, self.pay(context, payment, PaymentCommand::Initiate(terms)).await?))
    }

    /// Notes the PSP's reference, before the PSP is asked to charge. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The payment's refusal, and those of every use case.
    pub async fn submit_payment(
        &self,
        context: &Context,
        payment: PaymentId,
        reference: PspReference,
    ) -> Result<bool, CommandError> {
        self.pay(context, payment, PaymentCommand::Submit { reference }).await.map(news)
    }

    /// Notes that a payment waits for the buyer or the bank. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The payment's refusal, and those of every use case.
    pub async fn record_pending(
        &self,
        context: &Context,
        payment: PaymentId,
        next_action: Option<NextAction>,
    ) -> Result<bool, CommandError> {
        self.pay(context, payment, PaymentCommand::RecordPending { next_action }).await.map(news)
    }

    /// Notes that the money came. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The payment's refusal, and those of every use case.
    pub async fn succeed_payment(
        &self,
        context: &Context,
        payment: PaymentId,
        reference: PspReference,
    ) -> Result<bool, CommandError> {
        self.pay(context, payment, PaymentCommand::Succeed { reference }).await.map(news)
    }

    /// Notes that the money will not come. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The payment's refusal, and those of every use case.
    pub async fn fail_payment(
        &self,
        context: &Context,
        payment: PaymentId,
        failure: Failure,
    ) -> Result<bool, CommandError> {
        self.pay(context, payment, PaymentCommand::Fail(failure)).await.map(news)
    }

    /// Notes that a payment was given up. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The payment's refusal, and those of every use case.
    pub async fn cancel_payment(&self, context: &Context, payment: PaymentId) -> Result<bool, CommandError> {
        self.pay(context, payment, PaymentCommand::Cancel).await.map(news)
    }

    /// A payment and its order as the journal knows them.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] where there is no such payment, and those of every use case.
    pub async fn payment(&self, payment: PaymentId) -> Result<PaymentState, CommandError> {
        let loaded = self.load::<Payment>(payment.as_uuid()).await?;
        let correlation = loaded.correlation().unwrap_or(payment.as_uuid());
        let order = loaded.aggregate.terms().ok_or(CommandError::NotFound)?.order;
        Ok(PaymentState { order: self.order(order).await?, payment: loaded.aggregate, correlation })
    }

    /// When a payment was begun.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] where there is no such payment, and those of every use case.
    pub async fn begun_at(&self, payment: PaymentId) -> Result<DateTime<Utc>, CommandError> {
        self.journal.begun_at::<Payment>(payment.as_uuid()).await?.ok_or(CommandError::NotFound)
    }

    pub(crate) async fn pay(
        &self,
        context: &Context,
        payment: PaymentId,
        command: PaymentCommand,
    ) -> Result<Receipt<Payment>, CommandError> {
        self.execute::<Payment, CommandError>(context, payment.as_uuid(), |_| Ok(Wish::of(command.clone()))).await
    }
}

/// Whether anything was recorded: a fact that is known already is no news.
fn news(receipt: Receipt<Payment>) -> bool {
    receipt.position.is_some()
}
