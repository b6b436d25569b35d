//! Reading one's own writes: a read that carries the position of a command waits until its projection has passed it.

use std::time::Duration;

use journal::{Position, once_more};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

/// How long a read waits at most; after that it answers with what there is.
pub const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Where a projection stands to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has passed it.
    Passed,
    /// It is still to come to it.
    Behind,
    /// Nothing was ever recorded there: the journal has not got so far.
    Never,
}

/// Where a projection stands to a position now.
///
/// # Errors
/// When the database does not answer.
pub async fn standing(pool: &PgPool, projection: &str, position: Position) -> sqlx::Result<Standing> {
    let ask = || {
        sqlx::query_as(
            "select coalesce((select (epoch, tx_id, position) >= ($2, $3::text::xid8, $4)
                              from read.checkpoints where projection = $1), false),
                    ($2, $3::text::xid8) < (journal.epoch(), pg_snapshot_xmax(pg_current_snapshot()))",
        )
        .bind(projection)
        .bind(position.epoch)
        .bind(position.tx_id.to_string())
        .bind(position.position)
        .fetch_one(pool)
    };
    Ok(match once_more(ask).await? {
        (true, _) => Standing::Passed,
        (false, true) => Standing::Behind,
        (false, false) => Standing::Never,
    })
}

/// Waits until a projection has passed a position; returns whether it has. For tools, which have nobody that tells them.
///
/// # Errors
/// When the database does not answer.
pub async fn reached(pool: &PgPool, projection: &str, position: Position) -> sqlx::Result<bool> {
    let deadline = Instant::now().checked_add(PATIENCE);
    loop {
        if standing(pool, projection, position).await? == Standing::Passed {
            return Ok(true);
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
        sleep(PAUSE).await;
    }
}
