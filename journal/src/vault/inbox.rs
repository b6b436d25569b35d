//! The webhook inbox: a delivery is safe once its row is written; the webhook function works the rows off.

use std::time::Duration;

use serde_json::Value;
use sqlx::Row;

use super::{Vault, interval};
use crate::JournalError;

/// A delivery of the PSP that waits for its turn.
#[derive(Debug, Clone)]
pub struct InboxEntry {
    /// The PSP's id of the event.
    pub event_id: String,
    /// Such as `payment_intent.succeeded`.
    pub kind: String,
    /// The ids in the event, in its own shape.
    pub payload: Value,
    /// How often it was tried, this time included.
    pub attempts: i32,
}

impl Vault {
    /// Keeps a delivery, of which `payload` may hold ids and nothing else. Returns whether it is new; a duplicate changes nothing.
    ///
    /// # Errors
    /// When the row could not be written: the PSP must deliver again.
    pub async fn keep_delivery(&self, event_id: &str, kind: &str, payload: &Value) -> Result<bool, JournalError> {
        let done = sqlx::query(
            "insert into vault.webhook_inbox (event_id, kind, payload) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(event_id)
        .bind(kind)
        .bind(payload)
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Takes the next deliveries that are due, at most `limit`; nobody else gets them during `lease`, unless the database
    /// crashes at once.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_deliveries(&self, lease: Duration, limit: i64) -> Result<Vec<InboxEntry>, JournalError> {
        let rows = sqlx::query(
            "with due as materialized (select event_id from vault.webhook_inbox
                                       where handled_at is null and due_at <= now() + $2
                                       order by due_at limit $3 for update skip locked)
             update vault.webhook_inbox as inbox set attempts = attempts + 1, due_at = now() + $2 + $1
             from due, set_config('synchronous_commit', 'off', true) where inbox.event_id = due.event_id
             returning inbox.event_id, kind, payload, attempts",
        )
        .bind(interval(lease))
        .bind(self.ahead())
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        let entry = |row: &sqlx::postgres::PgRow| {
            Ok(InboxEntry {
                event_id: row.try_get("event_id")?,
                kind: row.try_get("kind")?,
                payload: row.try_get("payload")?,
                attempts: row.try_get("attempts")?,
            })
        };
        rows.iter().map(entry).collect()
    }

    /// Marks deliveries as handled. A crash of the database may bring some back; they change nothing then.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn deliveries_handled(&self, event_ids: &[&str]) -> Result<(), JournalError> {
        sqlx::query(
            "update vault.webhook_inbox set handled_at = now(), last_error = null
             from set_config('synchronous_commit', 'off', true) where event_id = any($1)",
        )
        .bind(event_ids)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Puts a delivery back until `wait` is over, with what went wrong.
    ///
    /// # Errors
    /// When the database does not answer; it comes back after its lease all the same.
    pub async fn delivery_failed(&self, event_id: &str, error: &str, wait: Duration) -> Result<(), JournalError> {
        sqlx::query("update vault.webhook_inbox set last_error = $2, due_at = now() + $4 + $3 where event_id = $1")
            .bind(event_id)
            .bind(error)
            .bind(interval(wait))
            .bind(self.ahead())
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// How many deliveries wait.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn deliveries_waiting(&self) -> Result<i64, JournalError> {
        let waiting = sqlx::query_scalar("select count(*) from vault.webhook_inbox where handled_at is null")
            .fetch_one(self.pool())
            .await?;
        Ok(waiting)
    }
}
