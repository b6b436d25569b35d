//! How far each reader of the mirror has got: the server knows, until the mirror is built anew.

use std::collections::HashMap;

use crate::JournalError;
use crate::connect::once_more;
use crate::repository::Journal;

impl Journal {
    /// Notes how far readers have got, each by its name; nobody is ever put back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_progress(&self, progress: &HashMap<String, u64>) -> Result<(), JournalError> {
        let sequence = |sequence: &u64| i64::try_from(*sequence).unwrap_or(i64::MAX);
        sqlx::query(
            "insert into journal.consumers as known (name, sequence) select * from unnest($1::text[], $2::bigint[])
             on conflict (name) do update set sequence = excluded.sequence where known.sequence < excluded.sequence",
        )
        .bind(progress.keys().collect::<Vec<_>>())
        .bind(progress.values().map(sequence).collect::<Vec<_>>())
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// How far readers had got when it was last noted, by their names.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn progress(&self) -> Result<HashMap<String, u64>, JournalError> {
        let rows: Vec<(String, i64)> =
            once_more(|| sqlx::query_as("select name, sequence from journal.consumers").fetch_all(self.pool())).await?;
        Ok(rows.into_iter().map(|(name, sequence)| (name, sequence.unsigned_abs())).collect())
    }
}
