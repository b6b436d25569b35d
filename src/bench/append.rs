use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::TimeDelta;
use chrono_tz::Tz;
use clap::Args;
use commands::{Actor, Commands, GameChange, Rules};
use domain::game::{AgeRating, GameDetails};
use domain::order::DisputePolicy;
use domain::user::Requirement;
use domain::{Currency, Description, GameId, Labels, Money, Name, Title};
use journal::{Clock, Journal, Vault};
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::Bench;
use crate::progress::per_second;
use crate::table::{Output, Table};

/// How many commands are in flight in each round.
const IN_FLIGHT: [u32; 4] = [1, 8, 32, 64];

/// `ludoteca bench append`
#[derive(Debug, Args)]
pub struct AppendArgs {
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    #[command(flatten)]
    output: Output,
}

/// Appends through the command layer (load, decide, append), beside the same rows inserted one per transaction by a
/// plain prepared statement.
///
/// # Errors
/// When the servers do not start or an append fails.
pub async fn run(args: &AppendArgs) -> Result<()> {
    let bench = Bench::start(80).await?;
    let commands = use_cases(bench.journal.clone(), bench.vault.clone());
    let time = Duration::from_secs(args.seconds);

    eprintln!("Appends per second, {} s each, PostgreSQL with fsync on", args.seconds);
    let mut table = Table::new(["in_flight", "command_layer", "plain_insert", "ratio"]);
    for in_flight in IN_FLIGHT {
        let layer = appends(&commands, in_flight, time).await?;
        let plain = plain_inserts(&bench.owner, in_flight, time).await?;
        table.row([json!(in_flight), json!(layer.round()), json!(plain.round()), json!(layer / plain)]);
    }
    table.print(args.output);
    bench.stop().await
}

/// The use cases of a store.
pub(super) fn use_cases(journal: Journal, vault: Vault) -> Commands {
    let rules = Rules {
        currency: Currency::BRL,
        refund_window: TimeDelta::zero(),
        dispute_policy: DisputePolicy::Keep,
        time_zone: Tz::UTC,
        email_confirmation: Requirement::Optional,
        staff_second_factor: Requirement::Optional,
    };
    Commands::new(journal, vault, rules, Clock::default())
}

/// Games created by a use case, per second.
pub(super) async fn appends(commands: &Commands, in_flight: u32, time: Duration) -> Result<f64> {
    let (commands, game) = (commands.clone(), change()?);
    measure(in_flight, time, move || create(commands.clone(), game.clone())).await
}

/// Rows like those of the journal inserted by a prepared statement, one per transaction, into a table beside it; per
/// second.
pub(super) async fn plain_inserts(owner: &PgPool, in_flight: u32, time: Duration) -> Result<f64> {
    for make in ["drop table if exists public.plain", "create table public.plain (like journal.events including all)"] {
        sqlx::query(make).execute(owner).await?;
    }
    let sample: Sample = sqlx::query_as(
        "select payload, metadata from journal.events where event_type = 'GameCreated' order by position limit 1",
    )
    .fetch_one(owner)
    .await?;
    let pool = owner.clone();
    measure(in_flight, time, move || insert(pool.clone(), sample.clone())).await
}

async fn measure<F, Fut>(in_flight: u32, time: Duration, once: F) -> Result<f64>
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (once, done) = (once.clone(), done.clone());
        tasks.spawn(async move {
            while begun.elapsed() < time {
                once().await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(per_second(done.load(Ordering::Relaxed), begun.elapsed()))
}

async fn create(commands: Commands, change: GameChange) -> Result<()> {
    let context = commands.context(Actor::System("bench"));
    commands.create_game(&context, GameId::from_uuid(commands.clock().new_id()), change).await?;
    Ok(())
}

/// What the journal stores for one such command.
#[derive(Clone, sqlx::FromRow)]
struct Sample {
    payload: serde_json::Value,
    metadata: serde_json::Value,
}

async fn insert(pool: PgPool, sample: Sample) -> Result<()> {
    let clock = Clock::default();
    sqlx::query(
        "insert into public.plain (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                                   event_id)
         values ('game', $1, 1, 'GameCreated', '1', $2, $3, $4)",
    )
    .bind(clock.new_id().to_string())
    .bind(sample.payload)
    .bind(sample.metadata)
    .bind(clock.new_id())
    .execute(&pool)
    .await?;
    Ok(())
}

pub(super) fn change() -> Result<GameChange> {
    let details = GameDetails {
        title: Title::parse("The Lantern Keepers of Marrow Bay")?,
        description: Description::parse("Keep the lights burning while the tide brings strangers.")?,
        developer: Name::parse("Seven Gulls")?,
        publisher: Name::parse("")?,
        genres: Labels::parse(["Adventure"])?,
        tags: Labels::parse(["Story Rich", "Sea"])?,
        platforms: Labels::parse(["linux", "windows"])?,
        release_date: None,
        age_rating: AgeRating::parse(10)?,
    };
    Ok(GameChange { details, price: Money { amount: 5_990, currency: Currency::BRL } })
}
