//! Checkpoints: how far each projection has come, in the mirror and in the journal.

use std::collections::HashMap;

use journal::Position;
use sqlx::{PgConnection, PgPool};

/// The last sequence that each of some projections has; their rows are ours until the transaction ends. That need not be
/// durable when it ends: what a crash takes goes with the checkpoint, and is read from the mirror again (decision 0025).
pub(crate) async fn lock(db: &mut PgConnection, projections: &[&str]) -> sqlx::Result<HashMap<String, i64>> {
    // One order for every process, so that nobody waits in a circle.
    let find = "select projection, sequence from read.checkpoints, set_config('synchronous_commit', 'off', true)
                where projection = any($1) order by projection for update of checkpoints";
    let known: Vec<(String, i64)> = sqlx::query_as(find).bind(projections).fetch_all(&mut *db).await?;
    if known.len() == projections.len() {
        return Ok(known.into_iter().collect());
    }
    sqlx::query(
        "insert into read.checkpoints (projection) select unnest($1::text[]) as name order by name on conflict do nothing",
    )
    .bind(projections)
    .execute(&mut *db)
    .await?;
    let known: Vec<(String, i64)> = sqlx::query_as(find).bind(projections).fetch_all(db).await?;
    Ok(known.into_iter().collect())
}

/// Moves checkpoints on to a sequence.
pub(crate) async fn advance(
    db: &mut PgConnection,
    projections: &[&str],
    sequence: i64,
    position: Position,
) -> sqlx::Result<()> {
    set(db, (projections, "sequence < $2"), (sequence, position)).await
}

/// Puts a checkpoint to a sequence, which may be an earlier one.
pub(crate) async fn put(db: &mut PgConnection, projection: &str, at: (i64, Position)) -> sqlx::Result<()> {
    set(db, (&[projection], "true"), at).await
}

async fn set(
    db: &mut PgConnection,
    (projections, which): (&[&str], &str),
    (sequence, position): (i64, Position),
) -> sqlx::Result<()> {
    sqlx::query(&format!(
        "update read.checkpoints set sequence = $2, epoch = $3, tx_id = $4::text::xid8, position = $5
         where projection = any($1) and {which}"
    ))
    .bind(projections)
    .bind(sequence)
    .bind(position.epoch)
    .bind(position.tx_id.to_string())
    .bind(position.position)
    .execute(db)
    .await
    .map(drop)
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
