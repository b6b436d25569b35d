//! Who may do what now. An access token says what was so when it was signed; who was erased, logged out or given another
//! role since, the journal and the vault tell: they are looked at once a second, and no request asks for it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use commands::{Actor, Assurance, KeyHolder, Session};
use domain::user::{Requirement, UserEvent};
use domain::{Role, SessionId, UserId};
use journal::{Journal, JournalError};
use poem::http::StatusCode;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::auth::{Identity, LIFETIME};
use crate::problem::Problem;

/// How often the journal is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How far back each look goes beyond the last one: an event may be committed some time after it was recorded.
const OVERLAP: Duration = Duration::from_mins(1);
/// For how long a change is remembered: all tokens that were signed before it have ended then.
const KEPT: Duration = Duration::from_secs(LIFETIME.unsigned_abs()).saturating_add(OVERLAP);
/// For how long what was last seen is taken to be so still.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// What became of somebody since their token may have been signed.
#[derive(Debug, Clone, Copy)]
struct Change {
    erased: bool,
    role: Option<Role>,
    /// Sessions of earlier generations are over.
    generation: u32,
    /// They had one, and it is gone: no proof of two factors counts.
    lacks_second_factor: bool,
    read: Instant,
}

impl Change {
    fn none(read: Instant) -> Self {
        Self { erased: false, role: None, generation: 0, lacks_second_factor: false, read }
    }

    fn note(&mut self, event: &UserEvent) {
        match event {
            UserEvent::UserErased {} => self.erased = true,
            UserEvent::UserRoleChanged { role } => self.role = Some(*role),
            UserEvent::UserPasswordChanged { generation, .. } | UserEvent::UserSessionsEnded { generation } => {
                self.generation = self.generation.max(*generation);
            }
            UserEvent::UserRegistered { .. }
            | UserEvent::UserRegistrationRepeated {}
            | UserEvent::UserProfileChanged { .. }
            | UserEvent::UserEmailChangeRequested { .. }
            | UserEvent::UserEmailConfirmationRequested {}
            | UserEvent::UserEmailConfirmed {}
            | UserEvent::UserBirthDateConfirmed { .. }
            | UserEvent::UserAuthenticatorAdded { .. }
            | UserEvent::UserAuthenticatorRemoved { .. }
            | UserEvent::UserRecoveryCodeUsed {}
            | UserEvent::UserLoggedInOnNewDevice { .. }
            | UserEvent::UserApiKeyMade { .. }
            | UserEvent::UserApiKeyRevoked { .. }
            | UserEvent::UserPasswordResetRequested { .. } => (),
        }
    }
}

/// What changed, by whom and what it concerns, for as long as a token may not know of it.
#[derive(Default)]
struct Known {
    people: HashMap<UserId, Change>,
    ended: HashMap<SessionId, Instant>,
}

/// What was changed during the life of an access token.
pub struct Authority {
    journal: Journal,
    /// Of staff.
    second_factor: Requirement,
    known: Mutex<Known>,
    /// The database's time at the last look; held while somebody looks.
    looked: tokio::sync::Mutex<DateTime<Utc>>,
    fresh: watch::Sender<Instant>,
}

impl Authority {
    /// Reads what tokens that are good still may not know; `second_factor` is what the store asks of its staff.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open(journal: Journal, second_factor: Requirement) -> Result<Self, JournalError> {
        let now = journal.authority_changes(DateTime::<Utc>::MAX_UTC).await?.as_of;
        let begin = now.checked_sub_signed(delta(KEPT)).unwrap_or(now);
        let (known, looked) = (Mutex::default(), tokio::sync::Mutex::new(begin));
        let authority = Self { journal, second_factor, known, looked, fresh: watch::Sender::new(Instant::now()) };
        authority.look().await?;
        Ok(authority)
    }

    /// Looks once a second, for as long as it is awaited.
    pub(crate) async fn follow(&self) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            self.refresh().await;
        }
    }

    /// Looks now: what this gateway has just changed holds at once. Where that fails, the next look is a second away.
    pub(crate) async fn refresh(&self) {
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "Could not read who was erased, logged out or given another role");
        }
    }

    /// From a minute before the last look on, however long ago that was.
    async fn look(&self) -> Result<(), JournalError> {
        let mut looked = self.looked.lock().await;
        let began = Instant::now();
        let since = looked.checked_sub_signed(delta(OVERLAP)).unwrap_or(*looked);
        let found = self.journal.authority_changes(since).await?;
        // Under one lock: no request sees an older change of somebody before their last one.
        let mut known = self.known();
        known.people.retain(|_, change| change.read.elapsed() < KEPT);
        known.ended.retain(|_, read| read.elapsed() < KEPT);
        for (user, event) in found.changes {
            if let UserEvent::UserApiKeyRevoked { key } = event {
                known.ended.insert(SessionId::from_uuid(key.as_uuid()), began);
            }
            let change = known.people.entry(user).or_insert_with(|| Change::none(began));
            change.note(&event);
            change.read = began;
        }
        for (user, has_one) in found.second_factors {
            known.people.entry(user).or_insert_with(|| Change::none(began)).lacks_second_factor = !has_one;
        }
        known.ended.extend(found.ended.into_iter().map(|session| (session, began)));
        drop(known);
        *looked = found.as_of;
        self.fresh.send_replace(began);
        Ok(())
    }

    /// Takes note of what a login has just read: that is newer than what was last looked at.
    pub(crate) fn note(&self, session: &Session) {
        if let Some(change) = self.known().people.get_mut(&session.user) {
            change.role = Some(session.role);
            change.generation = change.generation.max(session.generation);
            change.lacks_second_factor &= session.assurance == Assurance::OneFactor;
        }
    }

    /// Takes note of what a key's owner may do, as the journal has just said.
    pub(crate) fn note_role(&self, holder: &KeyHolder) {
        if let Some(change) = self.known().people.get_mut(&holder.user) {
            change.role = Some(holder.role);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom a token speaks for now; nobody where they were erased or logged out.
    pub(crate) fn now(&self, identity: &Identity) -> Result<Option<Actor>, Problem> {
        if self.fresh.borrow().elapsed() > GOOD_FOR {
            let detail = "who may do what is not known right now; try again in a moment";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail));
        }
        let Actor::User { id, role, proven_at, assurance, key, .. } = identity.actor else {
            return Ok(Some(identity.actor));
        };
        let known = self.known();
        if known.ended.contains_key(&identity.session) {
            return Ok(None);
        }
        Ok(match known.people.get(&id) {
            Some(change) if change.erased || identity.generation < change.generation => None,
            change => {
                let role = change.and_then(|change| change.role).unwrap_or(role);
                let is_weak = change.is_some_and(|change| change.lacks_second_factor);
                let assurance = (if is_weak { Assurance::OneFactor } else { assurance }, self.second_factor);
                Some(match key {
                    Some(key) => Actor::of_key(key, id, role, assurance),
                    None => Actor::of_user(id, role, assurance, proven_at),
                })
            }
        })
    }

    /// Waits until a token no longer speaks for who has opened something with it, but for nobody or in another role. While
    /// nobody knows, what is open stays open.
    pub(crate) async fn over(&self, identity: Identity, opened_by: Actor) {
        let mut fresh = self.fresh.subscribe();
        let is_same = |now: Result<Option<Actor>, Problem>| now.map_or(true, |now| now == Some(opened_by));
        let ended = async { while is_same(self.now(&identity)) && fresh.changed().await.is_ok() {} };
        tokio::select! {
            () = tokio::time::sleep(identity.life) => (),
            () = ended => (),
        }
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or_default()
}
