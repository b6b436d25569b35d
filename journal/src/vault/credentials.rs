use domain::UserId;

use super::Vault;
use crate::JournalError;
use crate::connect::once_more;

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

    /// Puts another password in the place of an account's, and ends its sessions.
    ///
    /// # Errors
    /// When the database does not answer; nothing is changed then.
    pub async fn replace_password(&self, user: UserId, hash: &str) -> Result<(), JournalError> {
        let mut tx = self.pool().begin().await?;
        sqlx::query(
            "insert into vault.credentials (user_id, password_hash) values ($1, $2)
             on conflict (user_id) do update set password_hash = excluded.password_hash",
        )
        .bind(user.as_uuid())
        .bind(hash)
        .execute(&mut *tx)
        .await?;
        sqlx::query("delete from vault.sessions where user_id = $1").bind(user.as_uuid()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The password hash of an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn password_hash(&self, user: UserId) -> Result<Option<String>, JournalError> {
        let hash = once_more(|| {
            sqlx::query_scalar("select password_hash from vault.credentials where user_id = $1")
                .bind(user.as_uuid())
                .fetch_optional(self.pool())
        })
        .await?;
        Ok(hash)
    }
}
