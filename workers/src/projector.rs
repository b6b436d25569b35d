//! Runs the projections: follows the mirror from their checkpoint and keeps at it until each event is applied or parked.
//! One reader and one transaction for all of them.

use std::convert::Infallible;
use std::time::Duration;

use nats::{Delivery, EVENTS, Nats, PROJECTED};
use projections::{Envelope, Projector, ProjectorError};
use tokio_util::sync::CancellationToken;

use crate::metrics::{PARKED, PROJECTION_BEHIND};
use crate::mirrored::{Mirrored, POSITION};

const BATCH: usize = 256;
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is measured how far the projection is behind.
const MEASURE: Duration = Duration::from_secs(1);

/// Projects until `stop`. Any number of processes may: the checkpoints decide who applies what.
pub async fn run(projector: Projector, nats: Nats, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let projecting = async {
            match projector.checkpoint().await {
                Ok(after) => Box::pin(follow(&nats, &projector, after.unsigned_abs(), &stop)).await,
                Err(error) => {
                    tracing::error!(%error, "The projector does not know where it stands; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        let measuring = measure(&nats, &projector);
        stop.run_until_cancelled(async {
            tokio::select! {
                () = projecting => (),
                never = measuring => match never {},
            }
        })
        .await;
    }
}

/// Measures on a clock of its own how far the read models are behind, so that the figures rise while nothing moves.
async fn measure(nats: &Nats, projector: &Projector) -> Infallible {
    loop {
        if let (Ok((_, last)), Ok(done)) = (nats.extent(EVENTS).await, projector.checkpoints().await) {
            for (name, done) in done {
                let behind = i64::try_from(last).unwrap_or(i64::MAX).saturating_sub(done).max(0);
                PROJECTION_BEHIND.with_label_values(&[name]).set(behind);
            }
        }
        tokio::time::sleep(MEASURE).await;
    }
}

/// Applies what follows a checkpoint, until that is moved by somebody else.
async fn follow(nats: &Nats, projector: &Projector, after: u64, stop: &CancellationToken) {
    let mut events = nats.follow(EVENTS, &[], after, BATCH, stop.clone());
    while let Some(batch) = events.next().await {
        if !take(projector, &batch).await {
            return;
        }
        tell(nats, projector, &batch).await;
    }
}

/// Applies a batch, however long it takes; whether it followed the checkpoint.
async fn take(projector: &Projector, batch: &[Delivery]) -> bool {
    loop {
        let envelopes = batch.iter().map(|delivery| Ok(Mirrored::try_from(delivery)?.envelope));
        let error = match envelopes.collect::<anyhow::Result<Vec<Envelope>>>() {
            Ok(envelopes) => match Box::pin(projector.apply(envelopes)).await {
                Ok(parked) => {
                    for projection in parked {
                        PARKED.with_label_values(&[projection]).inc();
                    }
                    return true;
                }
                // It was rebuilt meanwhile, and reads on from there.
                Err(ProjectorError::Gap { .. }) => return false,
                Err(error @ ProjectorError::NotWritten(_)) => error.into(),
            },
            Err(error) => error.context("the mirror holds a message that the relay did not write"),
        };
        tracing::error!(%error, "The projections are halted; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says how far the read models are, to reads that wait for them. A word that gets lost costs them their patience, no more.
async fn tell(nats: &Nats, projector: &Projector, batch: &[Delivery]) {
    let Some(position) = batch.last().and_then(|last| last.header(POSITION)) else { return };
    let names: Vec<_> = projector.names().collect();
    if let Err(error) = nats.question(PROJECTED, format!("{} {position}", names.join(" "))).await {
        tracing::debug!(%error, "Nobody hears how far read models are");
    }
}
