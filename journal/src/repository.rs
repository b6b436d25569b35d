use std::sync::Arc;

use postgres_es::PostgresEventRepository;
use sqlx::PgPool;
use tokio::sync::Notify;

use crate::cache::AggregateCache;
use crate::connect::dedicated_pool;
use crate::writer::Writer;
use crate::{JournalError, epoch};

/// The event journal: a table that `postgres-es` reads and writes, and what that repository has no words for (decision
/// 0019): several histories at once, positions, claims, conditions.
#[derive(Clone)]
pub struct Journal {
    pool: PgPool,
    writer: Writer,
    appended: Arc<Notify>,
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
        Ok(Self { pool, writer, appended: Arc::new(Notify::new()), cache: AggregateCache::default() })
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

    /// Resolves soon after somebody appended through this journal or a clone of it.
    /// A hint that saves waiting, not a promise: readers poll as well.
    pub async fn appended(&self) {
        self.appended.notified().await;
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    pub(crate) fn wake(&self) {
        self.appended.notify_one();
    }
}
