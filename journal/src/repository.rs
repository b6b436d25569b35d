use postgres_es::PostgresEventRepository;
use sqlx::PgPool;
use tokio::sync::watch;

use crate::cache::AggregateCache;
use crate::connect::dedicated_pool;
use crate::position::Position;
use crate::writer::Writer;
use crate::{JournalError, epoch};

/// The event journal: a table that `postgres-es` reads and writes, and what that repository has no words for (decision
/// 0019): several histories at once, positions, claims, conditions.
#[derive(Clone)]
pub struct Journal {
    pool: PgPool,
    writer: Writer,
    /// The furthest position that was appended through this journal or a clone of it.
    appended: watch::Sender<Position>,
    pub(crate) cache: AggregateCache,
}

impl Journal {
    /// Opens the journal behind a pool.
    ///
    /// # Errors
    /// [`JournalError::NeedsRebase`] when it was restored into another cluster; else when it does not answer.
    pub async fn open(pool: PgPool) -> Result<Self, JournalError> {
        epoch::check(&pool).await?;
        let writer = Writer::start(&pool);
        Ok(Self { pool, writer, appended: watch::Sender::default(), cache: AggregateCache::default() })
    }

    /// The repository of `postgres-es` on the same table, for whatever is made for `cqrs-es`. It knows no claims, so the
    /// store itself appends through [`Journal::append`]. There are no snapshots; streams are short.
    #[must_use]
    pub fn stock(&self) -> PostgresEventRepository {
        PostgresEventRepository::new(self.pool.clone()).with_tables("journal.events", "journal.snapshots")
    }

    /// The database behind it.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The same journal, read over so many connections of its own.
    #[must_use]
    pub fn over_dedicated(&self, connections: u32) -> Self {
        Self { pool: dedicated_pool(&self.pool, connections), ..self.clone() }
    }

    /// How far this journal and its clones have appended, as they go on.
    /// A hint that saves waiting, not a promise: readers poll as well.
    #[must_use]
    pub fn appended(&self) -> watch::Receiver<Position> {
        self.appended.subscribe()
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    pub(crate) fn note_appended(&self, position: Position) {
        self.appended.send_if_modified(|furthest| {
            let is_further = position > *furthest;
            *furthest = position.max(*furthest);
            is_further
        });
    }
}
