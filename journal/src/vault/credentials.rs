use domain::{CredentialId, UserId};

use super::Vault;
use crate::JournalError;
use crate::connect::once_more;

impl Vault {
    /// Keeps a password hash of an account, and whether it is good only beside a second factor. It opens nothing before the account's history says so; an existing one stays
    /// as it is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_password(
        &self,
        user: UserId,
        credential: CredentialId,
        hash: &str,
        is_weak: bool,
    ) -> Result<(), JournalError> {
        sqlx::query(
            // Nothing is kept of whoever is forgotten meanwhile.
            "insert into vault.credentials (user_id, credential_id, password_hash, is_weak)
             select user_id, $2, $3, $4 from vault.subject_keys where user_id = $1 and wrapped_key is not null for share
             on conflict do nothing",
        )
        .bind(user.as_uuid())
        .bind(credential.as_uuid())
        .bind(hash)
        .bind(is_weak)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Removes the passwords of an account beside the one that opens it, but for what another request may have kept a
    /// moment ago to let it open the account next.
    ///
    /// # Errors
    /// When the database does not answer; what is left over opens nothing.
    pub async fn drop_other_passwords(&self, user: UserId, credential: CredentialId) -> Result<(), JournalError> {
        let others = "delete from vault.credentials
                      where user_id = $1 and credential_id <> $2 and kept_at < now() - interval '1 hour'";
        sqlx::query(others).bind(user.as_uuid()).bind(credential.as_uuid()).execute(self.pool()).await?;
        Ok(())
    }

    /// Whether a password is good only beside a second factor.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_weak(&self, credential: CredentialId) -> Result<bool, JournalError> {
        let is_weak = "select is_weak from vault.credentials where credential_id = $1";
        let is_weak = sqlx::query_scalar(is_weak).bind(credential.as_uuid()).fetch_optional(self.pool()).await?;
        Ok(is_weak.unwrap_or_default())
    }

    /// A password hash.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn password_hash(&self, credential: CredentialId) -> Result<Option<String>, JournalError> {
        let hash = once_more(|| {
            sqlx::query_scalar("select password_hash from vault.credentials where credential_id = $1")
                .bind(credential.as_uuid())
                .fetch_optional(self.pool())
        })
        .await?;
        Ok(hash)
    }
}
