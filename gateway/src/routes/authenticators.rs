use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use commands::{AddedAuthenticator, Held};
use domain::AuthenticatorId;
use domain::user::{AuthenticatorKind, AuthenticatorName};
use journal::vault::HeldAuthenticator;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};

use super::Tag;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract;
use crate::problem::Problem;
use crate::strict::Str;

pub(crate) struct AuthenticatorRoutes;

/// How it is proven that somebody holds it.
#[derive(Clone, Copy, Enum)]
#[oai(rename = "AuthenticatorKind", rename_all = "snake_case")]
enum KindDto {
    /// A key on a device; opens the account alone.
    Passkey,
    /// An app that shows codes; goes with the password.
    Totp,
}

/// Something that opens an account, or guards it with the password.
#[derive(Object)]
pub(super) struct Authenticator {
    id: String,
    kind: KindDto,
    /// What its holder calls it.
    name: String,
    added_at: DateTime<Utc>,
    #[oai(skip_serializing_if_is_none)]
    used_at: Option<DateTime<Utc>>,
    /// Whether a hundred wrong codes in a row were tried: it counts no more, and is to be set up anew.
    worn_out: bool,
}

#[derive(Object)]
struct AuthenticatorList {
    items: Vec<Authenticator>,
    /// How many recovery codes are left.
    recovery_codes: i64,
}

/// What an authenticator app is set up with. It is shown once.
#[derive(Object)]
struct TotpSetup {
    /// What the app's first code is sent back with, within ten minutes.
    ceremony: String,
    /// For typing, in base 32.
    secret: String,
    /// For a link on the device that has the app: `otpauth://…`.
    uri: String,
    /// For a camera: an image, as a `data:` URL.
    qr_code: String,
}

/// An authenticator app that shows its first code.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct NewTotp {
    ceremony: Str,
    /// What its holder calls it.
    name: Str,
    /// What the app shows now.
    code: Str,
}

#[derive(Object)]
#[oai(rename = "AuthenticatorAdded")]
pub(super) struct Added {
    id: String,
    /// What stands in for it once each, with the password, where it is the first; shown once.
    #[oai(skip_serializing_if_is_none)]
    recovery_codes: Option<Vec<String>>,
}

impl From<AddedAuthenticator> for AuthenticatorAdded {
    fn from(AddedAuthenticator { id, recovery_codes }: AddedAuthenticator) -> Self {
        let recovery_codes = Some(recovery_codes).filter(|codes| !codes.is_empty());
        Self::Created(Json(Added { id: id.to_string(), recovery_codes }))
    }
}

#[derive(ApiResponse)]
pub(super) enum AuthenticatorAdded {
    #[oai(status = 201)]
    Created(Json<Added>),
}

#[derive(Object)]
struct RecoveryCodes {
    /// Good once each, as `code` of a login. They are shown once.
    codes: Vec<String>,
}

#[derive(ApiResponse)]
enum CodesMade {
    #[oai(status = 201)]
    Created(Json<RecoveryCodes>),
}

#[derive(ApiResponse)]
enum Removed {
    #[oai(status = 204)]
    NoContent,
}

#[OpenApi(tag = "Tag::Users")]
impl AuthenticatorRoutes {
    /// What opens an account beside its password, in the order in which it was added; at most twenty.
    #[oai(path = "/users/:id/authenticators", method = "get", operation_id = "listAuthenticators")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<Json<AuthenticatorList>, Problem> {
        let user = extract::account(actor, &id)?;
        let Held { authenticators, recovery_codes } = store.commands.authenticators(actor, user).await?;
        let items = authenticators.into_iter().filter_map(Authenticator::of).collect();
        Ok(Json(AuthenticatorList { items, recovery_codes }))
    }

    /// Begin to set up an authenticator app (RFC 6238). Needs a login of the last five minutes.
    #[oai(path = "/users/:id/totp/setup", method = "post", operation_id = "beginTotp")]
    async fn begin_totp(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<Json<TotpSetup>, Problem> {
        let user = extract::account(actor, &id)?;
        let commands::NewTotp { ceremony, secret, uri, qr_code } =
            store.commands.begin_totp(&store.commands.context(actor), user).await?;
        let qr_code = format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(qr_code));
        Ok(Json(TotpSetup { ceremony: ceremony.to_string(), secret, uri, qr_code }))
    }

    /// Add an authenticator app. From now on the password needs a code of it; an app from before is no longer asked. Needs a
    /// login of the last five minutes.
    #[oai(path = "/users/:id/totp", method = "post", operation_id = "addTotp")]
    async fn add_totp(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        body: Json<NewTotp>,
    ) -> Result<AuthenticatorAdded, Problem> {
        let user = extract::account(actor, &id)?;
        let NewTotp { ceremony, name, code } = body.0;
        let (ceremony, name) = (extract::ceremony(&ceremony)?, name_of(&name)?);
        let context = store.commands.context(actor);
        Ok(store.commands.add_totp(&context, user, ceremony, (&name, &code)).await?.into())
    }

    /// Remove an authenticator; an admin may, for somebody who has lost it. Recovery codes go with the last. Needs a login of
    /// the last five minutes.
    #[oai(path = "/users/:id/authenticators/:authenticator", method = "delete", operation_id = "removeAuthenticator")]
    async fn remove(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        authenticator: Path<String>,
    ) -> Result<Removed, Problem> {
        let user = extract::account(actor, &id)?;
        let authenticator = extract::path_id(AuthenticatorId::parse(&authenticator))?;
        store.commands.remove_authenticator(&store.commands.context(actor), user, authenticator).await?;
        store.authority.refresh().await;
        Ok(Removed::NoContent)
    }

    /// Ten recovery codes, which stand in for a lost authenticator once each. Those from before are good no longer. Needs a
    /// login of the last five minutes.
    #[oai(path = "/users/:id/recovery-codes", method = "post", operation_id = "makeRecoveryCodes")]
    async fn make_recovery_codes(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<CodesMade, Problem> {
        let user = extract::account(actor, &id)?;
        let codes = store.commands.make_recovery_codes(&store.commands.context(actor), user).await?;
        Ok(CodesMade::Created(Json(RecoveryCodes { codes })))
    }
}

/// What somebody calls what they hold.
pub(super) fn name_of(name: &str) -> Result<AuthenticatorName, Problem> {
    AuthenticatorName::parse(name).map_err(|rule| Problem::field("name", rule))
}

impl Authenticator {
    pub(super) fn of((kind, held): (AuthenticatorKind, HeldAuthenticator)) -> Option<Self> {
        let kind = match kind {
            AuthenticatorKind::Passkey => KindDto::Passkey,
            AuthenticatorKind::Totp => KindDto::Totp,
            AuthenticatorKind::RecoveryCodes => return None,
        };
        let HeldAuthenticator { id, kept, added_at, used_at, is_worn_out } = held;
        Some(Self { id: id.to_string(), kind, name: kept.name, added_at, used_at, worn_out: is_worn_out })
    }
}
