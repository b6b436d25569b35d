//! `ludoteca chaos`: a store of separate processes under load, while its parts are killed, stopped and cut off one
//! after another; then the ten invariants, a line each. A seed makes the choices the same again; when they meet the
//! load is up to the machine.

mod buyer;
mod fault;
mod proof;
mod stage;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::buyer::{Buyer, Tally};
use self::fault::Fault;
use self::stage::Stage;
use crate::client::Api;

/// How long everything may take to come to an end once nothing is broken: an order's expiry, and then some.
const SETTLING: Duration = Duration::from_mins(4);
const POLL: Duration = Duration::from_millis(500);
/// Of so many buyers one has their account erased.
const ERASED: u64 = 8;

/// How much is broken, for how long.
#[derive(Debug, Args)]
pub struct ChaosArgs {
    /// What the choices follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For how long things are broken; half a minute is 0.5. Starting and settling take about a minute more
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// How many people buy at once
    #[arg(long, default_value_t = 24)]
    buyers: u64,
    /// Where the store lives; removed when nothing was violated
    #[arg(long, default_value_os_t = std::env::temp_dir().join("ludoteca-chaos"))]
    data: PathBuf,
}

/// Breaks a store, lets it settle, and proves the invariants.
///
/// # Errors
/// When an invariant is violated, or the store cannot be started; its folder stays then.
pub async fn run(args: &ChaosArgs, stop: CancellationToken) -> Result<()> {
    let folder = args.data.join(format!("seed-{}", args.seed));
    ensure!(!folder.exists(), "{} is from an earlier run; look into it, then remove it", folder.display());
    println!("Starting three nats-servers, Postgres, every role and the PSP in {}", folder.display());
    let (mut stage, roles) = Stage::start(&folder, &stop).await?;
    let outcome = tokio::select! {
        outcome = break_and_prove(args, &mut stage) => outcome,
        () = stop.cancelled() => Err(anyhow::anyhow!("stopped before the end")),
    };
    stage.end(roles).await?;
    if outcome.is_ok() {
        std::fs::remove_dir_all(&folder)?;
    } else {
        println!("Journal, streams, logs and the PSP's ledger are kept in {}", folder.display());
    }
    outcome
}

async fn break_and_prove(args: &ChaosArgs, stage: &mut Stage) -> Result<()> {
    let games = Api::visit(&stage.url)?.priced_games().await?;
    let mut buyers = Vec::new();
    for number in 0..args.buyers.max(1) {
        buyers.push(Buyer::register(&stage.url, number, args.seed, &games).await?);
    }
    let people: Vec<String> = buyers.iter().map(|buyer| buyer.name.clone()).collect();
    let stranger = bought_before(&stage.url, &games).await?;

    let begun = Instant::now();
    let lasting = Duration::try_from_secs_f64(args.minutes * 60.0).context("--minutes")?;
    let deadline = begun.checked_add(lasting).context("--minutes")?;
    let mut shopping = JoinSet::new();
    for buyer in buyers {
        let strangers = [stranger.clone()];
        shopping.spawn(async move { buyer.shop(deadline, &strangers).await });
    }
    let mut rng = StdRng::seed_from_u64(args.seed);
    let mut faults = 0_u64;
    while Instant::now() < deadline {
        sleep(Duration::from_millis(rng.gen_range(200..2_500))).await;
        let fault = Fault::choose(&mut rng);
        println!("{:>6.1} s  {fault}", begun.elapsed().as_secs_f64());
        fault.happen(stage).await?;
        faults = faults.saturating_add(1);
    }
    stage.psp_behaves(&json!({})).await?;
    stage.reconnect().await?;

    let (mut tally, mut erased) = (Tally::default(), Vec::new());
    while let Some(ended) = shopping.join_next().await {
        let (buyer, theirs) = ended??;
        if (erased.len() as u64) < args.buyers.div_ceil(ERASED) {
            buyer.api.request(Method::DELETE, "/users/me").send().await?.error_for_status()?;
            erased.push(buyer.name);
        }
        tally.add(theirs);
    }
    println!(
        "{faults} faults; nothing is broken any more. Waiting for {} orders to come to an end",
        tally.orders.len()
    );
    let hanging = settle(stage).await?;
    let proofs = proof::prove(stage, &tally, &erased, &people, hanging).await?;
    println!("\nSeed {}: {faults} faults in {} minutes; {}", args.seed, args.minutes, bought(stage).await?);
    for proof in &proofs {
        println!("{proof}");
        proof.violations.iter().take(10).for_each(|violation| println!("        {violation}"));
    }
    let violations: usize = proofs.iter().map(|proof| proof.violations.len()).sum();
    if violations > 0 {
        bail!("{violations} violations");
    }
    println!("No violation.");
    Ok(())
}

/// An order of somebody who has nothing to do with the others.
async fn bought_before(url: &str, games: &[String]) -> Result<String> {
    let stranger = Api::visit(url)?.register("Stranger", "stranger@chaos.example").await?;
    let method = json!({ "type": "card", "token": "pm_card_visa" });
    let games: Vec<&String> = games.iter().take(1).collect();
    let placed = stranger.post("/jogos/compra", &json!({ "games": games, "payment_method": method })).await?;
    placed.get("order_id").and_then(Value::as_str).map(str::to_owned).context("no order")
}

/// Waits until nothing is under way any more, redriving what died as an operator would; what still hangs, if anything.
async fn settle(stage: &Stage) -> Result<Option<String>> {
    let deadline = Instant::now().checked_add(SETTLING);
    let admin = stage.admin().await?;
    loop {
        let hanging = hanging(stage).await?;
        if hanging.is_none() || deadline.is_none_or(|deadline| Instant::now() > deadline) {
            return Ok(hanging);
        }
        let letters = admin.get("/dlq?class=exhausted&limit=100").await.unwrap_or_default();
        for letter in letters.get("items").and_then(Value::as_array).into_iter().flatten() {
            let sequence = letter.get("sequence").and_then(Value::as_u64).unwrap_or_default();
            let redrive = format!("/dlq/{sequence}/redrive?reason=the+faults+are+over");
            if let Err(error) = admin.post(&redrive, &Value::Null).await {
                tracing::warn!(%error, sequence, "A dead letter was not redriven");
            }
        }
        sleep(POLL).await;
    }
}

/// What is still under way.
async fn hanging(stage: &Stage) -> Result<Option<String>> {
    let (pool, nats) = (stage.foundation.journal().pool(), &stage.foundation.shared.nats);
    let counts = [
        (
            "unsettled payments",
            "select count(*) from read.payments where status in ('initiated', 'submitted', 'pending')",
        ),
        ("unpaid orders", "select count(*) from read.orders where status in ('awaiting_payment', 'payment_failed')"),
        ("open refunds", r#"select count(*) from read.orders where refunds @> '[{"status": "requested"}]'"#),
        ("mails", "select count(*) from vault.mail where sent_at is null and dead_at is null"),
        ("webhooks", "select count(*) from vault.webhook_inbox where handled_at is null"),
        (
            "readers behind",
            // The index reads of games only; it is compared with the catalogue in the end.
            "select count(*) from read.checkpoints
             where sequence < (select count(*) from journal.events) and projection <> 'search'",
        ),
    ];
    let mut hanging = Vec::new();
    for (what, query) in counts {
        let count: i64 = sqlx::query_scalar(query).fetch_one(pool).await?;
        hanging.extend((count > 0).then(|| format!("{count} {what}")));
    }
    let queued = nats.extent(nats::PAYMENTS).await.map_or(1, |(queued, _)| queued);
    hanging.extend((queued > 0).then(|| format!("{queued} pieces of payment work")));
    Ok((!hanging.is_empty()).then(|| format!("still under way: {}", hanging.join(", "))))
}

async fn bought(stage: &Stage) -> Result<String> {
    let kinds = ["OrderCreated", "OrderCompleted", "OrderPaymentFailed", "OrderCancelled", "OrderRefunded"];
    let mut counts = Vec::new();
    for kind in kinds {
        let count: i64 = sqlx::query_scalar("select count(*) from journal.events where event_type = $1")
            .bind(kind)
            .fetch_one(stage.foundation.journal().pool())
            .await?;
        counts.push(format!("{count} {kind}"));
    }
    Ok(counts.join(", "))
}
