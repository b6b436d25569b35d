//! Applies events to projections: a batch and the checkpoints in one transaction, each event exactly once.
//!
//! An event that cannot be applied is parked with its error, and later events of the same aggregate behind it, so
//! that one bad event never stops the rest. `ludoteca rebuild` empties the park once the cause is mended.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use journal::Position;
use sqlx::{Connection, PgConnection, PgExecutor, PgPool};

use crate::fact::{ApplyError, Envelope, Projection};

/// How often an event is tried before it is parked.
const TRIES: u32 = 3;

/// The projections of a process and the database that they write.
#[derive(Clone)]
pub struct Projector {
    pool: PgPool,
    projections: Vec<Arc<dyn AnyProjection>>,
}

/// A projection, whichever.
pub trait AnyProjection: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Applies those of the events that it looks at; returns those that could not be.
    fn apply_all<'a, 'e: 'a>(
        &'a self,
        db: &'a mut PgConnection,
        events: &'a [&'e Envelope],
        stuck: &'a mut HashSet<String>,
    ) -> BoxFuture<'a, sqlx::Result<Vec<Parked<'e>>>>;
}

impl<P: Projection> AnyProjection for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn apply_all<'a, 'e: 'a>(
        &'a self,
        db: &'a mut PgConnection,
        events: &'a [&'e Envelope],
        stuck: &'a mut HashSet<String>,
    ) -> BoxFuture<'a, sqlx::Result<Vec<Parked<'e>>>> {
        let looked_at = events.iter().filter(|event| P::AGGREGATES.contains(&event.aggregate.as_str()));
        let looked_at: Vec<&'e Envelope> = looked_at.copied().collect();
        Box::pin(async move {
            if looked_at.is_empty() { Ok(Vec::new()) } else { apply_all(self, db, &looked_at, stuck).await }
        })
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
    /// The database did not answer; nothing was applied.
    #[error("the read models are unavailable: {0}")]
    Unavailable(#[from] sqlx::Error),
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
        Self { pool, projections }
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
    pub async fn apply(&self, batch: &[Envelope]) -> Result<Vec<&'static str>, ProjectorError> {
        let Some(last) = batch.last() else { return Ok(Vec::new()) };
        let mut tx = self.pool.begin().await?;
        let mut parked = Vec::new();
        let mut names: Vec<_> = self.names().collect();
        // One order for every process, so that nobody waits in a circle.
        names.sort_unstable();
        let mut known = HashMap::new();
        for name in &names {
            known.insert(*name, checkpoint(&mut tx, name).await?);
        }
        let mut stuck = parked_aggregates(&mut tx, &names).await?;
        for projection in &self.projections {
            let name = projection.name();
            let fresh = fresh(name, known.get(name).copied().unwrap_or_default(), batch)?;
            let unfit = projection.apply_all(&mut tx, &fresh, stuck.entry(name.to_owned()).or_default()).await?;
            for Parked { envelope, error } in &unfit {
                park(&mut *tx, name, envelope, error).await?;
                parked.push(name);
            }
        }
        sqlx::query(
            "update read.checkpoints set sequence = $2, epoch = $3, tx_id = $4::text::xid8, position = $5
             where projection = any($1) and sequence < $2",
        )
        .bind(&names)
        .bind(last.sequence)
        .bind(last.position.epoch)
        .bind(last.position.tx_id.to_string())
        .bind(last.position.position)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(parked)
    }
}

/// What follows the checkpoint without a gap; what was seen before, redeliveries included, is left out.
fn fresh<'a>(
    projection: &'static str,
    checkpoint: i64,
    batch: &'a [Envelope],
) -> Result<Vec<&'a Envelope>, ProjectorError> {
    let mut fresh: Vec<&Envelope> = Vec::with_capacity(batch.len());
    let mut last = checkpoint;
    for envelope in batch.iter().filter(|envelope| envelope.sequence > checkpoint) {
        match envelope.sequence.saturating_sub(last) {
            ..=0 => (),
            1 => {
                last = envelope.sequence;
                fresh.push(envelope);
            }
            _ => {
                return Err(ProjectorError::Gap { projection, checkpoint, given: envelope.sequence });
            }
        }
    }
    Ok(fresh)
}

/// Applies events in order; returns those that could not be. All in one savepoint while all goes well, one each if not.
pub(crate) async fn apply_all<'a, P: Projection>(
    projection: &P,
    db: &mut PgConnection,
    events: &[&'a Envelope],
    stuck: &mut HashSet<String>,
) -> Result<Vec<Parked<'a>>, sqlx::Error> {
    if stuck.is_empty() {
        let mut all = db.begin().await?;
        match apply_in_order(projection, &mut all, events).await {
            Ok(()) => {
                all.commit().await?;
                return Ok(Vec::new());
            }
            Err(ApplyError::Unavailable(error)) => return Err(error),
            Err(ApplyError::Poison(_)) => all.rollback().await?,
        }
    }
    let mut parked = Vec::new();
    for &envelope in events {
        let held_back = !P::NEVER_HELD_BACK.contains(&envelope.event_type.as_str());
        let error = if held_back && stuck.contains(&envelope.aggregate_id) {
            Some("an earlier event of this aggregate is parked".to_owned())
        } else {
            try_one(projection, db, envelope).await?
        };
        if let Some(error) = error {
            tracing::error!(projection = P::NAME, event.id = %envelope.event_id, sequence = envelope.sequence, error,
                "Parked an event that cannot be applied");
            stuck.insert(envelope.aggregate_id.clone());
            parked.push(Parked { envelope, error });
        }
    }
    Ok(parked)
}

async fn apply_in_order<P: Projection>(
    projection: &P,
    db: &mut PgConnection,
    events: &[&Envelope],
) -> Result<(), ApplyError> {
    for envelope in events {
        if P::AGGREGATES.contains(&envelope.aggregate.as_str()) {
            projection.apply(db, &envelope.fact()?).await?;
        }
    }
    Ok(())
}

/// What is wrong with the event, if it still is after some tries.
async fn try_one<P: Projection>(
    projection: &P,
    db: &mut PgConnection,
    envelope: &Envelope,
) -> Result<Option<String>, sqlx::Error> {
    let mut wrong = None;
    for _ in 0..TRIES {
        let mut one = db.begin().await?;
        match apply_in_order(projection, &mut one, &[envelope]).await {
            Ok(()) => {
                one.commit().await?;
                return Ok(None);
            }
            Err(ApplyError::Unavailable(error)) => return Err(error),
            Err(ApplyError::Poison(error)) => {
                one.rollback().await?;
                wrong = Some(error);
            }
        }
    }
    Ok(wrong)
}

/// The last sequence that the projection has; the row is ours until the transaction ends. That need not be durable when
/// it ends: what a crash takes goes with the checkpoint, and is read from the mirror again (decision 0025).
pub(crate) async fn checkpoint(db: &mut PgConnection, projection: &str) -> sqlx::Result<i64> {
    let find = "select sequence from read.checkpoints, set_config('synchronous_commit', 'off', true)
                where projection = $1 for update of checkpoints";
    if let Some(sequence) = sqlx::query_scalar(find).bind(projection).fetch_optional(&mut *db).await? {
        return Ok(sequence);
    }
    sqlx::query("insert into read.checkpoints (projection) values ($1) on conflict do nothing")
        .bind(projection)
        .execute(&mut *db)
        .await?;
    sqlx::query_scalar(find).bind(projection).fetch_one(db).await
}

pub(crate) async fn move_checkpoint(
    db: &mut PgConnection,
    projection: &str,
    sequence: i64,
    position: Position,
) -> sqlx::Result<()> {
    sqlx::query(
        "update read.checkpoints set sequence = $2, epoch = $3, tx_id = $4::text::xid8, position = $5
         where projection = $1",
    )
    .bind(projection)
    .bind(sequence)
    .bind(position.epoch)
    .bind(position.tx_id.to_string())
    .bind(position.position)
    .execute(db)
    .await
    .map(drop)
}

/// Notes an event that cannot be applied, for people to look at.
///
/// # Errors
/// When the database does not answer.
pub async fn park(db: impl PgExecutor<'_>, projection: &str, envelope: &Envelope, error: &str) -> sqlx::Result<()> {
    sqlx::query(
        "insert into read.parked (projection, sequence, aggregate_id, event_id, event_type, error)
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
    )
    .bind(projection)
    .bind(envelope.sequence)
    .bind(&envelope.aggregate_id)
    .bind(envelope.event_id)
    .bind(&envelope.event_type)
    .bind(error)
    .execute(db)
    .await
    .map(drop)
}

/// The aggregates of parked events, by projection.
async fn parked_aggregates(
    db: &mut PgConnection,
    projections: &[&str],
) -> sqlx::Result<HashMap<String, HashSet<String>>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("select distinct projection, aggregate_id from read.parked where projection = any($1)")
            .bind(projections)
            .fetch_all(db)
            .await?;
    let mut stuck: HashMap<String, HashSet<String>> = HashMap::new();
    for (projection, aggregate) in rows {
        stuck.entry(projection).or_default().insert(aggregate);
    }
    Ok(stuck)
}

/// An event on the park.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ParkedEvent {
    /// Which projection could not apply it.
    pub projection: String,
    /// Its place in the mirror.
    pub sequence: i64,
    /// Its name.
    pub event_type: String,
    /// Whose it is.
    pub aggregate_id: String,
    /// What is wrong.
    pub error: String,
}

impl std::fmt::Display for ParkedEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { projection, sequence, event_type, aggregate_id, error } = self;
        write!(f, "{projection} #{sequence} {event_type} {aggregate_id}: {error}")
    }
}

/// The first hundred events of the park.
///
/// # Errors
/// When the database does not answer.
pub async fn parked(pool: &PgPool) -> sqlx::Result<Vec<ParkedEvent>> {
    sqlx::query_as(
        "select projection, sequence, event_type, aggregate_id, error from read.parked order by sequence limit 100",
    )
    .fetch_all(pool)
    .await
}

/// How many events are on the park.
///
/// # Errors
/// When the database does not answer.
pub async fn parked_count(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from read.parked").fetch_one(pool).await
}

/// The last sequence that each read model has, by its name.
///
/// # Errors
/// When the database does not answer.
pub async fn checkpoints(pool: &PgPool) -> sqlx::Result<Vec<(String, i64)>> {
    sqlx::query_as("select projection, sequence from read.checkpoints where projection <> 'search' order by projection")
        .fetch_all(pool)
        .await
}
