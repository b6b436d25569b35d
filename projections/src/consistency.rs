//! Reading one's own writes: a read that carries the position of a command waits until its projection has passed it.

use std::time::Duration;

use journal::{Position, once_more};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

/// How long a read waits at most; after that it answers with what there is.
pub const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until a projection has passed a position; returns whether it has.
///
/// # Errors
/// When the database does not answer.
pub async fn reached(pool: &PgPool, projection: &str, position: Position) -> sqlx::Result<bool> {
    let deadline = Instant::now().checked_add(PATIENCE);
    loop {
        let passed: Option<bool> = once_more(|| {
            sqlx::query_scalar(
            "select (epoch, tx_id, position) >= ($2, $3::text::xid8, $4) from read.checkpoints where projection = $1",
        )
        .bind(projection)
        .bind(position.epoch)
        .bind(position.tx_id.to_string())
        .bind(position.position)
        .fetch_optional(pool)
        })
        .await?;
        if passed == Some(true) {
            return Ok(true);
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
        sleep(PAUSE).await;
    }
}
