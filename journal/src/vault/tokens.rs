//! Refresh tokens: used once each. A token that comes back after it was used was stolen, so its whole family goes.

use chrono::{DateTime, Utc};
use domain::UserId;
use sqlx::Row;
use uuid::Uuid;

use super::Vault;
use crate::JournalError;

/// A refresh token as it is kept: its hash, never itself.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// All tokens that came from one login.
    pub family: Uuid,
    /// Whose.
    pub user: UserId,
    /// Until when it may be used.
    pub expires_at: DateTime<Utc>,
}

/// What using a token came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// It was good, and is used up now.
    Used {
        /// Whose it was.
        user: UserId,
        /// Its family, for the next one.
        family: Uuid,
    },
    /// It had been used before: its family is revoked.
    Reused,
    /// Unknown, revoked or expired.
    Invalid,
}

impl Vault {
    /// Keeps a new token.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_token(&self, token: &RefreshToken) -> Result<(), JournalError> {
        sqlx::query(
            "insert into vault.refresh_tokens (token_hash, family, user_id, expires_at) values ($1, $2, $3, $4)",
        )
        .bind(token.hash.as_slice())
        .bind(token.family)
        .bind(token.user.as_uuid())
        .bind(token.expires_at)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Uses a token up.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_token(&self, hash: [u8; 32], now: DateTime<Utc>) -> Result<Refreshed, JournalError> {
        let fresh = sqlx::query(
            "update vault.refresh_tokens set used_at = $2
             where token_hash = $1 and used_at is null and expires_at > $2 returning user_id, family",
        )
        .bind(hash.as_slice())
        .bind(now)
        .fetch_optional(self.pool())
        .await?;
        if let Some(row) = fresh {
            let user = UserId::from_uuid(row.try_get("user_id")?);
            return Ok(Refreshed::Used { user, family: row.try_get("family")? });
        }
        let revoked = self.revoke(hash, "and used_at is not null").await?;
        Ok(if revoked { Refreshed::Reused } else { Refreshed::Invalid })
    }

    /// Ends the session that a token belongs to.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_token(&self, hash: [u8; 32]) -> Result<(), JournalError> {
        self.revoke(hash, "").await.map(drop)
    }

    async fn revoke(&self, hash: [u8; 32], only: &'static str) -> Result<bool, JournalError> {
        let query = format!(
            "delete from vault.refresh_tokens where family in
               (select family from vault.refresh_tokens where token_hash = $1 {only})"
        );
        let done = sqlx::query(&query).bind(hash.as_slice()).execute(self.pool()).await?;
        Ok(done.rows_affected() > 0)
    }
}
