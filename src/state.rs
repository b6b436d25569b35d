//! `ludoteca state`: an aggregate as it is, or was.

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use clap::Args;
use journal::{AggregateKey, AsOf, Journal, connect};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

/// Which aggregate, and when.
#[derive(Debug, Args)]
pub struct StateArgs {
    /// Its kind: user, game, order, payment, treehead
    pub aggregate: String,
    /// Its id
    pub id: Uuid,
    /// As so many of its events left it
    #[arg(long, conflicts_with = "at")]
    pub version: Option<usize>,
    /// As it was at a time, such as 2026-11-30T12:00:00Z
    #[arg(long)]
    pub at: Option<DateTime<Utc>>,
    /// The Postgres database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
}

/// Prints it as JSON. What is a person's own is sealed.
///
/// # Errors
/// When there is no such aggregate, there was none then, or the journal cannot be read.
pub async fn run(args: &StateArgs) -> Result<()> {
    let key = AggregateKey::of_kind(&args.aggregate, args.id)
        .context("AGGREGATE is user, game, order, payment or treehead")?;
    let as_of = match (args.version, args.at) {
        (Some(version), _) => AsOf::Version(version),
        (None, Some(time)) => AsOf::Time(time),
        (None, None) => AsOf::Now,
    };
    let journal = Journal::open(connect(&args.database_url, 1).await?).await?;
    let what = format!("{} {}", args.aggregate, args.id);
    let Some(past) = journal.past(key, as_of).await? else {
        let now = journal.past(key, AsOf::Now).await?.with_context(|| format!("there is no {what}"))?;
        let begun = now.events.first().map(|first| first.recorded_at.to_rfc3339()).unwrap_or_default();
        bail!("{what} begins at {begun} and has {} events", now.events.len());
    };
    let last = past.events.last().context("no event")?;
    let told = json!({
        "aggregate": args.aggregate, "id": args.id, "version": past.events.len(), "event": last.event_type,
        "time": last.recorded_at, "state": past.state,
    });
    println!("{told:#}");
    Ok(())
}
