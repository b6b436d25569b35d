use std::sync::Arc;

use commands::{Place, Session, SessionError};
use domain::Email;
use poem::web::Data;
use poem::web::cookie::CookieJar;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::Tag;
use crate::Store;
use crate::auth::LIFETIME;
use crate::device::{self, DeviceCookie};
use crate::limits::{Class, Limits};
use crate::problem::Problem;
use crate::strict::Str;
use crate::{security_log, session};

pub(crate) struct Login;

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Credentials {
    email: Str,
    password: Str,
    /// What an authenticator app shows, or a recovery code, where the account has a second factor.
    code: Option<Str>,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Refresh {
    refresh_token: Str,
}

/// What somebody who has logged in goes on with.
#[derive(Object)]
pub(super) struct Tokens {
    /// Send it as `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// Seconds.
    expires_in: i64,
    /// Good for one use, within 14 days, and until 30 days after the login.
    refresh_token: String,
}

#[derive(ApiResponse)]
enum LoggedOut {
    #[oai(status = 204)]
    NoContent,
}

#[derive(ApiResponse)]
pub(super) enum SessionBegun {
    /// The cookies are set.
    #[oai(status = 204)]
    NoContent,
}

#[OpenApi(prefix_path = "/login", tag = "Tag::Login")]
impl Login {
    /// Log in. An account with a second factor needs a `code` with the password, or its passkey instead (`logInWithPasskey`).
    #[oai(path = "/auth", method = "post", operation_id = "logIn")]
    async fn auth(
        &self,
        store: Data<&Arc<Store>>,
        limits: Data<&Arc<Limits>>,
        request: &poem::Request,
        jar: &CookieJar,
        body: Json<Credentials>,
    ) -> Result<Json<Tokens>, Problem> {
        let Credentials { email, password, code } = body.0;
        // What is no address has no account; the answer is the same as for a wrong password.
        let email = Email::parse(&email).map_err(|_| SessionError::WrongCredentials)?;
        let vault = store.commands.vault();
        let device = DeviceCookie::read(jar, vault, &email);
        match &device {
            Some(device) => limits.admit(Class::Device, device)?,
            None => limits.admit(Class::Account, email.normal_form())?,
        }
        let place = Place { is_known: device.is_some(), ..device::place(request) };
        let proof = (password.0.into(), code.as_deref().filter(|code| !code.is_empty()));
        let session = match store.commands.log_in(&email, proof, &place).await {
            Ok(session) => session,
            Err(refusal) => {
                security_log::not_logged_in(vault, &email, &place, &refusal);
                return Err(refusal.into());
            }
        };
        welcome(&store, jar, &session, (&email, &place)).await;
        tokens(&store, session)
    }

    /// Exchange a refresh token for new tokens. An old one that comes back later than a few seconds ends the session.
    #[oai(path = "/refresh", method = "post", operation_id = "refreshTokens")]
    async fn refresh(&self, store: Data<&Arc<Store>>, body: Json<Refresh>) -> Result<Json<Tokens>, Problem> {
        tokens(&store, store.commands.refresh(&body.refresh_token).await?)
    }

    /// End a session.
    #[oai(path = "/logout", method = "post", operation_id = "logOut")]
    async fn logout(&self, store: Data<&Arc<Store>>, body: Json<Refresh>) -> Result<LoggedOut, Problem> {
        log_out(&store, &body.refresh_token).await?;
        Ok(LoggedOut::NoContent)
    }

    /// Log in with the storefront: the tokens go into cookies that scripts cannot read. A session that there is already
    /// ends with that, so whoever has to prove anew who they are logs in again.
    #[oai(path = "/session", method = "post", operation_id = "beginShopSession")]
    async fn begin_session(
        &self,
        store: Data<&Arc<Store>>,
        limits: Data<&Arc<Limits>>,
        request: &poem::Request,
        jar: &CookieJar,
        body: Json<Credentials>,
    ) -> Result<SessionBegun, Problem> {
        session::must_be_proven(request)?;
        let Json(tokens) = self.auth(Data(*store), limits, request, jar, body).await?;
        begin_in_shop(&store, jar, &tokens).await
    }

    /// Go on with the storefront's session.
    #[oai(path = "/session", method = "put", operation_id = "refreshShopSession")]
    async fn refresh_session(
        &self,
        store: Data<&Arc<Store>>,
        request: &poem::Request,
        jar: &CookieJar,
    ) -> Result<SessionBegun, Problem> {
        session::must_be_proven(request)?;
        let refresh_token = session::refresh_token(jar).ok_or(SessionError::InvalidToken)?;
        let body = Json(Refresh { refresh_token: Str(refresh_token) });
        let Json(tokens) = self.refresh(store, body).await?;
        session::keep(jar, &tokens.access_token, &tokens.refresh_token);
        Ok(SessionBegun::NoContent)
    }

    /// End the storefront's session.
    #[oai(path = "/session", method = "delete", operation_id = "endShopSession")]
    async fn end_session(
        &self,
        store: Data<&Arc<Store>>,
        request: &poem::Request,
        jar: &CookieJar,
    ) -> Result<LoggedOut, Problem> {
        session::must_be_proven(request)?;
        if let Some(token) = session::refresh_token(jar) {
            log_out(&store, &token).await?;
        }
        session::forget(jar);
        Ok(LoggedOut::NoContent)
    }
}

/// Notes a login: in the log, for its owner where the device is new, and on the device itself.
pub(super) async fn welcome(store: &Store, jar: &CookieJar, session: &Session, (email, place): (&Email, &Place)) {
    security_log::logged_in(session.user, place);
    if !place.is_known {
        DeviceCookie::keep(jar, store.commands.vault(), email);
    }
    // Whoever is in is in; a code that was used up for it would be lost.
    if let Err(error) = store.commands.note_device(session, place).await {
        tracing::error!(%error, user.id = %session.user, "Nobody is told of a login, should its device be new");
    }
}

/// Keeps the tokens of a login in cookies, and ends the session that there was before.
pub(super) async fn begin_in_shop(store: &Store, jar: &CookieJar, tokens: &Tokens) -> Result<SessionBegun, Problem> {
    if let Some(before) = session::refresh_token(jar) {
        log_out(store, &before).await?;
    }
    session::keep(jar, &tokens.access_token, &tokens.refresh_token);
    Ok(SessionBegun::NoContent)
}

/// Its access token is refused here at once.
async fn log_out(store: &Store, refresh_token: &str) -> Result<(), Problem> {
    store.commands.log_out(refresh_token).await?;
    store.authority.refresh().await;
    Ok(())
}

pub(super) fn tokens(store: &Store, session: Session) -> Result<Json<Tokens>, Problem> {
    store.authority.note(&session);
    let signed = store.secrets().keys.sign(&session, store.commands.clock().now());
    let access_token = signed.map_err(|error| Problem::unavailable("the token key", &error))?;
    let refresh_token = session.refresh_token;
    Ok(Json(Tokens { access_token, token_type: "Bearer".to_owned(), expires_in: LIFETIME, refresh_token }))
}
