//! `ludoteca export`: the event stream as Parquet, for analysts. From the mirror it needs no right but reading.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use export::{Export, ExportError, Manifest};
use indicatif::HumanBytes;
use journal::{Journal, Position, connect};
use nats::{EVENTS, Nats, Replay, Stored, numbered};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;

use crate::progress;

/// How many batches wait between whoever reads and whoever writes.
const BETWEEN: usize = 8;
/// How many events the journal is asked for at once.
const BATCH: i64 = 4_096;

/// What to export, and where to.
#[derive(Debug, Args)]
#[command(
    after_help = "Goes on where the last export to the same place ended. DuckDB reads it: duckdb -init views.sql"
)]
pub struct ExportArgs {
    /// A folder, or `s3://BUCKET/PATH` (keys and region from the usual AWS_… variables)
    #[arg(long)]
    pub to: String,
    /// Where the events are read
    #[arg(long, value_enum, default_value = "mirror")]
    pub from: From,
    /// The NATS server, with user and password; the analyst's is enough
    #[arg(long, env = "NATS_URL", hide_env_values = true, required_if_eq("from", "mirror"))]
    pub nats_url: Option<SecretString>,
    /// The Postgres database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, required_if_eq("from", "journal"))]
    pub database_url: Option<SecretString>,
}

/// Where events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// JetStream
    Mirror,
    /// Postgres, where there is no mirror
    Journal,
}

/// A reader of events in global order.
enum Source {
    Mirror(Box<Replay>),
    Journal(Journal, Position, u64),
}

/// Exports.
///
/// # Errors
/// When the events cannot be read or the export cannot be written; what was written stays, and the next one goes on there.
pub async fn run(args: &ExportArgs) -> Result<()> {
    let begun = Instant::now();
    // Buckets are spoken to over TLS; a provider that is there already stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut export = Export::open(&args.to).await.with_context(|| format!("--to {}", args.to))?;
    let before = export.last();
    let (source, end) = Source::open(args, &export).await?;
    let bar = progress::bar("events", end.saturating_sub(before));
    let (sender, mut lines) = mpsc::channel(BETWEEN);
    let reader = tokio::spawn(source.read(end, sender));
    while let Some(batch) = lines.recv().await {
        for line in &batch {
            export.push(line)?;
        }
        bar.inc(u64::try_from(batch.len())?);
        if export.is_full() {
            export.save().await.with_context(|| format!("--to {}", args.to))?;
        }
    }
    let read = reader.await?;
    if read.is_err() {
        // What came is not asked for again.
        export.save().await?;
    }
    read?;
    bar.set_message("bringing parts together");
    let manifest = export.finish().await.with_context(|| format!("--to {}", args.to))?;
    bar.finish_and_clear();
    tell(&args.to, before, &manifest, begun);
    Ok(())
}

fn tell(to: &str, before: u64, manifest: &Manifest, begun: Instant) {
    let new = manifest.last.saturating_sub(before);
    let took = begun.elapsed();
    let bytes = manifest.parts.iter().fold(0_u64, |bytes, part| bytes.saturating_add(part.bytes));
    println!(
        "Exported {new} events in {:.1} s ({:.0} a second). {to} holds {} events in {} parts, {}.",
        took.as_secs_f64(),
        progress::per_second(new, took),
        manifest.rows(),
        manifest.parts.len(),
        HumanBytes(bytes)
    );
    match to.strip_prefix("s3://") {
        None => println!("Next, in {to}: duckdb -init views.sql"),
        Some(_) => println!(
            "Next: fetch {}/views.sql, then duckdb -init views.sql (docs/analysts.md)",
            to.trim_end_matches('/')
        ),
    }
}

impl Source {
    /// The events after what was exported, and the position of the last there is now.
    async fn open(args: &ExportArgs, export: &Export) -> Result<(Self, u64)> {
        match (args.from, &args.nats_url, &args.database_url) {
            (From::Mirror, Some(url), _) => Self::mirror(&Nats::connect(url.expose_secret()).await?, export).await,
            (From::Journal, _, Some(url)) => Self::journal(Journal::open(connect(url, 2).await?).await?, export).await,
            (From::Mirror, None, _) => bail!("--nats-url is missing"),
            (From::Journal, _, None) => bail!("--database-url is missing"),
        }
    }

    async fn mirror(nats: &Nats, export: &Export) -> Result<(Self, u64)> {
        let (_, end) = nats.extent(EVENTS).await?;
        let last = export.last();
        ensure!(end >= last, "the mirror ends at event {end}, and event {last} is exported; try again later");
        if last > 0 {
            let known = nats.replay(EVENTS, ">", last).next_batch().await?;
            let known = known.first().ok_or(ExportError::AnotherStream { position: last })?;
            export.must_continue(&known.as_line())?;
        }
        let replay = nats.replay(EVENTS, ">", last.saturating_add(1)).bodies_only();
        Ok((Self::Mirror(Box::new(replay)), end))
    }

    async fn journal(journal: Journal, export: &Export) -> Result<(Self, u64)> {
        let last = export.last();
        let another = || ExportError::AnotherStream { position: last };
        let after = match &export.manifest().last_event {
            None => Position::default(),
            Some(mark) => {
                let (aggregate, id) = mark.subject.split_once('/').ok_or_else(another)?;
                let found = journal.position_of(aggregate, id, mark.aggregateversion).await?.ok_or_else(another)?;
                ensure!(journal.event_at(found).await? == Some(mark.id), another());
                found
            }
        };
        let (events, _) = journal.extent().await?;
        Ok((Self::Journal(journal, after, last), u64::try_from(events)?))
    }

    /// Reads to `end`, as lines.
    async fn read(mut self, end: u64, lines: mpsc::Sender<Vec<Vec<u8>>>) -> Result<()> {
        loop {
            let batch = self.next_batch(end).await?;
            // Whoever writes may have failed, and says so.
            if batch.is_empty() || lines.send(batch).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn next_batch(&mut self, end: u64) -> Result<Vec<Vec<u8>>> {
        match self {
            Self::Mirror(replay) if replay.next_sequence() > end => Ok(vec![]),
            Self::Mirror(replay) => {
                let batch = replay.next_batch().await?;
                Ok(batch.iter().filter(|event| event.sequence <= end).map(Stored::as_line).collect())
            }
            Self::Journal(journal, after, last) => {
                let left = i64::try_from(end.saturating_sub(*last)).unwrap_or(BATCH);
                let batch = journal.committed_after(*after, left.min(BATCH)).await?;
                let mut lines = Vec::with_capacity(batch.len());
                for event in &batch {
                    *last = last.saturating_add(1);
                    *after = event.position;
                    lines.push(numbered(*last, &serde_json::to_vec(&event.to_cloud_event())?));
                }
                Ok(lines)
            }
        }
    }
}
