use chrono::{DateTime, Utc};
use domain::{ApiKeyId, UserId};
use sqlx::FromRow;
use uuid::Uuid;

use super::Vault;
use crate::JournalError;

/// What its owner sees of a key beside what the history says.
#[derive(Clone)]
pub struct KeptKey {
    /// Which.
    pub id: ApiKeyId,
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// When it was used last, to the minute.
    pub used_at: Option<DateTime<Utc>>,
}

/// A key that was shown, as the vault knows it.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct ShownKey {
    /// Whose.
    pub user_id: Uuid,
    /// Whether it was made in a session of two factors.
    pub two_factors: bool,
}

#[derive(FromRow)]
struct Row {
    key_id: Uuid,
    sealed: Vec<u8>,
    made_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
}

impl Vault {
    /// Keeps a key as a hash; it opens nothing before the account's history says so. Nothing is kept of whoever is forgotten
    /// meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_api_key(
        &self,
        user: UserId,
        id: ApiKeyId,
        (name, token): (&str, [u8; 32]),
        two_factors: bool,
    ) -> Result<(), JournalError> {
        let Some(key) = self.subject(user).await? else { return Ok(()) };
        let keep = "insert into vault.api_keys (key_id, user_id, token_hash, sealed, two_factors, made_at)
             select $2, user_id, $3, $4, $5, $6 from vault.subject_keys
             where user_id = $1 and wrapped_key is not null for share
             on conflict do nothing";
        let keep = sqlx::query(keep).bind(user.as_uuid()).bind(id.as_uuid()).bind(token.as_slice());
        let keep = keep.bind(key.seal_bytes(id.as_uuid(), name.as_bytes())?).bind(two_factors).bind(self.clock.now());
        keep.execute(self.pool()).await?;
        Ok(())
    }

    /// The keys of somebody; some of them may not count.
    ///
    /// # Errors
    /// When the database does not answer, or a name does not open.
    pub async fn api_keys(&self, user: UserId) -> Result<Vec<KeptKey>, JournalError> {
        let Some(key) = self.subject(user).await? else { return Ok(vec![]) };
        let all = "select key_id, sealed, made_at, used_at from vault.api_keys where user_id = $1";
        let rows: Vec<Row> = sqlx::query_as(all).bind(user.as_uuid()).fetch_all(self.pool()).await?;
        let open = |Row { key_id, sealed, made_at, used_at }| {
            let name = String::from_utf8_lossy(&key.open_bytes(key_id, &sealed)?).into_owned();
            Ok(KeptKey { id: ApiKeyId::from_uuid(key_id), name, made_at, used_at })
        };
        rows.into_iter().map(open).collect()
    }

    /// What is known of a key that somebody shows, by the hash of what proves it; notes its use once a minute.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_api_key(&self, id: ApiKeyId, token: [u8; 32]) -> Result<Option<ShownKey>, JournalError> {
        let find = "select user_id, two_factors from vault.api_keys where key_id = $1 and token_hash = $2";
        let find = sqlx::query_as(find).bind(id.as_uuid()).bind(token.as_slice());
        let shown = find.fetch_optional(self.pool()).await?;
        if shown.is_some() {
            let note = "update vault.api_keys set used_at = $2
                        where key_id = $1 and (used_at is null or used_at < $2 - interval '1 minute')";
            sqlx::query(note).bind(id.as_uuid()).bind(self.clock.now()).execute(self.pool()).await?;
        }
        Ok(shown)
    }

    /// Removes what was kept of a key.
    ///
    /// # Errors
    /// When the database does not answer; what is left over opens nothing.
    pub async fn drop_api_key(&self, id: ApiKeyId) -> Result<(), JournalError> {
        sqlx::query("delete from vault.api_keys where key_id = $1").bind(id.as_uuid()).execute(self.pool()).await?;
        Ok(())
    }
}
