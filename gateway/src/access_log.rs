//! What staff are shown of others is noted before it is shown, where nobody of the store can change it.

use std::sync::Arc;

use commands::Actor;
use domain::Role;
use journal::vault::Access;
use poem::http::Method;
use poem::{Endpoint, IntoResponse, Request, Response, Result};
use uuid::Uuid;

use crate::problem::Problem;
use crate::{Store, request_id};

/// As much of a query as is kept; none that the API knows is as long.
const LONGEST: usize = 500;

/// Notes an answer that shows staff what is others'. Where it cannot be noted, nothing is shown.
pub(crate) async fn kept<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let (actor, store) = (request.data::<Actor>().copied(), request.data::<Arc<Store>>().cloned());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = endpoint.call(request).await?.into_response();
    let (Some(actor), Some(store)) = (actor, store) else { return Ok(response) };
    let Some(staff) = actor.user().filter(|_| response.is_success() && shows_others(actor, &method, uri.path())) else {
        return Ok(response);
    };
    let request = request_id::current();
    let query = uri.query().map(|query| query.get(..LONGEST).unwrap_or(query));
    let about = named(uri.path(), uri.query());
    let access = Access { staff, key: actor.key(), about, path: uri.path(), query, request: request.as_deref() };
    match store.commands.vault().note_access(access).await {
        Ok(()) => Ok(response),
        Err(error) => Ok(Problem::from(error).to_response()),
    }
}

/// Whether an answer shows somebody of the staff what is not their own.
pub(crate) fn shows_others(actor: Actor, method: &Method, path: &str) -> bool {
    let is_staff = matches!(actor, Actor::User { role: Role::Admin | Role::Analyst, .. });
    let own = actor.user().map(|user| user.to_string()).unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let is_others = match parts.as_slice() {
        ["users"] | ["pedidos" | "pagamento" | "disputas" | "dlq" | "eventos" | "acessos", ..] => true,
        ["users", id, ..] => *id != "me" && *id != own,
        _ => false,
    };
    is_staff && is_others && *method == Method::GET
}

/// The account, order or other thing that a request names.
fn named(path: &str, query: Option<&str>) -> Option<Uuid> {
    let in_query = query.into_iter().flat_map(|query| query.split('&')).filter_map(|field| field.strip_prefix("user="));
    path.split('/').chain(in_query).find_map(|part| Uuid::try_parse(part).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_about_what_it_names() {
        let id = "01920b5e-7c3a-7a10-9d5e-3f2b1c0d9e8f";
        let parsed = Uuid::try_parse(id).ok();
        assert_eq!(named(&format!("/users/{id}/sessions"), None), parsed);
        assert_eq!(named("/pedidos", Some(&format!("limit=5&user={id}"))), parsed);
        assert_eq!(named("/pedidos", Some("limit=5")), None);
    }
}
