//! Runs one projection: follows the mirror from its checkpoint and keeps at it until each event is applied or parked.

use std::convert::Infallible;
use std::time::Duration;

use nats::{Delivery, EVENTS, Nats, PROJECTED};
use projections::{Envelope, Projection, Projector, ProjectorError};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::metrics::{PARKED, PROJECTION_BEHIND};
use crate::mirrored::{Mirrored, POSITION};

const BATCH: usize = 256;
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is measured how far the projection is behind.
const MEASURE: Duration = Duration::from_secs(1);

/// Projects until `stop`. Any number may: the checkpoint decides who applies what.
pub async fn run<P: Projection>(pool: PgPool, nats: Nats, projection: P, stop: CancellationToken) {
    let projector = Projector::new(pool, projection);
    while !stop.is_cancelled() {
        let projecting = async {
            match projector.checkpoint().await {
                Ok(after) => follow(&nats, &projector, after.unsigned_abs(), &stop).await,
                Err(error) => {
                    tracing::error!(projection = P::NAME, %error, "The projection does not know where it stands; trying again");
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

/// Measures on a clock of its own how far the projection is behind, so that the figure rises while nothing moves.
async fn measure<P: Projection>(nats: &Nats, projector: &Projector<P>) -> Infallible {
    loop {
        if let (Ok((_, last)), Ok(done)) = (nats.extent(EVENTS).await, projector.checkpoint().await) {
            let behind = i64::try_from(last).unwrap_or(i64::MAX).saturating_sub(done).max(0);
            PROJECTION_BEHIND.with_label_values(&[P::NAME]).set(behind);
        }
        tokio::time::sleep(MEASURE).await;
    }
}

/// Applies what follows a checkpoint, until that is moved by somebody else.
async fn follow<P: Projection>(nats: &Nats, projector: &Projector<P>, after: u64, stop: &CancellationToken) {
    let mut events = nats.follow(EVENTS, &[], after, BATCH, stop.clone());
    while let Some(batch) = events.next().await {
        if !take(projector, &batch).await {
            return;
        }
        tell(nats, P::NAME, &batch).await;
    }
}

/// Applies a batch, however long it takes; whether it followed the checkpoint.
async fn take<P: Projection>(projector: &Projector<P>, batch: &[Delivery]) -> bool {
    loop {
        let envelopes = batch.iter().map(|delivery| Ok(Mirrored::try_from(delivery)?.envelope));
        let error = match envelopes.collect::<anyhow::Result<Vec<Envelope>>>() {
            Ok(envelopes) => match projector.apply(&envelopes).await {
                Ok(parked) => {
                    PARKED.with_label_values(&[P::NAME]).inc_by(parked as u64);
                    return true;
                }
                // It was rebuilt meanwhile, and reads on from there.
                Err(ProjectorError::Gap { .. }) => return false,
                Err(error @ ProjectorError::Unavailable(_)) => error.into(),
            },
            Err(error) => error.context("the mirror holds a message that the relay did not write"),
        };
        tracing::error!(projection = P::NAME, %error, "The projection is halted; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says how far the read model is, to reads that wait for it. A word that gets lost costs them their patience, no more.
async fn tell(nats: &Nats, name: &str, batch: &[Delivery]) {
    let Some(position) = batch.last().and_then(|last| last.header(POSITION)) else { return };
    if let Err(error) = nats.question(PROJECTED, format!("{name} {position}")).await {
        tracing::debug!(%error, "Nobody hears how far read models are");
    }
}
