//! Who may do what now. An access token says what was so when it was signed; who was erased or given another role since,
//! the journal tells: it is looked at once a second, and no request asks for it.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use commands::Actor;
use domain::user::UserEvent;
use domain::{Role, UserId};
use journal::{Journal, JournalError};
use moka::sync::Cache;
use poem::http::StatusCode;
use tokio::time::Instant;

use crate::auth::LIFETIME;
use crate::problem::Problem;

/// How often the journal is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How far back each look goes: an event is recorded with the time at which its transaction began.
const OVERLAP: Duration = Duration::from_mins(1);
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
    changes: Cache<UserId, Change>,
    looked: Mutex<Instant>,
}

impl Authority {
    /// Reads what tokens that are good still may not know.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open(journal: Journal) -> Result<Self, JournalError> {
        let life = Duration::from_secs(LIFETIME.unsigned_abs()).saturating_add(OVERLAP);
        let changes = Cache::builder().time_to_live(life).build();
        let authority = Self { journal, changes, looked: Mutex::new(Instant::now()) };
        authority.look(life).await?;
        Ok(authority)
    }

    /// Looks once a second, for as long as it is awaited.
    pub(crate) async fn follow(&self) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "Who was erased or given another role is not known");
            }
        }
    }

    /// Looks now: what this gateway has just changed holds at once.
    pub(crate) async fn refresh(&self) -> Result<(), JournalError> {
        self.look(OVERLAP).await
    }

    async fn look(&self, back: Duration) -> Result<(), JournalError> {
        let now = Instant::now();
        for (user, event) in self.journal.authority_changes(back).await? {
            match event {
                UserEvent::UserErased {} => self.changes.insert(user, Change::Erased),
                UserEvent::UserRoleChanged { role } => self.changes.insert(user, Change::Role(role)),
                UserEvent::UserRegistered { .. } | UserEvent::UserProfileChanged { .. } => (),
            }
        }
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }

    /// Takes note of what a login has just read: that is newer than what was last looked at.
    pub(crate) fn note(&self, user: UserId, role: Role) {
        if self.changes.contains_key(&user) {
            self.changes.insert(user, Change::Role(role));
        }
    }

    /// Whom a token speaks for now; nobody where they were erased.
    pub(crate) fn now(&self, actor: Actor) -> Result<Option<Actor>, Problem> {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.elapsed() > GOOD_FOR {
            let detail = "who may do what is not known right now; try again in a moment";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail));
        }
        let Actor::User { id, .. } = actor else { return Ok(Some(actor)) };
        Ok(match self.changes.get(&id) {
            Some(Change::Erased) => None,
            Some(Change::Role(role)) => Some(Actor::User { id, role }),
            None => Some(actor),
        })
    }
}
