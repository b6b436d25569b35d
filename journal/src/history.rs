//! Reading aggregates: any number of histories in one round trip, as of one moment.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use domain::{Game, Order, Payment, StoreAggregate, TreeHead, UnreadableEvent, User, stored};
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use crate::JournalError;
use crate::cache::{AggregateCache, Snapshot};
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
    pub fn of<A: StoreAggregate>(id: Uuid) -> Self {
        Self { kind: A::TYPE, id }
    }

    /// What an id may name, where it is not said of what.
    #[must_use]
    pub fn every_kind(id: Uuid) -> [Self; 5] {
        [
            Self::of::<User>(id),
            Self::of::<Game>(id),
            Self::of::<Order>(id),
            Self::of::<Payment>(id),
            Self::of::<TreeHead>(id),
        ]
    }

    /// What kinds of aggregates there are.
    #[must_use]
    pub fn kinds() -> [&'static str; 5] {
        Self::every_kind(Uuid::nil()).map(|key| key.kind)
    }

    /// The key of an aggregate of a kind, if there is such a kind.
    #[must_use]
    pub fn of_kind(kind: &str, id: Uuid) -> Option<Self> {
        Self::every_kind(id).into_iter().find(|key| key.kind == kind)
    }
}

/// The histories of several aggregates, read at one moment; some of them cached, where that was
/// asked for ([`Journal::cached`]).
#[derive(Debug, Default)]
pub struct Histories {
    read: HashMap<AggregateKey, Vec<Recorded>>,
    cached: HashMap<AggregateKey, Snapshot>,
    cache: AggregateCache,
}

/// An aggregate as its history left it, with that history.
#[derive(Debug)]
pub struct Loaded<A> {
    /// The aggregate.
    pub aggregate: A,
    /// What happened to it, from the first event on; nothing where it was cached.
    pub history: Vec<Recorded>,
    version: usize,
}

impl<A> Loaded<A> {
    /// How many events it has.
    #[must_use]
    pub fn version(&self) -> usize {
        self.version
    }

    /// What its whole history belongs to: the wish of a person that began it.
    #[must_use]
    pub fn correlation(&self) -> Option<Uuid> {
        self.history.first()?.metadata().correlation_id?.parse().ok()
    }

    /// When it was begun.
    #[must_use]
    pub fn begun_at(&self) -> Option<DateTime<Utc>> {
        self.history.first().map(|first| first.recorded_at)
    }

    /// The first event of a name.
    #[must_use]
    pub fn first(&self, event_type: &str) -> Option<&Recorded> {
        self.history.iter().find(|past| past.event_type == event_type)
    }

    /// Whether any of these events, by id and name, happened to it.
    #[must_use]
    pub fn holds_any(&self, events: &[(Uuid, String)]) -> bool {
        let is_one = |past: &Recorded| events.iter().any(|(id, name)| past.event_id == *id && past.event_type == *name);
        self.history.iter().any(is_one)
    }
}

impl Histories {
    /// An aggregate as its history left it; new where it has none.
    ///
    /// # Errors
    /// When this program cannot read an event of it.
    pub fn aggregate<A: StoreAggregate>(&self, id: Uuid) -> Result<A, UnreadableEvent> {
        let key = AggregateKey::of::<A>(id);
        if let Some(cached) = self.cached.get(&key).and_then(Snapshot::aggregate) {
            return Ok(cached);
        }
        let history = self.of(key);
        let aggregate = fold(history)?;
        self.cache.keep(id, history.len(), &aggregate);
        Ok(aggregate)
    }

    /// The same with its history, which is taken out of these.
    ///
    /// # Errors
    /// As [`Histories::aggregate`].
    pub fn take<A: StoreAggregate>(&mut self, id: Uuid) -> Result<Loaded<A>, UnreadableEvent> {
        let key = AggregateKey::of::<A>(id);
        let (aggregate, version) = (self.aggregate(id)?, self.version(key));
        Ok(Loaded { aggregate, history: self.read.remove(&key).unwrap_or_default(), version })
    }

    /// The same as its first `version` events left it.
    ///
    /// # Errors
    /// As [`Histories::aggregate`].
    pub fn take_as_of<A: StoreAggregate>(&mut self, id: Uuid, version: usize) -> Result<Loaded<A>, UnreadableEvent> {
        let mut history = self.read.remove(&AggregateKey::of::<A>(id)).unwrap_or_default();
        history.truncate(version);
        Ok(Loaded { aggregate: fold(&history)?, version: history.len(), history })
    }

    /// Whether nothing has happened to any of them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cached.is_empty() && self.read.values().all(Vec::is_empty)
    }

    /// Whether any of them was cached, and so may be out of date.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        !self.cached.is_empty()
    }

    /// How many events an aggregate has.
    #[must_use]
    pub fn version(&self, key: AggregateKey) -> usize {
        self.cached.get(&key).map_or_else(|| self.of(key).len(), |cached| cached.version)
    }

    /// The events of an aggregate, from the first on; none where it was cached.
    #[must_use]
    pub fn of(&self, key: AggregateKey) -> &[Recorded] {
        self.read.get(&key).map_or(&[], Vec::as_slice)
    }
}

pub(crate) fn fold<A: StoreAggregate>(history: &[Recorded]) -> Result<A, UnreadableEvent> {
    let mut aggregate = A::default();
    for Recorded { event_type, event_version, payload, .. } in history {
        aggregate.apply(stored::read(event_type, event_version, payload.get())?);
    }
    Ok(aggregate)
}

impl Journal {
    /// Reads the histories of aggregates, all at one moment.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn histories(&self, keys: &[AggregateKey]) -> Result<Histories, JournalError> {
        let mut histories = Histories { cache: self.cache.clone(), ..Histories::default() };
        if keys.is_empty() {
            return Ok(histories);
        }
        if let [key] = keys {
            histories.read.insert(*key, self.history(*key).await?);
            return Ok(histories);
        }
        // Of JSON the planner expects the same number of rows each time and so plans once; of an array it counts the
        // elements and plans each time, which takes longer than reading. `offset 0` keeps it with the index.
        let query = format!(
            "select {COLUMNS}, n from jsonb_to_recordset($1) as wanted (n bigint, kind text, id text)
             cross join lateral (select * from journal.events e
                                 where e.aggregate_type = wanted.kind and e.aggregate_id = wanted.id offset 0) as events
             order by n, sequence"
        );
        let wanted = keys.iter().zip(0_i64..).map(|(key, n)| json!({ "n": n, "kind": key.kind, "id": key.id }));
        let wanted = Value::Array(wanted.collect());
        let rows = once_more(|| sqlx::query(&query).bind(&wanted).fetch_all(self.pool())).await?;
        for row in &rows {
            let n = usize::try_from(row.try_get::<i64, _>("n")?).ok();
            if let Some(key) = n.and_then(|n| keys.get(n)) {
                histories.read.entry(*key).or_default().push(recorded(row)?);
            }
        }
        Ok(histories)
    }

    /// Takes from the cache what this process read or wrote lately, and reads the rest. What was cached may be out of date.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cached(&self, keys: &[AggregateKey]) -> Result<Histories, JournalError> {
        let cached = keys.iter().filter_map(|key| Some((*key, self.cache.get(key)?)));
        let cached: HashMap<_, _> = cached.collect();
        let unknown: Vec<_> = keys.iter().filter(|key| !cached.contains_key(key)).copied().collect();
        Ok(Histories { cached, ..self.histories(&unknown).await? })
    }

    /// An aggregate as this process read or wrote it lately, if it did; it may be out of date.
    #[must_use]
    pub fn cached_aggregate<A: StoreAggregate>(&self, id: Uuid) -> Option<A> {
        self.cache.get(&AggregateKey::of::<A>(id))?.aggregate()
    }

    /// Keeps an aggregate in the cache as an append of this process left it.
    pub fn cache<A: StoreAggregate>(&self, id: Uuid, version: usize, aggregate: &A) {
        self.cache.keep(id, version, aggregate);
    }

    /// Most commands read one aggregate, and this takes half as long.
    pub(crate) async fn history(&self, key: AggregateKey) -> Result<Vec<Recorded>, JournalError> {
        let query = format!(
            "select {COLUMNS} from journal.events where aggregate_type = $1 and aggregate_id = $2 order by sequence"
        );
        let rows =
            once_more(|| sqlx::query(&query).bind(key.kind).bind(key.id.to_string()).fetch_all(self.pool())).await?;
        Ok(rows.iter().map(recorded).collect::<sqlx::Result<_>>()?)
    }

    /// Reads one aggregate.
    ///
    /// # Errors
    /// When the database does not answer, or this program cannot read an event of it.
    pub async fn load<A: StoreAggregate>(&self, id: Uuid) -> Result<Loaded<A>, LoadError> {
        Ok(self.histories(&[AggregateKey::of::<A>(id)]).await?.take(id)?)
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
