//! Folding the journal anew: to rebuild read models, and to prove that they equal the fold.
//!
//! The fold goes into temporary tables of the same names and forms, which stand in front of the real ones, and through
//! the code that the projector falls back to. Readers see the old content until the new one is committed.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures::future::try_join_all;
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
    /// What was found could not be told.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
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

/// A projection that is being folded, in tables of a connection of its own.
pub(crate) struct Folding<'a> {
    projection: &'a dyn AnyProjection,
    stuck: HashSet<String>,
    parked: Vec<(Envelope, String)>,
}

impl Folding<'_> {
    pub(crate) fn projection(&self) -> &dyn AnyProjection {
        self.projection
    }

    /// How many events could not be applied.
    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }

    async fn apply(&mut self, db: &mut PgConnection, events: &[&Event]) -> Result<(), ApplyError> {
        let parked = apply_all(self.projection, db, events, &mut self.stuck).await?;
        self.parked.extend(parked.into_iter().map(|Parked { envelope, error }| (envelope.clone(), error)));
        Ok(())
    }
}

/// A fold under way: of some projections, in one pass.
pub(crate) struct Fold<'a> {
    journal: &'a Journal,
    /// How many events are folded.
    pub(crate) events: i64,
    /// Where the last of them stands.
    pub(crate) position: Position,
    folding: VecDeque<(Folding<'a>, PgConnection)>,
    /// What was read and is not folded yet, and what is being read meanwhile.
    ready: VecDeque<Event>,
    coming: Option<JoinHandle<Result<Vec<Event>, JournalError>>>,
}

impl<'a> Fold<'a> {
    /// On connections of its own: a pooled one may have planned its statements for the real tables.
    pub(crate) async fn begin(
        journal: &'a Journal,
        projections: &'a [Arc<dyn AnyProjection>],
    ) -> Result<Self, FoldError> {
        let mut folding = VecDeque::new();
        for projection in projections {
            let (mut db, table) = (connect_patiently(journal.pool()).await?, projection.name());
            let key = projection.key().join(", ");
            // Nobody searches these tables, so all indexes but one would be kept for nothing.
            let columns = format!("like read.{table} including all excluding indexes, primary key ({key})");
            let create = format!("create temporary table {table} ({columns})");
            sqlx::query(&create).execute(&mut db).await?;
            let projection = projection.as_ref();
            folding.push_back((Folding { projection, stuck: HashSet::new(), parked: Vec::new() }, db));
        }
        let (ready, coming) = (VecDeque::new(), None);
        Ok(Self { journal, events: 0, position: Position::default(), folding, ready, coming })
    }

    /// The next projection, which is not folded with the others any more.
    pub(crate) fn take(&mut self) -> Option<(Folding<'a>, PgConnection)> {
        self.folding.pop_front()
    }

    /// The next events, at most `limit`. Those behind them are read meanwhile.
    async fn read(&mut self, limit: i64) -> Result<Vec<Event>, JournalError> {
        if self.ready.is_empty() {
            let read_ahead = match self.coming.take() {
                Some(coming) => coming.await.unwrap_or_else(|_| Ok(Vec::new()))?,
                None => Vec::new(),
            };
            let after = (self.position, self.events);
            self.ready = if read_ahead.is_empty() { read(self.journal, after).await? } else { read_ahead }.into();
            if let Some(last) = self.ready.back().filter(|_| self.ready.len() >= BATCH) {
                let (journal, after) = (self.journal.clone(), (last.envelope.position, last.envelope.sequence));
                self.coming = Some(tokio::spawn(async move { read(&journal, after).await }));
            }
        }
        let limit = usize::try_from(limit).unwrap_or(BATCH).min(self.ready.len());
        Ok(self.ready.drain(..limit).collect())
    }

    /// Folds the next events, at most `limit`, into all projections at once, and into one that was taken; returns how many
    /// there were.
    pub(crate) async fn step(
        &mut self,
        taken: Option<(&mut Folding<'a>, &mut PgConnection)>,
        limit: i64,
    ) -> Result<i64, FoldError> {
        let batch = self.read(limit).await?;
        let Some(last) = batch.last().map(|last| &last.envelope) else { return Ok(0) };
        let events: Vec<_> = batch.iter().collect();
        let others = self.folding.iter_mut().map(|(folding, db)| (folding, db));
        try_join_all(taken.into_iter().chain(others).map(|(folding, db)| folding.apply(db, &events))).await?;
        let count = last.sequence.saturating_sub(self.events);
        (self.events, self.position) = (last.sequence, last.position);
        Ok(count)
    }

    /// Folds what the journal holds now; what comes meanwhile is left for later.
    pub(crate) async fn read_most(&mut self, progress: impl Fn(i64)) -> Result<(), FoldError> {
        let (events, _) = self.journal.extent().await?;
        while self.events < events && self.step(None, i64::MAX).await? > 0 {
            progress(self.events);
        }
        Ok(())
    }

    /// Folds up to a sequence, and no further.
    async fn read_up_to(
        &mut self,
        taken: &mut Folding<'a>,
        db: &mut PgConnection,
        sequence: i64,
    ) -> Result<(), FoldError> {
        while self.events < sequence {
            if self.step(Some((taken, db)), sequence.saturating_sub(self.events)).await? == 0 {
                let projection = taken.projection.name();
                return Err(FoldError::Ahead { projection, checkpoint: sequence, end: self.events });
            }
        }
        Ok(())
    }
}

/// Reads events, and what each says: on another core than the one that folds what was read before.
async fn read(journal: &Journal, (position, events): (Position, i64)) -> Result<Vec<Event>, JournalError> {
    let recorded = journal.committed_after(position, i64::try_from(BATCH).unwrap_or(i64::MAX)).await?;
    let numbered = recorded.into_iter().zip(events.saturating_add(1)..);
    Ok(numbered.map(|(recorded, sequence)| Event::of(Envelope::of(recorded, sequence))).collect())
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
    let mut fold = Fold::begin(journal, projections).await?;
    fold.read_most(progress).await?;
    let mut parked = 0_usize;
    while let Some((mut folding, mut db)) = fold.take() {
        let table = folding.projection.name();
        // From here on the projector waits for the checkpoint's row, and the relay for this transaction; what is left to
        // fold is little.
        let mut tx = db.begin().await?;
        let seen = checkpoint::lock(&mut tx, &[table]).await?;
        fold.read_up_to(&mut folding, &mut tx, seen.get(table).copied().unwrap_or_default()).await?;
        sqlx::query(&format!("delete from read.{table}")).execute(&mut *tx).await?;
        sqlx::query(&format!("insert into read.{table} select * from pg_temp.{table}")).execute(&mut *tx).await?;
        checkpoint::put(&mut tx, table, (fold.events, fold.position)).await?;
        sqlx::query("delete from read.parked where projection = $1").bind(table).execute(&mut *tx).await?;
        for (envelope, error) in &folding.parked {
            park(&mut *tx, table, envelope, error).await?;
        }
        tx.commit().await?;
        parked = parked.saturating_add(folding.parked.len());
    }
    Ok(Folded { events: fold.events, parked })
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
    let mut fold = Fold::begin(journal, projections).await?;
    let known = checkpoint::checkpoints(journal.pool()).await?;
    let of = |name: &str| known.iter().find(|(known, _)| known == name).map_or(0, |(_, sequence)| *sequence);
    // What stands further is folded further, and compared later.
    fold.folding.make_contiguous().sort_by_key(|(folding, _)| of(folding.projection.name()));
    let mut compared = Vec::new();
    while let Some((mut folding, mut db)) = fold.take() {
        let projection = folding.projection.name();
        let behind = |fold: &Fold<'_>| of(projection).saturating_sub(fold.events);
        while behind(&fold) > 0 && fold.step(Some((&mut folding, &mut db)), behind(&fold)).await? > 0 {
            progress(fold.events);
        }
        let mut tx = db.begin().await?;
        let seen = checkpoint::lock(&mut tx, &[projection]).await?;
        fold.read_up_to(&mut folding, &mut tx, seen.get(projection).copied().unwrap_or_default()).await?;
        let (rows, missing, surplus) = sqlx::query_as(&format!(
            "select (select count(*) from read.{projection}),
                    (select count(*) from (table pg_temp.{projection} except table read.{projection}) as missing),
                    (select count(*) from (table read.{projection} except table pg_temp.{projection}) as surplus)"
        ))
        .fetch_one(&mut *tx)
        .await?;
        let parked = folding.parked.len();
        compared.push(Comparison { projection, events: fold.events, rows, missing, surplus, parked });
        tx.commit().await?;
    }
    Ok(compared)
}
