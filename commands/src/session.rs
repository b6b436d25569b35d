//! Sessions: a login opens a family of refresh tokens, each used once.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use domain::user::User;
use domain::{Email, Role, UserId};
use journal::clock;
use journal::vault::{RefreshToken, Refreshed};
use rand::RngCore;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::Commands;
use crate::error::CommandError;

/// How long a session lasts without being refreshed.
const REFRESH_DAYS: i64 = 30;

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub struct Session {
    /// Who.
    pub user: UserId,
    /// What they may do, by the journal.
    pub role: Role,
    /// What opens the next session; shown once.
    pub refresh_token: String,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Unknown account or wrong password; which of both is not said.
    #[error("e-mail address or password is wrong")]
    WrongCredentials,
    /// The refresh token is unknown, expired or was used before.
    #[error("the refresh token is not valid")]
    InvalidToken,
    /// Something was in the way.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl From<journal::JournalError> for SessionError {
    fn from(error: journal::JournalError) -> Self {
        Self::Command(error.into())
    }
}

impl Commands {
    /// Logs somebody in.
    ///
    /// # Errors
    /// [`SessionError::WrongCredentials`], after the same time whether there is such an account or not.
    pub async fn log_in(&self, email: &Email, password: SecretString) -> Result<Session, SessionError> {
        let user = self.journal.holder(&self.vault.email_claim(email)).await?.map(UserId::from_uuid);
        let hash = match user {
            Some(user) => self.vault.password_hash(user).await?,
            None => None,
        };
        let known = self.hasher.verify(password, hash).await;
        match user.filter(|_| known) {
            Some(user) => {
                let (refresh_token, hash, expires_at) = new_token();
                let token = RefreshToken { hash, family: clock::new_id(), user, expires_at };
                self.vault.keep_token(&token).await?;
                self.session(user, refresh_token).await?.ok_or(SessionError::WrongCredentials)
            }
            None => Err(SessionError::WrongCredentials),
        }
    }

    /// Opens the next session of a family; the token is used up.
    ///
    /// # Errors
    /// [`SessionError::InvalidToken`]; a token that was used before ends its whole family.
    pub async fn refresh(&self, token: &str) -> Result<Session, SessionError> {
        let (refresh_token, next, expires_at) = new_token();
        match self.vault.rotate_token(hash(token), next, expires_at, clock::now()).await? {
            Refreshed::Rotated { user } => self.session(user, refresh_token).await?.ok_or(SessionError::InvalidToken),
            Refreshed::Reused => {
                tracing::warn!("A refresh token came back after it was used; its session is ended");
                Err(SessionError::InvalidToken)
            }
            Refreshed::Invalid => Err(SessionError::InvalidToken),
        }
    }

    /// Ends the session that a token belongs to; an unknown token changes nothing.
    ///
    /// # Errors
    /// When the vault does not answer.
    pub async fn log_out(&self, token: &str) -> Result<(), CommandError> {
        Ok(self.vault.revoke_token(hash(token)).await?)
    }

    async fn session(&self, user: UserId, refresh_token: String) -> Result<Option<Session>, CommandError> {
        let User::Active { role, .. } = self.load::<User>(user.as_uuid()).await?.aggregate else { return Ok(None) };
        Ok(Some(Session { user, role, refresh_token }))
    }
}

/// A token, its hash, and until when it may be used.
fn new_token() -> (String, [u8; 32], DateTime<Utc>) {
    let mut bytes = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let (hash, now) = (hash(&token), clock::now());
    (token, hash, now.checked_add_signed(Duration::days(REFRESH_DAYS)).unwrap_or(now))
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
