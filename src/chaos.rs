//! `ludoteca chaos`: a store of separate processes under load, while its parts are killed, stopped, cut off, silenced
//! and replaced, several at a time; then the invariants, a line each. A seed makes the choices the same again; when they
//! meet the load is up to the machine.

mod buyer;
mod crowd;
mod fault;
mod proof;
mod stage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
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
    ensure!(args.minutes > 0.0 && args.buyers > 0, "--minutes and --buyers must be more than nothing");
    let folder = args.data.join(format!("seed-{}", args.seed));
    ensure!(!folder.exists(), "{} is from an earlier run; look into it, then remove it", folder.display());
    println!("Starting three nats-servers, two Postgres, two of every role and the PSP in {}", folder.display());
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
    let [first, second] = stage.urls.clone();
    let games = Api::visit(&first)?.priced_games().await?;
    let mut buyers = Vec::new();
    for number in 0..args.buyers {
        let url = if number % 2 == 0 { &first } else { &second };
        buyers.push(Buyer::register(url, number, args.seed, &games).await?);
    }
    let people: Vec<String> = buyers.iter().map(|buyer| buyer.name.clone()).collect();
    let stranger = bought_before(&first, &games).await?;

    let begun = Instant::now();
    let lasting = Duration::try_from_secs_f64(args.minutes * 60.0).context("--minutes")?;
    let deadline = begun.checked_add(lasting).context("--minutes")?;
    let (mut shopping, mut erased) = (JoinSet::new(), Vec::new());
    for (number, buyer) in (0_u64..).zip(buyers) {
        let (strangers, goes) = ([stranger.clone()], number.is_multiple_of(ERASED));
        // Somewhere in the middle of it all.
        let share = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
        let until =
            if goes { begun.checked_add(lasting.mul_f64(1.0 / f64::from(share) * 0.9)) } else { Some(deadline) };
        let until = until.context("--minutes")?;
        erased.extend(goes.then(|| buyer.name.clone()));
        shopping.spawn(async move { buyer.shop(until, &strangers, goes).await });
    }
    let promoting = tokio::spawn(crowd::promote(stage.admin().await?, games, args.seed, deadline));
    let deciding = tokio::spawn(crowd::decide_disputes(stage.psp_url.clone(), args.seed, deadline));
    let faults = break_until(deadline, begun, args.seed, stage).await?;
    stage.reconnect().await?;

    let mut tally = Tally::default();
    while let Some(ended) = shopping.join_next().await {
        let (_, theirs) = ended??;
        tally.add(theirs);
    }
    let promotions = promoting.await??;
    deciding.await??;
    println!("Nothing is broken any more. Waiting for {} orders to come to an end", tally.orders.len());
    let hanging = settle(stage).await?;
    let proofs = proof::prove(stage, &tally, &erased, &people, hanging).await?;
    println!("\nSeed {}, {} minutes: {}", args.seed, args.minutes, bought(stage).await?);
    println!("{promotions} promotions, {} changed profiles, {} refunds asked for", tally.profiles, tally.refunds);
    println!("{}", counted(&faults));
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

/// Breaks one part after another until `deadline`, each until its time is over, and mends all in the end; how often what
/// was broken.
async fn break_until(
    deadline: Instant,
    begun: Instant,
    seed: u64,
    stage: &mut Stage,
) -> Result<BTreeMap<&'static str, u64>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut faults, mut broken, mut next) = (BTreeMap::new(), Vec::<(Instant, Fault)>::new(), begun);
    while Instant::now() < deadline {
        let due = broken.iter().map(|(end, _)| *end).chain([next, deadline]).min().unwrap_or(next);
        sleep_until(due).await;
        let now = Instant::now();
        for (_, fault) in broken.extract_if(.., |(end, _)| *end <= now).collect::<Vec<_>>() {
            fault.mend(stage).await?;
        }
        if next > now {
            continue;
        }
        next = now.checked_add(Duration::from_millis(rng.gen_range(200..2_500))).unwrap_or(now);
        let mut fault = Fault::choose(&mut rng, &stage.processes);
        if broken.iter().any(|(_, known)| known.part() == fault.part()) {
            continue;
        }
        println!("{:>6.1} s  {fault}", begun.elapsed().as_secs_f64());
        fault.strike(stage).await?;
        let count: &mut u64 = faults.entry(fault.name()).or_default();
        *count = count.saturating_add(1);
        broken.push((Instant::now().checked_add(fault.lasting).unwrap_or(now), fault));
    }
    for (_, fault) in broken {
        fault.mend(stage).await?;
    }
    Ok(faults)
}

fn counted(faults: &BTreeMap<&'static str, u64>) -> String {
    let counts = faults.iter().map(|(what, count)| format!("{count} {what}"));
    format!("{} faults: {}", faults.values().sum::<u64>(), counts.collect::<Vec<_>>().join(", "))
}

/// An order of somebody who has nothing to do with the others.
async fn bought_before(url: &str, games: &[String]) -> Result<String> {
    let stranger = Api::visit(url)?.register("Stranger", "stranger@chaos.example").await?;
    let method = json!({ "type": "card", "token": "pm_card_visa" });
    let games: Vec<&String> = games.iter().take(1).collect();
    let placed = stranger.post("/jogos/compra", &json!({ "games": games, "payment_method": method })).await?;
    placed.get("order_id").and_then(Value::as_str).map(str::to_owned).context("no order")
}

/// Waits until nothing is under way any more; what still hangs, if anything.
async fn settle(stage: &Stage) -> Result<Option<String>> {
    let deadline = Instant::now().checked_add(SETTLING);
    loop {
        crowd::decide_all_disputes(&stage.psp_url).await?;
        let hanging = hanging(stage).await?;
        if hanging.is_none() || deadline.is_none_or(|deadline| Instant::now() > deadline) {
            return Ok(hanging);
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
        ("open disputes", "select count(*) from read.disputes where status = 'open'"),
        ("suspended orders", "select count(*) from read.orders where standing = 'suspended'"),
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
