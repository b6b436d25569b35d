use std::sync::Arc;

use chrono::NaiveDate;
use commands::{Actor, CommandError, Password, ProfileChange, Registration};
use domain::{Email, Language, PersonName, Profile, Role, UserId};
use poem::web::Data;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use projections::users::UserView;
use tokio::time::Instant;

use super::Tag;
use crate::Store;
use crate::auth::SignedIn;
use crate::even::until_even;
use crate::extract::{self, ConsistencyToken, IdempotencyKey, IfMatch};
use crate::limits::{Class, Limits};
use crate::problem::Problem;
use crate::strict::Str;
use crate::wrong::Wrong;

pub(crate) struct Users;

/// A person who wants an account.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct NewUser {
    name: Str,
    email: Str,
    /// 15 to 128 characters, and not easy to guess.
    password: Str,
    birth_date: NaiveDate,
}

/// What a person may change of themselves.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct ChangedUser {
    name: Str,
    email: Str,
    birth_date: NaiveDate,
}

/// What an account may do.
#[derive(Clone, Copy, Enum)]
#[oai(rename = "Role", rename_all = "snake_case")]
enum RoleDto {
    Customer,
    Analyst,
    Admin,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct NewRole {
    role: RoleDto,
}

/// An account.
#[derive(Object)]
pub(super) struct User {
    id: String,
    name: String,
    email: String,
    role: RoleDto,
    birth_date: Option<NaiveDate>,
    /// Whether a link that was sent to the address was followed.
    email_confirmed: bool,
    /// The address that takes its place once the link that was sent there is followed.
    pending_email: Option<String>,
    /// The birth date that age ratings go by until the staff have confirmed the other one.
    counted_birth_date: Option<NaiveDate>,
    /// Whether the person has used the one correction of the birth date that they have.
    birth_date_corrected: bool,
    erased: bool,
}

#[derive(Object)]
struct UserPage {
    items: Vec<User>,
    next: Option<String>,
}

#[derive(ApiResponse)]
enum Created {
    /// The account is open.
    #[oai(status = 201)]
    User(
        Json<User>,
        #[oai(header = "Location")] String,
        #[oai(header = "Consistency-Token")] Option<String>,
        #[oai(header = "Idempotent-Replayed")] Option<String>,
    ),
    /// A mail says how it goes on. The answer is the same where the address has an account already. Stores that do not
    /// wait for addresses to be confirmed never give it.
    #[oai(status = 202)]
    ToBeConfirmed,
}

#[derive(ApiResponse)]
enum Changed {
    #[oai(status = 204)]
    NoContent(#[oai(header = "Consistency-Token")] Option<String>),
}

#[derive(ApiResponse)]
enum Found {
    #[oai(status = 200)]
    User(Json<User>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum ProfileChanged {
    #[oai(status = 204)]
    NoContent(#[oai(header = "ETag")] String, #[oai(header = "Consistency-Token")] Option<String>),
    /// The new address is the account's once the link that was sent there is followed; all else is changed. Stores that
    /// do not wait for addresses to be confirmed never give it.
    #[oai(status = 202)]
    AddressToBeConfirmed(#[oai(header = "ETag")] String, #[oai(header = "Consistency-Token")] Option<String>),
}

#[OpenApi(tag = "Tag::Users")]
impl Users {
    /// Open an account.
    #[oai(path = "/users", method = "post", operation_id = "registerUser")]
    async fn register(
        &self,
        store: Data<&Arc<Store>>,
        limits: Data<&Arc<Limits>>,
        body: Json<NewUser>,
        #[oai(name = "Idempotency-Key")] idempotency_key: IdempotencyKey,
        /// The language of the store's mail: Portuguese or English.
        #[oai(name = "Accept-Language")]
        accept_language: Header<Option<String>>,
    ) -> Result<Created, Problem> {
        let begun = Instant::now();
        let NewUser { name, email, password, birth_date } = body.0;
        let person = ChangedUser { name, email, birth_date };
        let (mut wrong, profile) = person.check(&store);
        // Measured against what is known of its owner, as far as that can be read.
        let password = wrong.check("password", Password::parse(&password, &[&person.name, &person.email]));
        let (profile, password) = wrong.values_or_problem(profile.zip(password))?;
        let (who, route) = (profile.email.as_str(), "/users");
        let context = extract::anonymous_context(&store, Actor::Anonymous, who, route, &idempotency_key, &person)?;
        let id = UserId::from_uuid(store.commands.clock().new_id());
        let registration = Registration { profile: profile.clone(), password, language: language_of(&accept_language) };
        if store.commands.requires_confirmation() {
            // No mail beyond that, and no word of it.
            if limits.admit(Class::Invitation, profile.email.normal_form()).is_ok() {
                let registered = store.commands.register(&context, id, registration, Role::Customer).await;
                tell_the_owner(&store, profile.email, registered.map(drop))?;
            }
            until_even(begun).await;
            return Ok(Created::ToBeConfirmed);
        }
        let receipt = store.commands.register(&context, id, registration, Role::Customer).await?;
        let (id, replayed) = (UserId::from_uuid(receipt.id), extract::replayed(receipt.replayed));
        let user = User {
            id: id.to_string(),
            name: profile.name.as_str().to_owned(),
            email: profile.email.as_str().to_owned(),
            role: RoleDto::Customer,
            birth_date: Some(profile.birth_date.date()),
            email_confirmed: false,
            pending_email: None,
            counted_birth_date: None,
            birth_date_corrected: false,
            erased: false,
        };
        Ok(Created::User(Json(user), format!("/users/{id}"), extract::token(receipt.position), replayed))
    }

    /// All accounts, newest first, for admins.
    #[oai(path = "/users", method = "get", operation_id = "listUsers")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        /// Only those of one role.
        role: Query<Option<RoleDto>>,
        limit: Query<Option<i64>>,
        cursor: Query<Option<String>>,
        #[oai(name = "Consistency-Token")] consistency_token: ConsistencyToken,
    ) -> Result<Json<UserPage>, Problem> {
        actor.must_be_admin()?;
        let (limit, after) = extract::page(&limit, &cursor)?;
        extract::caught_up(&store, &consistency_token, "users").await?;
        let page = projections::users::page(store.pool(), role.0.map(Role::from), limit, after).await?;
        let items = page.items.into_iter().map(User::from).collect();
        Ok(Json(UserPage { items, next: page.next.map(projections::Cursor::encode) }))
    }

    /// An account: one's own (`me`), or any for admins. Its `ETag` stands for name, address and birth date, which
    /// `PUT /users/{id}` changes.
    #[oai(path = "/users/:id", method = "get", operation_id = "getUser")]
    async fn get(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        #[oai(name = "Consistency-Token")] consistency_token: ConsistencyToken,
    ) -> Result<Found, Problem> {
        let user = extract::account(actor, &id)?;
        actor.must_own(user)?;
        extract::caught_up(&store, &consistency_token, "users").await?;
        let view = projections::users::find(store.pool(), user).await?;
        let view = view.ok_or_else(Problem::not_found)?;
        let revision = extract::etag(view.revision);
        Ok(Found::User(Json(view.into()), revision))
    }

    /// Replace what the store knows of a person, by whoever has seen its current version. Its owner may correct a birth date once; until the staff have confirmed
    /// it, age ratings go by the most restrictive one that there was.
    #[oai(path = "/users/:id", method = "put", operation_id = "updateUser")]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn change(
        &self,
        store: Data<&Arc<Store>>,
        limits: Data<&Arc<Limits>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        #[oai(name = "If-Match")] if_match: IfMatch,
        body: Json<ChangedUser>,
        /// The language of the store's mail from now on, where it is sent.
        #[oai(name = "Accept-Language")]
        accept_language: Header<Option<String>>,
    ) -> Result<ProfileChanged, Problem> {
        let user = extract::account(actor, &id)?;
        actor.must_own(user)?;
        let seen = extract::required_version(&if_match)?;
        let (wrong, profile) = body.0.check(&store);
        let profile = wrong.values_or_problem(profile)?;
        let known = projections::users::find(store.pool(), user).await?;
        if known.is_some_and(|known| known.email != profile.email.as_str()) {
            actor.must_be_proven(store.commands.clock().now())?;
            // Each new address is sent a mail. Whoever registers it is not kept from that by others who ask for it.
            limits.admit(Class::Invitation, &format!("change to {}", profile.email.normal_form()))?;
        }
        let changed = store
            .commands
            .change_profile(&store.commands.context(actor), user, ProfileChange { profile, seen })
            .await?;
        if accept_language.is_some() {
            store.commands.vault().keep_language(user, language_of(&accept_language)).await?;
        }
        let (revision, token) = (extract::etag(changed.revision), extract::token(changed.position));
        Ok(if changed.address_waits {
            ProfileChanged::AddressToBeConfirmed(revision, token)
        } else {
            ProfileChanged::NoContent(revision, token)
        })
    }

    /// Give an account another role, for admins.
    #[oai(path = "/users/:id/role", method = "put", operation_id = "changeRole")]
    async fn change_role(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        body: Json<NewRole>,
    ) -> Result<Changed, Problem> {
        let user = extract::account(actor, &id)?;
        let receipt = store.commands.change_role(&store.commands.context(actor), user, body.0.role.into()).await?;
        store.authority.refresh().await;
        Ok(Changed::NoContent(extract::token(receipt.position)))
    }

    /// Forget a person: nothing the store knew of them can be read from now on.
    #[oai(path = "/users/:id", method = "delete", operation_id = "eraseUser")]
    async fn erase(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<Changed, Problem> {
        let user = extract::account(actor, &id)?;
        let receipt = store.commands.erase(&store.commands.context(actor), user).await?;
        store.authority.refresh().await;
        Ok(Changed::NoContent(extract::token(receipt.position)))
    }
}

/// Has the owner of an address told that somebody tried to register it. Whoever tried learns nothing, neither by that nor by
/// using an `Idempotency-Key` again, which is kept where the address was free only.
fn tell_the_owner(store: &Arc<Store>, email: Email, registered: Result<(), CommandError>) -> Result<(), Problem> {
    match registered {
        Ok(()) | Err(CommandError::KeyReused) => Ok(()),
        Err(CommandError::EmailTaken) => {
            let store = store.clone();
            tokio::spawn(async move {
                let context = store.commands.context(Actor::Anonymous);
                if let Err(error) = store.commands.note_registration(&context, &email).await {
                    tracing::error!(%error, "The owner of an address is not told that somebody tried to register it");
                }
            });
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn language_of(header: &Header<Option<String>>) -> Language {
    Language::preferred(header.as_deref().unwrap_or_default())
}

impl ChangedUser {
    /// The person, and which fields broke a rule.
    fn check(&self, store: &Store) -> (Wrong, Option<Profile>) {
        let mut wrong = Wrong::default();
        let name = wrong.check("name", PersonName::parse(&self.name));
        let email = wrong.check("email", Email::parse(&self.email));
        let birth_date = wrong.check("birth_date", extract::birth_date(store, self.birth_date));
        let profile = || Some(Profile { name: name?, email: email?, birth_date: birth_date? });
        let profile = profile();
        (wrong, profile)
    }
}

impl From<UserView> for User {
    fn from(view: UserView) -> Self {
        let role = view.role().into();
        Self {
            id: view.user_id.to_string(),
            name: view.name,
            email: view.email,
            role,
            birth_date: view.birth_date,
            email_confirmed: view.email_confirmed,
            pending_email: view.pending_email,
            counted_birth_date: view.counted_birth_date,
            birth_date_corrected: view.birth_date_corrected,
            erased: view.erased,
        }
    }
}

impl From<Role> for RoleDto {
    fn from(role: Role) -> Self {
        match role {
            Role::Customer => Self::Customer,
            Role::Analyst => Self::Analyst,
            Role::Admin => Self::Admin,
        }
    }
}

impl From<RoleDto> for Role {
    fn from(role: RoleDto) -> Self {
        match role {
            RoleDto::Customer => Self::Customer,
            RoleDto::Analyst => Self::Analyst,
            RoleDto::Admin => Self::Admin,
        }
    }
}
