//! `ludoteca load`: many clients buy at once through the gateway; prints throughput and latencies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::Api;
use crate::config::ClientConfig;
use crate::notices::Notices;
use crate::progress;
use crate::table::{Output, Table};

/// How much load.
#[derive(Debug, Args)]
pub struct LoadArgs {
    #[command(flatten)]
    client: ClientConfig,
    /// How many purchases in all
    #[arg(long, default_value_t = 1_000)]
    purchases: u64,
    /// How many clients buy at once
    #[arg(long, default_value_t = 32)]
    clients: u64,
    /// How long a client waits for a game to arrive, in seconds
    #[arg(long, default_value_t = 60)]
    patience: u64,
    #[command(flatten)]
    output: Output,
}

/// How long a client waits for a notice before it looks by itself whether its game has arrived.
const LOOK: Duration = Duration::from_secs(1);

/// What a client measured, in microseconds.
struct Measured {
    accepted: Histogram<u64>,
    arrived: Histogram<u64>,
}

impl Measured {
    fn new() -> Result<Self> {
        Ok(Self { accepted: Histogram::new(3)?, arrived: Histogram::new(3)? })
    }
}

/// Each client buys a game, is told by live notices that it is in its library, reads that, and buys the next.
///
/// # Errors
/// When the store refuses, or a game does not arrive.
pub async fn run(args: &LoadArgs) -> Result<()> {
    ensure!(args.clients > 0 && args.purchases > 0, "--clients and --purchases must be at least 1");
    let visitor = Api::visit(&args.client.url)?;
    let games: Arc<Vec<String>> = Arc::new(visitor.priced_games().await?);
    ensure!(!games.is_empty(), "the catalogue has no priced game");
    let run = format!("{:08x}", rand::random::<u32>());
    let share = args.purchases.div_ceil(args.clients);
    let people = share.div_ceil(games.len() as u64);

    let bar = progress::bar("opening accounts", args.clients.saturating_mul(people));
    let mut buyers: Vec<Vec<Api>> = Vec::new();
    for client in 0..args.clients {
        let mut accounts = Vec::new();
        for person in 0..people {
            let email = format!("load-{run}-{client}-{person}@ludoteca.example");
            accounts.push(visitor.register("Load Buyer", &email).await?);
            bar.inc(1);
        }
        buyers.push(accounts);
    }
    bar.finish_and_clear();

    let bar = progress::bar("buying", args.purchases);
    let left = Arc::new(AtomicU64::new(args.purchases));
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for accounts in buyers {
        let (games, left, bar) = (games.clone(), left.clone(), bar.clone());
        let patience = Duration::from_secs(args.patience);
        clients.spawn(async move { buy_on(&accounts, &games, &left, &bar, patience).await });
    }
    let mut all = Measured::new()?;
    while let Some(client) = clients.join_next().await {
        let measured = client??;
        all.accepted.add(measured.accepted)?;
        all.arrived.add(measured.arrived)?;
    }
    let took = begun.elapsed();
    bar.finish_and_clear();
    report(args, &all, took);
    Ok(())
}

async fn buy_on(
    accounts: &[Api],
    games: &[String],
    left: &AtomicU64,
    bar: &ProgressBar,
    patience: Duration,
) -> Result<Measured> {
    let mut measured = Measured::new()?;
    for buyer in accounts {
        let mut notices = Notices::of(buyer).await?;
        for game in games {
            let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if taken.is_err() {
                return Ok(measured);
            }
            let method = json!({ "type": "card", "token": "pm_card_visa" });
            let purchase = json!({ "games": [game], "payment_method": method });
            let asked = Instant::now();
            let order = buyer.post("/jogos/compra", &purchase).await?;
            let order = order.get("order_id").and_then(Value::as_str).context("an order without an id")?;
            let accepted = Instant::now();
            measured.accepted.record(micros(accepted.duration_since(asked)))?;
            arrives(buyer, &mut notices, (order, game), patience).await?;
            measured.arrived.record(micros(accepted.elapsed()))?;
            bar.inc(1);
        }
    }
    Ok(measured)
}

/// Waits until a game is in its buyer's library. A store whose parts are being killed may end the stream of notices or
/// not answer for a moment; then the library is looked at by itself.
async fn arrives(buyer: &Api, notices: &mut Notices, (order, game): (&str, &str), patience: Duration) -> Result<()> {
    let begun = Instant::now();
    loop {
        let token = match timeout(LOOK, notices.completed(order)).await {
            Ok(Ok(token)) => token,
            Ok(Err(_)) => {
                if let Ok(again) = Notices::of(buyer).await {
                    *notices = again;
                }
                String::new()
            }
            Err(_) => String::new(),
        };
        let library = buyer.request(Method::GET, "/biblioteca?limit=1").header("Consistency-Token", token);
        let newest = Api::send(library).await.unwrap_or_default();
        if newest.pointer("/items/0/game/id").and_then(Value::as_str) == Some(game) {
            return Ok(());
        }
        ensure!(begun.elapsed() < patience, "game {game} has not arrived after {} s", patience.as_secs());
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn report(args: &LoadArgs, all: &Measured, took: Duration) {
    let purchases = all.accepted.len();
    #[expect(clippy::cast_precision_loss, reason = "a count of purchases fits a float well enough to be printed")]
    let rate = purchases as f64 / took.as_secs_f64();
    if !args.output.json {
        let (clients, seconds) = (args.clients, took.as_secs_f64());
        println!("{purchases} purchases by {clients} clients in {seconds:.1} s: {rate:.0} purchases per second");
    }
    let mut table = Table::new(["from_to", "per_second", "p50_ms", "p95_ms", "p99_ms", "max_ms"]);
    for (name, histogram) in [("request to accepted", &all.accepted), ("accepted to in the library", &all.arrived)] {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a request fit a float")]
        let at = |quantile| json!(histogram.value_at_quantile(quantile) as f64 / 1_000.0);
        table.row([json!(name), json!(rate), at(0.50), at(0.95), at(0.99), at(1.0)]);
    }
    table.print(args.output);
}
