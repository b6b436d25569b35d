//! What happens to every request: bodies are bounded, errors become problems, and it is logged and counted.

use std::sync::Arc;
use std::time::Instant;

use poem::http::StatusCode;
use poem::http::header::ALLOW;
use poem::{Body, Endpoint, IntoResponse, Request, Response, Result};

use crate::metrics::REQUESTS;
use crate::openapi;
use crate::problem::Problem;

/// The largest body of a route that reads JSON.
const JSON_LIMIT: usize = 64 << 10;
/// The largest body of a webhook.
const WEBHOOK_LIMIT: usize = 256 << 10;
/// The largest catalogue that is imported at once.
const CATALOGUE_LIMIT: usize = 4 << 20;

/// Reads the body up to its limit, whatever `Content-Length` says.
pub(crate) async fn bounded<E: Endpoint>(endpoint: Arc<E>, mut request: Request) -> Result<Response> {
    let limit = match request.uri().path() {
        "/webhooks/psp" => WEBHOOK_LIMIT,
        "/jogos/importacao" => CATALOGUE_LIMIT,
        _ => JSON_LIMIT,
    };
    if let Ok(body) = request.take_body().into_bytes_limit(limit).await {
        request.set_body(Body::from_bytes(body));
        Ok(endpoint.call(request).await?.into_response())
    } else {
        let detail = format!("the body must have at most {limit} bytes");
        Ok(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).to_response())
    }
}

/// Headers that change what a request does: one that is no text would be taken for none, and a repeat for a new wish.
const TELLING: [&str; 3] = ["Consistency-Token", "If-Match", "Idempotency-Key"];

/// Refuses headers that cannot be read.
pub(crate) async fn legible<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let illegible = |name: &&str| request.headers().get_all(*name).iter().any(|value| value.to_str().is_err());
    match TELLING.into_iter().find(illegible) {
        Some(name) => {
            let detail = format!("{name} must be text of visible ASCII characters");
            Ok(Problem::new(StatusCode::BAD_REQUEST, "invalid_header", detail).to_response())
        }
        None => Ok(endpoint.call(request).await?.into_response()),
    }
}

/// Makes a problem of every error, and a line and a count of every request.
pub(crate) async fn observed<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = Instant::now();
    let response = match endpoint.call(request).await {
        Ok(response) => response.into_response(),
        Err(error) if error.is_from_response() => error.into_response(),
        Err(error) => {
            let mut response = Problem::of_framework(&error).to_response();
            if response.status() == StatusCode::METHOD_NOT_ALLOWED
                && let Ok(allowed) = openapi::allowed(&path).parse()
            {
                response.headers_mut().insert(ALLOW, allowed);
            }
            response
        }
    };
    let (status, took) = (response.status(), begun.elapsed());
    REQUESTS.with_label_values(&[method.as_str(), status.as_str()]).observe(took.as_secs_f64());
    let took_ms = took.as_secs_f64() * 1_000.0;
    if status.is_server_error() {
        tracing::warn!(%method, path, status = status.as_u16(), took_ms, "{method} {path} → {status}");
    } else {
        tracing::debug!(%method, path, status = status.as_u16(), took_ms, "{method} {path} → {status}");
    }
    Ok(response)
}
