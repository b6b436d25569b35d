//! Sessions: a login opens a family of refresh tokens, each used once. A token names its family, and its successor
//! follows from it, so that whoever asks twice is given the same.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use domain::user::User;
use domain::{Email, Role, UserId};
use journal::vault::{OpenSession, Refreshed};
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
    /// When a session ends that is not refreshed before.
    fn expiry(&self) -> DateTime<Utc> {
        let now = self.clock.now();
        now.checked_add_signed(Duration::days(REFRESH_DAYS)).unwrap_or(now)
    }

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
                let token = Token::new();
                let session =
                    OpenSession { family: token.family, user, token: token.hash(), expires_at: self.expiry() };
                self.vault.open_session(&session).await?;
                self.session(user, &token).await?.ok_or(SessionError::WrongCredentials)
            }
            None => Err(SessionError::WrongCredentials),
        }
    }

    /// Opens the next session of a family; the token is used up, but for a few seconds in which it opens the same again.
    ///
    /// # Errors
    /// [`SessionError::InvalidToken`]; a token that was used before ends its whole family.
    pub async fn refresh(&self, token: &str) -> Result<Session, SessionError> {
        let token = Token::parse(token).ok_or(SessionError::InvalidToken)?;
        let next = Token { family: token.family, secret: self.vault.keyed_hash("next refresh token", &token.bytes()) };
        match self.vault.rotate_token(token.family, token.hash(), next.hash(), self.expiry()).await? {
            Refreshed::Rotated { user } => self.session(user, &next).await?.ok_or(SessionError::InvalidToken),
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
        if let Some(token) = Token::parse(token) {
            self.vault.end_session(token.family).await?;
        }
        Ok(())
    }

    async fn session(&self, user: UserId, token: &Token) -> Result<Option<Session>, CommandError> {
        let User::Active { role, .. } = self.load::<User>(user.as_uuid()).await?.aggregate else { return Ok(None) };
        Ok(Some(Session { user, role, refresh_token: token.to_string() }))
    }
}

/// A refresh token: `<family>.<secret>`.
struct Token {
    family: Uuid,
    secret: [u8; 32],
}

impl Token {
    /// The first of a new family.
    fn new() -> Self {
        let (mut family, mut secret) = ([0; 16], [0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut family);
        rand::rngs::OsRng.fill_bytes(&mut secret);
        Self { family: uuid::Builder::from_random_bytes(family).into_uuid(), secret }
    }

    fn parse(text: &str) -> Option<Self> {
        let (family, secret) = text.split_once('.')?;
        let secret = BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?;
        Some(Self { family: Uuid::try_parse(family).ok()?, secret: secret.try_into().ok()? })
    }

    fn bytes(&self) -> Vec<u8> {
        [self.family.as_bytes().as_slice(), &self.secret].concat()
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.bytes()).into()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.family.simple(), BASE64_URL_SAFE_NO_PAD.encode(self.secret))
    }
}
