//! The indexer: keeps the search index like the catalogue, batch by batch, one writer at a time.
//!
//! Documents are read from `read.games` once that has the batch's events, so they are never older than the events that
//! called for them; and the engine keeps what is newer. The engine down: the indexer waits, its consumer keeps what is
//! to be done, and the rest of the store goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::StoreEvent;
use nats::{Delivery, EVENTS, Nats};
use projections::search::reindex::{Writer, indexed, indexed_up_to};
use projections::search::{CHECKPOINT, SearchEngine, Side};
use sqlx::PgPool;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::metrics::{INDEX_BEHIND, INDEX_FAILURES};
use crate::mirrored::Mirrored;

/// How many events are taken at once.
const BATCH: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(500);
/// How often a game's sales are brought into the index at most.
const SALES_EVERY: Duration = Duration::from_secs(1);

/// The indexer.
#[derive(Clone)]
pub struct Indexer {
    /// Where the catalogue is read.
    pub pool: PgPool,
    /// Where the events come from.
    pub nats: Nats,
    /// What is written.
    pub engine: SearchEngine,
}

/// What may change a document.
const CHANGES: [&str; 4] = [
    "events.game.>",
    "events.order.PurchaseCompleted.*",
    "events.order.OrderRefunded.*",
    "events.order.OrderRevoked.*",
];

impl Indexer {
    /// Works until `stop`. Any number may: one writes at a time, and what one has written the others pass over.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let indexing = async {
                match indexed(&self.pool).await {
                    Ok(after) => self.follow(after, &stop).await,
                    Err(error) => {
                        tracing::warn!(%error, "The indexer does not know where it stands; trying again");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            };
            stop.run_until_cancelled(indexing).await;
        }
    }

    /// Indexes what follows a sequence, until the index is put back to an earlier one.
    async fn follow(&self, mut after: i64, stop: &CancellationToken) {
        let mut events = self.nats.follow(EVENTS, &CHANGES, after.unsigned_abs(), BATCH, stop.clone());
        let mut written = Instant::now();
        while let Some(mut batch) = events.next().await {
            // What was sold is indexed together, a change of the catalogue at once.
            let due = written.checked_add(SALES_EVERY).unwrap_or(written);
            while batch.len() < BATCH
                && batch.iter().all(is_sale)
                && let Ok(Some(more)) = timeout_at(due, events.next()).await
            {
                batch.extend(more);
            }
            let behind = batch.last().map_or(0, Delivery::behind);
            INDEX_BEHIND.set(i64::try_from(behind).unwrap_or(i64::MAX));
            match self.take(&batch, after).await {
                Some(last) => (after, written) = (last, Instant::now()),
                None => return,
            }
        }
    }

    /// Indexes a batch, however long it takes; doing it twice changes nothing. Nothing where the index was put back.
    async fn take(&self, batch: &[Delivery], after: i64) -> Option<i64> {
        loop {
            match self.index(batch, after).await {
                Ok(last) => return last,
                Err(error) => {
                    INDEX_FAILURES.inc();
                    tracing::warn!(error = format!("{error:#}"), "The search index waits; trying again");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn index(&self, batch: &[Delivery], after: i64) -> anyhow::Result<Option<i64>> {
        let events = batch.iter().map(Mirrored::try_from).collect::<anyhow::Result<Vec<_>>>()?;
        let Some(last) = events.last().map(|event| &event.envelope) else { return Ok(Some(after)) };
        let mut writer = Writer::turn(&self.pool).await?;
        let done = indexed(&self.pool).await?;
        if done < after {
            return Ok(None);
        }
        // Another indexer was here before.
        if done >= last.sequence {
            return Ok(Some(last.sequence));
        }
        let caught_up = projections::consistency::reached(&self.pool, "games", last.position).await?;
        anyhow::ensure!(caught_up, "the catalogue lags behind");
        let games: BTreeSet<Uuid> = events.iter().flat_map(games_of).collect();
        let games = projections::games::these(&self.pool, &games.into_iter().collect::<Vec<_>>()).await?;
        writer.holds().await?;
        for (game, error) in self.engine.write(Side::Live, games).await? {
            let cause = events.iter().rev().find(|event| games_of(event).contains(&game));
            if let Some(Mirrored { envelope, .. }) = cause {
                projections::park(&self.pool, CHECKPOINT, envelope, &error.to_string()).await?;
            }
        }
        indexed_up_to(&self.pool, last.sequence, last.position).await?;
        Ok(Some(last.sequence))
    }
}

fn is_sale(delivery: &Delivery) -> bool {
    delivery.subject().starts_with("events.order.")
}

/// The games that an event changed. What cannot be read was parked by the projection, and changed nothing.
fn games_of(mirrored: &Mirrored) -> Vec<Uuid> {
    match mirrored.event() {
        Ok(StoreEvent::Game(game, _)) => vec![game.as_uuid()],
        Ok(StoreEvent::Order(_, event)) => projections::games::sold(&event).0,
        Ok(StoreEvent::Payment(..) | StoreEvent::User(..) | StoreEvent::TreeHead(..)) | Err(_) => Vec::new(),
    }
}
