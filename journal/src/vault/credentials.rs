use domain::UserId;

use super::Vault;
use crate::JournalError;

impl Vault {
    /// Keeps the password hash of a new account; an existing one stays as it is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_password(&self, user: UserId, hash: &str) -> Result<(), JournalError> {
        sqlx::query("insert into vault.credentials (user_id, password_hash) values ($1, $2) on conflict do nothing")
            .bind(user.as_uuid())
            .bind(hash)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// The password hash of an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn password_hash(&self, user: UserId) -> Result<Option<String>, JournalError> {
        let hash = sqlx::query_scalar("select password_hash from vault.credentials where user_id = $1")
            .bind(user.as_uuid())
            .fetch_optional(self.pool())
            .await?;
        Ok(hash)
    }
}
