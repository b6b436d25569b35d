//! What only a running store can tell.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Finding;
use crate::client::http;
use crate::config::{self, StoreConfig};
use crate::roles::Foundation;
use crate::up::env_file::Values;

/// How long the gateway may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// The store that runs with these settings.
pub(super) async fn store(settings: &Values) -> Vec<Finding> {
    vec![health(settings).await, Finding::of("database", database(settings).await)]
}

async fn health(settings: &Values) -> Finding {
    let ready = match ready(settings).await {
        Ok(ready) => ready,
        Err(error) => return Finding::of("gateway", Err(error)),
    };
    let word = |name: &str| ready.get(name).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let parts = ["postgres", "nats", "relay", "psp"].map(|name| format!("{name} {}", word(name))).join(", ");
    match word("status").as_str() {
        "ready" => Finding::of("gateway", Ok(format!("ready: {parts}"))),
        "degraded" => {
            Finding::warning("gateway", format!("degraded: {parts}; docs/operations.md says what each means"))
        }
        _ => Finding::of("gateway", Err(anyhow::anyhow!("down: {parts}; see the logs in the store's folder"))),
    }
}

async fn ready(settings: &Values) -> Result<Value> {
    let url =
        settings.get("LUDOTECA_URL").context("LUDOTECA_URL is not in the settings; scripts/down, then scripts/up")?;
    let asked = http()?.get(format!("{url}/health/ready")).timeout(HEALTH_TIMEOUT).send().await;
    let answer = asked.with_context(|| format!("{url} does not answer; scripts/down, then scripts/up"))?;
    answer.json().await.with_context(|| format!("{url} is not the store's gateway"))
}

/// Connects as a role would: with the database's password and the master key.
async fn database(settings: &Values) -> Result<String> {
    let config: StoreConfig = config::from_settings(|name| settings.get(name).cloned())?;
    let foundation = Foundation::connect(&config, CancellationToken::new()).await?;
    let parked = projections::parked_count(foundation.journal().pool()).await?;
    ensure!(parked == 0, "{parked} events are parked; `scripts/ludoteca parked` lists them");
    let (events, _) = foundation.journal().extent().await?;
    Ok(format!("{events} events; the master key fits; no event is parked"))
}
