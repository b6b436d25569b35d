//! What was signed of the journal, and by which keys.

use domain::tree_head::SignedHead;
use sqlx::types::Json;

use crate::JournalError;
use crate::connect::once_more;
use crate::repository::Journal;

impl Journal {
    /// The tree head of the most events; nothing before the first. Whether its signature is good, is not looked at.
    ///
    /// # Errors
    /// When the database does not answer, or the event is of a form that this program cannot read.
    pub async fn newest_head(&self) -> Result<Option<SignedHead>, JournalError> {
        let query = "select payload from journal.events where aggregate_type = 'treehead'
                     order by (payload->>'size')::bigint desc limit 1";
        let newest = once_more(|| sqlx::query_scalar::<_, Json<SignedHead>>(query).fetch_optional(self.pool())).await?;
        Ok(newest.map(|Json(head)| head))
    }

    /// Publishes a key that tree heads are signed with. A key stays published: what it has signed is believed by it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn publish_head_key(&self, public: &str) -> Result<(), JournalError> {
        let insert = "insert into journal.head_keys (public_key) values ($1) on conflict do nothing";
        once_more(|| sqlx::query(insert).bind(public).execute(self.pool())).await?;
        Ok(())
    }

    /// Every key that tree heads were ever signed with, the oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn head_keys(&self) -> Result<Vec<String>, JournalError> {
        let query = "select public_key from journal.head_keys order by published_at, public_key";
        Ok(once_more(|| sqlx::query_scalar(query).fetch_all(self.pool())).await?)
    }
}
