//! HTTP: the only way in. Who asks, parse, call, answer; no business rule lives here.
//!
//! Paths follow the store's brief (Portuguese nouns), everything else is English. Every error is
//! `application/problem+json` (RFC 9457) with a stable `code`, the framework's own included.

mod access_log;
mod asyncapi;
mod auth;
mod authority;
mod cors;
mod device;
mod edge;
mod even;
mod extract;
mod headers;
mod language;
mod limits;
mod live;
mod metrics;
mod middleware;
mod openapi;
mod problem;
mod problem_page;
mod progress;
mod reading;
mod request_id;
mod routes;
mod schemas;
mod scope;
mod security_log;
mod security_txt;
mod session;
mod source;
mod storefront;
mod strict;
mod unreadable;
mod wrong;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use commands::Commands;
use nats::Nats;
use poem::{Endpoint, EndpointExt, Route};
use projections::search::SearchEngine;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use asyncapi::asyncapi_document;
pub use auth::{KeyError, Keys, LIFETIME, generate_key, key_id, split_keys};
pub use authority::Authority;
pub use edge::{Bounds, Edge, ProxyHeader, Tls, TlsError, TrustedProxies, serve as serve_routes, tls_config};
pub use limits::{Class, Quotas};
pub use openapi::{document as openapi_document, operation as openapi_operation};
pub use progress::Progress;

/// Keys and secrets, as they are now.
pub struct Secrets {
    /// What access tokens are signed with.
    pub keys: Keys,
    /// The secrets that the PSP may sign webhooks with.
    pub webhooks: Vec<SecretString>,
}

/// Everything that a request may need.
pub struct Store {
    /// The use cases.
    pub commands: Commands,
    /// Who may do what now.
    pub authority: Authority,
    /// The server: event streams, dead letters, wake-ups.
    pub nats: Nats,
    /// Who answers searches.
    pub search: SearchEngine,
    /// What may be exchanged while the gateway runs.
    pub secrets: watch::Receiver<Arc<Secrets>>,
    /// After how long an unsettled payment that somebody looks at is asked about anew.
    pub payment_stale: Duration,
    /// How often anybody may do what.
    pub quotas: Quotas,
    /// The origins of pages elsewhere that may use the API.
    pub cors_origins: Vec<String>,
    /// Whom to tell of a hole in the store, as a URL such as `mailto:security@store.example`.
    pub security_contact: Option<String>,
    /// How far the read models are, as far as it was heard.
    pub progress: Progress,
}

impl Store {
    fn pool(&self) -> &sqlx::PgPool {
        self.commands.journal().pool()
    }

    fn secrets(&self) -> Arc<Secrets> {
        self.secrets.borrow().clone()
    }
}

/// Serves the store until `stop`, and gives requests under way five seconds to end.
pub async fn serve(store: Store, listener: TcpListener, edge: Edge, stop: CancellationToken) {
    let limits = Arc::new(limits::Limits::new(store.quotas.clone(), store.commands.vault().clone()));
    let live =
        Arc::new(live::Live::new(store.commands.clone(), store.nats.clone(), store.progress.clone(), stop.clone()));
    let store = Arc::new(store);
    let serving = edge::serve(listener, app(store.clone(), edge.bounds, limits.clone(), live.clone()), edge, stop);
    let reading = async {
        live.run().await;
        // It was told to stop; what is under way is served to its end.
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        () = serving => (),
        never = reading => match never {},
        never = store.progress.listen(&store.nats) => match never {},
        never = store.authority.follow() => match never {},
        never = limits.share(&store.nats) => match never {},
    }
}

fn app(store: Arc<Store>, bounds: Bounds, limits: Arc<limits::Limits>, live: Arc<live::Live>) -> impl Endpoint {
    let api = openapi::service();
    let routes = Route::new()
        .at("/docs", poem::get(openapi::explore).around(headers::explored))
        .at("/openapi.json", poem::get(openapi::describe).around(headers::kept).around(middleware::compressed))
        .at("/docs/events", poem::get(asyncapi::read))
        .at("/asyncapi.json", poem::get(asyncapi::describe).around(headers::kept).around(middleware::compressed))
        .at("/schemas", poem::get(schemas::list).around(headers::kept).around(middleware::compressed))
        .at(
            "/schemas/:type/:version",
            poem::get(schemas::describe).around(headers::kept).around(middleware::compressed),
        )
        .at("/problems/:code", poem::get(problem_page::explain))
        .at("/metrics", poem::get(metrics::scrape))
        .at("/.well-known/security.txt", poem::get(security_txt::tell))
        .nest("/loja", storefront::files())
        .nest(
            "/",
            api.around(unreadable::explained)
                .around(middleware::imported)
                .around(scope::held)
                // Unboxed all the way, their type is larger than the compiler looks at.
                .boxed()
                .around(access_log::kept)
                .around(limits::limited)
                .around(security_log::watched)
                .around(auth::known)
                .around(headers::kept)
                .around(middleware::compressed)
                .around(storefront::home),
        )
        .around(limits::limited_pages)
        .around(headers::headed)
        .around(session::from_cookie)
        .with(poem::middleware::CookieJarManager::new());
    routes
        .boxed()
        .around(middleware::bounded)
        .around(middleware::legible)
        .around(middleware::observed)
        .around(cors::shared)
        .around(headers::guarded)
        .around(request_id::identified)
        .data(store)
        .data(bounds)
        .data(limits)
        .data(live)
}
