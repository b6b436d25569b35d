//! Applies events to projections: what a batch changes and the checkpoints are written together, each event exactly once.
//!
//! An event that cannot be applied is parked with its error, and later events of the same aggregate behind it, so
//! that one bad event never stops the rest. `ludoteca rebuild` empties the park once the cause is mended.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use sqlx::{Connection, PgConnection, PgPool};

use crate::checkpoint::{self, checkpoints};
use crate::fact::{ApplyError, Envelope, Fact, Projection};
use crate::park::{park, parked_aggregates};
use crate::rows::{Row, Rows};
use crate::tables::{self, Changes, Wanted};

/// The projections of a process and the database that they write.
#[derive(Clone)]
pub struct Projector {
    pool: PgPool,
    projections: Vec<Arc<dyn AnyProjection>>,
    /// Whether an event was parked when it was last looked at.
    has_parked: Arc<AtomicBool>,
}

/// An event of a batch, read once for all projections.
pub struct Event {
    pub(crate) envelope: Envelope,
    /// What happened, or what is wrong with it.
    fact: Result<Fact, String>,
}

impl Event {
    pub(crate) fn of(envelope: Envelope) -> Self {
        Self { fact: envelope.fact(), envelope }
    }
}

/// A projection, whichever.
pub trait AnyProjection: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// The columns of its table's primary key.
    fn key(&self) -> &'static [&'static str];

    /// The rows that events may touch; nothing where it looks at none of them.
    fn wanted(&self, events: &[&Event]) -> Option<Wanted>;

    /// Applies those of the events that it looks at to rows that were read; returns what is to be written, and the events
    /// that could not be applied. `stuck` are the aggregates of those that are parked.
    fn fold<'a, 'e: 'a>(
        &'a self,
        rows: &'a [String],
        events: &'a [&'e Event],
        stuck: &'a mut HashSet<String>,
    ) -> BoxFuture<'a, Result<(Changes, Vec<Parked<'e>>), ApplyError>>;
}

impl<P: Projection> AnyProjection for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn key(&self) -> &'static [&'static str] {
        P::Row::KEY
    }

    fn wanted(&self, events: &[&Event]) -> Option<Wanted> {
        let facts = events.iter().filter(|event| is_looked_at::<P>(event)).filter_map(|event| event.fact.as_ref().ok());
        let keys: HashSet<_> = facts.flat_map(|fact| self.keys(fact)).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        // Keys of texts and ids have nothing that could fail to be written.
        let json = serde_json::to_string(&keys).unwrap_or_default();
        (!keys.is_empty()).then_some(Wanted { table: P::NAME, key: P::Row::KEY, keys: json })
    }

    fn fold<'a, 'e: 'a>(
        &'a self,
        rows: &'a [String],
        events: &'a [&'e Event],
        stuck: &'a mut HashSet<String>,
    ) -> BoxFuture<'a, Result<(Changes, Vec<Parked<'e>>), ApplyError>> {
        Box::pin(async move {
            let mut rows = Rows::read(rows)?;
            let mut parked = Vec::new();
            for event in events.iter().copied().filter(|event| is_looked_at::<P>(event)) {
                let envelope = &event.envelope;
                let held_back = !P::NEVER_HELD_BACK.contains(&envelope.event_type.as_str());
                let applied = match &event.fact {
                    _ if held_back && stuck.contains(&envelope.aggregate_id) => {
                        Err("an earlier event of this aggregate is parked".to_owned())
                    }
                    Ok(fact) => apply_one(self, &mut rows, fact).await?,
                    Err(error) => Err(error.clone()),
                };
                if let Err(error) = applied {
                    stuck.insert(envelope.aggregate_id.clone());
                    parked.push(Parked { envelope, error });
                }
            }
            Ok((rows.changes(P::NAME)?, parked))
        })
    }
}

fn is_looked_at<P: Projection>(event: &Event) -> bool {
    P::AGGREGATES.contains(&event.envelope.aggregate.as_str())
}

/// What is wrong with the event is the inner error; the rows are as they were then.
async fn apply_one<P: Projection>(
    projection: &P,
    rows: &mut Rows<P::Row>,
    fact: &Fact,
) -> Result<Result<(), String>, ApplyError> {
    let before = rows.copies(projection.keys(fact));
    match projection.apply(rows, fact).await {
        Ok(()) => Ok(Ok(())),
        Err(ApplyError::Poison(error)) => {
            rows.put_back(before);
            Ok(Err(error))
        }
        Err(unavailable) => Err(unavailable),
    }
}

/// Why a batch was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// Events are missing: something before the batch was lost.
    #[error("{projection} stands at {checkpoint} and was given {given}: events are missing between them")]
    Gap {
        /// Which projection.
        projection: &'static str,
        /// The last that it has.
        checkpoint: i64,
        /// The first that it was given.
        given: i64,
    },
    /// The database did not take it; nothing was applied.
    #[error("the read models are not written: {0}")]
    NotWritten(#[from] ApplyError),
}

impl From<sqlx::Error> for ProjectorError {
    fn from(error: sqlx::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// An event that could not be applied.
pub struct Parked<'a> {
    pub(crate) envelope: &'a Envelope,
    pub(crate) error: String,
}

impl Projector {
    /// A projector for some projections.
    #[must_use]
    pub fn new(pool: PgPool, projections: Vec<Arc<dyn AnyProjection>>) -> Self {
        Self { pool, projections, has_parked: Arc::default() }
    }

    /// The names of its projections.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.projections.iter().map(|projection| projection.name())
    }

    /// The last sequence that all of its projections have.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn checkpoint(&self) -> sqlx::Result<i64> {
        Ok(self.checkpoints().await?.into_iter().map(|(_, sequence)| sequence).min().unwrap_or_default())
    }

    /// The last sequence that each of them has.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn checkpoints(&self) -> sqlx::Result<Vec<(&'static str, i64)>> {
        let known = checkpoints(&self.pool).await?;
        let of = |name: &str| known.iter().find(|(known, _)| known == name).map_or(0, |(_, sequence)| *sequence);
        Ok(self.names().map(|name| (name, of(name))).collect())
    }

    /// Applies what of `batch` is new to each projection, in order, and moves the checkpoints, all in one transaction;
    /// returns which projection each event was parked by that was.
    ///
    /// # Errors
    /// [`ProjectorError`]; nothing was applied then.
    pub async fn apply(&self, batch: Vec<Envelope>) -> Result<Vec<&'static str>, ProjectorError> {
        let events: Vec<_> = batch.into_iter().map(Event::of).collect();
        if !self.has_parked.load(Ordering::Relaxed) {
            match self.apply_optimistically(&events).await {
                Ok(true) => return Ok(Vec::new()),
                Ok(false) | Err(ProjectorError::NotWritten(ApplyError::Poison(_))) => (),
                Err(error) => return Err(error),
            }
        }
        self.apply_locked(&events).await
    }

    /// Reads once and writes once; whether it wrote. It does not where an event is parked, or is to be, or where another
    /// process was faster.
    async fn apply_optimistically(&self, batch: &[Event]) -> Result<bool, ProjectorError> {
        let Some(last) = batch.last().map(|last| &last.envelope) else { return Ok(true) };
        let events: Vec<_> = batch.iter().collect();
        let wanted: Vec<_> = self.projections.iter().filter_map(|projection| projection.wanted(&events)).collect();
        let names: Vec<_> = self.names().collect();
        let mut db = self.pool.acquire().await?;
        let (checkpoints, mut found) = tables::read(&mut db, &names, &wanted).await?;
        let mut changes = Vec::new();
        for projection in &self.projections {
            let name = projection.name();
            let Some(known) = checkpoints.iter().find(|known| known.projection == name) else { return Ok(false) };
            let fresh = fresh(name, known.sequence, batch)?;
            let rows = found.remove(name).unwrap_or_default();
            let (changed, parked) = projection.fold(&rows, &fresh, &mut HashSet::new()).await?;
            if !parked.is_empty() {
                return Ok(false);
            }
            changes.push(changed);
        }
        if checkpoints.iter().all(|known| known.sequence >= last.sequence) {
            return Ok(true);
        }
        Ok(tables::write_where_unmoved(&mut db, &checkpoints, &changes, (last.sequence, last.position)).await?)
    }

    /// Applies the batch while nobody else can move the checkpoints, and parks what cannot be applied.
    async fn apply_locked(&self, batch: &[Event]) -> Result<Vec<&'static str>, ProjectorError> {
        let Some(last) = batch.last().map(|last| &last.envelope) else { return Ok(Vec::new()) };
        let mut tx = self.pool.begin().await?;
        let mut parked = Vec::new();
        let names: Vec<_> = self.names().collect();
        let known = checkpoint::lock(&mut tx, &names).await?;
        let mut stuck = parked_aggregates(&mut tx, &names).await?;
        let had_parked = !stuck.is_empty();
        for projection in &self.projections {
            let name = projection.name();
            let fresh = fresh(name, known.get(name).copied().unwrap_or_default(), batch)?;
            let stuck = stuck.entry(name.to_owned()).or_default();
            for Parked { envelope, error } in apply_all(projection.as_ref(), &mut tx, &fresh, stuck).await? {
                park(&mut *tx, name, envelope, &error).await?;
                parked.push(name);
            }
        }
        // One that stands further already stays there.
        checkpoint::advance(&mut tx, &names, last.sequence, last.position).await?;
        tx.commit().await?;
        self.has_parked.store(had_parked || !parked.is_empty(), Ordering::Relaxed);
        Ok(parked)
    }
}

/// What follows the checkpoint without a gap; what was seen before, redeliveries included, is left out.
fn fresh<'e>(projection: &'static str, checkpoint: i64, batch: &'e [Event]) -> Result<Vec<&'e Event>, ProjectorError> {
    let mut fresh = Vec::with_capacity(batch.len());
    let mut last = checkpoint;
    for event in batch.iter().filter(|event| event.envelope.sequence > checkpoint) {
        let given = event.envelope.sequence;
        match given.saturating_sub(last) {
            ..=0 => (),
            1 => {
                last = given;
                fresh.push(event);
            }
            _ => return Err(ProjectorError::Gap { projection, checkpoint, given }),
        }
    }
    Ok(fresh)
}

/// Applies events in the caller's transaction; returns those that could not be. All at once, or, where the database
/// refuses a row of theirs, one after another.
pub(crate) async fn apply_all<'e>(
    projection: &dyn AnyProjection,
    db: &mut PgConnection,
    events: &[&'e Event],
    stuck: &mut HashSet<String>,
) -> Result<Vec<Parked<'e>>, ApplyError> {
    match apply_some(projection, db, events, stuck).await {
        Err(ApplyError::Poison(_)) => (),
        applied => return applied,
    }
    let mut parked = Vec::new();
    for event in events.iter().copied() {
        match apply_some(projection, db, &[event], stuck).await {
            Ok(unfit) => parked.extend(unfit),
            Err(ApplyError::Poison(error)) => {
                let envelope = &event.envelope;
                tell(projection, envelope, &error);
                stuck.insert(envelope.aggregate_id.clone());
                parked.push(Parked { envelope, error });
            }
            Err(unavailable) => return Err(unavailable),
        }
    }
    Ok(parked)
}

/// In a savepoint: where the database refuses one row of them, nothing is written and nobody is stuck.
async fn apply_some<'e>(
    projection: &dyn AnyProjection,
    db: &mut PgConnection,
    events: &[&'e Event],
    stuck: &mut HashSet<String>,
) -> Result<Vec<Parked<'e>>, ApplyError> {
    let mut savepoint = db.begin().await?;
    let rows = match projection.wanted(events) {
        Some(wanted) => {
            let (_, mut found) = tables::read(&mut savepoint, &[], &[wanted]).await?;
            found.remove(projection.name()).unwrap_or_default()
        }
        None => Vec::new(),
    };
    let mut more_stuck = stuck.clone();
    let (changes, parked) = projection.fold(&rows, events, &mut more_stuck).await?;
    tables::write(&mut savepoint, &changes).await?;
    savepoint.commit().await?;
    for Parked { envelope, error } in &parked {
        tell(projection, envelope, error);
    }
    *stuck = more_stuck;
    Ok(parked)
}

fn tell(projection: &dyn AnyProjection, envelope: &Envelope, error: &str) {
    tracing::error!(projection = projection.name(), event.id = %envelope.event_id, sequence = envelope.sequence, error,
        "Parked an event that cannot be applied");
}
