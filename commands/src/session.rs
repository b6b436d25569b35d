//! Sessions: a login opens one, with refresh tokens that are used once each. A token names its session, and its successor
//! follows from it, so that whoever asks twice is given the same.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::user::{Access, Confirmation, User, UserCommand};
use domain::{Email, Role, SessionId, UserId};
use journal::Vault;
use journal::vault::{NewSession, OpenSession, Refreshed};
use rand::RngCore;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Commands;
use crate::actor::{Actor, Assurance, Context};
use crate::error::CommandError;
use crate::executor::Receipt;

/// How long a session lasts without being refreshed, and how long at most.
/// <https://pages.nist.gov/800-63-4/sp800-63b.html#AAL_SEC4>
const IDLE: TimeDelta = TimeDelta::days(14);
const LONGEST: TimeDelta = TimeDelta::days(30);
/// How many sessions are listed.
const LISTED: i64 = 100;

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Who.
    pub user: UserId,
    /// What they may do, by the journal.
    pub role: Role,
    /// How often all of their sessions were ended before.
    pub generation: u32,
    /// When they proved who they are.
    pub proven_at: DateTime<Utc>,
    /// How well.
    pub assurance: Assurance,
    /// What opens the next session; shown once.
    pub refresh_token: String,
}

/// Where somebody logs in.
#[derive(Debug, Clone)]
pub struct Place {
    /// The device, in words.
    pub device: String,
    /// The network.
    pub network: String,
    /// Whether the device has shown that it has logged in to the account before.
    pub is_known: bool,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Unknown account or wrong password; which of both is not said.
    #[error("e-mail address or password is wrong")]
    WrongCredentials,
    /// The password is right, and not enough.
    #[error(
        "this account needs a second factor: send a code of its app or a recovery code as `code`, or use its passkey"
    )]
    SecondFactorNeeded,
    /// The code is wrong, or was used before.
    #[error("this code is wrong or was used before")]
    WrongCode,
    /// The passkey is unknown, or did not answer what it was asked.
    #[error("this passkey does not open an account here")]
    PasskeyRefused,
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
    /// Logs somebody in: with their password, and a code where something guards it.
    ///
    /// # Errors
    /// [`SessionError::WrongCredentials`], after the same time whether there is such an account or not;
    /// [`SessionError::SecondFactorNeeded`] or [`SessionError::WrongCode`] to whoever knows the password.
    pub async fn log_in(
        &self,
        email: &Email,
        (password, code): (SecretString, Option<&str>),
        place: &Place,
    ) -> Result<Session, SessionError> {
        let holder = self.journal.holder(&self.vault.email_claim(email)).await?;
        // Nobody's history is read, and nobody's password is tried, as anybody's would be.
        let user = UserId::from_uuid(holder.unwrap_or_default());
        let account = self.load::<User>(user.as_uuid()).await?.aggregate;
        let hash = self.vault.password_hash(account.credential(user)).await?;
        let known = self.hasher.verify(password, hash).await;
        // That took a while: what counts is how the account is now.
        let now = self.load::<User>(user.as_uuid()).await?.aggregate;
        let is_same = now.credential(user) == account.credential(user);
        // Whoever could tell an account that is not open yet from a wrong password knew that it was free to register.
        let User::Active { authenticators, .. } = &now else { return Err(SessionError::WrongCredentials) };
        if !known || !is_same || self.is_closed(&now) {
            return Err(SessionError::WrongCredentials);
        }
        let assurance = if authenticators.has_second_factor() {
            let code = code.ok_or(SessionError::SecondFactorNeeded)?;
            self.accept_code(user, authenticators, code).await?.then_some(()).ok_or(SessionError::WrongCode)?;
            Assurance::TwoFactors
        } else {
            Assurance::OneFactor
        };
        self.open_session(user, &now, assurance, place).await
    }

    /// Whether an account opens only once its address is confirmed.
    fn is_closed(&self, account: &User) -> bool {
        let is_awaited =
            matches!(account, User::Active { mailbox, .. } if mailbox.confirmation == Confirmation::Awaited);
        is_awaited && self.requires_confirmation()
    }

    /// Opens a session of somebody who has proven who they are.
    pub(crate) async fn open_session(
        &self,
        user: UserId,
        account: &User,
        assurance: Assurance,
        place: &Place,
    ) -> Result<Session, SessionError> {
        let User::Active { role, access, .. } = account else { return Err(SessionError::WrongCredentials) };
        if self.is_closed(account) {
            return Err(SessionError::WrongCredentials);
        }
        let (token, now) = (Token::new(&self.vault), self.clock.now());
        let session = Session {
            id: token.session,
            user,
            role: *role,
            generation: access.generation,
            proven_at: now,
            assurance,
            refresh_token: token.to_string(),
        };
        let (device, network) = (place.device.clone(), place.network.clone());
        let opened = NewSession {
            id: token.session,
            user,
            generation: access.generation,
            two_factors: assurance == Assurance::TwoFactors,
            token: token.hash(),
            opened_at: now,
            expires_at: later(now, IDLE),
            ends_at: later(now, LONGEST),
            device,
            network,
        };
        self.vault.open_session(&opened).await?;
        Ok(session)
    }

    /// Goes on with a session; the token is used up, but for a few seconds in which it opens the same again.
    ///
    /// # Errors
    /// [`SessionError::InvalidToken`]; a token that was used before ends its whole session.
    pub async fn refresh(&self, token: &str) -> Result<Session, SessionError> {
        let token = Token::parse(token, &self.vault).ok_or(SessionError::InvalidToken)?;
        let next = token.next(&self.vault);
        let expires_at = later(self.clock.now(), IDLE);
        let (user, generation, kept_by, proven_at, two_factors) =
            match self.vault.rotate_token(token.session, token.hash(), next.hash(), expires_at).await? {
                Refreshed::Rotated { user, generation, kept_by, opened_at, two_factors } => {
                    (user, generation, kept_by, opened_at, two_factors)
                }
                Refreshed::Reused => {
                    tracing::warn!(
                        target: "security",
                        event = "token_reuse",
                        session = %token.session,
                        "a refresh token came back after it was used; its session is ended"
                    );
                    return Err(SessionError::InvalidToken);
                }
                Refreshed::Invalid => return Err(SessionError::InvalidToken),
            };
        let is_current = |access: Access| {
            let was_taken_along = kept_by.is_some() && kept_by == access.credential;
            access.generation == generation || (was_taken_along && access.generation == generation.saturating_add(1))
        };
        match self.load::<User>(user.as_uuid()).await?.aggregate {
            User::Active { role, access, authenticators, .. } if is_current(access) => {
                let (id, generation, refresh_token) = (token.session, access.generation, next.to_string());
                let assurance = Assurance::of(two_factors && authenticators.has_second_factor());
                Ok(Session { id, user, role, generation, proven_at, assurance, refresh_token })
            }
            _ => {
                self.vault.end_session(token.session).await?;
                Err(SessionError::InvalidToken)
            }
        }
    }

    /// Ends the session that a token belongs to; an unknown token changes nothing.
    ///
    /// # Errors
    /// When the vault does not answer.
    pub async fn log_out(&self, token: &str) -> Result<(), CommandError> {
        if let Some(token) = Token::parse(token, &self.vault) {
            self.vault.end_session(token.session).await?;
        }
        Ok(())
    }

    /// The open sessions of an account, newest first; at most a hundred.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, and those of every use case.
    pub async fn sessions(&self, actor: Actor, user: UserId) -> Result<Vec<OpenSession>, CommandError> {
        actor.must_own(user)?;
        let User::Active { access, .. } = self.load::<User>(user.as_uuid()).await?.aggregate else {
            return Err(CommandError::NotFound);
        };
        Ok(self.vault.open_sessions(user, access, LISTED).await?)
    }

    /// Ends one session of an account.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, and where the account has no such session.
    pub async fn end_session(&self, actor: Actor, user: UserId, session: SessionId) -> Result<(), CommandError> {
        actor.must_own(user)?;
        self.vault.end_session_of(user, session).await?.then_some(()).ok_or(CommandError::NotFound)
    }

    /// Logs somebody out everywhere.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, and those of every use case.
    pub async fn end_sessions(&self, context: &Context, user: UserId) -> Result<Receipt<User>, CommandError> {
        context.actor.must_own(user)?;
        self.execute(context, user.as_uuid(), |_| Ok::<_, CommandError>(vec![UserCommand::EndSessions])).await
    }
}

fn later(now: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    now.checked_add_signed(by).unwrap_or(now)
}

/// A refresh token: `<session>.<secret>`. Half of the secret proves that the store made it, so that whoever knows of a session
/// cannot end it by a token that they made up.
struct Token {
    session: SessionId,
    secret: [u8; 32],
}

impl Token {
    /// The first of a new session.
    fn new(vault: &Vault) -> Self {
        let (mut session, mut nonce) = ([0; 16], [0; 16]);
        rand::rngs::OsRng.fill_bytes(&mut session);
        rand::rngs::OsRng.fill_bytes(&mut nonce);
        Self::of(SessionId::from_uuid(uuid::Builder::from_random_bytes(session).into_uuid()), nonce, vault)
    }

    /// The one that follows.
    fn next(&self, vault: &Vault) -> Self {
        let hash = vault.keyed_hash("next refresh token", &self.bytes());
        Self::of(self.session, hash.first_chunk().copied().unwrap_or_default(), vault)
    }

    fn of(session: SessionId, nonce: [u8; 16], vault: &Vault) -> Self {
        let bytes = [session.as_uuid().as_bytes().as_slice(), &nonce].concat();
        let mut secret = vault.keyed_hash("refresh token", &bytes);
        secret.rotate_left(16);
        if let Some(begin) = secret.first_chunk_mut() {
            *begin = nonce;
        }
        Self { session, secret }
    }

    /// Reads a token that the store made.
    fn parse(text: &str, vault: &Vault) -> Option<Self> {
        let (session, secret) = text.split_once('.')?;
        let (session, secret) = (SessionId::parse(session).ok()?, BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?);
        let ours = Self::of(session, *secret.first_chunk()?, vault);
        bool::from(ours.secret.as_slice().ct_eq(&secret)).then_some(ours)
    }

    fn bytes(&self) -> Vec<u8> {
        [self.session.as_uuid().as_bytes().as_slice(), &self.secret].concat()
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.bytes()).into()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.session.as_uuid().simple(), BASE64_URL_SAFE_NO_PAD.encode(self.secret))
    }
}
