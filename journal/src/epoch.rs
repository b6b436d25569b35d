//! Epochs: what keeps the global order whole when a dump is restored into another cluster.

use sqlx::PgPool;

use crate::JournalError;
use crate::read::xid;

/// Refuses a journal whose stored transaction ids are ahead of the cluster's.
pub(crate) async fn check(pool: &PgPool) -> Result<(), JournalError> {
    let (stored, next): (Option<String>, String) = sqlx::query_as(
        "select (select tx_id::text from journal.events where epoch = journal.epoch()
                 order by epoch desc, tx_id desc, position desc limit 1),
                pg_snapshot_xmax(pg_current_snapshot())::text",
    )
    .fetch_one(pool)
    .await?;
    let (stored, next) = (stored.as_deref().map_or(Ok(0), xid)?, xid(&next)?);
    if stored >= next { Err(JournalError::NeedsRebase { stored, next }) } else { Ok(()) }
}

/// Begins a new epoch: raises the default of the journal's `epoch` column by one and returns it.
/// Needs the owner's connection, and nothing may append meanwhile.
///
/// # Errors
/// When the database does not answer or the connection is not the owner's.
pub async fn rebase(owner: &PgPool) -> Result<i32, JournalError> {
    let mut tx = owner.begin().await?;
    sqlx::query("lock table journal.events in access exclusive mode").execute(&mut *tx).await?;
    let epoch: i32 =
        sqlx::query_scalar("select greatest(journal.epoch(), coalesce(max(epoch), 0)) + 1 from journal.events")
            .fetch_one(&mut *tx)
            .await?;
    // A default takes no parameter; `epoch` is an integer that the database itself just gave.
    sqlx::query(&format!("alter table journal.events alter column epoch set default {epoch}"))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(epoch)
}
