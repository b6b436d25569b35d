//! The PSP's own lists beside what is recorded: charges and disputes that nobody reported, and refunds that nobody
//! asked for here.
//!
//! Lists are read from the newest on, as far back as they were compared completely before, and further by as long as
//! what they hold may change. Where that was is kept, so that nothing is missed by a store that was away.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use commands::CommandError;
use domain::PaymentId;
use domain::payment::Payment;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use psp::{Dispute, Intent, IntentStatus, Refund};
use uuid::Uuid;

use super::{BY, Reconciler, SLOTS, earlier, told};
use crate::obstacle::Obstacle;
use crate::settlement::decided;

const CHARGES: &str = "psp.charges";
const REFUNDS: &str = "psp.refunds";
const DISPUTES: &str = "psp.disputes";
/// How long after it was made an intent may still be charged, and a refund be on its way.
const CHARGEABLE: Duration = Duration::from_hours(24);
/// How long a bank may take to decide: two to three months (<https://docs.stripe.com/disputes/how-disputes-work>).
const DECIDABLE: Duration = Duration::from_hours(24 * 120);

impl Reconciler {
    /// Goes through the PSP's lists for what the store does not know.
    pub(super) async fn compare_lists(&self) {
        let lists = [
            ("charges", self.compare_charges().await),
            ("refunds", self.compare_refunds().await),
            ("disputes", self.compare_disputes().await),
        ];
        for (list, compared) in lists {
            if let Err(error) = compared {
                tracing::warn!(%error, "The reconciler cannot compare the PSP's list of {list}");
            }
        }
    }

    /// Charges that the store does not know to have succeeded. Money of an order that was given up, or was paid
    /// otherwise, goes back.
    async fn compare_charges(&self) -> Result<(), Obstacle> {
        let (begun, since) = (self.shared.commands.clock().now(), self.since(CHARGES, CHARGEABLE).await?);
        let (mut pages, mut all) = (pin!(self.desk.psp.list::<Intent>(since)), true);
        while let Some(page) = pages.try_next().await? {
            let charged: Vec<Intent> =
                page.into_iter().filter(|intent| intent.status == IntentStatus::Succeeded).collect();
            let references: Vec<String> = charged.iter().map(|intent| intent.id.clone()).collect();
            let known = projections::payments::charged(self.pool(), Some(&references)).await?;
            let unknown = charged.into_iter().filter(|intent| known.iter().all(|k| k.psp_reference != intent.id));
            let each = |intent: Intent| async move { told(&intent.id, self.compare_charge(&intent).await) };
            all &= dealt_with(stream::iter(unknown).map(each)).await;
        }
        self.note(CHARGES, begun, all).await
    }

    async fn compare_charge(&self, intent: &Intent) -> Result<&'static str, Obstacle> {
        let named = intent.metadata.get("payment_id").and_then(|id| PaymentId::parse(id).ok());
        // Not of this store; the PSP's account may serve others.
        let Some(payment) = named else { return Ok("foreign") };
        let (state, case) = self.shared.case((BY, payment.as_uuid()), payment).await?;
        if let Payment::Succeeded { reference, .. } = &state.payment {
            if reference.as_str() != intent.id {
                tracing::error!(payment.id = %payment, psp = intent.id, "Payment {payment} was charged twice");
                return Ok("charged_twice");
            }
            return Ok("known");
        }
        self.desk.settlement.apply(&case, intent).await?;
        Ok("found")
    }

    /// Refunds that were made at the PSP itself.
    async fn compare_refunds(&self) -> Result<(), Obstacle> {
        let (begun, since) = (self.shared.commands.clock().now(), self.since(REFUNDS, CHARGEABLE).await?);
        let (mut pages, mut all) = (pin!(self.desk.psp.list::<Refund>(since)), true);
        while let Some(page) = pages.try_next().await? {
            let elsewhere = page.into_iter().filter(Refund::was_made_elsewhere);
            let intents: BTreeSet<String> = elsewhere.map(|refund| refund.payment_intent).collect();
            let each = |intent: String| async move { told(&intent, self.compare_refunds_of(&intent).await) };
            all &= dealt_with(stream::iter(intents).map(each)).await;
        }
        self.note(REFUNDS, begun, all).await
    }

    /// All refunds of an intent: several may together be all of its money.
    async fn compare_refunds_of(&self, intent: &str) -> Result<&'static str, Obstacle> {
        let known = projections::payments::by_reference(self.pool(), intent).await?;
        let Some(payment) = known else { return Ok("foreign") };
        let (_, case) = self.shared.case((BY, payment.as_uuid()), payment).await?;
        let news = self.desk.settlement.adopt_refunds(&case, &self.desk.psp.refunds(intent).await?).await?;
        Ok(if news { "refund" } else { "known" })
    }

    /// Disputes that were not heard of, or not how the bank decided them.
    async fn compare_disputes(&self) -> Result<(), Obstacle> {
        let (begun, since) = (self.shared.commands.clock().now(), self.since(DISPUTES, DECIDABLE).await?);
        let (mut pages, mut all) = (pin!(self.desk.psp.list::<Dispute>(since)), true);
        while let Some(page) = pages.try_next().await? {
            let ids: Vec<String> = page.iter().map(|dispute| dispute.id.clone()).collect();
            let known = projections::disputes::standing(self.pool(), &ids).await?;
            let news = |dispute: &Dispute| known.get(&dispute.id) != Some(&decided(dispute.status).to_string());
            let each = |dispute: Dispute| async move {
                let (id, cause) = (dispute.id.clone(), Uuid::new_v5(&Uuid::NAMESPACE_URL, dispute.id.as_bytes()));
                let recorded = self.desk.record_dispute(&self.shared, (BY, cause), dispute).await;
                told(&id, recorded.map(|ours| if ours { "dispute" } else { "foreign" }))
            };
            all &= dealt_with(stream::iter(page.into_iter().filter(news)).map(each)).await;
        }
        self.note(DISPUTES, begun, all).await
    }

    /// From when on a list is read, in seconds since 1970, whose things change for so long after they were made.
    async fn since(&self, list: &str, look_back: Duration) -> Result<i64, Obstacle> {
        let compared = self.shared.commands.journal().compared_until(list).await.map_err(CommandError::from)?;
        Ok(compared.map_or(DateTime::<Utc>::UNIX_EPOCH, |until| earlier(until, look_back)).timestamp())
    }

    /// Notes that a list was read as it was at a time, if all of it was dealt with. What was not is read again.
    async fn note(&self, list: &str, at: DateTime<Utc>, all: bool) -> Result<(), Obstacle> {
        if !all {
            return Ok(());
        }
        Ok(self.shared.commands.journal().note_compared(list, at).await.map_err(CommandError::from)?)
    }
}

/// Waits for all, some at once; whether each was dealt with.
async fn dealt_with(each: impl Stream<Item = impl Future<Output = bool>>) -> bool {
    each.buffer_unordered(SLOTS).fold(true, |all, one| async move { all & one }).await
}
