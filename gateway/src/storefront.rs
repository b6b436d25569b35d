//! The storefront's files, in the program itself: what the browser runs talks to the gateway's API only.

use std::sync::Arc;

use poem::endpoint::{EmbeddedFileEndpoint, EmbeddedFilesEndpoint};
use poem::http::{HeaderValue, Method};
use poem::middleware::{Compression, SetHeader};
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Result};
use rust_embed::RustEmbed;

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "../web"]
struct Files;

/// Everything of `web/`.
pub(crate) fn files() -> impl Endpoint {
    guarded(EmbeddedFilesEndpoint::<Files>::new())
}

/// The one page, at `/`; all other paths are the API's.
pub(crate) async fn home<E: Endpoint>(api: Arc<E>, request: Request) -> Result<Response> {
    if request.method() == Method::GET && request.uri().path() == "/" {
        return guarded(EmbeddedFileEndpoint::<Files>::new("index.html"))
            .call(request)
            .await
            .map(IntoResponse::into_response);
    }
    Ok(api.call(request).await?.into_response())
}

fn guarded(files: impl Endpoint + 'static) -> impl Endpoint {
    let headers = SetHeader::new()
        .overriding("Content-Security-Policy", HeaderValue::from_static(POLICY))
        .overriding("Cross-Origin-Opener-Policy", HeaderValue::from_static("same-origin"))
        .overriding("Referrer-Policy", HeaderValue::from_static("no-referrer"))
        .overriding("X-Content-Type-Options", HeaderValue::from_static("nosniff"))
        // Asked for again each time, and answered with 304 where nothing changed.
        .overriding("Cache-Control", HeaderValue::from_static("no-cache"));
    files.with(Compression::new()).with(headers)
}
