//! What happens to every request: bodies are bounded, errors become problems, and it is logged and counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use commands::Actor;
use futures::{StreamExt, TryStream, TryStreamExt};
use poem::endpoint::make_sync;
use poem::http::header::{ACCEPT_ENCODING, ALLOW, HeaderValue, VARY};
use poem::http::{Method, StatusCode};
use poem::middleware::Compression;
use poem::web::CompressionLevel;
use poem::{Body, Endpoint, EndpointExt, IntoResponse, Request, Response, Result};

use crate::edge::{Bounds, UnderWay};
use crate::metrics::REQUESTS;
use crate::openapi;
use crate::problem::Problem;

/// The largest body of a route that reads JSON.
const JSON_LIMIT: usize = 64 << 10;
/// The largest body of a webhook.
const WEBHOOK_LIMIT: usize = 256 << 10;
/// The largest catalogue that is imported at once.
const CATALOGUE_LIMIT: usize = 4 << 20;
/// How much of a body is expected in the time that a client may take.
const MOMENT: usize = 1 << 20;
/// How much of a body that is too large is read before its client is answered, and for how long.
const DRAIN_LIMIT: usize = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// From how many bytes on JSON is compressed.
const COMPRESSED_FROM: usize = 1_024;

/// A catalogue that nobody has read yet.
type Unread = Arc<Mutex<Option<Body>>>;

/// Reads the body up to its limit, whatever `Content-Length` says; a catalogue is left for who may send one.
pub(crate) async fn bounded<E: Endpoint>(endpoint: Arc<E>, mut request: Request) -> Result<Response> {
    match request.uri().path() {
        "/jogos/importacao" => {
            let unread = Unread::new(Mutex::new(Some(request.take_body())));
            request.set_data(unread.clone());
            let answer = endpoint.call(request).await;
            if let Some(body) = taken(&unread) {
                drain(body.into_bytes_stream()).await;
            }
            answer.map(IntoResponse::into_response)
        }
        "/webhooks/psp" => with_body(&endpoint, request, WEBHOOK_LIMIT).await,
        _ => with_body(&endpoint, request, JSON_LIMIT).await,
    }
}

/// Reads a catalogue, once it is known who sends it: nothing is kept for whoever may not.
pub(crate) async fn imported<E: Endpoint>(endpoint: Arc<E>, mut request: Request) -> Result<Response> {
    let may = request.data::<Actor>().is_some_and(|actor| actor.must_be_admin().is_ok());
    match request.data::<Unread>().filter(|_| may).and_then(taken) {
        Some(body) => {
            request.set_body(body);
            with_body(&endpoint, request, CATALOGUE_LIMIT).await
        }
        None => endpoint.call(request).await.map(IntoResponse::into_response),
    }
}

fn taken(unread: &Unread) -> Option<Body> {
    unread.lock().unwrap_or_else(PoisonError::into_inner).take()
}

async fn with_body<E: Endpoint>(endpoint: &E, mut request: Request, limit: usize) -> Result<Response> {
    // A slow line has a moment for a page, and minutes for a catalogue.
    let moments = u32::try_from(limit / MOMENT).unwrap_or_default().saturating_add(1);
    let patience = request.data::<Bounds>().map_or(Duration::MAX, |bounds| bounds.patience.saturating_mul(moments));
    let Ok(body) = tokio::time::timeout(patience, read(request.take_body(), limit)).await else {
        let detail = format!("the body must come within {} s", patience.as_secs());
        return Ok(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail).to_response());
    };
    if let Some(under_way) = request.data::<UnderWay>() {
        under_way.has_come();
    }
    match body {
        Ok(Some(body)) => {
            request.set_body(Body::from_vec(body));
            Ok(endpoint.call(request).await?.into_response())
        }
        Ok(None) => {
            let detail = format!("the body must have at most {limit} bytes");
            Ok(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).to_response())
        }
        Err(error) => {
            let detail = format!("the body could not be read: {error}");
            Ok(Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail).to_response())
        }
    }
}

/// A body of at most `limit` bytes; nothing where it has more.
async fn read(body: Body, limit: usize) -> std::io::Result<Option<Vec<u8>>> {
    let (mut stream, mut held) = (body.into_bytes_stream(), Vec::new());
    while let Some(chunk) = stream.next().await {
        held.extend_from_slice(&chunk?);
        if held.len() > limit {
            drop(held);
            drain(stream).await;
            return Ok(None);
        }
    }
    Ok(Some(held))
}

/// Reads what is left of a body for a moment and throws it away: a connection that is closed while its client still writes
/// is reset, and the client never sees the answer (RFC 9112, 9.6).
async fn drain<B: AsRef<[u8]>>(rest: impl TryStream<Ok = B, Error = std::io::Error>) {
    let rest = rest.try_fold(0_usize, async |drained, chunk| match drained.saturating_add(chunk.as_ref().len()) {
        drained if drained > DRAIN_LIMIT => Err(std::io::ErrorKind::FileTooLarge.into()),
        drained => Ok(drained),
    });
    let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
}

/// Compresses JSON answers to GET requests. What carries a secret answers a POST, and streams go out as they come.
pub(crate) async fn compressed<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let asked = if request.method() == Method::GET { request.header(ACCEPT_ENCODING).map(str::to_owned) } else { None };
    let mut response = endpoint.call(request).await?.into_response();
    let Some(asked) =
        asked.filter(|_| response.content_type().is_some_and(|kind| kind.contains("json") && !kind.contains("ndjson")))
    else {
        return Ok(response);
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    let body = response.take_body().into_vec().await?;
    let is_small = body.len() < COMPRESSED_FROM;
    response.set_body(body);
    if is_small {
        return Ok(response);
    }
    let answered = Mutex::new(Some(response));
    let answer = make_sync(move |_| answered.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default());
    let compression = Compression::new().with_quality(CompressionLevel::Fastest);
    answer
        .with(compression)
        .call(Request::builder().header(ACCEPT_ENCODING, asked).finish())
        .await
        .map(IntoResponse::into_response)
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
    let path = || openapi::loggable(&method, &path);
    if status.is_server_error() {
        let path = path();
        tracing::warn!(%method, path, status = status.as_u16(), took_ms, "{method} {path} → {status}");
    } else {
        tracing::debug!(%method, path = path(), status = status.as_u16(), took_ms, "{method} → {status}");
    }
    Ok(response)
}
