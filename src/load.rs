//! `ludoteca load`: many clients buy at once through the gateway; prints throughput and latencies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::Api;
use crate::config::ClientConfig;
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

/// How often a client looks whether its game has arrived.
const POLL: Duration = Duration::from_millis(20);

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

/// Each client buys a game, waits until it is in its library, and buys the next.
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
    let pairs: Vec<(&Api, &String)> =
        accounts.iter().flat_map(|buyer| games.iter().map(move |game| (buyer, game))).collect();
    for (buyer, game) in pairs {
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            break;
        }
        let method = json!({ "type": "card", "token": "pm_card_visa" });
        let purchase = json!({ "games": [game], "payment_method": method });
        let asked = Instant::now();
        buyer.post("/jogos/compra", &purchase).await?;
        let accepted = Instant::now();
        measured.accepted.record(micros(accepted.duration_since(asked)))?;
        while newest(buyer).await?.as_ref() != Some(game) {
            ensure!(accepted.elapsed() < patience, "game {game} has not arrived after {} s", patience.as_secs());
            sleep(POLL).await;
        }
        measured.arrived.record(micros(accepted.elapsed()))?;
        bar.inc(1);
    }
    Ok(measured)
}

async fn newest(buyer: &Api) -> Result<Option<String>> {
    // A store whose parts are being killed may not answer for a moment; that is what patience is for.
    let Ok(library) = buyer.get("/biblioteca?limit=1").await else { return Ok(None) };
    Ok(library.pointer("/items/0/game/id").and_then(Value::as_str).map(str::to_owned))
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
