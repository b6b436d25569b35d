//! `read.users`: people with an account. Holds personal data in clear, until they are erased.

use chrono::{DateTime, NaiveDate, Utc};
use cqrs_es::Aggregate;
use domain::user::{User, UserEvent};
use domain::{EventId, Role, SealedProfile, StoreEvent, UserId};
use journal::{JournalError, Vault, once_more};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};

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
        if sealed.sealed_in != EventId::from_uuid(fact.event_id) {
            return Err(JournalError::Sealed("sealed for another event").into());
        }
        let Some(key) = self.vault.subject(user).await? else {
            return Ok((ERASED.to_owned(), ERASED.to_owned(), None));
        };
        let profile = key.open(sealed)?;
        let name = profile.name.as_str().to_owned();
        Ok((name, profile.email.as_str().to_owned(), Some(profile.birth_date.date())))
    }
}

impl Projection for Users {
    const NAME: &'static str = "users";
    const AGGREGATES: &'static [&'static str] = &[User::TYPE];
    // Being forgotten waits for nothing.
    const NEVER_HELD_BACK: &'static [&'static str] = &["UserErased"];

    async fn apply(&self, db: &mut PgConnection, fact: &Fact) -> Result<(), ApplyError> {
        let StoreEvent::User(user, event) = &fact.event else { return Ok(()) };
        let query = match event {
            UserEvent::UserRegistered { profile, role } => {
                let (name, email, birth_date) = self.open(*user, fact, profile).await?;
                sqlx::query(
                    "insert into users (user_id, version, name, email, birth_date, role, registered_at)
                     values ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(user.as_uuid())
                .bind(fact.version)
                .bind(name)
                .bind(email)
                .bind(birth_date)
                .bind(role.to_string())
                .bind(fact.at)
            }
            UserEvent::UserProfileChanged { profile } => {
                let (name, email, birth_date) = self.open(*user, fact, profile).await?;
                sqlx::query("update users set version = $2, name = $3, email = $4, birth_date = $5 where user_id = $1")
                    .bind(user.as_uuid())
                    .bind(fact.version)
                    .bind(name)
                    .bind(email)
                    .bind(birth_date)
            }
            UserEvent::UserRoleChanged { role } => {
                sqlx::query("update users set version = $2, role = $3 where user_id = $1")
                    .bind(user.as_uuid())
                    .bind(fact.version)
                    .bind(role.to_string())
            }
            UserEvent::UserErased {} => sqlx::query(
                "update users set version = $2, name = $3, email = $3, birth_date = null, erased = true
                 where user_id = $1",
            )
            .bind(user.as_uuid())
            .bind(fact.version)
            .bind(ERASED),
        };
        query.execute(db).await?;
        Ok(())
    }
}

/// A person as the store shows them.
#[derive(Debug, Clone, FromRow)]
pub struct UserView {
    /// Who.
    pub user_id: Uuid,
    /// Their name.
    pub name: String,
    /// Their address.
    pub email: String,
    /// Their birth date; nothing once erased.
    pub birth_date: Option<NaiveDate>,
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

/// People, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn page(pool: &PgPool, limit: i64, after: Option<Cursor>) -> sqlx::Result<Page<UserView>> {
    let (at, id) = Cursor::or_start(after);
    let rows = once_more(|| {
        sqlx::query_as(
            "select * from read.users where (registered_at, user_id) < ($1, $2)
         order by registered_at desc, user_id desc limit $3",
        )
        .bind(at)
        .bind(id)
        .bind(limit.saturating_add(1))
        .fetch_all(pool)
    })
    .await?;
    Ok(Page::of(rows, limit, |user: &UserView| Cursor { at: user.registered_at, id: user.user_id }))
}
