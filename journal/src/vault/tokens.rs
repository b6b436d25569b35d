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
    /// It was good and is used up; its successor is kept.
    Rotated {
        /// Whose it was.
        user: UserId,
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

    /// Exchanges a token for its successor, in one statement: whoever revokes the family meets both or neither.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rotate_token(
        &self,
        hash: [u8; 32],
        next: [u8; 32],
        next_expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Refreshed, JournalError> {
        let rotated = sqlx::query(
            "with used as (
               update vault.refresh_tokens set used_at = $4
               where token_hash = $1 and used_at is null and expires_at > $4 returning user_id, family
             )
             insert into vault.refresh_tokens (token_hash, family, user_id, expires_at)
             select $2, family, user_id, $3 from used returning user_id",
        )
        .bind(hash.as_slice())
        .bind(next.as_slice())
        .bind(next_expires_at)
        .bind(now)
        .fetch_optional(self.pool())
        .await?;
        if let Some(row) = rotated {
            return Ok(Refreshed::Rotated { user: UserId::from_uuid(row.try_get("user_id")?) });
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
