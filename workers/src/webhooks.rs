//! The webhook function: works off what the PSP delivered. A delivery is a hint to ask, not a fact to believe, so
//! duplicates and deliveries out of order change nothing.

use std::collections::HashSet;
use std::time::Duration;

use domain::{Payment, PaymentId};
use futures::future::ready;
use futures::{FutureExt, StreamExt, stream};
use journal::vault::InboxEntry;
use nats::WEBHOOK_WAKE;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::obstacle::Obstacle;
use crate::{PaymentDesk, Shared};

/// What its events and its lines of the text log are signed with.
const BY: &str = "webhook";
/// How long is waited once somebody says that there are deliveries: they are taken together, and the payment worker has
/// mostly recorded by then what they tell.
const GATHER: Duration = Duration::from_millis(50);
/// The inbox is looked at this often at least.
const POLL: Duration = Duration::from_secs(1);
/// How many deliveries are taken at once, and for how long they are ours.
const BATCH: i64 = 32;
const LEASE: Duration = Duration::from_mins(1);
/// How many of them are worked off at once; all are done before the lease ends, though each asks the PSP twice.
const WORKERS: usize = 16;

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
                _ = wakes.next() => tokio::time::sleep(GATHER).await,
            }
        }
        Ok(())
    }

    /// Works off the next deliveries; whether there were any.
    ///
    /// # Errors
    /// When the inbox cannot be read or written.
    pub async fn run_once(&self) -> anyhow::Result<bool> {
        let vault = self.shared.commands.vault();
        let entries = vault.next_deliveries(LEASE, BATCH).await?;
        let paid = self.paid(&entries).await?;
        let found = !entries.is_empty();
        let (mut handled, open): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| is_about(entry, &paid));
        let worked = stream::iter(open).map(|entry| self.handle(entry).boxed()).buffer_unordered(WORKERS);
        handled.extend(worked.filter_map(ready).collect::<Vec<_>>().await);
        if !handled.is_empty() {
            vault.deliveries_handled(&handled.iter().map(|entry| entry.event_id.as_str()).collect::<Vec<_>>()).await?;
        }
        Ok(found)
    }

    /// The references of payments that succeeded: their deliveries bring nothing new.
    async fn paid(&self, entries: &[InboxEntry]) -> anyhow::Result<HashSet<String>> {
        let named: HashSet<PaymentId> = entries.iter().filter_map(|entry| payment_named_by(object(entry))).collect();
        let known = self.shared.commands.cached_payments(named).await?;
        let paid = known.iter().filter(|payment| matches!(payment, Payment::Succeeded { .. }));
        Ok(paid.filter_map(|payment| Some(payment.reference()?.as_str().to_owned())).collect())
    }

    /// Works off one delivery, and returns it unless it is to be tried again.
    async fn handle(&self, entry: InboxEntry) -> Option<InboxEntry> {
        match self.take(&entry).await {
            Ok(()) => Some(entry),
            // The PSP or the store does not know it, or will have none of it: asking again would not help.
            Err(error) if error.is_final() => {
                tracing::info!(webhook.id = entry.event_id, %error, "A webhook changes nothing");
                Some(entry)
            }
            Err(error) => {
                let wait = Duration::from_millis(500 << entry.attempts.clamp(0, 12));
                tracing::warn!(webhook.id = entry.event_id, attempt = entry.attempts, %error, "A webhook will be tried again");
                let vault = self.shared.commands.vault();
                if let Err(error) = vault.delivery_failed(&entry.event_id, &error.to_string(), wait).await {
                    tracing::warn!(webhook.id = entry.event_id, %error, "A webhook waits for its lease to end");
                }
                None
            }
        }
    }

    async fn take(&self, entry: &InboxEntry) -> Result<(), Obstacle> {
        let object = object(entry);
        if entry.kind.starts_with("refund.") || entry.kind.starts_with("charge.refund") {
            return self.look_at_refund(entry, object).await;
        }
        if entry.kind.starts_with("charge.dispute.") {
            return self.look_at_dispute(entry, object).await;
        }
        let Some(reference) = object.get("id").and_then(Value::as_str) else { return Ok(()) };
        if !is_about_an_intent(entry) {
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
        if let Some(payment) = payment_named_by(object) {
            return Ok(Some(payment));
        }
        Ok(projections::payments::by_reference(self.shared.commands.journal().pool(), reference).await?)
    }
}

fn object(entry: &InboxEntry) -> &Value {
    entry.payload.pointer("/data/object").unwrap_or(&Value::Null)
}

fn is_about_an_intent(entry: &InboxEntry) -> bool {
    entry.kind.starts_with("payment_intent.")
}

fn is_about(entry: &InboxEntry, intents: &HashSet<String>) -> bool {
    let reference = object(entry).get("id").and_then(Value::as_str);
    is_about_an_intent(entry) && reference.is_some_and(|reference| intents.contains(reference))
}

fn payment_named_by(object: &Value) -> Option<PaymentId> {
    object.pointer("/metadata/payment_id").and_then(Value::as_str).and_then(|id| PaymentId::parse(id).ok())
}

/// The delivery as the cause of events: its id, as ours are written.
fn cause(entry: &InboxEntry) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, entry.event_id.as_bytes())
}
