//! Folding the journal anew: to rebuild read models, and to prove that they equal the fold.
//!
//! The fold goes into temporary tables of the same names and forms, which stand in front of the real ones, so that the
//! projector's own SQL is what is run. Readers see the old content until the new one is committed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use journal::{Journal, JournalError, Position, connect_patiently};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;

use crate::checkpoint;
use crate::fact::{ApplyError, Envelope};
use crate::park::park;
use crate::projector::{AnyProjection, Event, Parked, apply_all};

/// How many events are folded at once.
const BATCH: usize = 4_000;

/// Why a fold did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The read models could not be written.
    #[error("the read models are not written: {0}")]
    NotWritten(#[from] ApplyError),
    /// A read model has seen more than the journal holds.
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

impl From<sqlx::Error> for FoldError {
    fn from(error: sqlx::Error) -> Self {
        Self::NotWritten(error.into())
    }
}

/// What a rebuild came to.
#[derive(Debug, Clone, Copy)]
pub struct Folded {
    /// How many events were folded.
    pub events: i64,
    /// How many of them are parked, by all the projections together.
    pub parked: usize,
}

/// How a read model differs from the fold of the journal.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// Which read model.
    pub projection: &'static str,
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

/// A fold under way: of some projections, in one pass.
pub(crate) struct Fold<'a> {
    journal: &'a Journal,
    projections: &'a [Arc<dyn AnyProjection>],
    /// How many events are folded.
    pub(crate) events: i64,
    /// Where the last of them stands.
    pub(crate) position: Position,
    stuck: HashMap<&'static str, HashSet<String>>,
    parked: Vec<(&'static str, Envelope, String)>,
    /// What was read and is not folded yet, and what is being read meanwhile.
    ready: VecDeque<Envelope>,
    coming: Option<JoinHandle<Result<Vec<Envelope>, JournalError>>>,
}

impl<'a> Fold<'a> {
    /// On a connection of its own: a pooled one may have planned its statements for the real tables.
    pub(crate) async fn begin(
        journal: &'a Journal,
        projections: &'a [Arc<dyn AnyProjection>],
    ) -> Result<(Self, PgConnection), FoldError> {
        let mut db = connect_patiently(journal.pool()).await?;
        for table in projections.iter().map(|projection| projection.name()) {
            sqlx::query(&format!("create temporary table {table} (like read.{table} including all)"))
                .execute(&mut db)
                .await?;
        }
        let fold = Self {
            journal,
            projections,
            events: 0,
            position: Position::default(),
            stuck: HashMap::new(),
            parked: Vec::new(),
            ready: VecDeque::new(),
            coming: None,
        };
        Ok((fold, db))
    }

    /// The next events, at most `limit`. Those behind them are read meanwhile.
    async fn read(&mut self, limit: i64) -> Result<Vec<Envelope>, JournalError> {
        if self.ready.is_empty() {
            let read_ahead = match self.coming.take() {
                Some(coming) => coming.await.unwrap_or_else(|_| Ok(Vec::new()))?,
                None => Vec::new(),
            };
            let after = (self.position, self.events);
            self.ready = if read_ahead.is_empty() { read(self.journal, after).await? } else { read_ahead }.into();
            if let Some(last) = self.ready.back().filter(|_| self.ready.len() >= BATCH) {
                let (journal, after) = (self.journal.clone(), (last.position, last.sequence));
                self.coming = Some(tokio::spawn(async move { read(&journal, after).await }));
            }
        }
        let limit = usize::try_from(limit).unwrap_or(BATCH).min(self.ready.len());
        Ok(self.ready.drain(..limit).collect())
    }

    /// Folds the next events; returns how many there were.
    async fn step(&mut self, db: &mut PgConnection, limit: i64) -> Result<i64, FoldError> {
        let batch = self.read(limit).await?;
        let Some(last) = batch.last() else { return Ok(0) };
        let events: Vec<_> = batch.iter().map(Event::of).collect();
        let events: Vec<_> = events.iter().collect();
        for projection in self.projections {
            let name = projection.name();
            let parked = apply_all(projection.as_ref(), db, &events, self.stuck.entry(name).or_default()).await?;
            self.parked.extend(parked.into_iter().map(|Parked { envelope, error }| (name, envelope.clone(), error)));
        }
        let count = last.sequence.saturating_sub(self.events);
        (self.events, self.position) = (last.sequence, last.position);
        Ok(count)
    }

    /// Folds what the journal holds now; what comes meanwhile is left for later.
    pub(crate) async fn read_most(&mut self, db: &mut PgConnection, progress: impl Fn(i64)) -> Result<(), FoldError> {
        let (events, _) = self.journal.extent().await?;
        while self.events < events && self.step(db, i64::MAX).await? > 0 {
            progress(self.events);
        }
        Ok(())
    }

    /// Folds up to a sequence, and no further.
    async fn read_up_to(
        &mut self,
        db: &mut PgConnection,
        projection: &'static str,
        sequence: i64,
    ) -> Result<(), FoldError> {
        while self.events < sequence {
            if self.step(db, sequence.saturating_sub(self.events)).await? == 0 {
                return Err(FoldError::Ahead { projection, checkpoint: sequence, end: self.events });
            }
        }
        Ok(())
    }

    fn parked_by(&self, projection: &str) -> usize {
        self.parked.iter().filter(|(by, _, _)| *by == projection).count()
    }
}

async fn read(journal: &Journal, (position, events): (Position, i64)) -> Result<Vec<Envelope>, JournalError> {
    let recorded = journal.committed_after(position, i64::try_from(BATCH).unwrap_or(i64::MAX)).await?;
    let numbered = recorded.into_iter().zip(events.saturating_add(1)..);
    Ok(numbered.map(|(recorded, sequence)| Envelope::of(recorded, sequence)).collect())
}

/// Folds read models anew in one pass, and puts each in its place at once; the projector goes on from there.
/// `progress` hears how many events were folded.
///
/// # Errors
/// [`FoldError`]; a read model that was not put in its place yet is as it was then.
pub async fn rebuild(
    journal: &Journal,
    projections: &[Arc<dyn AnyProjection>],
    progress: impl Fn(i64),
) -> Result<Folded, FoldError> {
    let (mut fold, mut db) = Fold::begin(journal, projections).await?;
    fold.read_most(&mut db, progress).await?;
    for table in projections.iter().map(|projection| projection.name()) {
        // From here on the projector waits for the checkpoint's row, and the relay for this transaction; what is left to
        // fold is little.
        let mut tx = db.begin().await?;
        let seen = checkpoint::lock(&mut tx, &[table]).await?;
        fold.read_up_to(&mut tx, table, seen.get(table).copied().unwrap_or_default()).await?;
        sqlx::query(&format!("delete from read.{table}")).execute(&mut *tx).await?;
        sqlx::query(&format!("insert into read.{table} select * from pg_temp.{table}")).execute(&mut *tx).await?;
        checkpoint::put(&mut tx, table, (fold.events, fold.position)).await?;
        sqlx::query("delete from read.parked where projection = $1").bind(table).execute(&mut *tx).await?;
        for (_, envelope, error) in fold.parked.iter().filter(|(by, _, _)| *by == table) {
            park(&mut *tx, table, envelope, error).await?;
        }
        tx.commit().await?;
    }
    Ok(Folded { events: fold.events, parked: fold.parked.len() })
}

/// Compares read models with the fold of the journal, each up to where it stands.
/// `progress` hears how many events were folded.
///
/// # Errors
/// [`FoldError`].
pub async fn compare(
    journal: &Journal,
    projections: &[Arc<dyn AnyProjection>],
    progress: impl Fn(i64),
) -> Result<Vec<Comparison>, FoldError> {
    let (mut fold, mut db) = Fold::begin(journal, projections).await?;
    let known = checkpoint::checkpoints(journal.pool()).await?;
    let of = |name: &str| known.iter().find(|(known, _)| known == name).map_or(0, |(_, sequence)| *sequence);
    let mut behind: Vec<_> = projections.iter().map(|projection| (of(projection.name()), projection.name())).collect();
    // What stands further is folded further, and compared later.
    behind.sort_unstable();
    let mut compared = Vec::new();
    for (sequence, projection) in behind {
        while fold.events < sequence && fold.step(&mut db, sequence.saturating_sub(fold.events)).await? > 0 {
            progress(fold.events);
        }
        let mut tx = db.begin().await?;
        let seen = checkpoint::lock(&mut tx, &[projection]).await?;
        fold.read_up_to(&mut tx, projection, seen.get(projection).copied().unwrap_or_default()).await?;
        let (rows, missing, surplus) = sqlx::query_as(&format!(
            "select (select count(*) from read.{projection}),
                    (select count(*) from (table pg_temp.{projection} except table read.{projection}) as missing),
                    (select count(*) from (table read.{projection} except table pg_temp.{projection}) as surplus)"
        ))
        .fetch_one(&mut *tx)
        .await?;
        let parked = fold.parked_by(projection);
        compared.push(Comparison { projection, events: fold.events, rows, missing, surplus, parked });
        // What the fold has read since stays folded.
        tx.commit().await?;
    }
    Ok(compared)
}
