//! Sessions: a login opens a family of refresh tokens, each used once.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Duration;
use domain::user::User;
use domain::{Email, Role, UserId};
use journal::clock;
use journal::vault::{RefreshToken, Refreshed};
use rand::RngCore;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use uuid::Uuid;

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
        let user = self.journal.holder(&self.email_claim(email)).await?.map(UserId::from_uuid);
        let hash = match user {
            Some(user) => self.vault.password_hash(user).await?,
            None => None,
        };
        let known = self.hasher.verify(password, hash).await;
        match user.filter(|_| known) {
            Some(user) => self.session(user, clock::new_id()).await?.ok_or(SessionError::WrongCredentials),
            None => Err(SessionError::WrongCredentials),
        }
    }

    /// Opens the next session of a family; the token is used up.
    ///
    /// # Errors
    /// [`SessionError::InvalidToken`]; a token that was used before ends its whole family.
    pub async fn refresh(&self, token: &str) -> Result<Session, SessionError> {
        match self.vault.use_token(hash(token), clock::now()).await? {
            Refreshed::Used { user, family } => self.session(user, family).await?.ok_or(SessionError::InvalidToken),
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

    async fn session(&self, user: UserId, family: Uuid) -> Result<Option<Session>, CommandError> {
        let User::Active { role, .. } = self.load::<User>(user.as_uuid()).await?.aggregate else { return Ok(None) };
        let mut bytes = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut bytes);
        let refresh_token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let now = clock::now();
        let expires_at = now.checked_add_signed(Duration::days(REFRESH_DAYS)).unwrap_or(now);
        self.vault.keep_token(&RefreshToken { hash: hash(&refresh_token), family, user, expires_at }).await?;
        Ok(Some(Session { user, role, refresh_token }))
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
