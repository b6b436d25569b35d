//! Who logged in, who was refused, who looked at what of others and what changed what opens an account, as log lines of
//! their own target, `security`: ids, routes and outcomes, no address, name or secret (OWASP Logging Vocabulary).

use std::sync::Arc;

use commands::{Actor, Place, SessionError};
use domain::{Email, UserId};
use journal::Vault;
use poem::http::{Method, StatusCode, Uri};
use poem::{Endpoint, IntoResponse, Request, Response, Result};

use crate::{access_log, openapi};

const TARGET: &str = "security";

/// A login that went well.
pub(crate) fn logged_in(user: UserId, place: &Place) {
    let Place { network, is_known: device_known, .. } = place;
    tracing::info!(target: TARGET, event = "login", outcome = "success", user = %user, network, device_known, "login of {user}");
}

/// A login that did not, and why: where a second factor is missing or wrong, somebody knows the password. The account that
/// it was meant for is told by a keyed hash, whether there is one or not.
pub(crate) fn not_logged_in(vault: &Vault, email: &Email, place: &Place, refusal: &SessionError) {
    let reason = match refusal {
        SessionError::SecondFactorNeeded => "second_factor_needed",
        SessionError::WrongCode => "wrong_code",
        SessionError::WrongCredentials => "wrong_credentials",
        SessionError::PasskeyRefused | SessionError::InvalidToken | SessionError::Command(_) => return,
    };
    let hash = vault.keyed_hash("security log", email.normal_form().as_bytes());
    let account: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let Place { network, is_known: device_known, .. } = place;
    tracing::info!(target: TARGET, event = "login", outcome = "failure", reason, account, network, device_known, "login refused: {reason}");
}

/// A login by a passkey that opens no account; whose it was to be, nobody knows.
pub(crate) fn passkey_refused(place: &Place) {
    let network = &place.network;
    tracing::info!(target: TARGET, event = "login", outcome = "failure", network, "passkey refused");
}

/// An address that is confirmed, and somebody's by that where they have asked for it.
pub(crate) fn confirmed(user: UserId) {
    tracing::info!(target: TARGET, event = "email_confirmation", outcome = "success", user = %user, "address of {user} confirmed");
}

/// An access token that speaks for nobody: forged, out of date, or of a session that was ended, whose account it names.
pub(crate) fn bad_token(request: &Request, user: Option<UserId>) {
    let path = openapi::loggable(request.method(), request.uri().path());
    let user = user.map(|user| user.to_string()).unwrap_or_default();
    tracing::info!(target: TARGET, event = "token", outcome = "failure", user, path, "a token is not good");
}

/// Notes what an answer means for security.
pub(crate) async fn watched<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let actor = request.data::<Actor>().copied();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = match endpoint.call(request).await {
        Err(error) if error.is_from_response() => error.into_response(),
        Err(error) => {
            note(actor, &method, &uri, error.status());
            return Err(error);
        }
        Ok(response) => response.into_response(),
    };
    note(actor, &method, &uri, response.status());
    Ok(response)
}

fn note(actor: Option<Actor>, method: &Method, uri: &Uri, status: StatusCode) {
    let Some(event) = event(actor, method, uri, status) else { return };
    let path = openapi::loggable(method, uri.path());
    let outcome = if status.is_success() { "success" } else { "failure" };
    let user = actor.and_then(Actor::user).map(|user| user.to_string()).unwrap_or_default();
    let key = actor.and_then(Actor::key).map(|key| key.to_string()).unwrap_or_default();
    let status = status.as_u16();
    tracing::info!(target: TARGET, event, outcome, user, key, %method, path, status, "{event}: {method} {path} → {status}");
}

/// What it is called; nothing for what anybody does all day.
fn event(actor: Option<Actor>, method: &Method, uri: &Uri, status: StatusCode) -> Option<&'static str> {
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    Some(match (method, parts.as_slice()) {
        (&Method::POST, ["login", "auth" | "session" | "passkey", ..]) if status == StatusCode::TOO_MANY_REQUESTS => {
            "limit"
        }
        // Somebody else's page, which is not the storefront.
        (_, ["login", "session", ..]) if status == StatusCode::FORBIDDEN => "refusal",
        // What else becomes of a login it says itself, with whom it was meant for.
        (&Method::POST, ["login", "auth" | "session" | "passkey", ..]) => return None,
        (_, ["login", "refresh" | "session"]) if !status.is_success() => "session_refresh",
        (&Method::DELETE, ["login", "session"]) | (_, ["login", "logout"]) => "logout",
        (&Method::POST, ["users"]) => "registration",
        (_, ["login", "reset"]) | (&Method::PUT, ["users", _, "password"]) => "password_change",
        (_, ["login", "forgotten"]) => "password_reset_request",
        // Whose address is confirmed the route says itself.
        (_, ["login", "confirm"]) if status.is_success() => return None,
        (_, ["login", "confirm"]) => "email_confirmation",
        (_, ["users", _, "email", "confirmation"]) => "email_confirmation_request",
        (&Method::PUT, ["users", _, "birth-date"]) => "birth_date_confirmation",
        (&Method::DELETE, ["users", _, "sessions", ..]) => "session_end",
        (_, ["users", _, "passkeys" | "totp", _]) if status.is_success() => return None,
        (_, ["users", _, "passkeys" | "totp", ..]) => "authenticator_add",
        (&Method::DELETE, ["users", _, "authenticators", ..]) => "authenticator_remove",
        (_, ["users", _, "recovery-codes"]) => "recovery_codes",
        (&Method::POST, ["users", _, "api-keys"]) => "api_key_make",
        (&Method::DELETE, ["users", _, "api-keys", _]) => "api_key_revoke",
        (&Method::PUT, ["users", _, "role"]) => "role_change",
        (&Method::PUT, ["users", _]) => "profile_change",
        (&Method::DELETE, ["users", _]) => "erasure",
        (_, ["users", _, "export"]) => "export",
        _ if status == StatusCode::TOO_MANY_REQUESTS => "limit",
        _ if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => "refusal",
        // What is another's does not exist for who asks; whether it does, the log need not know.
        (_, ["users" | "pedidos" | "pagamento", _, ..]) if actor.is_some() && status == StatusCode::NOT_FOUND => {
            "refusal"
        }
        _ if actor.is_some_and(|actor| access_log::shows_others(actor, method, uri)) => "staff_read",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use domain::Role;

    use super::*;

    #[test]
    fn what_matters_for_security_has_a_name_and_the_rest_has_none() {
        let of = |role| {
            Some(Actor::User {
                id: UserId::from_uuid(uuid::Uuid::nil()),
                role,
                proven_at: chrono::DateTime::UNIX_EPOCH,
                assurance: commands::Assurance::OneFactor,
                lacks_second_factor: false,
                key: None,
            })
        };
        let (customer, admin) = (of(Role::Customer), of(Role::Admin));
        for (actor, method, path, status, name) in [
            (None, Method::POST, "/login/auth", 200, None),
            (None, Method::POST, "/login/auth", 429, Some("limit")),
            (None, Method::POST, "/login/session", 403, Some("refusal")),
            (None, Method::PUT, "/login/session", 401, Some("session_refresh")),
            (None, Method::PUT, "/login/session", 204, None),
            (None, Method::DELETE, "/login/session", 204, Some("logout")),
            (customer, Method::GET, "/pedidos/7", 404, Some("refusal")),
            (None, Method::GET, "/jogos/7", 404, None),
            (customer, Method::PUT, "/users/me/password", 204, Some("password_change")),
            (customer, Method::DELETE, "/users/me/sessions/7", 204, Some("session_end")),
            (customer, Method::GET, "/users", 403, Some("refusal")),
            (None, Method::GET, "/jogos", 401, Some("refusal")),
            (None, Method::GET, "/jogos", 429, Some("limit")),
            (admin, Method::GET, "/users", 200, Some("staff_read")),
            (admin, Method::GET, "/users/7", 200, Some("staff_read")),
            (admin, Method::GET, "/users/me", 200, None),
            (customer, Method::GET, "/pedidos", 200, None),
            (admin, Method::PUT, "/users/7/role", 204, Some("role_change")),
            (customer, Method::GET, "/biblioteca", 200, None),
        ] {
            assert_eq!(
                event(actor, &method, &path.parse().unwrap(), StatusCode::from_u16(status).unwrap()),
                name,
                "{method} {path} {status}"
            );
        }
    }
}
