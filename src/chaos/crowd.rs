//! Others who act while people buy: staff who put games on sale for a moment, and a bank that decides disputes.

use std::time::Duration;

use anyhow::Result;
use chrono::TimeDelta;
use journal::Clock;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::stage::PSP_KEY;
use crate::client::{Api, http};

/// Schedules promotions until `deadline`; how many were.
pub(super) async fn promote(admin: Api, games: Vec<String>, seed: u64, deadline: Instant) -> Result<u64> {
    let (mut rng, mut scheduled, clock) = (StdRng::seed_from_u64(seed), 0_u64, Clock::default());
    while Instant::now() < deadline {
        sleep(Duration::from_millis(rng.gen_range(300..2_000))).await;
        let Some(game) = games.choose(&mut rng) else { break };
        let from =
            clock.now().checked_add_signed(TimeDelta::milliseconds(rng.gen_range(500..3_000))).unwrap_or_default();
        let until = from.checked_add_signed(TimeDelta::milliseconds(rng.gen_range(500..8_000))).unwrap_or_default();
        let promotion = json!({ "percent": rng.gen_range(1..90), "starts_at": from, "ends_at": until });
        // Refused where it overlaps another, unanswered where something is broken: there will be others.
        let answer = admin.post(&format!("/jogos/{game}/promocoes"), &promotion).await;
        scheduled = scheduled.saturating_add(answer.is_ok().into());
    }
    Ok(scheduled)
}

/// Decides disputes at the PSP until `deadline`, some at once, some later.
pub(super) async fn decide_disputes(psp_url: String, seed: u64, deadline: Instant) -> Result<()> {
    let (http, mut rng) = (http()?, StdRng::seed_from_u64(seed));
    while Instant::now() < deadline {
        sleep(Duration::from_millis(500)).await;
        for dispute in open_disputes(&http, &psp_url).await.unwrap_or_default() {
            if rng.gen_bool(0.15) {
                // A PSP that is down is asked again.
                let _ = decide(&http, &psp_url, &dispute, rng.gen_bool(0.5)).await;
            }
        }
    }
    Ok(())
}

/// Decides every dispute that is left; how many there were in all.
pub(super) async fn decide_all_disputes(psp_url: &str) -> Result<()> {
    let http = http()?;
    loop {
        let open = open_disputes(&http, psp_url).await?;
        if open.is_empty() {
            return Ok(());
        }
        for dispute in open {
            decide(&http, psp_url, &dispute, true).await?;
        }
    }
}

async fn open_disputes(http: &Client, psp_url: &str) -> Result<Vec<String>> {
    let url = format!("{psp_url}/v1/disputes?limit=100");
    let request = http.get(url).bearer_auth(PSP_KEY).timeout(Duration::from_secs(5));
    let page: Value = request.send().await?.error_for_status()?.json().await?;
    let disputes = page.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    let open = disputes.iter().filter(|dispute| dispute.get("status") == Some(&json!("needs_response")));
    Ok(open.filter_map(|dispute| Some(dispute.get("id")?.as_str()?.to_owned())).collect())
}

async fn decide(http: &Client, psp_url: &str, dispute: &str, won: bool) -> Result<()> {
    let evidence = if won { "winning_evidence" } else { "losing_evidence" };
    let request = http.post(format!("{psp_url}/v1/disputes/{dispute}")).bearer_auth(PSP_KEY);
    let request = request.form(&[("evidence[uncategorized_text]", evidence)]).timeout(Duration::from_secs(5));
    request.send().await?.error_for_status()?;
    Ok(())
}
