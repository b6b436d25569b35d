//! Sessions: each has one refresh token at a time, and remembers the one before. A token that comes back later than its
//! successor could have got lost was stolen, so the session ends.
//! <https://www.rfc-editor.org/rfc/rfc9700#section-4.14>

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::user::Access;
use domain::{CredentialId, SessionId, UserId};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Vault, interval};
use crate::JournalError;

/// For how long the token before may still be used: an answer may get lost, and two tabs ask at once.
const GRACE: Duration = Duration::from_secs(10);

/// A new session with its token as it is kept: the token's hash, never itself.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Which; every token of it says so.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// How often all of the person's sessions had been ended before.
    pub generation: u32,
    /// Whether it was opened with two factors.
    pub two_factors: bool,
    /// SHA-256 of its token.
    pub token: [u8; 32],
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// Until when the token may be used.
    pub expires_at: DateTime<Utc>,
    /// When it is over, however often it was refreshed.
    pub ends_at: DateTime<Utc>,
    /// From which device, in words.
    pub device: String,
    /// From which network.
    pub network: String,
}

/// A session as its owner sees it.
#[derive(Debug, Clone, FromRow)]
pub struct OpenSession {
    /// Which.
    pub family: Uuid,
    /// From which device, in words.
    pub device: String,
    /// From which network.
    pub network: String,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When it was refreshed last.
    pub rotated_at: DateTime<Utc>,
    /// When it is over.
    pub ends_at: DateTime<Utc>,
}

/// What using a token came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// It was good, and its successor is now.
    Rotated {
        /// Whose it was.
        user: UserId,
        /// Of which generation its session is.
        generation: u32,
        /// The password whose change took it along into the next one.
        kept_by: Option<CredentialId>,
        /// When its session was opened.
        opened_at: DateTime<Utc>,
        /// Whether that took two factors.
        two_factors: bool,
    },
    /// It had been used before: its session is ended.
    Reused,
    /// Of no session, or of one that is over.
    Invalid,
}

#[derive(FromRow)]
struct Rotated {
    user_id: Uuid,
    generation: i32,
    kept_by: Option<Uuid>,
    opened_at: DateTime<Utc>,
    two_factors: bool,
}

impl Vault {
    /// Keeps a new session; none of whoever is forgotten meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_session(&self, session: &NewSession) -> Result<(), JournalError> {
        sqlx::query(
            "insert into vault.sessions (family, user_id, generation, current, rotated_at, opened_at, expires_at, ends_at,
                                         device, network, two_factors)
             select $1, user_id, $3, $4, now(), $5, $6, $7, $8, $9, $10
             from vault.subject_keys where user_id = $2 and wrapped_key is not null for share",
        )
        .bind(session.id.as_uuid())
        .bind(session.user.as_uuid())
        .bind(generation(session.generation))
        .bind(session.token.as_slice())
        .bind(session.opened_at)
        .bind(session.expires_at)
        .bind(session.ends_at)
        .bind(&session.device)
        .bind(&session.network)
        .bind(session.two_factors)
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
        session: SessionId,
        token: [u8; 32],
        next: [u8; 32],
        next_expires_at: DateTime<Utc>,
    ) -> Result<Refreshed, JournalError> {
        let rotate = "update vault.sessions
             set previous = current, current = $3, rotated_at = now(), expires_at = least($4, ends_at)
             where family = $1 and current = $2 and ended_at is null and expires_at > now() + $5
             returning user_id, generation, kept_by, opened_at, two_factors";
        let rotate = sqlx::query_as(rotate).bind(session.as_uuid()).bind(token.as_slice()).bind(next.as_slice());
        let rotate = rotate.bind(next_expires_at).bind(self.ahead());
        let mut rotated: Option<Rotated> = rotate.fetch_optional(self.pool()).await?;
        if rotated.is_none() {
            let again = "select user_id, generation, kept_by, opened_at, two_factors from vault.sessions
                 where family = $1 and previous = $2 and current = $3 and rotated_at > now() - $4
                   and ended_at is null and expires_at > now() + $5";
            let again = sqlx::query_as(again).bind(session.as_uuid()).bind(token.as_slice()).bind(next.as_slice());
            rotated = again.bind(interval(GRACE)).bind(self.ahead()).fetch_optional(self.pool()).await?;
        }
        if let Some(Rotated { user_id, generation, kept_by, opened_at, two_factors }) = rotated {
            let (user, kept_by) = (UserId::from_uuid(user_id), kept_by.map(CredentialId::from_uuid));
            let generation = generation.unsigned_abs();
            return Ok(Refreshed::Rotated { user, generation, kept_by, opened_at, two_factors });
        }
        let end = "update vault.sessions set ended_at = now()
                   where family = $1 and ended_at is null and expires_at > now() + $2";
        let end = sqlx::query(end).bind(session.as_uuid()).bind(self.ahead());
        let was_open = end.execute(self.pool()).await?.rows_affected() > 0;
        Ok(if was_open { Refreshed::Reused } else { Refreshed::Invalid })
    }

    /// Ends a session; whether there was one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_session(&self, session: SessionId) -> Result<bool, JournalError> {
        let end = "update vault.sessions set ended_at = now() where family = $1 and ended_at is null";
        Ok(sqlx::query(end).bind(session.as_uuid()).execute(self.pool()).await?.rows_affected() > 0)
    }

    /// Ends a session of somebody; whether they had it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_session_of(&self, user: UserId, session: SessionId) -> Result<bool, JournalError> {
        let end = "update vault.sessions set ended_at = now() where user_id = $1 and family = $2 and ended_at is null";
        let end = sqlx::query(end).bind(user.as_uuid()).bind(session.as_uuid());
        Ok(end.execute(self.pool()).await?.rows_affected() > 0)
    }

    /// Where a session was opened: its device and network, in words; nothing once it is over for long.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn place_of(&self, session: SessionId) -> Result<Option<(String, String)>, JournalError> {
        let find = sqlx::query_as("select device, network from vault.sessions where family = $1");
        Ok(find.bind(session.as_uuid()).fetch_optional(self.pool()).await?)
    }

    /// Notes that a session goes on into the next generation, should a password come to count.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_session(&self, session: SessionId, by: CredentialId) -> Result<(), JournalError> {
        let keep = "update vault.sessions set kept_by = $2 where family = $1";
        sqlx::query(keep).bind(session.as_uuid()).bind(by.as_uuid()).execute(self.pool()).await?;
        Ok(())
    }

    /// The open sessions of somebody, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_sessions(
        &self,
        user: UserId,
        access: Access,
        limit: i64,
    ) -> Result<Vec<OpenSession>, JournalError> {
        let sessions = "select family, device, network, opened_at, rotated_at, ends_at from vault.sessions
                        where user_id = $1 and (generation = $2 or (generation = $2 - 1 and kept_by = $5))
                          and ended_at is null and expires_at > now() + $4
                        order by opened_at desc, family limit $3";
        let sessions = sqlx::query_as(sessions).bind(user.as_uuid()).bind(generation(access.generation)).bind(limit);
        let sessions = sessions.bind(self.ahead()).bind(access.credential.map(CredentialId::as_uuid));
        Ok(sessions.fetch_all(self.pool()).await?)
    }
}

/// Nobody is logged out two billion times.
fn generation(generation: u32) -> i32 {
    i32::try_from(generation).unwrap_or(i32::MAX)
}
