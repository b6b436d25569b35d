//! The storefront's files, in the program itself: what the browser runs talks to the gateway's API only.

use std::sync::{Arc, LazyLock};

use poem::endpoint::EmbeddedFilesEndpoint;
use poem::http::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use poem::http::{HeaderValue, Method, StatusCode};
use poem::middleware::{Compression, SetHeader};
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Result, Route};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use crate::Store;
use crate::headers::ASK_AGAIN;

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The address of a file changes with its content, so what a browser has stays good.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

#[derive(RustEmbed)]
#[folder = "../web"]
struct Files;

/// A digest of all files, which is part of their addresses.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for path in Files::iter() {
        digest.update(path.as_bytes());
        digest.update(Files::get(&path).map(|file| file.metadata.sha256_hash()).unwrap_or_default());
    }
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// Everything of `web/`.
pub(crate) fn files() -> impl Endpoint {
    let kept = |how| guarded(EmbeddedFilesEndpoint::<Files>::new().around(file), how);
    Route::new().nest(format!("/{}", *VERSION), kept(FOR_EVER)).nest("/", kept(ASK_AGAIN))
}

/// A file by its name; the page itself is at `/` only. The library's tags have no quotes (RFC 9110, 8.8.3).
async fn file<E: Endpoint>(files: Arc<E>, mut request: Request) -> Result<Response> {
    if matches!(request.uri().path(), "" | "/" | "/index.html") {
        return Err(poem::error::NotFoundError.into());
    }
    let bare = |tag: &HeaderValue| HeaderValue::from_str(tag.to_str().ok()?.trim_matches('"')).ok();
    let seen = request.headers().get(IF_NONE_MATCH).and_then(bare);
    if let Some(seen) = seen.clone() {
        request.headers_mut().insert(IF_NONE_MATCH, seen);
    }
    let (mut response, tag) = match files.call(request).await {
        // To the library, what its client has already is an error.
        Err(error) if error.status() == StatusCode::NOT_MODIFIED => {
            (Response::builder().status(StatusCode::NOT_MODIFIED).finish(), seen)
        }
        answered => {
            let response = answered?.into_response();
            let tag = response.headers().get(ETAG).cloned();
            (response, tag)
        }
    };
    let quoted = |tag: HeaderValue| HeaderValue::from_str(&format!("\"{}\"", tag.to_str().ok()?)).ok();
    if let Some(tag) = tag.and_then(quoted) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// The one page, at `/`; all other paths are the API's. A browser that asks for what is not there gets the page as
/// well, which says so.
pub(crate) async fn home<E: Endpoint>(api: Arc<E>, request: Request) -> Result<Response> {
    let reads = request.method() == Method::GET;
    let currency = request.data::<Arc<Store>>().map(|store| store.commands.currency().to_string());
    let currency = currency.unwrap_or_default();
    if reads && request.uri().path() == "/" {
        return page(currency, StatusCode::OK).call(request).await.map(IntoResponse::into_response);
    }
    let accept = request.header(ACCEPT).unwrap_or_default().to_owned();
    match api.call(request).await {
        Err(error) if reads && error.status() == StatusCode::NOT_FOUND && accept.contains("text/html") => {
            let asked = Request::builder().header(ACCEPT, accept).finish();
            page(currency, StatusCode::NOT_FOUND).call(asked).await.map(IntoResponse::into_response)
        }
        answered => Ok(answered?.into_response()),
    }
}

/// The page: the addresses of its files, and the currency that the store trades in.
fn page(currency: String, status: StatusCode) -> impl Endpoint {
    let answer = move |request: Request| {
        let etag = format!("\"{}-{currency}\"", *VERSION);
        if status == StatusCode::OK && request.header(IF_NONE_MATCH) == Some(&etag) {
            return Response::builder().status(StatusCode::NOT_MODIFIED).header(ETAG, etag).finish();
        }
        let index = Files::get("index.html").map(|file| file.data).unwrap_or_default();
        let html = String::from_utf8_lossy(&index);
        let html = html.replace("/loja/", &format!("/loja/{}/", *VERSION)).replace("{currency}", &currency);
        let page = Response::builder().status(status).content_type("text/html; charset=utf-8");
        page.header(ETAG, etag).body(html)
    };
    guarded(poem::endpoint::make_sync(answer), ASK_AGAIN)
}

fn guarded(files: impl Endpoint + 'static, kept: &'static str) -> impl Endpoint {
    let headers = SetHeader::new()
        .overriding("Content-Security-Policy", HeaderValue::from_static(POLICY))
        .overriding("Cache-Control", HeaderValue::from_static(kept));
    files.with(Compression::new()).with(headers)
}
