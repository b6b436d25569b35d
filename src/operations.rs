//! Health and metrics of roles that serve nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use gateway::{Bounds, Edge, TrustedProxies};
use nats::Nats;
use poem::http::StatusCode;
use poem::web::Data;
use poem::{EndpointExt, IntoResponse, Response, Route, get, handler};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// Whoever watches over a role asks now and then.
const BOUNDS: Bounds = Bounds { connections: 64, per_address: 64, patience: Duration::from_secs(30) };

#[derive(Clone)]
struct Leans {
    pool: PgPool,
    nats: Nats,
}

/// Serves `/health/live`, `/health/ready` and `/metrics` until `stop`.
///
/// # Errors
/// When the address is taken.
pub async fn serve(address: SocketAddr, pool: PgPool, nats: Nats, stop: CancellationToken) -> Result<()> {
    let listener = crate::roles::bind(address).await?;
    let routes = Route::new()
        .at("/health/live", get(live))
        .at("/health/ready", get(ready))
        .at("/metrics", get(metrics))
        .data(Leans { pool, nats });
    let edge = Edge { bounds: BOUNDS, proxies: TrustedProxies::default(), tls: None };
    gateway::serve_routes(listener, routes, edge, stop).await;
    Ok(())
}

#[handler]
fn live() -> &'static str {
    "live"
}

#[handler]
async fn ready(leans: Data<&Leans>) -> Response {
    let postgres = sqlx::query("select 1").execute(&leans.pool).await.is_ok();
    let nats = leans.nats.is_connected();
    let status = if postgres && nats { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |up| if up { "up" } else { "down" };
    format!("postgres {}, nats {}\n", word(postgres), word(nats)).with_status(status).into_response()
}

#[handler]
fn metrics() -> Response {
    match prometheus::TextEncoder::new().encode_to_string(&prometheus::gather()) {
        Ok(text) => text.with_content_type("text/plain; version=0.0.4").into_response(),
        Err(error) => error.to_string().with_status(StatusCode::SERVICE_UNAVAILABLE).into_response(),
    }
}
