//! Building the index anew beside the live one, from the journal, and putting it in its place at once.

use std::sync::Arc;
use std::time::Duration;

use journal::{Journal, once_more};
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::{CHECKPOINT, SearchEngine, SearchError, Side};
use crate::checkpoint;
use crate::fact::ApplyError;
use crate::fold::{Fold, FoldError};
use crate::games::{COLUMNS, GameView, Games};
use crate::projector::AnyProjection;

/// The advisory lock of the index's one writer; locks belong to one database.
const WRITER: i64 = 7_000_002;
const PAUSE: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_millis(5);

/// Why an index was not built. The live one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// The journal could not be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The engine did not take it.
    #[error(transparent)]
    Search(#[from] SearchError),
}

impl From<sqlx::Error> for ReindexError {
    fn from(error: sqlx::Error) -> Self {
        Self::Search(error.into())
    }
}

/// How far a reindex has come.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// So many events of the journal are folded.
    Folded(i64),
    /// So many of so many games are indexed.
    Indexed(i64, i64),
}

/// The right to write the index; gone when it is dropped, or its holder dies.
pub struct Writer(PgConnection);

impl Writer {
    /// Waits for its turn.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn turn(pool: &PgPool) -> sqlx::Result<Self> {
        let mut lock = PgConnection::connect_with(&pool.connect_options()).await?;
        while !sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(WRITER).fetch_one(&mut lock).await? {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Self(lock))
    }

    /// Fails when the right is lost.
    ///
    /// # Errors
    /// When the connection that holds it is gone.
    pub async fn holds(&mut self) -> sqlx::Result<()> {
        sqlx::query("select 1").execute(&mut self.0).await.map(drop)
    }
}

/// Builds the index from the journal and swaps it in; returns how many games it holds.
///
/// While it is built the live index is searched but not written; what happens meanwhile waits for the
/// indexer. Killed in the middle, it can be started again.
///
/// # Errors
/// [`ReindexError`].
pub async fn reindex(
    journal: &Journal,
    engine: &SearchEngine,
    progress: impl Fn(Progress),
) -> Result<i64, ReindexError> {
    let pool = journal.pool();
    let mut writer = Writer::turn(pool).await?;
    engine.begin().await?;
    let games: [Arc<dyn AnyProjection>; 1] = [Arc::new(Games)];
    let mut fold = Fold::begin(journal, &games).await?;
    fold.read_most(|events| progress(Progress::Folded(events))).await?;
    let nothing = || FoldError::from(ApplyError::Poison("no read model is folded".to_owned()));
    let (_, mut db) = fold.take().ok_or_else(nothing)?;
    let total: i64 = sqlx::query_scalar("select count(*) from games where not retired").fetch_one(&mut db).await?;
    let (mut after, mut indexed, mut refused) = (Uuid::nil(), 0_i64, 0_i64);
    loop {
        let games: Vec<GameView> = sqlx::query_as(&format!(
            "select {COLUMNS} from games where not retired and game_id > $1 order by game_id limit {}",
            engine.batch()
        ))
        .bind(after)
        .fetch_all(&mut db)
        .await?;
        let Some(last) = games.last() else { break };
        after = last.game_id;
        indexed = indexed.saturating_add(i64::try_from(games.len()).unwrap_or(i64::MAX));
        for (game, error) in engine.write(Side::Next, games).await? {
            tracing::error!(game.id = %game, %error, "The search index refuses a game");
            refused = refused.saturating_add(1);
        }
        progress(Progress::Indexed(indexed, total));
    }
    writer.holds().await?;
    let held = total.saturating_sub(refused);
    engine.swap(held).await?;
    writer.holds().await?;
    let mut tx = pool.begin().await?;
    checkpoint::lock(&mut tx, &[CHECKPOINT]).await?;
    checkpoint::put(&mut tx, CHECKPOINT, (fold.events, fold.position)).await?;
    if refused == 0 {
        sqlx::query("delete from read.parked where projection = $1").bind(CHECKPOINT).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(held)
}

/// The last sequence that the index has.
///
/// # Errors
/// When the database does not answer.
pub async fn indexed(pool: &PgPool) -> sqlx::Result<i64> {
    once_more(|| {
        sqlx::query_scalar("select coalesce(max(sequence), 0) from read.checkpoints where projection = $1")
            .bind(CHECKPOINT)
            .fetch_one(pool)
    })
    .await
}

/// The place in the mirror of the catalogue's last change.
async fn newest(pool: &PgPool) -> sqlx::Result<i64> {
    once_more(|| sqlx::query_scalar("select coalesce(max(sequence), 0) from read.games").fetch_one(pool)).await
}

/// Whether the index has every change of the catalogue.
///
/// # Errors
/// When the database does not answer.
pub async fn caught_up(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select (select coalesce(max(sequence), 0) from read.games)
                <= (select coalesce(max(sequence), 0) from read.checkpoints where projection = $1)",
    )
    .bind(CHECKPOINT)
    .fetch_one(pool)
    .await
}

/// How many places of the mirror the index is behind the catalogue's last change.
///
/// # Errors
/// When the database does not answer.
pub async fn behind(pool: &PgPool) -> sqlx::Result<i64> {
    let newest = newest(pool).await?;
    Ok(newest.saturating_sub(indexed(pool).await?).max(0))
}

/// Waits until the index has every change that the catalogue has now, for so long at most.
///
/// # Errors
/// When the database does not answer.
pub async fn wait_until_caught_up(pool: &PgPool, patience: Duration) -> sqlx::Result<()> {
    let newest = newest(pool).await?;
    let waiting = async {
        while indexed(pool).await? < newest {
            tokio::time::sleep(SOON).await;
        }
        Ok(())
    };
    tokio::time::timeout(patience, waiting).await.unwrap_or(Ok(()))
}

/// Notes that the index has everything up to a place of the mirror and of the journal.
///
/// # Errors
/// When the database does not answer.
pub async fn indexed_up_to(pool: &PgPool, sequence: i64, position: journal::Position) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    checkpoint::lock(&mut tx, &[CHECKPOINT]).await?;
    checkpoint::advance(&mut tx, &[CHECKPOINT], sequence, position).await?;
    tx.commit().await
}
