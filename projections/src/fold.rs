//! Folding the journal anew: to rebuild a read model, and to prove that it equals the fold.
//!
//! The fold goes into a temporary table of the same name and form, which stands in front of the real one, so the
//! projections' own SQL is what is run. Readers see the old content until the new one is committed.

use std::collections::HashSet;

use journal::{Journal, JournalError, Position, connect_patiently};
use sqlx::{Connection, PgConnection};

use crate::fact::{Envelope, Projection};
use crate::projector::{Parked, apply_all, checkpoint, move_checkpoint, park};

const BATCH: i64 = 1_000;

/// Why a fold did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The read models could not be written.
    #[error("the read models are unavailable: {0}")]
    ReadModel(#[from] sqlx::Error),
    /// The read model has seen more than the journal holds.
    #[error("{projection} stands at {checkpoint}, but the journal ends at {end}")]
    Ahead {
        /// Which projection.
        projection: &'static str,
        /// The last that it has.
        checkpoint: i64,
        /// The journal's last.
        end: i64,
    },
}

/// What a rebuild came to.
#[derive(Debug, Clone, Copy)]
pub struct Folded {
    /// How many events were folded.
    pub events: i64,
    /// How many of them are parked.
    pub parked: usize,
}

/// How a read model differs from the fold of the journal.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// How many events were folded.
    pub events: i64,
    /// Rows that the read model has.
    pub rows: i64,
    /// Rows in the fold that the read model has not, or has otherwise.
    pub missing: i64,
    /// Rows of the read model that the fold has not, or has otherwise.
    pub surplus: i64,
    /// Events that the fold could not apply.
    pub parked: usize,
}

impl Comparison {
    /// Whether there is no difference at all.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.missing == 0 && self.surplus == 0 && self.parked == 0
    }
}

/// A fold under way.
pub(crate) struct Fold<'a, P> {
    journal: &'a Journal,
    projection: &'a P,
    /// How many events are folded.
    pub(crate) events: i64,
    /// Where the last of them stands.
    pub(crate) position: Position,
    stuck: HashSet<String>,
    parked: Vec<(Envelope, String)>,
}

impl<'a, P: Projection> Fold<'a, P> {
    /// On a connection of its own: a pooled one may have planned its statements for the real table.
    pub(crate) async fn begin(journal: &'a Journal, projection: &'a P) -> Result<(Self, PgConnection), FoldError> {
        let mut db = connect_patiently(journal.pool()).await?;
        let table = P::NAME;
        sqlx::query(&format!("create temporary table {table} (like read.{table} including all)"))
            .execute(&mut db)
            .await?;
        let position = Position::default();
        let fold = Self { journal, projection, events: 0, position, stuck: HashSet::new(), parked: Vec::new() };
        Ok((fold, db))
    }

    /// Folds the next events, at most `limit`; returns how many there were.
    async fn step(&mut self, db: &mut PgConnection, limit: i64) -> Result<i64, FoldError> {
        let recorded = self.journal.committed_after(self.position, limit.min(BATCH)).await?;
        let numbered = recorded.into_iter().zip(self.events.saturating_add(1)..);
        let batch: Vec<Envelope> = numbered.map(|(recorded, sequence)| Envelope::of(recorded, sequence)).collect();
        // A savepoint, where the caller's own transaction is open.
        let mut tx = db.begin().await?;
        let parked = apply_all(self.projection, &mut tx, &batch.iter().collect::<Vec<_>>(), &mut self.stuck).await?;
        self.parked.extend(parked.into_iter().map(|Parked { envelope, error }| (envelope.clone(), error)));
        tx.commit().await?;
        let Some(last) = batch.last() else { return Ok(0) };
        let count = last.sequence.saturating_sub(self.events);
        (self.events, self.position) = (last.sequence, last.position);
        Ok(count)
    }

    /// Folds what the journal holds now; what comes meanwhile is left for later.
    pub(crate) async fn read_most(&mut self, db: &mut PgConnection, progress: impl Fn(i64)) -> Result<(), FoldError> {
        let (events, _) = self.journal.extent().await?;
        while self.events < events && self.step(db, BATCH).await? > 0 {
            progress(self.events);
        }
        Ok(())
    }

    async fn read_up_to(&mut self, db: &mut PgConnection, sequence: i64) -> Result<(), FoldError> {
        while self.events < sequence {
            if self.step(db, sequence.saturating_sub(self.events)).await? == 0 {
                let (projection, end) = (P::NAME, self.events);
                return Err(FoldError::Ahead { projection, checkpoint: sequence, end });
            }
        }
        Ok(())
    }
}

/// Folds a read model anew and puts the result in its place at once; the projector goes on from there.
/// `progress` hears how many events were folded.
///
/// # Errors
/// [`FoldError`]; the read model is as it was then.
pub async fn rebuild<P: Projection>(
    journal: &Journal,
    projection: &P,
    progress: impl Fn(i64),
) -> Result<Folded, FoldError> {
    let table = P::NAME;
    let (mut fold, mut db) = Fold::begin(journal, projection).await?;
    fold.read_most(&mut db, progress).await?;
    // From here on the projector waits for the checkpoint's row; what is left to fold is little.
    let mut tx = db.begin().await?;
    let seen = checkpoint(&mut tx, table).await?;
    fold.read_up_to(&mut tx, seen).await?;
    sqlx::query(&format!("delete from read.{table}")).execute(&mut *tx).await?;
    sqlx::query(&format!("insert into read.{table} select * from pg_temp.{table}")).execute(&mut *tx).await?;
    sqlx::query("delete from read.parked where projection = $1").bind(table).execute(&mut *tx).await?;
    for (envelope, error) in &fold.parked {
        park(&mut *tx, table, envelope, error).await?;
    }
    move_checkpoint(&mut tx, table, fold.events, fold.position).await?;
    tx.commit().await?;
    Ok(Folded { events: fold.events, parked: fold.parked.len() })
}

/// Compares a read model with the fold of the journal up to where the read model stands.
/// `progress` hears how many events were folded.
///
/// # Errors
/// [`FoldError`].
pub async fn compare<P: Projection>(
    journal: &Journal,
    projection: &P,
    progress: impl Fn(i64),
) -> Result<Comparison, FoldError> {
    let table = P::NAME;
    let (mut fold, mut db) = Fold::begin(journal, projection).await?;
    let behind: i64 =
        sqlx::query_scalar("select coalesce(max(sequence), 0) from read.checkpoints where projection = $1")
            .bind(table)
            .fetch_one(journal.pool())
            .await?;
    while fold.events < behind && fold.step(&mut db, behind.saturating_sub(fold.events)).await? > 0 {
        progress(fold.events);
    }
    let mut tx = db.begin().await?;
    let seen = checkpoint(&mut tx, table).await?;
    fold.read_up_to(&mut tx, seen).await?;
    let (rows, missing, surplus) = sqlx::query_as(&format!(
        "select (select count(*) from read.{table}),
                (select count(*) from (table pg_temp.{table} except table read.{table}) as missing),
                (select count(*) from (table read.{table} except table pg_temp.{table}) as surplus)"
    ))
    .fetch_one(&mut *tx)
    .await?;
    tx.rollback().await?;
    Ok(Comparison { events: fold.events, rows, missing, surplus, parked: fold.parked.len() })
}
