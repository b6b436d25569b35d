use std::sync::{Arc, LazyLock};

use chrono::DateTime;
use nats::PAYMENTS;
use poem::http::StatusCode;
use poem::web::{Data, RemoteAddr};
use poem::{IntoResponse, Response, handler};
use prometheus::{
    HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, TextEncoder, register_histogram_vec, register_int_counter_vec,
    register_int_gauge, register_int_gauge_vec,
};

use crate::Store;
use crate::problem::Problem;
use crate::routes::WORK;

#[expect(clippy::expect_used, reason = "names are constants and unique, or nothing would start")]
pub(crate) static REQUESTS: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!("ludoteca_http_request_seconds", "Time to answer a request", &["method", "status"])
        .expect("a valid metric")
});

#[expect(clippy::expect_used, reason = "names are constants and unique, or nothing would start")]
pub(crate) static CLOSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let told = "Connections that gave way to others, or were refused because none could";
    register_int_counter_vec!("ludoteca_connections_closed_total", told, &["because"]).expect("a valid metric")
});

#[expect(clippy::expect_used, reason = "names are constants and unique, or nothing would start")]
static DEPTH: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!("ludoteca_depth", "Messages or rows that wait", &["of"]).expect("a valid metric")
});

#[expect(clippy::expect_used, reason = "names are constants and unique, or nothing would start")]
static DLQ_AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "ludoteca_dlq_oldest_seconds",
        "Age of the oldest dead letter that waits for somebody; 0 where there is none"
    )
    .expect("a valid metric")
});

/// What Prometheus scrapes, from the local network only.
#[handler]
pub(crate) async fn scrape(store: Data<&Arc<Store>>, remote: &RemoteAddr) -> Response {
    if !is_local(remote) {
        return Problem::new(StatusCode::FORBIDDEN, "forbidden", "metrics are for the local network").to_response();
    }
    sample(&store).await;
    match TextEncoder::new().encode_to_string(&prometheus::gather()) {
        Ok(text) => text.with_content_type("text/plain; version=0.0.4").into_response(),
        Err(error) => Problem::unavailable("the metrics", &error).to_response(),
    }
}

/// Depths are asked for when somebody looks; what cannot be had now keeps its last value.
async fn sample(store: &Store) {
    if let Ok((messages, _)) = store.nats.extent(PAYMENTS).await {
        DEPTH.with_label_values(&["payments"]).set(i64::try_from(messages).unwrap_or(i64::MAX));
    }
    if let Ok(letters) = store.nats.count_dead_letters(&WORK).await {
        DEPTH.with_label_values(&["dlq"]).set(i64::try_from(letters).unwrap_or(i64::MAX));
    }
    if let Ok(letters) = store.nats.dead_letters(&WORK, 1, 1).await {
        let died = letters.first().and_then(|(_, letter)| DateTime::parse_from_rfc3339(&letter.failed_at).ok());
        DLQ_AGE.set(died.map_or(0, |at| store.commands.clock().now().signed_duration_since(at).num_seconds()));
    }
    if let Ok(waiting) = store.commands.vault().deliveries_waiting().await {
        DEPTH.with_label_values(&["webhook_inbox"]).set(waiting);
    }
    if let Ok(parked) = projections::parked_count(store.pool()).await {
        DEPTH.with_label_values(&["parked"]).set(parked);
    }
}

fn is_local(remote: &RemoteAddr) -> bool {
    match remote.as_socket_addr().map(std::net::SocketAddr::ip) {
        Some(std::net::IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(std::net::IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        None => false,
    }
}
