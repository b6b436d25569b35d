//! `ludoteca rebuild`: read models and claims, folded from the journal anew, in their place or as they once were.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use indicatif::ProgressBar;
use journal::{ClaimsFold, Journal};
use projections::past::{self, Difference, Moment, Past};
use projections::{AnyProjection, Folded, rebuild};
use serde_json::json;

use crate::config::StoreConfig;
use crate::progress;
use crate::roles::Foundation;

/// Every projection, in one pass.
const ALL: &str = "all";

/// Not a projection, and rebuilt like one.
const CLAIMS: &str = "claims";

/// What to rebuild.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreConfig,
    /// users, games, orders, payments, library, disputes, all of these in one pass, or claims
    pub projection: String,
    /// As it was after so many events, or at a time such as 2026-11-30T12:00:00Z: into the schema `past`, beside the one of
    /// now. Not for users and claims
    #[arg(long, value_name = "POSITION|TIME", value_parser = moment)]
    pub at: Option<Moment>,
    /// Print each row that differs from the one of now, as NDJSON
    #[arg(long, requires = "at")]
    pub diff: bool,
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(position) = text.parse::<u32>() {
        return Ok(Moment::Position(position.into()));
    }
    let time = text.parse::<DateTime<Utc>>().map(Moment::Time);
    time.map_err(|_| "must be a position, such as 1200, or a time, such as 2026-11-30T12:00:00Z".to_owned())
}

/// Rebuilds, and says what came of it.
///
/// # Errors
/// When there is nothing of that name, or the journal cannot be read.
pub async fn run(foundation: &Foundation, args: &RebuildArgs) -> Result<()> {
    let name = args.projection.as_str();
    if name == CLAIMS {
        ensure!(args.at.is_none(), "claims are only those of now; --at is for read models");
        return rebuild_claims(foundation).await;
    }
    let all = projections::all(&foundation.vault);
    let names: Vec<_> = all.iter().map(|projection| projection.name()).collect();
    let chosen: Vec<_> = all.into_iter().filter(|projection| [ALL, projection.name()].contains(&name)).collect();
    ensure!(!chosen.is_empty(), "there is no projection {name}; there are {ALL}, {CLAIMS}, {}", names.join(", "));
    match args.at {
        None => rebuild_in_place(foundation.journal(), name, &chosen).await,
        Some(moment) => rebuild_as_of(foundation.journal(), past::with_a_past(chosen), moment, args.diff).await,
    }
}

async fn rebuild_in_place(journal: &Journal, name: &str, chosen: &[Arc<dyn AnyProjection>]) -> Result<()> {
    let (events, _) = journal.extent().await?;
    let bar = progress::bar("events folded", events.unsigned_abs());
    let begun = Instant::now();
    let folded = rebuild(journal, chosen, |events| bar.set_position(events.unsigned_abs())).await?;
    bar.finish_and_clear();
    let Folded { events, parked } = folded;
    println!("Rebuilt {name} from {events} events in {:.1} s; {parked} are parked", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn rebuild_as_of(
    journal: &Journal,
    chosen: Vec<Arc<dyn AnyProjection>>,
    moment: Moment,
    diff: bool,
) -> Result<()> {
    if chosen.is_empty() {
        bail!(
            "users cannot be rebuilt into `past`: erasing a person would not erase them there. ludoteca state user ID"
        );
    }
    let wanted = past::events_at(journal, moment).await?;
    let (events, _) = journal.extent().await?;
    ensure!(wanted <= events, "there are {events} events so far");
    let bar = progress::bar("events folded", wanted.unsigned_abs());
    let progress = |events: i64| bar.set_position(events.unsigned_abs());
    let tell = |of: &'static str, Difference { then, now }| {
        writeln!(std::io::stdout(), "{}", json!({ "of": of, "then": then, "now": now }))
    };
    let folded = past::rebuild_at(journal, &chosen, wanted, progress, diff.then_some(tell)).await?;
    bar.finish_and_clear();
    for Past { projection, events, parked, differences } in folded {
        let differences = differences.map(|rows| format!("; {rows} rows differ now")).unwrap_or_default();
        eprintln!("past.{projection} is {projection} as of event {events}; {parked} events are parked{differences}");
    }
    if !diff {
        eprintln!("Next: psql \"$DATABASE_URL\", or the same with --diff");
    }
    Ok(())
}

async fn rebuild_claims(foundation: &Foundation) -> Result<()> {
    let bar: ProgressBar = progress::count("events folded");
    let progress = |events: i64| bar.set_position(events.unsigned_abs());
    let ClaimsFold { missing, surplus, .. } =
        foundation.journal().fold_claims(&foundation.vault, true, progress).await?;
    bar.finish_and_clear();
    println!("Rebuilt claims: {missing} were missing or held by another, {surplus} were held without a reason");
    Ok(())
}
