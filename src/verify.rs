//! `ludoteca verify`: journal = mirror, event by event; claims and every read model = the fold of the journal;
//! the search index = the catalogue; and the money: paid orders have their games, games have paid orders. Any difference is an error.

mod models;
pub(crate) mod money;
pub mod offline;

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use domain::{Game, Order, Payment, StoreAggregate, TreeHead, User};
use journal::{AggregateKey, Chain, ClaimsFold, Journal, Position, Recorded};
use nats::{EVENTS, Nats, Stored};
use postgres_es::PostgresEventRepository;
use projections::search::{digests, reindex};
use projections::{Comparison, compare};
use psp::PspClient;
use serde_json::json;
use tokio::time::Instant;
use workers::Mirrored;

pub use self::models::models;
use crate::config::SearchConfig;
use crate::roles::Foundation;
use crate::table::{Output, Table};
use crate::{progress, search};

/// How long readers may take to catch up before what they lack counts as a difference.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// What was compared, and how often it was not equal.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Which two things.
    pub what: String,
    /// How much there was to compare.
    pub compared: String,
    /// How much of it differs.
    pub differences: i64,
}

/// Compares everything and prints a line each.
///
/// # Errors
/// When there is any difference, or something cannot be read.
pub async fn run(
    foundation: &Foundation,
    search: &SearchConfig,
    psp: Option<&PspClient>,
    export: Option<&Path>,
    output: Output,
) -> Result<()> {
    let begun = Instant::now();
    let (events, _) = foundation.journal().extent().await?;
    let mut findings = vec![journal_and_mirror(foundation).await?];
    findings.push(claims(foundation).await?);
    findings.push(stock(foundation.journal()).await?);
    findings.extend(read_models(foundation).await?);
    findings.push(index(foundation.journal(), search).await?);
    findings.extend(money::recorded_alone(foundation.journal()).await?);
    match psp {
        Some(psp) => findings.extend(money::psp(foundation.journal(), psp).await?),
        None => eprintln!("SKIPPED: what the PSP charged and sent back (set PSP_URL and PSP_KEY)"),
    }
    if let Some(export) = export {
        findings.extend(models(foundation.journal().pool(), export).await?);
    }
    let mut table = Table::new(["comparison", "compared", "differences"]);
    for Finding { what, compared, differences } in &findings {
        table.row([json!(what), json!(compared), json!(differences)]);
    }
    table.print(output);
    let differences = findings.iter().map(|finding| finding.differences).fold(0_i64, i64::saturating_add);
    if !output.json {
        println!("{differences} differences");
        tell_rate(events.unsigned_abs(), begun.elapsed());
    }
    ensure!(differences == 0, "the store contradicts its journal");
    Ok(())
}

/// How fast all of it was, by the events that there were when it began.
fn tell_rate(events: u64, took: Duration) {
    eprintln!("{events} events in {:.1} s ({:.0} a second)", took.as_secs_f64(), progress::per_second(events, took));
}

/// Journal and mirror side by side, once the read models have what the journal has.
pub(crate) async fn journal_and_mirror(foundation: &Foundation) -> Result<Finding> {
    let extent = foundation.journal().extent().await?;
    settle(foundation, extent.1).await?;
    mirror(foundation.journal(), &foundation.shared.nats, extent).await
}

/// The claims beside the fold of the journal.
pub(crate) async fn claims(foundation: &Foundation) -> Result<Finding> {
    let (events, _) = foundation.journal().extent().await?;
    let bar = progress::bar("claims", events.unsigned_abs());
    let progress = |folded: i64| bar.set_position(folded.unsigned_abs());
    let ClaimsFold { claims, missing, surplus } =
        foundation.journal().fold_claims(&foundation.vault, false, progress).await?;
    bar.finish_and_clear();
    let compared = format!("{claims} claims");
    Ok(Finding { what: "claims = fold".to_owned(), compared, differences: missing.max(surplus) })
}

/// How many aggregates are read by both readers.
const SAMPLE: i64 = 1_000;

/// What `postgres-es` reads of the aggregates that changed last, beside what our own reader reads.
async fn stock(journal: &Journal) -> Result<Finding> {
    let repository = journal.stock();
    let newest: Vec<(String, String)> = sqlx::query_as(
        "select aggregate_type, aggregate_id from
           (select aggregate_type, aggregate_id from journal.events
            order by epoch desc, tx_id desc, position desc limit $1) as newest
         group by 1, 2",
    )
    .bind(SAMPLE)
    .fetch_all(journal.pool())
    .await?;
    let mut theirs = Vec::with_capacity(newest.len());
    for (kind, id) in &newest {
        theirs.push(match kind.as_str() {
            User::TYPE => read_by::<User>(&repository, id).await?,
            Game::TYPE => read_by::<Game>(&repository, id).await?,
            Order::TYPE => read_by::<Order>(&repository, id).await?,
            Payment::TYPE => read_by::<Payment>(&repository, id).await?,
            TreeHead::TYPE => read_by::<TreeHead>(&repository, id).await?,
            unknown => bail!("unknown aggregate type {unknown:?}"),
        });
    }
    // Read second: what is appended in between is more, never less.
    let ours = journal.histories(&theirs.iter().map(|(key, _)| *key).collect::<Vec<_>>()).await?;
    let differences = theirs.iter().filter(|(key, theirs)| !are_the_same(theirs, ours.of(*key))).count();
    let compared = format!("{} aggregates", newest.len());
    Ok(Finding { what: "postgres-es reads the same".to_owned(), compared, differences: i64::try_from(differences)? })
}

async fn read_by<A: StoreAggregate>(
    repository: &PostgresEventRepository,
    id: &str,
) -> Result<(AggregateKey, Vec<SerializedEvent>)> {
    Ok((AggregateKey::of::<A>(id.parse()?), repository.get_events::<A>(id).await?))
}

fn are_the_same(theirs: &[SerializedEvent], ours: &[Recorded]) -> bool {
    theirs.len() <= ours.len()
        && theirs.iter().zip(ours).all(|(theirs, ours)| {
            let payload = serde_json::from_str::<serde_json::Value>(ours.payload.get());
            i64::try_from(theirs.sequence) == Ok(ours.sequence)
                && theirs.event_type == ours.event_type
                && theirs.event_version == ours.event_version
                && payload.is_ok_and(|ours| ours == theirs.payload)
        })
}

/// Every read model beside the fold of the journal.
pub(crate) async fn read_models(foundation: &Foundation) -> Result<Vec<Finding>> {
    let journal = foundation.journal();
    let (events, _) = journal.extent().await?;
    let bar = progress::bar("read models", events.unsigned_abs());
    let projections = projections::all(&foundation.vault);
    let compared = compare(journal, &projections, |folded| bar.set_position(folded.unsigned_abs())).await?;
    bar.finish_and_clear();
    compared.into_iter().map(|comparison| read_model(comparison, events)).collect()
}

/// Waits until mirror and read models have what the journal had when we began.
async fn settle(foundation: &Foundation, last: Position) -> Result<()> {
    let pool = foundation.journal().pool();
    let deadline = Instant::now().checked_add(PATIENCE);
    let mut behind = Vec::new();
    for name in projections::all(&foundation.vault).iter().map(|projection| projection.name()) {
        while !projections::consistency::reached(pool, name, last).await? {
            if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
                behind.push(name);
                break;
            }
        }
    }
    if !behind.is_empty() {
        eprintln!(
            "{} have not caught up within {} s; what they lack is counted",
            behind.join(", "),
            PATIENCE.as_secs()
        );
    }
    Ok(())
}

/// Journal and mirror side by side, both in their own order, up to where the journal ended when we began.
pub(crate) async fn mirror(journal: &Journal, nats: &Nats, (events, last): (i64, Position)) -> Result<Finding> {
    let bar = progress::bar("journal = mirror", events.unsigned_abs());
    let mut replay = nats.replay(EVENTS, ">", 1);
    let (mut position, mut compared, mut differences) = (Position::default(), 0_i64, 0_i64);
    let (mut mirrored, mut chain) = (VecDeque::<Stored>::new(), Chain::default());
    while position < last {
        let recorded = journal.committed_after(position, 1_000).await?;
        let Some(end) = recorded.last() else { break };
        position = end.position;
        for event in recorded.iter().filter(|event| event.position <= last) {
            if mirrored.is_empty() {
                mirrored.extend(replay.next_batch().await?);
            }
            compared = compared.saturating_add(1);
            let expected = chain.body(event.to_cloud_event())?;
            let same = mirrored.pop_front().is_some_and(|stored| {
                let placed = Mirrored::try_from(&stored).is_ok_and(|m| m.envelope.position == event.position);
                placed && u64::try_from(compared) == Ok(stored.sequence) && stored.payload == expected
            });
            if !same {
                differences = differences.saturating_add(1);
                if differences <= 5 {
                    eprintln!("    event {} at {} is not mirrored at {compared}", event.event_id, event.position);
                }
            }
            bar.inc(1);
        }
    }
    // What is mirrored beyond must have been recorded since; anything else is no event of this journal.
    mirrored.extend(replay.next_batch().await?);
    let foreign =
        mirrored.iter().filter(|stored| !Mirrored::try_from(*stored).is_ok_and(|m| m.envelope.position > last));
    differences = differences.saturating_add(i64::try_from(foreign.count())?);
    bar.finish_and_clear();
    Ok(Finding { what: "journal = mirror".to_owned(), compared: format!("{compared} events"), differences })
}

fn read_model(compared: Comparison, events: i64) -> Result<Finding> {
    let Comparison { projection, events: folded, rows, missing, surplus, parked } = compared;
    let lacking = events.saturating_sub(folded).max(0);
    let differences = missing.max(surplus).saturating_add(i64::try_from(parked)?).saturating_add(lacking);
    Ok(Finding { what: format!("{projection} = fold"), compared: format!("{rows} rows"), differences })
}

/// The search index and the catalogue side by side. What is on its way to the index is waited for.
pub(crate) async fn index(journal: &Journal, config: &SearchConfig) -> Result<Finding> {
    let engine = search::writing(config, journal.pool())?;
    let deadline = Instant::now().checked_add(PATIENCE);
    let (games, differences) = loop {
        let caught_up = reindex::caught_up(journal.pool()).await?;
        let (held, wanted) = digests(&engine, journal.pool()).await?;
        let missing = wanted.iter().filter(|(game, digest)| held.get(game) != Some(digest)).count();
        let surplus = held.keys().filter(|game| !wanted.contains_key(game)).count();
        let differences = missing.saturating_add(surplus);
        if (caught_up && differences == 0) || deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            break (wanted.len(), differences);
        }
        tokio::time::sleep(PAUSE).await;
    };
    let differences = i64::try_from(differences)?;
    Ok(Finding { what: format!("index ({}) = games", engine.name()), compared: format!("{games} games"), differences })
}
