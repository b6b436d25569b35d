//! `ludoteca verify`: journal = mirror, event by event; every read model = the fold of the journal;
//! the search index = the catalogue; and the money: paid orders have their games, games have paid orders. Any difference is an error.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, ensure};
use journal::{Journal, Position};
use nats::{EVENTS, Nats, Stored};
use projections::search::{digests, reindex};
use projections::{Comparison, Projection, compare};
use tokio::time::Instant;
use workers::Mirrored;

use crate::config::SearchConfig;
use crate::roles::Foundation;
use crate::{progress, search};

/// How long readers may take to catch up before what they lack counts as a difference.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// Compares everything and prints a line each.
///
/// # Errors
/// When there is any difference, or something cannot be read.
pub async fn run(foundation: &Foundation, search: &SearchConfig) -> Result<()> {
    let journal = foundation.journal();
    let (events, last) = journal.extent().await?;
    settle(foundation, last).await?;
    let mut differences = mirror(journal, &foundation.shared.nats, (events, last)).await?;
    macro_rules! compare_one {
        ($projection:expr) => {
            differences = differences.saturating_add(read_model(journal, &$projection, events).await?);
        };
    }
    projections::for_each_projection!(foundation.vault, compare_one);
    differences = differences.saturating_add(index(journal, search).await?);
    differences = differences.saturating_add(money(journal).await?);
    println!("{differences} differences");
    ensure!(differences == 0, "the store contradicts its journal");
    Ok(())
}

/// Waits until mirror and read models have what the journal had when we began.
async fn settle(foundation: &Foundation, last: Position) -> Result<()> {
    let pool = foundation.journal().pool();
    let deadline = Instant::now().checked_add(PATIENCE);
    let mut behind = Vec::new();
    macro_rules! wait_for {
        ($projection:expr) => {
            let name = name_of(&$projection);
            while !projections::consistency::reached(pool, name, last).await? {
                if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
                    behind.push(name);
                    break;
                }
            }
        };
    }
    projections::for_each_projection!(foundation.vault, wait_for);
    if !behind.is_empty() {
        eprintln!(
            "{} have not caught up within {} s; what they lack is counted",
            behind.join(", "),
            PATIENCE.as_secs()
        );
    }
    Ok(())
}

fn name_of<P: Projection>(_: &P) -> &'static str {
    P::NAME
}

/// Journal and mirror side by side, both in their own order, up to where the journal ended when we began.
async fn mirror(journal: &Journal, nats: &Nats, (events, last): (i64, Position)) -> Result<i64> {
    let bar = progress::bar("journal = mirror", events.unsigned_abs());
    let mut replay = nats.replay(EVENTS, "events.>", 1);
    let (mut position, mut compared, mut differences) = (Position::default(), 0_i64, 0_i64);
    let mut mirrored: VecDeque<Stored> = VecDeque::new();
    while position < last {
        let recorded = journal.committed_after(position, 1_000).await?;
        let Some(end) = recorded.last() else { break };
        position = end.position;
        for event in recorded.iter().filter(|event| event.position <= last) {
            if mirrored.is_empty() {
                mirrored.extend(replay.next_batch().await?);
            }
            compared = compared.saturating_add(1);
            let expected = serde_json::to_vec(&event.to_cloud_event())?;
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
    line("journal = mirror", &format!("{compared} events"), differences);
    Ok(differences)
}

async fn read_model<P: Projection>(journal: &Journal, projection: &P, events: i64) -> Result<i64> {
    let bar = progress::bar(P::NAME, events.unsigned_abs());
    let compared = compare(journal, projection, |folded| bar.set_position(folded.unsigned_abs())).await?;
    bar.finish_and_clear();
    let Comparison { events: folded, rows, missing, surplus, parked } = compared;
    let lacking = events.saturating_sub(folded).max(0);
    let differences = missing.max(surplus).saturating_add(i64::try_from(parked)?).saturating_add(lacking);
    line(&format!("{} = fold", P::NAME), &format!("{rows} rows"), differences);
    Ok(differences)
}

/// The search index and the catalogue side by side. What is on its way to the index is waited for.
async fn index(journal: &Journal, config: &SearchConfig) -> Result<i64> {
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
    line(&format!("index ({}) = games", engine.name()), &format!("{games} games"), differences);
    Ok(differences)
}

/// No paid order without its games, no games without a paid (or free) order, one payment per completed order.
async fn money(journal: &Journal) -> Result<i64> {
    let checks = [
        (
            "paid orders have games",
            "select count(*) from read.orders o where o.status = 'completed' and exists (
               select from jsonb_array_elements(o.lines) line
               where not exists (select from read.library l
                                 where l.order_id = o.order_id and l.game_id = (line ->> 'game')::uuid)
               and not exists (select from jsonb_array_elements(o.refunds) refund
                               where refund ->> 'status' = 'refunded' and refund -> 'games' ? (line ->> 'game')))",
        ),
        (
            "games have paid orders",
            "select count(*) from read.library l left join read.orders o using (order_id)
             where o.order_id is null or o.status <> 'completed'",
        ),
        (
            "completed orders are paid",
            "select count(*) from read.orders o left join read.payments p using (payment_id)
             where o.status = 'completed' and o.total > 0
             and (p.status is null or p.status not in ('succeeded', 'refunded'))",
        ),
        (
            "one success per order",
            "select count(*) from (select order_id from read.payments where status = 'succeeded'
                                   group by order_id having count(*) > 1) as doubled",
        ),
        (
            "unowed money went back",
            "select count(*) from read.payments p join read.orders o using (order_id)
             where p.status = 'succeeded' and o.status = 'cancelled'",
        ),
        (
            "refunds are as agreed",
            "select count(*) from read.orders o join read.payments p using (payment_id)
             where o.status in ('completed', 'refunded') and p.refunded <>
               (select coalesce(sum((refund ->> 'amount')::bigint), 0) from jsonb_array_elements(o.refunds) refund
                where refund ->> 'status' = 'refunded')",
        ),
    ];
    let mut differences = 0_i64;
    for (name, query) in checks {
        let wrong: i64 = sqlx::query_scalar(query).fetch_one(journal.pool()).await?;
        line(name, "", wrong);
        differences = differences.saturating_add(wrong);
    }
    Ok(differences)
}

fn line(what: &str, compared: &str, differences: i64) {
    let verdict = if differences == 0 { "equal".to_owned() } else { format!("{differences} DIFFERENCES") };
    println!("{what:<26} {compared:>16}  {verdict}");
}
