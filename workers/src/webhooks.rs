//! The webhook function: works off what the PSP delivered. A delivery is a hint to ask, not a fact to believe, so
//! duplicates and deliveries out of order change nothing.

use std::time::Duration;

use anyhow::Context as _;
use domain::PaymentId;
use futures::StreamExt;
use journal::vault::InboxEntry;
use nats::WEBHOOK_WAKE;
use psp::PspError;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::settlement::Case;
use crate::{PaymentDesk, Shared};

/// The inbox is looked at this often at least.
const POLL: Duration = Duration::from_millis(250);
/// For how long a delivery is ours.
const LEASE: Duration = Duration::from_mins(1);

/// The webhook function.
#[derive(Clone)]
pub struct WebhookFunction {
    /// Use cases and server.
    pub shared: Shared,
    /// PSP and settlement.
    pub desk: PaymentDesk,
}

impl WebhookFunction {
    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.work(&stop).await {
                tracing::warn!(%error, "The webhook function pauses");
                stop.run_until_cancelled(tokio::time::sleep(POLL)).await;
            }
        }
    }

    async fn work(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut wakes = self.shared.nats.wakes(WEBHOOK_WAKE).await?;
        while !stop.is_cancelled() {
            if self.run_once().await? {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => (),
                () = tokio::time::sleep(POLL) => (),
                _ = wakes.next() => (),
            }
        }
        Ok(())
    }

    /// Works off the next delivery; whether there was one.
    ///
    /// # Errors
    /// When the inbox cannot be read.
    pub async fn run_once(&self) -> anyhow::Result<bool> {
        let vault = self.shared.commands.vault();
        let Some(entry) = vault.next_delivery(LEASE).await? else { return Ok(false) };
        match self.take(&entry).await {
            Ok(()) => vault.delivery_handled(&entry.event_id).await?,
            // What it is about the PSP does not know, or no longer: asking again would not help.
            Err(error) if matches!(error.downcast_ref(), Some(PspError::Refused { .. })) => {
                tracing::warn!(webhook.id = entry.event_id, %error, "A webhook is about what the PSP does not know");
                vault.delivery_handled(&entry.event_id).await?;
            }
            Err(error) => {
                let wait = Duration::from_millis(500 << entry.attempts.clamp(0, 12));
                tracing::warn!(webhook.id = entry.event_id, attempt = entry.attempts, %error, "A webhook will be tried again");
                vault.delivery_failed(&entry.event_id, &error.to_string(), wait).await?;
            }
        }
        Ok(true)
    }

    async fn take(&self, entry: &InboxEntry) -> anyhow::Result<()> {
        let object = entry.payload.pointer("/data/object").unwrap_or(&Value::Null);
        if entry.kind.starts_with("refund.") || entry.kind.starts_with("charge.refund") {
            return self.look_at_refund(entry, object).await;
        }
        if entry.kind.starts_with("charge.dispute.") {
            return self.look_at_dispute(entry, object).await;
        }
        let Some(reference) = object.get("id").and_then(Value::as_str) else { return Ok(()) };
        if !entry.kind.starts_with("payment_intent.") {
            tracing::debug!(kind = entry.kind, "A webhook of a kind that the store has no use for");
            return Ok(());
        }
        let Some(payment) = self.payment(object, reference).await? else {
            tracing::info!(webhook.id = entry.event_id, "A webhook names no payment of ours");
            return Ok(());
        };
        let state = match self.shared.commands.payment(payment).await {
            Err(error) if !error.is_passing() => return Ok(()),
            state => state?,
        };
        match state.payment.reference() {
            Some(known) if known.as_str() != reference => return Ok(()),
            // Failed and cancelled payments keep no reference; a late success of theirs must still be heard.
            None if !state.payment.is_settled() => anyhow::bail!("the payment is not submitted yet"),
            Some(_) | None => (),
        }
        let terms = state.payment.terms().context("a payment without terms")?;
        let intent = self.desk.psp.retrieve(reference).await?;
        let cause = Uuid::new_v5(&Uuid::NAMESPACE_URL, entry.event_id.as_bytes());
        let context = self.shared.commands.because("webhook", cause, state.correlation);
        let case = Case { by: "webhook", context: &context, payment, order: terms.order, asked: Some(terms.amount) };
        match self.desk.settlement.apply(&case, &intent).await {
            Err(error) if error.is_refusal() => {
                tracing::info!(payment.id = %payment, %error, "A webhook changes nothing");
                Ok(())
            }
            settled => Ok(settled.map(drop)?),
        }
    }

    /// What somebody refunded at the PSP itself is recorded; our own refunds are the payment worker's, which asks where
    /// they stand.
    async fn look_at_refund(&self, entry: &InboxEntry, refund: &Value) -> anyhow::Result<()> {
        let Some(intent) = refund.get("payment_intent").and_then(Value::as_str) else { return Ok(()) };
        let pool = self.shared.commands.journal().pool();
        let Some(payment) = projections::payments::by_reference(pool, intent).await? else { return Ok(()) };
        let state = self.shared.commands.payment(payment).await?;
        let terms = state.payment.terms().context("a payment without terms")?;
        let refunds = self.desk.psp.refunds(intent).await?;
        let cause = Uuid::new_v5(&Uuid::NAMESPACE_URL, entry.event_id.as_bytes());
        let context = self.shared.commands.because("webhook", cause, state.correlation);
        let case = Case { by: "webhook", context: &context, payment, order: terms.order, asked: Some(terms.amount) };
        self.desk.settlement.adopt_refunds(&case, &refunds).await?;
        Ok(self.shared.enqueue(payment, terms.order, &format!("webhook:{}", entry.event_id)).await?)
    }

    /// A dispute is recorded as the PSP has it now, whatever the delivery says.
    async fn look_at_dispute(&self, entry: &InboxEntry, dispute: &Value) -> anyhow::Result<()> {
        let Some(id) = dispute.get("id").and_then(Value::as_str) else { return Ok(()) };
        let dispute = self.desk.psp.dispute(id).await?;
        let cause = Uuid::new_v5(&Uuid::NAMESPACE_URL, entry.event_id.as_bytes());
        self.desk.record_dispute(&self.shared, ("webhook", cause), dispute).await?;
        Ok(())
    }

    async fn payment(&self, object: &Value, reference: &str) -> anyhow::Result<Option<PaymentId>> {
        let named = object.pointer("/metadata/payment_id").and_then(Value::as_str);
        if let Some(payment) = named.and_then(|id| PaymentId::parse(id).ok()) {
            return Ok(Some(payment));
        }
        Ok(projections::payments::by_reference(self.shared.commands.journal().pool(), reference).await?)
    }
}
