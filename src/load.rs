//! `ludoteca load`: many clients shop at once through the gateway; prints what they waited for and what it cost.
//!
//! Closed loop: each client does the next thing when the last one is done. Open loop (`--rate`): things begin on a
//! schedule, whether the store keeps up or not, and what waits for a free client is waited for as well; so a store that
//! stalls is not asked less and measured better ("coordinated omission").

mod cost;
mod figures;
mod hostile;
mod mix;
mod shopper;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use self::hostile::Attack;
use self::mix::{Action, Mix};
use self::shopper::{Laps, Shopper};
use crate::client::Api;
use crate::config::ClientConfig;
use crate::local::default_data;
use crate::progress;
use crate::table::Output;

pub(crate) use self::cost::{Store, Used};
pub(crate) use self::figures::Figures;

/// How many accounts are opened at once.
const OPENING: usize = 8;

/// How much load.
#[derive(Debug, Args)]
pub struct LoadArgs {
    #[command(flatten)]
    client: ClientConfig,
    /// How many things are done in all: purchases, unless --mix says otherwise
    #[arg(long, alias = "actions", default_value_t = 1_000)]
    purchases: u64,
    /// How many clients shop at once
    #[arg(long, default_value_t = 32)]
    clients: u64,
    /// Begin so many things a second, whether the store keeps up or not; without it, each client begins the next when it
    /// is done with the last
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// What is done, and how often: browse, search, purchase, decline and refund, such as browse=5,search=3,purchase=2
    #[arg(long, default_value = "purchase")]
    mix: Mix,
    /// Have customers browse, first alone and then while strangers attack the store from this machine (200 connections that
    /// send a byte a second, 1000 forged tokens a second, 300 wrong logins a minute), and print both side by side. `up`
    /// allows its own machine nearly everything: start it with `RATE_LIMITS=registration=300` for the usual limits
    #[arg(long, conflicts_with_all = ["mix", "compare"])]
    hostile: bool,
    /// How long a client waits for a game to arrive, in seconds
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// The folder of the store, for what its processes and its database use; only where it runs on this machine
    #[arg(long, env = "LUDOTECA_DATA", default_value_os_t = default_data())]
    data: PathBuf,
    /// Print the figures of an earlier run beside these: a file that --json wrote
    #[arg(long)]
    compare: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "must be a number above 0".to_owned())
}

/// A load and who makes it.
pub(crate) struct Load {
    actions: u64,
    rate: Option<f64>,
    mix: Mix,
    /// For each client the accounts that it goes through.
    clients: Vec<Vec<Shopper>>,
}

/// What clients waited for, in microseconds.
pub(crate) struct Measured {
    took: Duration,
    waits: BTreeMap<(Action, &'static str), Histogram<u64>>,
}

/// Shops, and prints what it took.
///
/// # Errors
/// When the store refuses, or a game does not arrive.
pub async fn run(args: &LoadArgs) -> Result<()> {
    let earlier = args.compare.as_deref().map(Figures::read).transpose()?;
    let (patience, size) = (Duration::from_secs(args.patience), (args.purchases, args.clients));
    if args.hostile {
        return under_attack(args, size, patience).await;
    }
    let load =
        Load { rate: args.rate, mix: args.mix.clone(), ..Load::prepare(&args.client.url, size, patience).await? };
    let store = Store::of(&args.data);
    let before = match &store {
        Some(store) => Some(store.used().await?),
        None => None,
    };
    let measured = load.run().await?;
    let mut figures = Figures::of(&measured);
    match (&store, &before) {
        (Some(store), Some(before)) => figures.add_cost(&measured, before, &store.used().await?),
        _ => eprintln!("SKIPPED: what it cost (no store runs in {} on this machine)", args.data.display()),
    }
    figures.print(earlier.as_ref(), args.output);
    Ok(())
}

/// How many customers a second look at a page while strangers attack, unless --rate says otherwise.
const BROWSERS: f64 = 50.0;

/// Browses twice, the second time among strangers who attack.
async fn under_attack(args: &LoadArgs, size: (u64, u64), patience: Duration) -> Result<()> {
    let browse = async || -> Result<Figures> {
        let load = Load::prepare(&args.client.url, size, patience).await?;
        let load = Load { mix: "browse".parse()?, ..load.at_rate(args.rate.unwrap_or(BROWSERS)) };
        Ok(Figures::of(&load.run().await?))
    };
    let alone = browse().await?;
    let attack = Attack::begin(&args.client.url).await?;
    let attacked = browse().await;
    let mut figures = attacked?;
    attack.end(&mut figures);
    figures.print(Some(&alone), args.output);
    Ok(())
}

impl Load {
    /// Opens the accounts.
    pub(crate) async fn prepare(url: &str, (actions, clients): (u64, u64), patience: Duration) -> Result<Self> {
        ensure!(clients > 0 && actions > 0, "--clients and --purchases must be at least 1");
        let visitor = Api::visit(url)?;
        let games = visitor.priced_games().await?;
        ensure!(!games.is_empty(), "the catalogue has no priced game");
        let run = format!("{:08x}", rand::random::<u32>());
        // One game is kept for declined cards.
        let people = actions.div_ceil(clients).div_ceil(games.len().saturating_sub(1).max(1) as u64);
        let bar = progress::bar("opening accounts", clients.saturating_mul(people));
        let (visitor, games, run, bar) = (&visitor, &games, &run, &bar);
        let open = |client: u64| async move {
            let mut accounts = Vec::new();
            for person in 0..people {
                let email = format!("load-{run}-{client}-{person}@ludoteca.example");
                accounts.push(Shopper::register(visitor, &email, games, patience).await?);
                bar.inc(1);
            }
            anyhow::Ok(accounts)
        };
        let clients = stream::iter(0..clients).map(open).buffer_unordered(OPENING).try_collect().await?;
        bar.finish_and_clear();
        Ok(Self { actions, rate: None, mix: "purchase".parse()?, clients })
    }

    /// The same as an open loop.
    pub(crate) fn at_rate(self, rate: f64) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// Has everybody shop.
    pub(crate) async fn run(self) -> Result<Measured> {
        let bar = progress::bar("shopping", self.actions);
        let begun = Instant::now();
        let turns = Turns::new(self.actions, self.rate);
        let mut clients = JoinSet::new();
        for accounts in self.clients {
            let (turns, mix, bar) = (turns.clone(), self.mix.clone(), bar.clone());
            clients.spawn(async move { shop(accounts, &turns, &mix, &bar).await });
        }
        let mut waits = BTreeMap::new();
        while let Some(client) = clients.join_next().await {
            for (action, (lap, took)) in client?? {
                let histogram = match waits.entry((action, lap)) {
                    std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::btree_map::Entry::Vacant(new) => new.insert(Histogram::new(3)?),
                };
                histogram.record(u64::try_from(took.as_micros())?)?;
            }
        }
        bar.finish_and_clear();
        Ok(Measured { took: begun.elapsed(), waits })
    }
}

/// Says when the next thing begins: at once until all is done, or on a schedule.
#[derive(Clone)]
enum Turns {
    AtOnce(Arc<AtomicU64>),
    Scheduled(Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>),
}

impl Turns {
    fn new(actions: u64, rate: Option<f64>) -> Self {
        let Some(rate) = rate else { return Self::AtOnce(Arc::new(AtomicU64::new(actions))) };
        let (scheduled, turns) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let begun = Instant::now();
            for n in 0..actions {
                #[expect(clippy::cast_precision_loss, reason = "the number of an action fits a float")]
                let after = Duration::from_secs_f64(n as f64 / rate);
                let Some(at) = begun.checked_add(after) else { return };
                tokio::time::sleep_until(at.into()).await;
                if scheduled.send(at).is_err() {
                    return;
                }
            }
        });
        Self::Scheduled(Arc::new(Mutex::new(turns)))
    }

    /// When the next thing begins, or was to begin; nothing where all is done.
    async fn next(&self) -> Option<Instant> {
        match self {
            Self::AtOnce(left) => {
                let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                taken.ok().map(|_| Instant::now())
            }
            Self::Scheduled(turns) => turns.lock().await.recv().await,
        }
    }
}

/// One client, account after account.
async fn shop(
    accounts: Vec<Shopper>,
    turns: &Turns,
    mix: &Mix,
    bar: &ProgressBar,
) -> Result<Vec<(Action, (&'static str, Duration))>> {
    let mut measured = Vec::new();
    for mut shopper in accounts {
        while shopper.can_buy() {
            let Some(begun) = turns.next().await else { return Ok(measured) };
            let action = mix.choose();
            let laps: Laps = shopper.act(action, begun).await?;
            measured.extend(laps.into_iter().map(|lap| (action, lap)));
            bar.inc(1);
        }
    }
    Ok(measured)
}
