use std::collections::HashSet;

use chrono::{DateTime, Utc};
use domain::user::{User, UserEvent};
use domain::{SessionId, StoreEvent, UserId};
use sqlx::FromRow;
use uuid::Uuid;

use crate::JournalError;
use crate::connect::once_more;
use crate::history::AggregateKey;
use crate::repository::Journal;

/// What changed who may do what, as of a moment.
#[derive(Debug)]
pub struct AuthorityChanges {
    /// When that was, by the database's clock.
    pub as_of: DateTime<Utc>,
    /// Who was erased, logged out everywhere or given another role, in the order in which it happened.
    pub changes: Vec<(UserId, UserEvent)>,
    /// Whether somebody has a second factor, of whom one was added or removed.
    pub second_factors: Vec<(UserId, bool)>,
    /// Which sessions were ended.
    pub ended: Vec<SessionId>,
}

#[derive(FromRow)]
struct Changed {
    as_of: DateTime<Utc>,
    session: Option<Uuid>,
    aggregate_id: Option<String>,
    event_type: Option<String>,
    event_version: Option<String>,
    payload: Option<String>,
}

impl Changed {
    fn read(&self) -> Option<(UserId, UserEvent)> {
        let Self { aggregate_id, event_type, event_version, payload, .. } = self;
        let (id, name) = (aggregate_id.as_deref()?, event_type.as_deref()?);
        match StoreEvent::read("user", id, name, event_version.as_deref()?, payload.as_deref()?) {
            Ok(StoreEvent::User(user, event)) => Some((user, event)),
            Ok(_) | Err(_) => None,
        }
    }
}

impl Journal {
    /// An event says what was added or removed; what is left, only the whole history does.
    async fn second_factors(&self, changes: &[(UserId, UserEvent)]) -> Result<Vec<(UserId, bool)>, JournalError> {
        let of_factors = |event: &_| {
            matches!(event, UserEvent::UserAuthenticatorAdded { .. } | UserEvent::UserAuthenticatorRemoved { .. })
        };
        let people: HashSet<_> = changes.iter().filter(|(_, event)| of_factors(event)).map(|(user, _)| *user).collect();
        let keys: Vec<_> = people.iter().map(|user| AggregateKey::of::<User>(user.as_uuid())).collect();
        let histories = self.histories(&keys).await?;
        let has_one = |user: &UserId| match histories.aggregate(user.as_uuid()) {
            Ok(User::Active { authenticators, .. }) => authenticators.has_second_factor(),
            Ok(User::New | User::Erased) | Err(_) => false,
        };
        Ok(people.iter().map(|user| (*user, has_one(user))).collect())
    }

    /// Who was erased, logged out or given another role since a moment of the database's clock. What this program cannot
    /// read is left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn authority_changes(&self, since: DateTime<Utc>) -> Result<AuthorityChanges, JournalError> {
        let query = "select statement_timestamp() as as_of, null::uuid as session,
                            aggregate_id, event_type, event_version, payload::text, epoch, tx_id, position
                     from (values (true)) as always
                     left join journal.events
                       on event_type in ('UserErased', 'UserRoleChanged', 'UserPasswordChanged', 'UserSessionsEnded',
                                         'UserApiKeyRevoked', 'UserAuthenticatorAdded', 'UserAuthenticatorRemoved')
                      and aggregate_type = 'user' and recorded_at > $1
                     union all
                     select statement_timestamp(), family, null, null, null, null, null, null, null
                     from vault.sessions where ended_at > $1
                     order by epoch, tx_id, position";
        let rows: Vec<Changed> = once_more(|| sqlx::query_as(query).bind(since).fetch_all(self.pool())).await?;
        let changes: Vec<_> = rows.iter().filter_map(Changed::read).collect();
        Ok(AuthorityChanges {
            as_of: rows.first().map_or(since, |row| row.as_of),
            second_factors: self.second_factors(&changes).await?,
            changes,
            ended: rows.iter().filter_map(|row| row.session.map(SessionId::from_uuid)).collect(),
        })
    }
}
