//! What proves that somebody holds an authenticator, sealed by their key. The account's history says which of them counts.

use chrono::{DateTime, Utc};
use domain::{AuthenticatorId, UserId};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

use super::Vault;
use crate::connect::once_more;
use crate::{JournalError, is_violation};

/// How many wrong codes in a row an app survives.
/// <https://pages.nist.gov/800-63-4/sp800-63b.html#throttle>
const MOST_FAILURES: i32 = 100;
const UNIQUE_VIOLATION: &str = "23505";

/// What is sealed of an authenticator.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeptAuthenticator {
    /// What its holder calls it.
    pub name: String,
    /// A passkey as its library writes it, or the secret of an app.
    pub secret: Vec<u8>,
}

/// An authenticator of somebody.
#[derive(Clone)]
pub struct HeldAuthenticator {
    /// Which.
    pub id: AuthenticatorId,
    /// What is known of it.
    pub kept: KeptAuthenticator,
    /// When it was added.
    pub added_at: DateTime<Utc>,
    /// When it was used last.
    pub used_at: Option<DateTime<Utc>>,
    /// Whether too many wrong codes were tried for it to count any more.
    pub is_worn_out: bool,
}

#[derive(FromRow)]
struct Row {
    authenticator_id: Uuid,
    sealed: Vec<u8>,
    added_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
    failures: i32,
}

impl Vault {
    /// Keeps an authenticator; it opens nothing before the account's history says so. `credential` is the id of a passkey.
    /// Whether it is kept: it is not where another account has the same, or its owner was forgotten.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_authenticator(
        &self,
        user: UserId,
        id: AuthenticatorId,
        kept: &KeptAuthenticator,
        credential: Option<&[u8]>,
    ) -> Result<bool, JournalError> {
        let Some(key) = self.subject(user).await? else { return Ok(false) };
        let sealed = key.seal_bytes(id.as_uuid(), &serde_json::to_vec(kept).unwrap_or_default())?;
        let keep = sqlx::query(
            "insert into vault.authenticators (authenticator_id, user_id, credential_hash, sealed, added_at)
             select $2, user_id, $3, $4, $5 from vault.subject_keys
             where user_id = $1 and wrapped_key is not null for share",
        );
        let keep = keep.bind(user.as_uuid()).bind(id.as_uuid()).bind(credential.map(|id| self.credential_hash(id)));
        match keep.bind(sealed).bind(self.clock.now()).execute(self.pool()).await {
            Err(error) if is_violation(&error, UNIQUE_VIOLATION) => Ok(false),
            kept => Ok(kept?.rows_affected() > 0),
        }
    }

    fn credential_hash(&self, credential: &[u8]) -> Vec<u8> {
        self.keyed_hash("passkey", credential).to_vec()
    }

    /// What somebody holds; some of it may not count.
    ///
    /// # Errors
    /// When the database does not answer, or something does not open.
    pub async fn authenticators(&self, user: UserId) -> Result<Vec<HeldAuthenticator>, JournalError> {
        let Some(key) = self.subject(user).await? else { return Ok(vec![]) };
        let all = "select authenticator_id, sealed, added_at, used_at, failures from vault.authenticators
                   where user_id = $1 order by added_at, authenticator_id";
        let rows: Vec<Row> = once_more(|| sqlx::query_as(all).bind(user.as_uuid()).fetch_all(self.pool())).await?;
        let open = |Row { authenticator_id, sealed, added_at, used_at, failures }| {
            let kept = key.open_bytes(authenticator_id, &sealed)?;
            let kept = serde_json::from_slice(&kept).map_err(|_| JournalError::Sealed("not an authenticator"))?;
            let (id, is_worn_out) = (AuthenticatorId::from_uuid(authenticator_id), failures >= MOST_FAILURES);
            Ok(HeldAuthenticator { id, kept, added_at, used_at, is_worn_out })
        };
        rows.into_iter().map(open).collect()
    }

    /// Which authenticator of somebody a passkey's id means.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn passkey(&self, user: UserId, credential: &[u8]) -> Result<Option<AuthenticatorId>, JournalError> {
        let find = "select authenticator_id from vault.authenticators where user_id = $1 and credential_hash = $2";
        let find = sqlx::query_scalar(find).bind(user.as_uuid()).bind(self.credential_hash(credential));
        let found: Option<Uuid> = find.fetch_optional(self.pool()).await?;
        Ok(found.map(AuthenticatorId::from_uuid))
    }

    /// Notes that a passkey was used, and how it is now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn passkey_used(&self, user: UserId, used: &HeldAuthenticator) -> Result<(), JournalError> {
        let Some(key) = self.subject(user).await? else { return Ok(()) };
        let sealed = key.seal_bytes(used.id.as_uuid(), &serde_json::to_vec(&used.kept).unwrap_or_default())?;
        let note = "update vault.authenticators set sealed = $2, used_at = $3 where authenticator_id = $1";
        let note = sqlx::query(note).bind(used.id.as_uuid()).bind(sealed).bind(self.clock.now());
        note.execute(self.pool()).await?;
        Ok(())
    }

    /// Accepts a code of an app where none of its half minute or a later one was accepted before; whether it was.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn accept_code(&self, app: AuthenticatorId, step: Option<u64>) -> Result<bool, JournalError> {
        let step = step.map(|step| i64::try_from(step).unwrap_or(i64::MAX));
        let accept = "update vault.authenticators
             set used_at = case when last_step < $2 then $4 else used_at end,
                 failures = case when last_step < $2 then 0 else failures + 1 end,
                 last_step = greatest(last_step, $2)
             where authenticator_id = $1 and failures < $3
             returning failures = 0 and last_step = $2";
        let accept = sqlx::query_scalar(accept).bind(app.as_uuid()).bind(step).bind(MOST_FAILURES);
        let accepted: Option<Option<bool>> = accept.bind(self.clock.now()).fetch_optional(self.pool()).await?;
        Ok(accepted.flatten().unwrap_or_default())
    }

    /// Removes what was kept of authenticators.
    ///
    /// # Errors
    /// When the database does not answer; what is left over opens nothing.
    pub async fn drop_authenticators(&self, gone: &[AuthenticatorId]) -> Result<(), JournalError> {
        let gone: Vec<Uuid> = gone.iter().map(|id| id.as_uuid()).collect();
        for table in ["authenticators", "recovery_codes"] {
            let delete = format!("delete from vault.{table} where authenticator_id = any($1)");
            sqlx::query(&delete).bind(&gone).execute(self.pool()).await?;
        }
        Ok(())
    }
}
