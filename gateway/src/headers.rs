//! What every answer carries unless it says otherwise: it is kept nowhere, framed nowhere and taken for nothing else (OWASP
//! Secure Headers, REST Security Cheat Sheet); what is public may be kept and asked for again.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use poem::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use poem::http::uri::Scheme;
use poem::http::{Method, StatusCode};
use poem::{Endpoint, IntoResponse, Request, Response, Result};
use sha2::{Digest, Sha256};

use crate::openapi;

const DEFAULTS: [(HeaderName, &str); 7] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // For browsers that know no `frame-ancestors`.
    (X_FRAME_OPTIONS, "DENY"),
];
/// Once over TLS, always over TLS, for a year (RFC 6797).
const ONLY_TLS: &str = "max-age=31536000; includeSubDomains";
/// Kept, asked for again each time, and answered with 304 where nothing changed.
pub(crate) const ASK_AGAIN: &str = "no-cache";

/// Adds what an answer does not say itself.
pub(crate) async fn guarded<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let is_secure = *request.scheme() == Scheme::HTTPS;
    let mut response = endpoint.call(request).await?.into_response();
    let headers = response.headers_mut();
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Some(named) = headers.get(CONTENT_TYPE).and_then(with_charset) {
        headers.insert(CONTENT_TYPE, named);
    }
    if is_secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(ONLY_TLS));
    }
    Ok(response)
}

/// Texts are UTF-8, and say so; streams of events are nothing else (HTML, 9.2.1).
fn with_charset(kind: &HeaderValue) -> Option<HeaderValue> {
    let kind = kind.to_str().ok().filter(|kind| kind.starts_with("text/") && !kind.contains("charset"))?;
    let is_stream = kind.starts_with("text/event-stream");
    (!is_stream).then(|| HeaderValue::from_str(&format!("{kind}; charset=utf-8")).ok())?
}

/// What the explorer is made of: its own scripts, by their hashes, and no others.
static EXPLORER: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = |script| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(script)));
    let scripts = scripts(&openapi::explorer()).map(hash).collect::<Vec<_>>().join(" ");
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; font-src data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

/// The scripts that stand in a page.
fn scripts(page: &str) -> impl Iterator<Item = &str> {
    let mut rest = page;
    std::iter::from_fn(move || {
        let (_, from_tag) = rest.split_once("<script")?;
        let (script, after) = from_tag.split_once('>')?.1.split_once("</script>")?;
        rest = after;
        Some(script)
    })
}

/// Allows the explorer what it is made of, and nobody to frame it.
pub(crate) async fn explored<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let mut response = endpoint.call(request).await?.into_response();
    if let Some(policy) = EXPLORER.as_ref() {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
    Ok(response)
}

/// Answers HEAD wherever GET is answered (RFC 9110, 9.3.2). Over HTTP/1 the server leaves the body away.
pub(crate) async fn headed<E: Endpoint>(endpoint: Arc<E>, mut request: Request) -> Result<E::Output> {
    if request.method() == Method::HEAD {
        request.set_method(Method::GET);
    }
    endpoint.call(request).await
}

/// What anybody may read, and so keep. What a search finds is never twice the same: it says how long it took.
fn is_public(path: &str) -> bool {
    let is_game = path.starts_with("/jogos/") && path != "/jogos/busca";
    is_game
        || path.starts_with("/schemas")
        || ["/jogos", "/openapi.json", "/asyncapi.json", "/.well-known/jwks.json"].contains(&path)
}

/// Lets whoever read something public before, and sends its `ETag`, hear that it is still so.
pub(crate) async fn kept<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let is_stranger = !request.headers().contains_key(AUTHORIZATION);
    let asked = (request.method() == Method::GET && is_stranger && is_public(request.uri().path()))
        .then(|| request.header(IF_NONE_MATCH).unwrap_or_default().to_owned());
    let mut response = endpoint.call(request).await?.into_response();
    let Some(seen) = asked.filter(|_| response.status() == StatusCode::OK) else { return Ok(response) };
    let tag = if let Some(tag) = response.headers().get(ETAG) {
        tag.clone()
    } else {
        let body = response.take_body().into_vec().await?;
        let tag = tag_of(&body);
        response.set_body(body);
        tag
    };
    if is_one_of(&tag, &seen) {
        response.set_status(StatusCode::NOT_MODIFIED);
        drop(response.take_body());
    }
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(ASK_AGAIN));
    Ok(response)
}

/// Compared weakly, as `If-None-Match` has it (RFC 9110, 13.1.2).
fn is_one_of(tag: &HeaderValue, seen: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let tag = strong(tag.to_str().unwrap_or_default());
    seen.split(',').any(|seen| seen.trim() == "*" || strong(seen) == tag)
}

/// Weak: the same answer may be compressed or not.
fn tag_of(body: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(body);
    let text: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("W/\"{text}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}
