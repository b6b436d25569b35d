//! Who may do what now. An access token says what was so when it was signed; who was erased or given another role since,
//! the journal tells: it is looked at once a second, and no request asks for it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use commands::Actor;
use domain::user::UserEvent;
use domain::{Role, UserId};
use journal::{Journal, JournalError};
use poem::http::StatusCode;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::auth::LIFETIME;
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
enum Change {
    Erased,
    Role(Role),
}

/// What was changed during the life of an access token.
pub struct Authority {
    journal: Journal,
    /// By whom they concern, with when they were read; as long as a token may not know of them.
    changes: Mutex<HashMap<UserId, (Instant, Change)>>,
    /// The database's time at the last look; held while somebody looks.
    looked: tokio::sync::Mutex<DateTime<Utc>>,
    fresh: watch::Sender<Instant>,
}

impl Authority {
    /// Reads what tokens that are good still may not know.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open(journal: Journal) -> Result<Self, JournalError> {
        let now = journal.authority_changes(DateTime::<Utc>::MAX_UTC).await?.as_of;
        let begin = now.checked_sub_signed(delta(KEPT)).unwrap_or(now);
        let (changes, looked) = (Mutex::default(), tokio::sync::Mutex::new(begin));
        let authority = Self { journal, changes, looked, fresh: watch::Sender::new(Instant::now()) };
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
            tracing::warn!(%error, "Could not read who was erased or given another role");
        }
    }

    /// From a minute before the last look on, however long ago that was.
    async fn look(&self) -> Result<(), JournalError> {
        let mut looked = self.looked.lock().await;
        let began = Instant::now();
        let since = looked.checked_sub_signed(delta(OVERLAP)).unwrap_or(*looked);
        let found = self.journal.authority_changes(since).await?;
        // Under one lock: no request sees an older change of somebody before their last one.
        let mut changes = self.changes();
        changes.retain(|_, (read, _)| read.elapsed() < KEPT);
        for (user, event) in found.changes {
            let change = match event {
                UserEvent::UserErased {} => Change::Erased,
                UserEvent::UserRoleChanged { role } => Change::Role(role),
                UserEvent::UserRegistered { .. } | UserEvent::UserProfileChanged { .. } => continue,
            };
            changes.insert(user, (began, change));
        }
        drop(changes);
        *looked = found.as_of;
        self.fresh.send_replace(began);
        Ok(())
    }

    /// Takes note of the role that a login has just read: that is newer than what was last looked at.
    pub(crate) fn note(&self, user: UserId, role: Role) {
        if let Some((_, Change::Role(known))) = self.changes().get_mut(&user) {
            *known = role;
        }
    }

    fn changes(&self) -> MutexGuard<'_, HashMap<UserId, (Instant, Change)>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom a token speaks for now; nobody where they were erased.
    pub(crate) fn now(&self, actor: Actor) -> Result<Option<Actor>, Problem> {
        if self.fresh.borrow().elapsed() > GOOD_FOR {
            let detail = "who may do what is not known right now; try again in a moment";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail));
        }
        let Actor::User { id, .. } = actor else { return Ok(Some(actor)) };
        Ok(match self.changes().get(&id) {
            Some((_, Change::Erased)) => None,
            Some((_, Change::Role(role))) => Some(Actor::User { id, role: *role }),
            None => Some(actor),
        })
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or_default()
}
