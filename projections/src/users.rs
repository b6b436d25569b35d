//! `read.users`: people with an account. Holds personal data in clear, until they are erased.

use chrono::{DateTime, NaiveDate, Utc};
use cqrs_es::Aggregate;
use domain::user::{BirthDateChange, User, UserEvent};
use domain::{EventId, Role, SealedEmail, SealedProfile, StoreEvent, UserId};
use journal::{JournalError, Vault, once_more};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};
use crate::rows::{Row, Rows};

/// What is shown in place of everything that was known of an erased person.
pub const ERASED: &str = "erased";

/// The projection.
#[derive(Clone)]
pub struct Users {
    vault: Vault,
}

impl Users {
    /// A projection that opens personal data with the vault's keys.
    #[must_use]
    pub fn new(vault: Vault) -> Self {
        Self { vault }
    }

    /// Name, address and birth date; "erased" once the key is destroyed.
    async fn open(
        &self,
        user: UserId,
        fact: &Fact,
        sealed: &SealedProfile,
    ) -> Result<(String, String, Option<NaiveDate>), ApplyError> {
        must_be_sealed_in(sealed.sealed_in, fact)?;
        let Some(key) = self.vault.subject(user).await? else {
            return Ok((ERASED.to_owned(), ERASED.to_owned(), None));
        };
        let profile = key.open(sealed)?;
        let name = profile.name.as_str().to_owned();
        Ok((name, profile.email.as_str().to_owned(), Some(profile.birth_date.date())))
    }

    /// An address that was asked for; nothing once the key is destroyed.
    async fn open_email(&self, user: UserId, fact: &Fact, sealed: &SealedEmail) -> Result<Option<String>, ApplyError> {
        must_be_sealed_in(sealed.sealed_in, fact)?;
        let Some(key) = self.vault.subject(user).await? else { return Ok(None) };
        Ok(Some(key.open_email(sealed)?.as_str().to_owned()))
    }
}

fn must_be_sealed_in(event: EventId, fact: &Fact) -> Result<(), ApplyError> {
    if event == EventId::from_uuid(fact.event_id) {
        Ok(())
    } else {
        Err(JournalError::Sealed("sealed for another event").into())
    }
}

/// The primary key of `read.users`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct UserKey {
    user_id: Uuid,
}

impl Row for UserView {
    const KEY: &'static [&'static str] = &["user_id"];
    type Key = UserKey;

    fn key(&self) -> UserKey {
        UserKey { user_id: self.user_id }
    }
}

impl Projection for Users {
    const NAME: &'static str = "users";
    const AGGREGATES: &'static [&'static str] = &[User::TYPE];
    // Being forgotten waits for nothing.
    const NEVER_HELD_BACK: &'static [&'static str] = &["UserErased"];
    type Row = UserView;

    fn keys(&self, fact: &Fact) -> Vec<UserKey> {
        match &fact.event {
            StoreEvent::User(user, _) => vec![UserKey { user_id: user.as_uuid() }],
            StoreEvent::Game(..) | StoreEvent::Order(..) | StoreEvent::Payment(..) | StoreEvent::TreeHead(..) => vec![],
        }
    }

    async fn apply(&self, rows: &mut Rows<UserView>, fact: &Fact) -> Result<(), ApplyError> {
        let StoreEvent::User(user, event) = &fact.event else { return Ok(()) };
        let key = UserKey { user_id: user.as_uuid() };
        match event {
            UserEvent::UserRegistered { profile, role, .. } => {
                let (name, email, birth_date) = self.open(*user, fact, profile).await?;
                rows.insert(UserView {
                    user_id: user.as_uuid(),
                    name,
                    email,
                    birth_date,
                    email_confirmed: false,
                    pending_email: None,
                    counted_birth_date: None,
                    birth_date_corrected: false,
                    revision: 1,
                    role: role.to_string(),
                    erased: false,
                    version: fact.version,
                    registered_at: fact.at,
                })?;
            }
            UserEvent::UserProfileChanged { profile, address_changed, birth_date } => {
                let opened = self.open(*user, fact, profile).await?;
                rows.change(&key, |person| {
                    match birth_date {
                        BirthDateChange::Unchanged => (),
                        BirthDateChange::Younger => person.counted_birth_date = None,
                        BirthDateChange::Older => {
                            person.counted_birth_date = person.counted_birth_date.or(person.birth_date);
                        }
                    }
                    (person.name, person.email, person.birth_date) = opened;
                    person.pending_email = None;
                    person.email_confirmed &= !address_changed;
                    person.birth_date_corrected |= *birth_date != BirthDateChange::Unchanged;
                    person.revision = person.revision.saturating_add(1);
                    person.version = fact.version;
                });
            }
            UserEvent::UserBirthDateConfirmed { profile, .. } => {
                let (_, _, birth_date) = self.open(*user, fact, profile).await?;
                rows.change(&key, |person| {
                    (person.birth_date, person.version) = (birth_date, fact.version);
                    person.counted_birth_date = None;
                    person.revision = person.revision.saturating_add(1);
                });
            }
            UserEvent::UserEmailChangeRequested { address } => {
                let pending = self.open_email(*user, fact, address).await?;
                rows.change(&key, |person| (person.pending_email, person.version) = (pending, fact.version));
            }
            // Either of them gives a pending address up.
            UserEvent::UserPasswordChanged { .. } | UserEvent::UserSessionsEnded { .. } => {
                rows.change(&key, |person| (person.pending_email, person.version) = (None, fact.version));
            }
            UserEvent::UserEmailConfirmed {} => rows.change(&key, |person| {
                (person.email_confirmed, person.version) = (true, fact.version);
            }),
            UserEvent::UserRoleChanged { role } => rows.change(&key, |person| {
                (person.role, person.version) = (role.to_string(), fact.version);
            }),
            // What opens an account is shown to nobody.
            UserEvent::UserRegistrationRepeated {}
            | UserEvent::UserEmailConfirmationRequested {}
            | UserEvent::UserPasswordResetRequested { .. }
            | UserEvent::UserAuthenticatorAdded { .. }
            | UserEvent::UserAuthenticatorRemoved { .. }
            | UserEvent::UserRecoveryCodeUsed {}
            | UserEvent::UserLoggedInOnNewDevice { .. }
            | UserEvent::UserApiKeyMade { .. }
            | UserEvent::UserApiKeyRevoked { .. } => (),
            UserEvent::UserErased {} => rows.change(&key, |person| {
                (person.name, person.email, person.birth_date) = (ERASED.to_owned(), ERASED.to_owned(), None);
                (person.pending_email, person.counted_birth_date) = (None, None);
                (person.erased, person.version) = (true, fact.version);
            }),
        }
        Ok(())
    }
}

/// A person as the store shows them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub struct UserView {
    /// Who.
    pub user_id: Uuid,
    /// Their name.
    pub name: String,
    /// Their address.
    pub email: String,
    /// Their birth date; nothing once erased.
    #[serde(with = "crate::date")]
    pub birth_date: Option<NaiveDate>,
    /// Whether mail to the address was seen to arrive.
    pub email_confirmed: bool,
    /// The address that takes its place once it is confirmed.
    pub pending_email: Option<String>,
    /// The birth date that age ratings go by, where it is another one.
    #[serde(with = "crate::date")]
    pub counted_birth_date: Option<NaiveDate>,
    /// Whether the one correction of it that is theirs was used.
    pub birth_date_corrected: bool,
    /// How often their data was written, from 1.
    pub revision: i64,
    /// What they may do.
    pub role: String,
    /// Whether they were forgotten.
    pub erased: bool,
    /// How many events they have.
    pub version: i64,
    /// Since when.
    pub registered_at: DateTime<Utc>,
}

impl UserView {
    /// The role as a type; the least one if the row holds none that we know.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role.parse().unwrap_or(Role::Customer)
    }
}

/// One person.
///
/// # Errors
/// When the database does not answer.
pub async fn find(pool: &PgPool, user: UserId) -> sqlx::Result<Option<UserView>> {
    once_more(|| {
        sqlx::query_as("select * from read.users where user_id = $1").bind(user.as_uuid()).fetch_optional(pool)
    })
    .await
}

/// People, newest first; of one role, or of any.
///
/// # Errors
/// When the database does not answer.
pub async fn page(
    pool: &PgPool,
    role: Option<Role>,
    limit: i64,
    after: Option<Cursor>,
) -> sqlx::Result<Page<UserView>> {
    let (at, id) = Cursor::or_start(after);
    let rows = once_more(|| {
        sqlx::query_as(
            "select * from read.users where (registered_at, user_id) < ($1, $2) and ($4::text is null or role = $4)
         order by registered_at desc, user_id desc limit $3",
        )
        .bind(at)
        .bind(id)
        .bind(limit.saturating_add(1))
        .bind(role.map(|role| role.to_string()))
        .fetch_all(pool)
    })
    .await?;
    Ok(Page::of(rows, limit, |user: &UserView| Cursor { at: user.registered_at, id: user.user_id }))
}
