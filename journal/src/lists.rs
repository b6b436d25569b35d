//! How far lists that others keep were compared with the journal.

use chrono::{DateTime, Utc};

use crate::JournalError;
use crate::repository::Journal;

impl Journal {
    /// Until when a list of another's was compared with what is recorded here; nothing where it never was.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn compared_until(&self, list: &str) -> Result<Option<DateTime<Utc>>, JournalError> {
        let until = sqlx::query_scalar("select compared_until from journal.lists where list = $1").bind(list);
        Ok(until.fetch_optional(self.pool()).await?)
    }

    /// Notes until when a list was compared.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_compared(&self, list: &str, until: DateTime<Utc>) -> Result<(), JournalError> {
        sqlx::query(
            "insert into journal.lists as known (list, compared_until) values ($1, $2)
             on conflict (list) do update set compared_until = greatest(known.compared_until, excluded.compared_until)",
        )
        .bind(list)
        .bind(until)
        .execute(self.pool())
        .await?;
        Ok(())
    }
}
