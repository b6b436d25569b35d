use std::sync::Arc;

use chrono::{DateTime, Utc};
use commands::NewKey;
use domain::ApiKeyId;
use domain::user::{ApiKey, ApiKeyName, Scope};
use journal::vault::KeptKey;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use secrecy::ExposeSecret;

use super::Tag;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract;
use crate::problem::Problem;
use crate::strict::Str;

pub(crate) struct ApiKeyRoutes;

/// A part of what the store can be asked: `read_catalogue` (to look for games and read them), `write_catalogue` (to add,
/// change, price, retire and import them, but not to read them; for admins), `read_events` (to replay and follow; for
/// analysts and admins), `operate` (figures and dead letters; for admins).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[oai(rename = "Scope", rename_all = "snake_case")]
enum ScopeDto {
    /// To look for games and to read them.
    ReadCatalogue,
    /// To add, change, price, retire and import games; for admins.
    WriteCatalogue,
    /// To replay and follow events; for analysts and admins.
    ReadEvents,
    /// To read figures and work off dead letters; for admins.
    Operate,
}

/// A key that a program is to have.
#[derive(Object)]
#[oai(rename = "NewApiKey", deny_unknown_fields)]
struct Wanted {
    /// What its owner calls it.
    name: Str,
    scopes: Vec<ScopeDto>,
    /// At most 366 days ahead.
    expires_at: Str,
}

#[derive(Object)]
struct ApiKeyMade {
    id: String,
    /// Send it as `Authorization: Bearer ludo_…`. It is shown once.
    key: String,
}

/// A key of a program, but for what proves it.
#[derive(Object)]
#[oai(rename = "ApiKey")]
pub(super) struct Known {
    id: String,
    name: String,
    scopes: Vec<ScopeDto>,
    made_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// To the minute.
    #[oai(skip_serializing_if_is_none)]
    used_at: Option<DateTime<Utc>>,
}

#[derive(Object)]
struct ApiKeyList {
    items: Vec<Known>,
}

#[derive(ApiResponse)]
enum Made {
    #[oai(status = 201)]
    Created(Json<ApiKeyMade>),
}

#[derive(ApiResponse)]
enum Revoked {
    #[oai(status = 204)]
    NoContent,
}

#[OpenApi(tag = "Tag::Users")]
impl ApiKeyRoutes {
    /// The keys of an account's programs that were not revoked, those that expired lately as well; at most forty.
    #[oai(path = "/users/:id/api-keys", method = "get", operation_id = "listApiKeys")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<Json<ApiKeyList>, Problem> {
        let user = extract::account(actor, &id)?;
        let keys = store.commands.api_keys(actor, user).await?;
        Ok(Json(ApiKeyList { items: keys.into_iter().map(Known::from).collect() }))
    }

    /// Make a key for a program. It does what its scopes name, as far as its owner's role allows at that time, and nothing
    /// else. Needs a login of the last five minutes.
    #[oai(path = "/users/:id/api-keys", method = "post", operation_id = "makeApiKey")]
    async fn make(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        body: Json<Wanted>,
    ) -> Result<Made, Problem> {
        let user = extract::account(actor, &id)?;
        let Wanted { name, scopes, expires_at } = body.0;
        let name = ApiKeyName::parse(&name).map_err(|rule| Problem::field("name", rule))?;
        let scopes = scopes.into_iter().map(Scope::from).collect();
        let expires_at = DateTime::parse_from_rfc3339(&expires_at)
            .map_err(|_| {
                Problem::field("expires_at", "must be a date and time with a zone, such as 2027-01-01T00:00:00Z")
            })?
            .to_utc();
        let new = NewKey { name, scopes, expires_at: extract::moment(expires_at) };
        let (id, key) = store.commands.make_api_key(&store.commands.context(actor), user, new).await?;
        Ok(Made::Created(Json(ApiKeyMade { id: id.to_string(), key: key.expose_secret().to_owned() })))
    }

    /// End a key. It is refused from now on; streams that it has open end within a second.
    #[oai(path = "/users/:id/api-keys/:key", method = "delete", operation_id = "revokeApiKey")]
    async fn revoke(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        key: Path<String>,
    ) -> Result<Revoked, Problem> {
        let user = extract::account(actor, &id)?;
        let key = extract::path_id(ApiKeyId::parse(&key))?;
        store.commands.revoke_api_key(&store.commands.context(actor), user, key).await?;
        store.authority.refresh().await;
        Ok(Revoked::NoContent)
    }
}

impl From<(ApiKey, KeptKey)> for Known {
    fn from((key, kept): (ApiKey, KeptKey)) -> Self {
        Self {
            id: key.id.to_string(),
            name: kept.name,
            scopes: key.scopes.into_iter().map(ScopeDto::from).collect(),
            made_at: kept.made_at,
            expires_at: key.expires_at,
            used_at: kept.used_at,
        }
    }
}

impl From<ScopeDto> for Scope {
    fn from(scope: ScopeDto) -> Self {
        match scope {
            ScopeDto::ReadCatalogue => Self::ReadCatalogue,
            ScopeDto::WriteCatalogue => Self::WriteCatalogue,
            ScopeDto::ReadEvents => Self::ReadEvents,
            ScopeDto::Operate => Self::Operate,
        }
    }
}

impl From<Scope> for ScopeDto {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::ReadCatalogue => Self::ReadCatalogue,
            Scope::WriteCatalogue => Self::WriteCatalogue,
            Scope::ReadEvents => Self::ReadEvents,
            Scope::Operate => Self::Operate,
        }
    }
}
