//! Runs one projection: takes events from the mirror in order and keeps at it until each is applied or parked.

use std::time::Duration;

use nats::{ConsumerSpec, Delivery, EVENTS, Nats, Verdict};
use projections::{Envelope, Projection, Projector, ProjectorError};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::metrics::{PARKED, PROJECTION_BEHIND};
use crate::mirrored::Mirrored;

const BATCH: usize = 256;
const PAUSE: Duration = Duration::from_millis(500);

/// Projects until `stop`.
pub async fn run<P: Projection>(pool: PgPool, nats: Nats, projection: P, stop: CancellationToken) {
    let spec = ConsumerSpec {
        stream: EVENTS,
        name: format!("projector-{}", P::NAME),
        subjects: vec![],
        max_ack_pending: 2_000,
        ack_wait: Duration::from_secs(30),
        max_deliver: None,
    };
    let projector = Projector::new(pool, projection);
    let mut batches = nats.batches(spec, BATCH, stop.clone());
    while let Some(batch) = batches.next().await {
        let behind = batch.last().map_or(0, Delivery::behind);
        PROJECTION_BEHIND.with_label_values(&[P::NAME]).set(i64::try_from(behind).unwrap_or(i64::MAX));
        if stop.run_until_cancelled(take(&nats, &projector, &batch)).await.is_none() {
            return;
        }
        for delivery in &batch {
            delivery.answer(Verdict::Done).await;
        }
    }
}

/// Applies a batch, however long it takes. The checkpoint decides what is new, so doing it twice changes nothing.
async fn take<P: Projection>(nats: &Nats, projector: &Projector<P>, batch: &[Delivery]) {
    loop {
        let envelopes = batch.iter().map(|delivery| Ok(Mirrored::try_from(delivery)?.envelope));
        let applied = match envelopes.collect::<anyhow::Result<Vec<_>>>() {
            Ok(envelopes) => apply(nats, projector, &envelopes).await,
            Err(error) => Err(error.context("the mirror holds a message that the relay did not write")),
        };
        match applied {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(projection = P::NAME, %error, "The projection is halted; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn apply<P: Projection>(nats: &Nats, projector: &Projector<P>, batch: &[Envelope]) -> anyhow::Result<()> {
    loop {
        match projector.apply(batch).await {
            Ok(parked) => {
                PARKED.with_label_values(&[P::NAME]).inc_by(parked as u64);
                return Ok(());
            }
            // Messages that were on their way when a connection broke come again later; they are in the mirror now.
            Err(ProjectorError::Gap { checkpoint, given, .. }) => {
                let from = u64::try_from(checkpoint)?.saturating_add(1);
                let missing = nats.replay(EVENTS, "events.>", from).next_batch().await?;
                let missing = missing
                    .iter()
                    .map(|stored| Ok(Mirrored::try_from(stored)?.envelope))
                    .take_while(|envelope| envelope.as_ref().is_ok_and(|envelope: &Envelope| envelope.sequence < given))
                    .collect::<anyhow::Result<Vec<_>>>()?;
                anyhow::ensure!(!missing.is_empty(), "the mirror does not hold the events after {checkpoint}");
                let parked = projector.apply(&missing).await?;
                PARKED.with_label_values(&[P::NAME]).inc_by(parked as u64);
            }
            Err(error @ ProjectorError::Unavailable(_)) => return Err(error.into()),
        }
    }
}
