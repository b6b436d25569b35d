use std::sync::Arc;

use commands::{PasskeyRequest, Place, SessionError};
use poem::web::Data;
use poem::web::cookie::CookieJar;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::types::Any;
use poem_openapi::{Object, OpenApi};
use serde_json::Value;

use super::Tag;
use super::authenticators::{AuthenticatorAdded, name_of};
use super::login::{SessionBegun, Tokens, begin_in_shop, tokens, welcome};
use crate::auth::SignedIn;
use crate::device::{self, DeviceCookie};
use crate::problem::Problem;
use crate::strict::Str;
use crate::{Store, extract, security_log, session};

pub(crate) struct Passkeys;

/// What a browser is to be asked.
#[derive(Object)]
struct PasskeyOptions {
    /// What the answer is sent back with, within ten minutes.
    ceremony: String,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `.parseRequestOptionsFromJSON` (`WebAuthn`, level 3).
    options: Any<Value>,
}

/// A passkey that a browser has made.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct NewPasskey {
    ceremony: Str,
    /// What its holder calls it.
    name: Str,
    /// What `navigator.credentials.create` gave, as JSON.
    credential: Any<Value>,
}

/// What a passkey answers.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct PasskeyAnswer {
    ceremony: Str,
    /// What `navigator.credentials.get` gave, as JSON.
    credential: Any<Value>,
}

#[OpenApi]
impl Passkeys {
    /// Begin to add a passkey. Needs a login of the last five minutes.
    #[oai(path = "/users/:id/passkeys/options", method = "post", operation_id = "beginPasskey", tag = "Tag::Users")]
    async fn begin(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<Json<PasskeyOptions>, Problem> {
        let user = extract::account(actor, &id)?;
        let begun = store.commands.begin_passkey(&store.commands.context(actor), user).await?;
        Ok(Json(begun.into()))
    }

    /// Add a passkey. It opens the account alone; from now on the password needs a second factor. Needs a login of the last
    /// five minutes.
    #[oai(path = "/users/:id/passkeys", method = "post", operation_id = "addPasskey", tag = "Tag::Users")]
    async fn add(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        body: Json<NewPasskey>,
    ) -> Result<AuthenticatorAdded, Problem> {
        let user = extract::account(actor, &id)?;
        let NewPasskey { ceremony, name, credential } = body.0;
        let (ceremony, name) = (extract::ceremony(&ceremony)?, name_of(&name)?);
        let context = store.commands.context(actor);
        Ok(store.commands.add_passkey(&context, user, ceremony, (&name, made_of(credential)?)).await?.into())
    }

    /// Begin to log in with a passkey; whose it is, it says itself.
    #[oai(path = "/login/passkey/options", method = "post", operation_id = "beginPasskeyLogin", tag = "Tag::Login")]
    async fn begin_login(&self, store: Data<&Arc<Store>>) -> Result<Json<PasskeyOptions>, Problem> {
        Ok(Json(store.commands.begin_passkey_login().await?.into()))
    }

    /// Log in with a passkey.
    #[oai(path = "/login/passkey", method = "post", operation_id = "logInWithPasskey", tag = "Tag::Login")]
    async fn log_in(
        &self,
        store: Data<&Arc<Store>>,
        request: &poem::Request,
        jar: &CookieJar,
        body: Json<PasskeyAnswer>,
    ) -> Result<Json<Tokens>, Problem> {
        let PasskeyAnswer { ceremony, credential } = body.0;
        let (ceremony, place) = (extract::ceremony(&ceremony)?, device::place(request));
        let begun = store.commands.log_in_with_passkey(ceremony, made_of(credential)?, &place).await;
        if matches!(begun, Err(SessionError::PasskeyRefused)) {
            security_log::passkey_refused(&place);
        }
        let begun = begun?;
        if let Some((profile, _)) = store.commands.profile(begun.user).await? {
            let is_known = DeviceCookie::read(jar, store.commands.vault(), &profile.email).is_some();
            welcome(&store, jar, &begun, (&profile.email, &Place { is_known, ..place })).await;
        }
        tokens(&store, begun)
    }

    /// Log in with the storefront and a passkey: as `beginShopSession`, without a password.
    #[oai(
        path = "/login/session/passkey",
        method = "post",
        operation_id = "beginShopSessionWithPasskey",
        tag = "Tag::Login"
    )]
    async fn begin_session(
        &self,
        store: Data<&Arc<Store>>,
        request: &poem::Request,
        jar: &CookieJar,
        body: Json<PasskeyAnswer>,
    ) -> Result<SessionBegun, Problem> {
        session::must_be_proven(request)?;
        let Json(tokens) = self.log_in(Data(*store), request, jar, body).await?;
        begin_in_shop(&store, jar, &tokens).await
    }
}

/// What a browser gave.
fn made_of(credential: Any<Value>) -> Result<Value, Problem> {
    if credential.0.is_object() { Ok(credential.0) } else { Err(Problem::field("credential", "must be an object")) }
}

impl From<PasskeyRequest> for PasskeyOptions {
    fn from(PasskeyRequest { ceremony, options }: PasskeyRequest) -> Self {
        Self { ceremony: ceremony.to_string(), options: Any(options) }
    }
}
