//! Who logged in, who was refused, who looked at what of others and what changed what opens an account, as log lines of
//! their own target, `security`: ids, routes and outcomes, no address, name or secret (OWASP Logging Vocabulary).

use std::sync::Arc;

use commands::Actor;
use domain::{Role, UserId};
use poem::http::{Method, StatusCode};
use poem::{Endpoint, IntoResponse, Request, Response, Result};

const TARGET: &str = "security";

/// A login that went well.
pub(crate) fn logged_in(user: UserId, device_known: bool) {
    tracing::info!(target: TARGET, event = "login", outcome = "success", user = %user, device_known, "login of {user}");
}

/// Notes what an answer means for security.
pub(crate) async fn watched<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let actor = request.data::<Actor>().copied();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match endpoint.call(request).await {
        Err(error) if error.is_from_response() => error.into_response(),
        Err(error) => {
            note(actor, &method, &path, error.status());
            return Err(error);
        }
        Ok(response) => response.into_response(),
    };
    note(actor, &method, &path, response.status());
    Ok(response)
}

fn note(actor: Option<Actor>, method: &Method, path: &str, status: StatusCode) {
    let Some(event) = event(actor, method, path, status) else { return };
    let outcome = if status.is_success() { "success" } else { "failure" };
    let user = actor.and_then(Actor::user).map(|user| user.to_string()).unwrap_or_default();
    let status = status.as_u16();
    tracing::info!(target: TARGET, event, outcome, user, %method, path, status, "{event}: {method} {path} → {status}");
}

/// What it is called; nothing for what anybody does all day.
fn event(actor: Option<Actor>, method: &Method, path: &str, status: StatusCode) -> Option<&'static str> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let is_staff = matches!(actor, Some(Actor::User { role: Role::Admin | Role::Analyst, .. }));
    Some(match (method, parts.as_slice()) {
        // One that went well says so itself, with whom it let in.
        (&Method::POST, ["login", "auth" | "session"]) if status.is_success() => return None,
        (&Method::POST, ["login", "auth" | "session"]) => "login",
        (_, ["login", "reset"]) | (&Method::PUT, ["users", _, "password"]) => "password_change",
        (_, ["login", "forgotten"]) => "password_reset_request",
        (&Method::DELETE, ["users", _, "sessions", ..]) => "session_end",
        (&Method::PUT, ["users", _, "role"]) => "role_change",
        (&Method::PUT, ["users", _]) => "profile_change",
        (&Method::DELETE, ["users", _]) => "erasure",
        (_, ["users", _, "export"]) => "export",
        _ if status == StatusCode::TOO_MANY_REQUESTS => "limit",
        _ if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => "refusal",
        (&Method::GET, ["users"] | ["pedidos" | "pagamento" | "disputas" | "dlq" | "eventos", ..]) if is_staff => {
            "staff_read"
        }
        (&Method::GET, ["users", id, ..]) if is_staff && *id != "me" => "staff_read",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_for_security_has_a_name_and_the_rest_has_none() {
        let of = |role| {
            Some(Actor::User {
                id: UserId::from_uuid(uuid::Uuid::nil()),
                role,
                proven_at: chrono::DateTime::UNIX_EPOCH,
            })
        };
        let (customer, admin) = (of(Role::Customer), of(Role::Admin));
        for (actor, method, path, status, name) in [
            (None, Method::POST, "/login/auth", 401, Some("login")),
            (None, Method::POST, "/login/auth", 200, None),
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
                event(actor, &method, path, StatusCode::from_u16(status).unwrap()),
                name,
                "{method} {path} {status}"
            );
        }
    }
}
