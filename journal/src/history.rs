//! Reading aggregates: any number of histories in one round trip, as of one moment.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::{UnreadableEvent, stored};
use serde::Deserialize;
use uuid::Uuid;

use crate::JournalError;
use crate::connect::once_more;
use crate::read::{COLUMNS, Recorded, recorded};
use crate::repository::Journal;

/// Names an aggregate among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AggregateKey {
    /// What kind it is, as `cqrs-es` calls it.
    pub kind: &'static str,
    /// Its id.
    pub id: Uuid,
}

impl AggregateKey {
    /// The key of an aggregate of a type.
    #[must_use]
    pub fn of<A: Aggregate>(id: Uuid) -> Self {
        Self { kind: A::TYPE, id }
    }
}

/// The histories of several aggregates, read at one moment.
#[derive(Debug, Default)]
pub struct Histories(HashMap<AggregateKey, Vec<Recorded>>);

/// An aggregate as its history left it, with that history.
#[derive(Debug)]
pub struct Loaded<A> {
    /// The aggregate.
    pub aggregate: A,
    /// What happened to it, from the first event on.
    pub history: Vec<Past>,
}

/// What is known of an event beside what happened.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its name.
    pub event_type: String,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// The command that led to it.
    pub command: Option<Uuid>,
    /// What it belongs to.
    pub correlation: Option<Uuid>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    command_id: Option<Uuid>,
    correlation_id: Option<Uuid>,
}

impl<A> Loaded<A> {
    /// How many events it has.
    #[must_use]
    pub fn version(&self) -> usize {
        self.history.len()
    }

    /// What its whole history belongs to: the wish of a person that began it.
    #[must_use]
    pub fn correlation(&self) -> Option<Uuid> {
        self.history.first()?.correlation
    }

    /// When it was begun.
    #[must_use]
    pub fn begun_at(&self) -> Option<DateTime<Utc>> {
        self.history.first().map(|first| first.at)
    }

    /// When something first happened to it.
    #[must_use]
    pub fn first_at(&self, event_type: &str) -> Option<DateTime<Utc>> {
        self.history.iter().find(|past| past.event_type == event_type).map(|past| past.at)
    }
}

impl Histories {
    /// An aggregate as its history left it; new where it has none.
    ///
    /// # Errors
    /// When this program cannot read an event of it.
    pub fn load<A: Aggregate>(&self, id: Uuid) -> Result<Loaded<A>, UnreadableEvent> {
        self.load_as_of(id, usize::MAX)
    }

    /// An aggregate as its first `version` events left it.
    ///
    /// # Errors
    /// As [`Histories::load`].
    pub fn load_as_of<A: Aggregate>(&self, id: Uuid, version: usize) -> Result<Loaded<A>, UnreadableEvent> {
        let mut loaded = Loaded { aggregate: A::default(), history: Vec::new() };
        for recorded in self.of(AggregateKey::of::<A>(id)).iter().take(version) {
            let Recorded { event_type, event_version, payload, .. } = recorded;
            loaded.aggregate.apply(stored::read(event_type, event_version, payload.get())?);
            loaded.history.push(Past::of(recorded));
        }
        Ok(loaded)
    }

    /// The events of an aggregate, from the first on.
    #[must_use]
    pub fn of(&self, key: AggregateKey) -> &[Recorded] {
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }
}

impl Past {
    fn of(recorded: &Recorded) -> Self {
        let Metadata { command_id, correlation_id } = serde_json::from_str(recorded.metadata.get()).unwrap_or_default();
        let event_type = recorded.event_type.clone();
        Self { event_type, at: recorded.recorded_at, command: command_id, correlation: correlation_id }
    }
}

impl Journal {
    /// Reads the histories of aggregates, all at one moment.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn histories(&self, keys: &[AggregateKey]) -> Result<Histories, JournalError> {
        let query = format!(
            "select {COLUMNS} from unnest($1::text[], $2::text[]) as wanted (kind, id)
             cross join lateral (select * from journal.events e
                                 where e.aggregate_type = wanted.kind and e.aggregate_id = wanted.id) as events
             order by sequence"
        );
        let rows = once_more(|| {
            sqlx::query(&query)
                .bind(keys.iter().map(|key| key.kind).collect::<Vec<_>>())
                .bind(keys.iter().map(|key| key.id.to_string()).collect::<Vec<_>>())
                .fetch_all(self.pool())
        })
        .await?;
        let mut histories = Histories::default();
        for row in &rows {
            let recorded = recorded(row)?;
            let Some(key) = keys.iter().find(|key| {
                key.kind == recorded.aggregate_type && Uuid::try_parse(&recorded.aggregate_id) == Ok(key.id)
            }) else {
                continue;
            };
            histories.0.entry(*key).or_default().push(recorded);
        }
        Ok(histories)
    }

    /// Reads one aggregate.
    ///
    /// # Errors
    /// When the database does not answer, or this program cannot read an event of it.
    pub async fn load<A: Aggregate>(&self, id: Uuid) -> Result<Loaded<A>, LoadError> {
        Ok(self.histories(&[AggregateKey::of::<A>(id)]).await?.load(id)?)
    }
}

/// Why an aggregate could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database did not answer.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It holds something that this program cannot read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
}
