use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use async_nats::jetstream;
use clap::Args;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use nats::{EVENTS, Nats};
use projections::rebuild;
use serde_json::json;
use workers::{Relay, Step};

use super::Bench;
use super::fill::fill;
use crate::export::{ExportArgs, From};
use crate::local::{NatsServer, free_port, new_secret};
use crate::progress::per_second;
use crate::replay::ReplayArgs;
use crate::table::{Output, Table};
use crate::{export, progress, replay, verify};

/// How many raw messages are on their way at once, each with a confirmation of its own.
const WINDOW: usize = 512;

/// How often the relay is measured with hashes, and as often without, in turns; the median counts.
const ROUNDS: usize = 3;

/// How many raw messages are published at most.
const SAMPLE: usize = 200_000;

/// `ludoteca bench mirror`
#[derive(Debug, Args)]
pub struct MirrorArgs {
    /// How many events are in the journal
    #[arg(long, default_value_t = 100_000)]
    events: u32,
    #[command(flatten)]
    output: Output,
}

/// Mirrors a journal full of events by the relay, with hashes and without, beside a raw pipelined publish of the same
/// messages; replays the mirror to NDJSON, exports it to Parquet, compares it with the journal, and rebuilds all read
/// models from the journal.
///
/// # Errors
/// When the servers do not start or a message is not taken.
pub async fn run(args: &MirrorArgs) -> Result<()> {
    let bench = Bench::start(8).await?;
    fill(&bench, args.events).await?;
    let mut server = NatsServer::start(&bench.folder.join("nats"), free_port()?, &new_secret("p"), "unused").await?;
    let nats = Nats::connect(&server.url()).await?;
    nats.provision().await?;

    let (mut plain, mut chained) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let relay = || Relay::new(bench.journal.clone(), nats.clone());
        plain.push(rate_of(relay().without_hashes(), &nats).await?);
        chained.push(rate_of(relay(), &nats).await?);
    }
    let (mirrored, _) = nats.extent(EVENTS).await?;
    let (plain, relayed) = (median(plain), median(chained));

    let messages = messages(&nats, SAMPLE).await?;
    let begun = Instant::now();
    publish_raw(&server.jetstream().await?, &messages).await?;
    let raw = per_second(messages.len() as u64, begun.elapsed());

    let begun = Instant::now();
    replay::run(&everything(&server, bench.folder.join("events.ndjson"))).await?;
    let replayed = per_second(mirrored, begun.elapsed());

    let begun = Instant::now();
    export::run(&into(&server, &bench.folder.join("export"))).await?;
    let exported = per_second(mirrored, begun.elapsed());

    let begun = Instant::now();
    let compared = verify::mirror(&bench.journal, &nats, bench.journal.extent().await?).await?;
    ensure!(compared.differences == 0, "{} events are not mirrored as they are", compared.differences);
    let verified = per_second(mirrored, begun.elapsed());

    let begun = Instant::now();
    let bar = progress::bar("events folded", mirrored);
    let all = projections::all(&bench.vault);
    let folded = rebuild(&bench.journal, &all, |events| bar.set_position(events.unsigned_abs())).await?;
    bar.finish_and_clear();
    ensure!(folded.parked == 0, "{} events are parked", folded.parked);
    let rebuilt = per_second(folded.events.unsigned_abs(), begun.elapsed());

    eprintln!("Events per second, {mirrored} events, file storage");
    let columns = [
        "relay",
        "relay_without_hashes",
        "raw_publish",
        "ratio",
        "replay_to_ndjson",
        "export_to_parquet",
        "verify_of_the_mirror",
        "rebuild_of_all_read_models",
    ];
    let mut table = Table::new(columns);
    let rounded = |rate: f64| json!(rate.round());
    let ratio = json!(relayed / raw);
    let (relayed, plain, raw) = (rounded(relayed), rounded(plain), rounded(raw));
    table.row([relayed, plain, raw, ratio, rounded(replayed), rounded(exported), rounded(verified), rounded(rebuilt)]);
    table.print(args.output);
    server.stop().await?;
    bench.stop().await
}

/// How many events a second a relay mirrors, from the first to the last, into a stream that is empty.
async fn rate_of(mut relay: Relay, nats: &Nats) -> Result<f64> {
    nats.replace_events().await?;
    nats.provision_archive().await?;
    let begun = Instant::now();
    while relay.run_once().await? == Step::Worked {}
    let took = begun.elapsed();
    Ok(per_second(nats.extent(EVENTS).await?.0, took))
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// What `ludoteca replay --output FILE` asks for.
fn everything(server: &NatsServer, file: PathBuf) -> ReplayArgs {
    ReplayArgs {
        nats_url: server.url().into(),
        from: 1,
        to: u64::MAX,
        aggregate: None,
        id: None,
        kind: None,
        flat: false,
        follow: false,
        output: Some(file),
    }
}

/// What `ludoteca export --to FOLDER` asks for.
fn into(server: &NatsServer, folder: &Path) -> ExportArgs {
    let (to, nats_url) = (folder.display().to_string(), Some(server.url().into()));
    ExportArgs { to, from: From::Mirror, nats_url, database_url: None }
}

/// The first messages of the mirror, about so many.
async fn messages(nats: &Nats, most: usize) -> Result<Vec<(String, bytes::Bytes)>> {
    let mut replay = nats.replay(EVENTS, ">", 1);
    let mut messages = Vec::new();
    loop {
        let batch = replay.next_batch().await?;
        if batch.is_empty() || messages.len() >= most {
            return Ok(messages);
        }
        messages.extend(batch.into_iter().map(|stored| (format!("raw.{}", stored.subject), stored.payload)));
    }
}

async fn publish_raw(jetstream: &jetstream::Context, messages: &[(String, bytes::Bytes)]) -> Result<()> {
    let config = jetstream::stream::Config {
        name: "RAW".to_owned(),
        subjects: vec!["raw.>".to_owned()],
        ..jetstream::stream::Config::default()
    };
    jetstream.create_stream(config).await?;
    let mut on_the_way = FuturesOrdered::new();
    for (subject, payload) in messages {
        if on_the_way.len() >= WINDOW
            && let Some(ack) = on_the_way.next().await
        {
            let _: jetstream::publish::PublishAck = ack?;
        }
        on_the_way.push_back(jetstream.publish(subject.clone(), payload.clone()).await?.into_future());
    }
    while let Some(ack) = on_the_way.next().await {
        ack?;
    }
    Ok(())
}
