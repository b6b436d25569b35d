use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError, ReplayStream, SerializedEvent, SerializedSnapshot};
use postgres_es::PostgresEventRepository;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::append::{AppendError, Claims, NewEvent};
use crate::{JournalError, clock, epoch};

/// The event journal: stock `postgres-es` for reading one aggregate, our own for everything else.
#[derive(Clone)]
pub struct Journal {
    pool: PgPool,
    stock: Arc<PostgresEventRepository>,
    appended: Arc<Notify>,
}

impl Journal {
    /// Opens the journal behind a pool.
    ///
    /// # Errors
    /// [`JournalError::NeedsRebase`] when it was restored into another cluster; else when it does not answer.
    pub async fn open(pool: PgPool) -> Result<Self, JournalError> {
        epoch::check(&pool).await?;
        let stock = PostgresEventRepository::new(pool.clone()).with_tables("journal.events", "journal.snapshots");
        Ok(Self { pool, stock: Arc::new(stock), appended: Arc::new(Notify::new()) })
    }

    /// The database behind it.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Resolves soon after somebody appended through this journal or a clone of it.
    /// A hint that saves waiting, not a promise: readers poll as well.
    pub async fn appended(&self) {
        self.appended.notified().await;
    }

    pub(crate) fn wake(&self) {
        self.appended.notify_one();
    }
}

/// What `cqrs-es` needs. Appending goes through [`Journal::append`]; there are no snapshots, streams are short.
impl PersistedEventRepository for Journal {
    async fn get_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.stock.get_events::<A>(aggregate_id).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.stock.get_last_events::<A>(aggregate_id, last_sequence).await
    }

    async fn get_snapshot<A: Aggregate>(&self, _: &str) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        _: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        let unknown = |error| PersistenceError::UnknownError(error);
        let Some(first) = events.first() else { return Ok(()) };
        let id = Uuid::try_parse(&first.aggregate_id).map_err(|error| unknown(Box::new(error)))?;
        let events = events.iter().cloned().map(NewEvent::try_from).collect::<Result<Vec<_>, _>>();
        let events = events.map_err(|error| unknown(Box::new(error)))?;
        match self.append(A::TYPE, id, &events, &Claims::default()).await {
            Ok(_) => Ok(()),
            Err(AppendError::Conflict) => Err(PersistenceError::OptimisticLockError),
            Err(error @ (AppendError::Claimed(_) | AppendError::Journal(_))) => Err(unknown(Box::new(error))),
        }
    }

    async fn stream_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<ReplayStream, PersistenceError> {
        self.stock.stream_events::<A>(aggregate_id).await
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        self.stock.stream_all_events::<A>().await
    }
}

impl TryFrom<SerializedEvent> for NewEvent {
    type Error = std::num::TryFromIntError;

    fn try_from(event: SerializedEvent) -> Result<Self, Self::Error> {
        Ok(Self {
            event_id: clock::new_id(),
            sequence: event.sequence.try_into()?,
            event_type: event.event_type,
            event_version: event.event_version,
            payload: event.payload,
            metadata: event.metadata,
        })
    }
}
