//! The ten invariants, looked at from outside: journal, mirror, read models, index, the PSP's own lists, mails, logs.

mod letters;
mod money;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use nats::EVENTS;
use projections::rebuild;
use sqlx::PgPool;

use self::letters::one_place;
use self::money::Kept;
use super::buyer::Tally;
use super::stage::Stage;
use crate::config::SearchConfig;
use crate::export::{ExportArgs, From};
use crate::local::find_program;
use crate::verify::{self, Finding};
use crate::{export, search};

/// What of an invariant was looked at, and what contradicts it.
pub(super) struct Proof {
    invariant: u8,
    what: &'static str,
    counted: String,
    pub(super) violations: Vec<String>,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, what, counted, violations } = self;
        write!(f, "{invariant:>2}  {what:<58} {:>3} violations  ({counted})", violations.len())
    }
}

fn different(findings: &[Finding]) -> Vec<String> {
    let told = |finding: &Finding| format!("{}: {} differences", finding.what, finding.differences);
    findings.iter().filter(|finding| finding.differences != 0).map(told).collect()
}

fn counted(findings: &[Finding]) -> String {
    let counts = findings.iter().map(|finding| finding.compared.as_str()).filter(|count| !count.is_empty());
    counts.collect::<Vec<_>>().join(", ")
}

/// Looks at all ten. `hanging` is what had not come to an end when nothing was broken any more.
pub(super) async fn prove(
    stage: &Stage,
    tally: &Tally,
    erased: &[String],
    people: &[String],
    hanging: Option<String>,
) -> Result<Vec<Proof>> {
    let (foundation, pool) = (&stage.foundation, stage.foundation.journal().pool());
    let mirror = [verify::journal_and_mirror(foundation).await?];
    let mut models = verify::read_models(foundation).await?;
    models.push(verify::index(foundation.journal(), &SearchConfig::default()).await?);
    models.push(verify::claims(foundation).await?);
    models.extend(analysts_models(stage).await?);
    let mut money = verify::money::recorded_alone(foundation.journal()).await?;
    money.extend(verify::money::psp(foundation.journal(), &stage.psp()?).await?);
    let kept = Kept::read(stage).await?;
    let facts = facts(stage).await?;
    let mut proofs = vec![
        Proof {
            invariant: 1,
            what: "journal order is mirror order, no gap, no duplicate",
            counted: counted(&mirror),
            violations: different(&mirror),
        },
        Proof {
            invariant: 2,
            what: "every read model, the index and the claims equal the fold",
            counted: counted(&models),
            violations: different(&models),
        },
        kept.one_charge_each(tally, pool).await?,
        kept.money_for_games(pool, &money).await?,
        one_place(stage, pool).await?,
    ];
    proofs.push(Proof {
        invariant: 6,
        what: "no personal data in clear outside the vault",
        counted: format!("{} people, {} MB of facts and logs", people.len(), facts.len() >> 20),
        violations: people.iter().filter(|name| facts.contains(name.as_str())).cloned().collect(),
    });
    proofs.push(forgotten(pool, erased).await?);
    proofs.push(rebuilt(stage, pool).await?);
    let known: HashSet<String> =
        sqlx::query_scalar("select order_id::text from read.orders").fetch_all(pool).await?.into_iter().collect();
    let lost =
        tally.orders.iter().filter(|order| !known.contains(*order)).map(|order| format!("order {order} is lost"));
    let mails: i64 =
        sqlx::query_scalar("select count(*) from vault.mail where dead_at is not null").fetch_one(pool).await?;
    let dead = (mails > 0).then(|| format!("{mails} mails were given up"));
    proofs.push(Proof {
        invariant: 9,
        what: "what was accepted came to an end",
        counted: format!(
            "{} orders, {} requests asked again, {} mails, {} of them sent twice",
            tally.orders.len(),
            tally.retries,
            sent(pool).await?,
            doubled_mails(&stage.folder.join("outbox"))?
        ),
        violations: lost.chain(hanging).chain(dead).collect(),
    });
    proofs.push(Proof {
        invariant: 10,
        what: "nobody read another's, nobody claimed a role",
        counted: format!("{} tries", tally.intrusions),
        violations: (0..tally.leaks).map(|_| "a stranger was not refused".to_owned()).collect(),
    });
    Ok(proofs)
}

/// What analysts make of the mirror, where there is a `duckdb` to ask.
async fn analysts_models(stage: &Stage) -> Result<Vec<Finding>> {
    if find_program("duckdb", &[]).is_err() {
        println!("SKIPPED: the models of an export (scripts/test installs duckdb)");
        return Ok(vec![]);
    }
    let folder = stage.folder.join("export");
    let (to, nats_url) = (folder.display().to_string(), Some(stage.nats_url()));
    export::run(&ExportArgs { to, from: From::Mirror, nats_url, database_url: None }).await?;
    verify::models(stage.foundation.journal().pool(), &folder).await
}

async fn sent(pool: &PgPool) -> Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from vault.mail where sent_at is not null").fetch_one(pool).await?)
}

/// Every text that journal, claims, mirror and logs hold.
async fn facts(stage: &Stage) -> Result<String> {
    let query = "select e::text from journal.events e union all select c::text from journal.claims c";
    let rows: Vec<String> = sqlx::query_scalar(query).fetch_all(stage.foundation.journal().pool()).await?;
    let mut all = rows.concat();
    let mut replay = stage.foundation.shared.nats.replay(EVENTS, ">", 1);
    loop {
        let batch = replay.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        all.extend(
            batch.iter().map(|stored| format!("{:?}{}", stored.headers, String::from_utf8_lossy(&stored.payload))),
        );
    }
    for folder in [stage.folder.clone(), stage.folder.join("logs")] {
        for file in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "log" || extension == "txt") {
                all.push_str(&read(&path)?);
            }
        }
    }
    Ok(all)
}

fn read(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

async fn forgotten(pool: &PgPool, erased: &[String]) -> Result<Proof> {
    let mut violations = Vec::new();
    for table in ["read.users", "vault.credentials", "vault.sessions", "vault.mail"] {
        let rows: Vec<String> = sqlx::query_scalar(&format!("select t::text from {table} t")).fetch_all(pool).await?;
        let rows = rows.concat();
        violations
            .extend(erased.iter().filter(|name| rows.contains(*name)).map(|name| format!("{name} is in {table}")));
    }
    let shown: i64 = sqlx::query_scalar("select count(*) from read.users where erased").fetch_one(pool).await?;
    if usize::try_from(shown) != Ok(erased.len()) {
        violations.push(format!("{shown} of {} erased people are shown as such", erased.len()));
    }
    let what = "after erasure nothing of the person can be read";
    Ok(Proof { invariant: 7, what, counted: format!("{} people erased", erased.len()), violations })
}

/// How many mails went out more often than once: a sender that dies before it has noted what it sent sends again.
fn doubled_mails(outbox: &Path) -> Result<usize> {
    let (mut seen, mut doubled) = (HashSet::new(), 0_usize);
    for file in std::fs::read_dir(outbox).with_context(|| outbox.display().to_string())? {
        let mail = read(&file?.path())?;
        let id = mail.lines().find_map(|line| line.strip_prefix("Message-ID: ")).map(str::to_owned);
        doubled = doubled.saturating_add(usize::from(!seen.insert(id)));
    }
    Ok(doubled)
}

/// Folds everything anew and compares what there was with what there is.
async fn rebuilt(stage: &Stage, pool: &PgPool) -> Result<Proof> {
    let (mut violations, mut folded) = (Vec::new(), Vec::new());
    let (vault, journal) = (&stage.foundation.vault, stage.foundation.journal());
    for projection in projections::all(vault) {
        let name = projection.name();
        let before = content(pool, name).await?;
        folded.push(rebuild(journal, &[projection], |_| ()).await?.events);
        if before != content(pool, name).await? {
            violations.push(format!("{name} is not what it was"));
        }
    }
    search::rebuild(stage.foundation.journal(), &SearchConfig::default()).await?;
    violations.extend(different(&[verify::index(journal, &SearchConfig::default()).await?]));
    let what = "projections and index can be rebuilt to the same content";
    Ok(Proof {
        invariant: 8,
        what,
        counted: format!("{} read models of {} events", folded.len(), folded.last().unwrap_or(&0)),
        violations,
    })
}

async fn content(pool: &PgPool, table: &str) -> Result<Option<String>> {
    let query = format!("select md5(string_agg(t::text, '' order by t::text)) from read.{table} t");
    Ok(sqlx::query_scalar(&query).fetch_one(pool).await?)
}
