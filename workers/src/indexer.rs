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
use projections::search::{SearchEngine, Side};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::metrics::{INDEX_BEHIND, INDEX_FAILURES};
use crate::mirrored::Mirrored;

/// How many events are taken at once.
const BATCH: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(500);

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
    /// Works until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let begin = async {
            loop {
                match indexed(&self.pool).await {
                    Ok(after) => return after.unsigned_abs(),
                    Err(error) => tracing::warn!(%error, "The indexer does not know where it stands; trying again"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let Some(after) = stop.run_until_cancelled(begin).await else { return };
        let mut events = self.nats.follow(EVENTS, &CHANGES, after, BATCH, stop.clone());
        while let Some(batch) = events.next().await {
            let behind = batch.last().map_or(0, Delivery::behind);
            INDEX_BEHIND.set(i64::try_from(behind).unwrap_or(i64::MAX));
            if stop.run_until_cancelled(self.take(&batch)).await.is_none() {
                return;
            }
        }
    }

    /// Indexes a batch, however long it takes. Doing it twice changes nothing.
    async fn take(&self, batch: &[Delivery]) {
        while let Err(error) = self.index(batch).await {
            INDEX_FAILURES.inc();
            tracing::warn!(error = format!("{error:#}"), "The search index waits; trying again");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn index(&self, batch: &[Delivery]) -> anyhow::Result<()> {
        let events = batch.iter().map(Mirrored::try_from).collect::<anyhow::Result<Vec<_>>>()?;
        let Some(last) = events.last().map(|event| &event.envelope) else { return Ok(()) };
        let mut writer = Writer::turn(&self.pool).await?;
        // Another indexer was here before.
        if indexed(&self.pool).await? >= last.sequence {
            return Ok(());
        }
        let caught_up = projections::consistency::reached(&self.pool, "games", last.position).await?;
        anyhow::ensure!(caught_up, "the catalogue lags behind");
        let games: BTreeSet<Uuid> = events.iter().flat_map(games_of).collect();
        let games = projections::games::these(&self.pool, &games.into_iter().collect::<Vec<_>>()).await?;
        writer.holds().await?;
        self.engine.write(Side::Live, games).await?;
        indexed_up_to(&self.pool, last.sequence, last.position).await?;
        Ok(())
    }
}

/// The games that an event changed. What cannot be read was parked by the projection, and changed nothing.
fn games_of(mirrored: &Mirrored) -> Vec<Uuid> {
    match mirrored.event() {
        Ok(StoreEvent::Game(game, _)) => vec![game.as_uuid()],
        Ok(StoreEvent::Order(_, event)) => projections::games::sold(&event).0,
        Ok(StoreEvent::Payment(..) | StoreEvent::User(..)) | Err(_) => Vec::new(),
    }
}
