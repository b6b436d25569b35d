use chrono::{DateTime, Utc};
use domain::checkout::news;
use domain::order::Order;
use domain::payment::{Failure, NextAction, Payment, PaymentCommand, PaymentMethod, PspReference, Terms};
use domain::{OrderId, PaymentId};
use journal::{AggregateKey, Histories, Loaded};
use uuid::Uuid;

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::{Read, Receipt};

/// A payment with the order it is for, as the journal knows both.
#[derive(Debug, Clone)]
pub struct PaymentState {
    /// The payment.
    pub payment: Payment,
    /// What it is for.
    pub terms: Terms,
    /// Its order.
    pub order: Order,
    /// What both belong to.
    pub correlation: Uuid,
}

impl Commands {
    /// Begins another payment of an order whose last one failed.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, [`CommandError::NothingToPay`], and those of every use case.
    pub async fn pay_again(
        &self,
        context: &Context,
        order: OrderId,
        method: PaymentMethod,
    ) -> Result<Receipt<Payment>, CommandError> {
        if let Some(receipt) = self.replayed::<Payment>(context).await? {
            return Ok(receipt);
        }
        let known = self.order(order).await?;
        context.actor.must_own(known.buyer().ok_or(CommandError::NotFound)?)?;
        let Order::Open { failed_attempts: failed @ 1.., .. } = known else { return Err(CommandError::NothingToPay) };
        let attempt = failed.saturating_add(1);
        let payment = PaymentId::for_attempt(order, attempt);
        self.execute_on(context, payment.as_uuid(), (&leans_on(order), Read::All), |_, others| {
            match others.aggregate::<Order>(order.as_uuid())? {
                Order::Open { buyer, total, failed_attempts, .. } if failed_attempts.saturating_add(1) == attempt => {
                    let terms = Terms { order, buyer, attempt, amount: total, method: method.clone() };
                    Ok(vec![PaymentCommand::Initiate(terms)])
                }
                _ => Err(CommandError::NothingToPay),
            }
        })
        .await
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
        self.pay(context, payment, PaymentCommand::Submit { reference }).await.map(|receipt| is_news(&receipt))
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
        self.pay(context, payment, PaymentCommand::RecordPending { next_action }).await.map(|receipt| is_news(&receipt))
    }

    /// Notes that the money came. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The payment's refusal, and those of every use case.
    pub async fn succeed_payment(
        &self,
        context: &Context,
        order: OrderId,
        payment: PaymentId,
        reference: PspReference,
    ) -> Result<bool, CommandError> {
        self.end(context, order, payment, PaymentCommand::Succeed { reference }).await
    }

    /// Notes that the money will not come. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The payment's refusal, and those of every use case.
    pub async fn fail_payment(
        &self,
        context: &Context,
        order: OrderId,
        payment: PaymentId,
        failure: Failure,
    ) -> Result<bool, CommandError> {
        self.end(context, order, payment, PaymentCommand::Fail(failure)).await
    }

    /// Notes that a payment was given up. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The payment's refusal, and those of every use case.
    pub async fn cancel_payment(&self, context: &Context, payment: PaymentId) -> Result<bool, CommandError> {
        self.pay(context, payment, PaymentCommand::Cancel).await.map(|receipt| is_news(&receipt))
    }

    /// A payment and its order as the journal knows them.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] where there is no such payment, and those of every use case.
    pub async fn payment(&self, payment: PaymentId) -> Result<PaymentState, CommandError> {
        let loaded = self.load::<Payment>(payment.as_uuid()).await?;
        let correlation = loaded.correlation().unwrap_or(payment.as_uuid());
        let terms = loaded.aggregate.terms().ok_or(CommandError::NotFound)?.clone();
        Ok(PaymentState { order: self.order(terms.order).await?, payment: loaded.aggregate, terms, correlation })
    }

    /// The same, where its order is known: in one round trip.
    ///
    /// # Errors
    /// As [`Commands::payment`].
    pub async fn payment_of(&self, order: OrderId, payment: PaymentId) -> Result<PaymentState, CommandError> {
        let (order, id) = (order.as_uuid(), payment.as_uuid());
        let mut read =
            self.journal.histories(&[AggregateKey::of::<Order>(order), AggregateKey::of::<Payment>(id)]).await?;
        let loaded = read.take::<Payment>(id)?;
        let correlation = loaded.correlation().unwrap_or(id);
        let terms = loaded.aggregate.terms().ok_or(CommandError::NotFound)?.clone();
        Ok(PaymentState { order: read.aggregate(order)?, payment: loaded.aggregate, terms, correlation })
    }

    /// Payments as this process read or wrote them lately, or as the journal knows them. A payment that succeeded stays so.
    /// What this program cannot read is left out.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn cached_payments(
        &self,
        payments: impl IntoIterator<Item = PaymentId>,
    ) -> Result<Vec<Payment>, CommandError> {
        let keys = payments.into_iter().map(|payment| AggregateKey::of::<Payment>(payment.as_uuid()));
        let keys: Vec<_> = keys.collect();
        let known = self.journal.cached(&keys).await?;
        Ok(keys.iter().filter_map(|key| known.aggregate(key.id).ok()).collect())
    }

    /// When a payment was begun.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] where there is no such payment, and those of every use case.
    pub async fn begun_at(&self, payment: PaymentId) -> Result<DateTime<Utc>, CommandError> {
        self.load::<Payment>(payment.as_uuid()).await?.begun_at().ok_or(CommandError::NotFound)
    }

    /// Notes how a payment ended, and with it what that means for its order.
    async fn end(
        &self,
        context: &Context,
        order: OrderId,
        payment: PaymentId,
        command: PaymentCommand,
    ) -> Result<bool, CommandError> {
        let decide = |_: &Loaded<Payment>, _: &Histories| Ok::<_, CommandError>(vec![command.clone()]);
        let tell = |ended: &Payment, others: &Histories| {
            let Some(terms) = ended.terms() else { return Ok(None) };
            let known = others.aggregate::<Order>(order.as_uuid())?;
            let news = news(&known, payment, terms.attempt, ended, self.rules.dispute_policy).next();
            Ok(news.map(|news| (order.as_uuid(), news)))
        };
        let leaning = (&leans_on(order)[..], Read::Cached);
        let ended = self.execute_with::<_, Order, _>(context, payment.as_uuid(), leaning, decide, tell).await?;
        Ok(is_news(&ended))
    }

    pub(crate) async fn pay(
        &self,
        context: &Context,
        payment: PaymentId,
        command: PaymentCommand,
    ) -> Result<Receipt<Payment>, CommandError> {
        let decide = |_: &Loaded<Payment>, _: &Histories| Ok::<_, CommandError>(vec![command.clone()]);
        self.execute_on(context, payment.as_uuid(), (&[], Read::Cached), decide).await
    }
}

/// Whether anything was recorded: a fact that is known already is no news.
fn is_news(receipt: &Receipt<Payment>) -> bool {
    receipt.position.is_some()
}

/// What is decided on a payment together with its order.
fn leans_on(order: OrderId) -> [AggregateKey; 1] {
    [AggregateKey::of::<Order>(order.as_uuid())]
}
