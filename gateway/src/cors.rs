//! Pages of other origins may use the API where the store says so (the Fetch standard's CORS protocol): with access tokens,
//! never with the storefront's cookies. Without a word of the store none may.

use std::sync::Arc;

use poem::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue,
    ORIGIN, VARY,
};
use poem::http::{Method, StatusCode};
use poem::{Endpoint, IntoResponse, Request, Response, Result};

use crate::Store;

const PREFLIGHT: [(HeaderName, &str); 3] = [
    (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE"),
    (
        ACCESS_CONTROL_ALLOW_HEADERS,
        "Authorization, Content-Type, Accept-Language, Consistency-Token, Idempotency-Key, If-Match, If-None-Match, \
         Last-Event-ID, X-Request-Id",
    ),
    (ACCESS_CONTROL_MAX_AGE, "600"),
];
const EXPOSED: &str = "Consistency-Token, ETag, Idempotent-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, \
    WWW-Authenticate, X-Request-Id";

/// Tells browsers which pages may read an answer.
pub(crate) async fn shared<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let known = request.data::<Arc<Store>>().map_or(&[][..], |store| &store.cors_origins);
    let depends = !known.is_empty();
    let origin = request.headers().get(ORIGIN).filter(|origin| known.iter().any(|known| *known == **origin)).cloned();
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if origin.is_some() && is_preflight {
        let mut response = StatusCode::NO_CONTENT.into_response();
        for (name, value) in PREFLIGHT {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    } else {
        endpoint.call(request).await?.into_response()
    };
    let headers = response.headers_mut();
    if depends {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    Ok(response)
}
