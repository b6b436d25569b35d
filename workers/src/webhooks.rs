//! The webhook function: works off what the PSP delivered. A delivery is a hint to ask, not a fact to believe, so
//! duplicates and deliveries out of order change nothing.

use std::time::Duration;

use domain::PaymentId;
use futures::StreamExt;
use journal::vault::InboxEntry;
use nats::WEBHOOK_WAKE;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::obstacle::Obstacle;
use crate::{PaymentDesk, Shared};

/// What its events and its lines of the text log are signed with.
const BY: &str = "webhook";
/// The inbox is looked at this often at least.
const POLL: Duration = Duration::from_secs(1);
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
            // The PSP or the store does not know it, or will have none of it: asking again would not help.
            Err(error) if error.is_final() => {
                tracing::info!(webhook.id = entry.event_id, %error, "A webhook changes nothing");
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

    async fn take(&self, entry: &InboxEntry) -> Result<(), Obstacle> {
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
        let (state, case) = self.shared.case((BY, cause(entry)), payment).await?;
        match state.payment.reference() {
            Some(known) if known.as_str() != reference => return Ok(()),
            // Failed and cancelled payments keep no reference; a late success of theirs must still be heard.
            None if !state.payment.is_settled() => return Err(Obstacle::Early),
            Some(_) | None => (),
        }
        let intent = self.desk.psp.retrieve(reference).await?;
        self.desk.settlement.apply(&case, &intent).await?;
        Ok(())
    }

    /// What somebody refunded at the PSP itself is recorded; our own refunds are the payment worker's, which asks where
    /// they stand.
    async fn look_at_refund(&self, entry: &InboxEntry, refund: &Value) -> Result<(), Obstacle> {
        let Some(intent) = refund.get("payment_intent").and_then(Value::as_str) else { return Ok(()) };
        let pool = self.shared.commands.journal().pool();
        let Some(payment) = projections::payments::by_reference(pool, intent).await? else { return Ok(()) };
        let (_, case) = self.shared.case((BY, cause(entry)), payment).await?;
        self.desk.settlement.adopt_refunds(&case, &self.desk.psp.refunds(intent).await?).await?;
        Ok(self.shared.enqueue(payment, case.order, &format!("webhook:{}", entry.event_id)).await?)
    }

    /// A dispute is recorded as the PSP has it now, whatever the delivery says.
    async fn look_at_dispute(&self, entry: &InboxEntry, dispute: &Value) -> Result<(), Obstacle> {
        let Some(id) = dispute.get("id").and_then(Value::as_str) else { return Ok(()) };
        let dispute = self.desk.psp.dispute(id).await?;
        self.desk.record_dispute(&self.shared, (BY, cause(entry)), dispute).await?;
        Ok(())
    }

    async fn payment(&self, object: &Value, reference: &str) -> Result<Option<PaymentId>, Obstacle> {
        let named = object.pointer("/metadata/payment_id").and_then(Value::as_str);
        if let Some(payment) = named.and_then(|id| PaymentId::parse(id).ok()) {
            return Ok(Some(payment));
        }
        Ok(projections::payments::by_reference(self.shared.commands.journal().pool(), reference).await?)
    }
}

/// The delivery as the cause of events: its id, as ours are written.
fn cause(entry: &InboxEntry) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, entry.event_id.as_bytes())
}
