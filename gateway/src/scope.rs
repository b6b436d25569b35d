//! What a key for programs is good for, by the request: what no scope names, no key may do.

use std::sync::Arc;

use domain::user::Scope;
use poem::http::{Method, StatusCode};
use poem::{Endpoint, Request, Result};

use crate::problem::Problem;

/// What the key of a request is good for.
#[derive(Clone)]
pub(crate) struct Scopes(pub(crate) Vec<Scope>);

/// Passes what is asked by people, and what a key is good for.
pub(crate) async fn held<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<E::Output> {
    let is_public = ["/health/live", "/health/ready", "/.well-known/jwks.json"].contains(&request.uri().path());
    if let (Some(Scopes(scopes)), false) = (request.data::<Scopes>(), is_public) {
        must_allow(scopes, request.method(), request.uri().path())?;
    }
    endpoint.call(request).await
}

/// The scope that a request needs; none where keys may not go.
fn needed(method: &Method, path: &str) -> Option<Scope> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    Some(match (method, parts.as_slice()) {
        (_, ["jogos", "compra"]) => return None,
        (&Method::GET | &Method::HEAD, ["jogos", ..]) => Scope::ReadCatalogue,
        (_, ["jogos", ..]) => Scope::WriteCatalogue,
        (&Method::GET | &Method::HEAD, ["eventos", ..]) => Scope::ReadEvents,
        (_, ["dlq", ..]) | (&Method::GET | &Method::HEAD, ["health", "figures"]) => Scope::Operate,
        _ => return None,
    })
}

/// Passes a request that a key is good for.
///
/// # Errors
/// 403 for any other.
fn must_allow(scopes: &[Scope], method: &Method, path: &str) -> Result<(), Problem> {
    let needed = needed(method, path);
    if needed.is_some_and(|needed| scopes.contains(&needed)) {
        return Ok(());
    }
    let detail = needed.map_or_else(
        || "no API key may do this; log in".to_owned(),
        |needed| format!("this API key is not good for this; it would need the scope {needed}"),
    );
    Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_what_its_scopes_name_and_nothing_else() {
        for (method, path, scope) in [
            (Method::GET, "/jogos", Some(Scope::ReadCatalogue)),
            (Method::GET, "/jogos/busca", Some(Scope::ReadCatalogue)),
            (Method::POST, "/jogos", Some(Scope::WriteCatalogue)),
            (Method::POST, "/jogos/importacao", Some(Scope::WriteCatalogue)),
            (Method::DELETE, "/jogos/7/promocoes/8", Some(Scope::WriteCatalogue)),
            (Method::GET, "/eventos", Some(Scope::ReadEvents)),
            (Method::POST, "/dlq/7/redrive", Some(Scope::Operate)),
            (Method::GET, "/health/figures", Some(Scope::Operate)),
            (Method::POST, "/jogos/compra", None),
            (Method::POST, "/jogos/compra/", None),
            (Method::HEAD, "/jogos/7", Some(Scope::ReadCatalogue)),
            (Method::HEAD, "/users", None),
            (Method::GET, "/users", None),
            (Method::GET, "/users/me", None),
            (Method::GET, "/users/me/export", None),
            (Method::PUT, "/users/7/role", None),
            (Method::POST, "/users/me/api-keys", None),
            (Method::POST, "/pagamento", None),
            (Method::GET, "/biblioteca", None),
            (Method::GET, "/notificacoes", None),
        ] {
            assert_eq!(needed(&method, path), scope, "{method} {path}");
        }
    }
}
