//! Sessions: each has one refresh token at a time, and remembers the one before. A token that comes back later than its
//! successor could have got lost was stolen, so the session ends.
//! <https://www.rfc-editor.org/rfc/rfc9700#section-4.14>

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::UserId;
use uuid::Uuid;

use super::{Vault, interval};
use crate::JournalError;

/// For how long the token before may still be used: an answer may get lost, and two tabs ask at once.
const GRACE: Duration = Duration::from_secs(10);

/// A session with its token as it is kept: the token's hash, never itself.
#[derive(Debug, Clone)]
pub struct OpenSession {
    /// Which; every token of it says so.
    pub family: Uuid,
    /// Whose.
    pub user: UserId,
    /// SHA-256 of its token.
    pub token: [u8; 32],
    /// Until when it may be used.
    pub expires_at: DateTime<Utc>,
}

/// What using a token came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// It was good, and its successor is now.
    Rotated {
        /// Whose it was.
        user: UserId,
    },
    /// It had been used before: its session is ended.
    Reused,
    /// Of no session, or of one that is over.
    Invalid,
}

impl Vault {
    /// Keeps a new session.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_session(&self, session: &OpenSession) -> Result<(), JournalError> {
        sqlx::query(
            "insert into vault.sessions (family, user_id, current, rotated_at, expires_at) values ($1, $2, $3, now(), $4)",
        )
        .bind(session.family)
        .bind(session.user.as_uuid())
        .bind(session.token.as_slice())
        .bind(session.expires_at)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Exchanges a token of a session for its successor; the same again, if that was asked for a moment ago.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rotate_token(
        &self,
        family: Uuid,
        token: [u8; 32],
        next: [u8; 32],
        next_expires_at: DateTime<Utc>,
    ) -> Result<Refreshed, JournalError> {
        let rotate = "update vault.sessions set previous = current, current = $3, rotated_at = now(), expires_at = $4
             where family = $1 and current = $2 and expires_at > now() returning user_id";
        let rotate = sqlx::query_scalar(rotate).bind(family).bind(token.as_slice()).bind(next.as_slice());
        let mut user: Option<Uuid> = rotate.bind(next_expires_at).fetch_optional(self.pool()).await?;
        if user.is_none() {
            let again = "select user_id from vault.sessions where family = $1 and previous = $2 and current = $3
                 and rotated_at > now() - $4 and expires_at > now()";
            let again = sqlx::query_scalar(again).bind(family).bind(token.as_slice()).bind(next.as_slice());
            user = again.bind(interval(GRACE)).fetch_optional(self.pool()).await?;
        }
        if let Some(user) = user {
            return Ok(Refreshed::Rotated { user: UserId::from_uuid(user) });
        }
        Ok(if self.end_session(family).await? { Refreshed::Reused } else { Refreshed::Invalid })
    }

    /// Ends a session; whether there was one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_session(&self, family: Uuid) -> Result<bool, JournalError> {
        let end = sqlx::query("delete from vault.sessions where family = $1").bind(family);
        Ok(end.execute(self.pool()).await?.rows_affected() > 0)
    }
}
