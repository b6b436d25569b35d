//! What staff are shown of others is noted before it is shown, where no role of the store can change it.

use std::sync::Arc;

use commands::Actor;
use domain::Role;
use journal::vault::Access;
use poem::http::{Method, Uri};
use poem::{Endpoint, IntoResponse, Request, Response, Result};
use serde_json::Value;
use uuid::Uuid;

use crate::problem::Problem;
use crate::{Store, openapi, request_id};

/// As much of a query as is kept.
const LONGEST: usize = 500;

/// Notes an answer that shows staff what is others'. Where it cannot be noted, nothing is shown.
pub(crate) async fn kept<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let (actor, store) = (request.data::<Actor>().copied(), request.data::<Arc<Store>>().cloned());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = endpoint.call(request).await?.into_response();
    let (Some(actor), Some(store)) = (actor, store) else { return Ok(response) };
    let Some(staff) = actor.user().filter(|_| response.is_success() && shows_others(actor, &method, &uri)) else {
        return Ok(response);
    };
    let request = request_id::current();
    let (path, query) = (decoded(uri.path()), known_parameters(&method, &uri));
    let access = Access {
        staff,
        key: actor.key(),
        about: named(&uri),
        path: &path,
        query: query.as_deref(),
        request: request.as_deref(),
    };
    match store.commands.vault().note_access(access).await {
        Ok(()) => Ok(response),
        Err(error) => Ok(Problem::from(error).to_response()),
    }
}

/// Whether an answer shows somebody of the staff what is not their own. Whose a single order or payment is, the request does
/// not say: an admin's own count as others'.
pub(crate) fn shows_others(actor: Actor, method: &Method, uri: &Uri) -> bool {
    let (Actor::User { role, .. }, Some(own)) = (actor, actor.user()) else { return false };
    let path = decoded(uri.path());
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let is_admin = role == Role::Admin;
    let asks_for_own = parameters(uri).iter().any(|(name, value)| match name.as_str() {
        "mine" => value == "true",
        "user" => Uuid::try_parse(value) == Ok(own.as_uuid()),
        _ => false,
    });
    match (method, parts.as_slice()) {
        (&Method::GET, ["eventos", ..]) => is_admin || role == Role::Analyst,
        (&Method::GET, ["pedidos"]) => is_admin && !asks_for_own,
        (&Method::GET, ["users"] | ["pedidos" | "pagamento" | "disputas" | "dlq" | "acessos", ..]) => is_admin,
        // A payment that is asked about is shown as well.
        (&Method::POST, ["pagamento", _]) => is_admin,
        (&Method::GET, ["users", id, ..]) => is_admin && *id != "me" && Uuid::try_parse(id) != Ok(own.as_uuid()),
        _ => false,
    }
}

/// The account, order or other thing that a request names.
fn named(uri: &Uri) -> Option<Uuid> {
    let path = decoded(uri.path());
    let in_path = path.split('/').find_map(|part| Uuid::try_parse(part).ok());
    let names = |name: &str| ["user", "id"].contains(&name);
    in_path
        .or_else(|| parameters(uri).iter().filter(|(name, _)| names(name)).find_map(|(_, id)| Uuid::try_parse(id).ok()))
}

/// What of a query the API reads: anything else may be anybody's data, and is not to be kept.
fn known_parameters(method: &Method, uri: &Uri) -> Option<String> {
    let (_, operation) = openapi::operation(method.as_str(), uri.path())?;
    let described = operation.get("parameters").and_then(Value::as_array)?;
    let is_known = |name: &str| described.iter().any(|known| known["in"] == "query" && known["name"] == name);
    let known: Vec<_> = parameters(uri).into_iter().filter(|(name, _)| is_known(name)).collect();
    let query = serde_urlencoded::to_string(&known).ok().filter(|query| !query.is_empty())?;
    Some(query.chars().take(LONGEST).collect())
}

fn parameters(uri: &Uri) -> Vec<(String, String)> {
    serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default()
}

/// A path as the routes read it.
fn decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use commands::Assurance;
    use domain::UserId;
    use domain::user::Requirement;

    use super::*;

    const ID: &str = "01920b5e-7c3a-7a10-9d5e-3f2b1c0d9e8f";

    #[test]
    fn a_request_is_about_what_it_names() {
        let parsed = Uuid::try_parse(ID).ok();
        let encoded = ID.replacen('0', "%30", 1);
        for uri in [
            format!("/users/{ID}/sessions"),
            format!("/users/{encoded}"),
            format!("/pedidos?limit=5&user={ID}"),
            format!("/pedidos?user={encoded}"),
            format!("/eventos?aggregate=user&id={ID}"),
        ] {
            assert_eq!(named(&uri.parse().unwrap()), parsed, "{uri}");
        }
        assert_eq!(named(&"/pedidos?limit=5".parse().unwrap()), None);
    }

    #[test]
    fn staff_are_shown_what_is_others_where_it_is_not_their_own() {
        let of = |role| {
            let id = UserId::parse(ID).unwrap();
            Actor::of_user(id, role, (Assurance::OneFactor, Requirement::Optional), DateTime::UNIX_EPOCH)
        };
        let own = ID.to_uppercase();
        for (role, method, uri, shows) in [
            (Role::Admin, Method::GET, "/users", true),
            (Role::Admin, Method::GET, "/users/7", true),
            (Role::Admin, Method::GET, "/users/me", false),
            (Role::Admin, Method::GET, &*format!("/users/{own}"), false),
            (Role::Admin, Method::POST, "/pagamento/7", true),
            (Role::Admin, Method::POST, "/pagamento", false),
            (Role::Admin, Method::GET, "/pedidos", true),
            (Role::Admin, Method::GET, "/pedidos?mine=true", false),
            (Role::Admin, Method::GET, &*format!("/pedidos?user={own}"), false),
            (Role::Admin, Method::GET, "/jogos", false),
            (Role::Analyst, Method::GET, "/eventos", true),
            (Role::Analyst, Method::GET, "/pedidos", false),
            (Role::Customer, Method::GET, "/pedidos/7", false),
        ] {
            assert_eq!(shows_others(of(role), &method, &uri.parse().unwrap()), shows, "{role:?} {method} {uri}");
        }
    }

    #[test]
    fn of_a_query_only_what_the_api_reads_is_kept() {
        let uri = "/users?limit=5&email=ana@example.com&role=admin".parse().unwrap();
        assert_eq!(known_parameters(&Method::GET, &uri).as_deref(), Some("limit=5&role=admin"));
        assert_eq!(known_parameters(&Method::GET, &"/users?email=ana@example.com".parse().unwrap()), None);
    }
}
