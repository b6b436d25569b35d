use std::time::Instant;

use anyhow::{Context as _, Result};
use async_nats::jetstream;
use clap::Args;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use journal::Position;
use nats::{EVENTS, Nats};
use serde_json::json;
use workers::{Relay, Step};

use super::{Bench, per_second};
use crate::local::{NatsServer, free_port, new_secret};
use crate::table::{Output, Table};

/// How many raw messages are on their way at once; the relay's own window.
const WINDOW: usize = 512;

/// `ludoteca bench mirror`
#[derive(Debug, Args)]
pub struct MirrorArgs {
    /// How many events are in the journal
    #[arg(long, default_value_t = 100_000)]
    events: i32,
    #[command(flatten)]
    output: Output,
}

/// Mirrors a journal full of events by the relay, beside a raw pipelined publish of the same messages.
///
/// # Errors
/// When the servers do not start or a message is not taken.
pub async fn run(args: &MirrorArgs) -> Result<()> {
    let bench = Bench::start(8).await?;
    fill(&bench, args.events).await?;
    let mut server = NatsServer::start(&bench.folder.join("nats"), free_port()?, &new_secret("p"), "unused").await?;
    let nats = Nats::connect(&server.url()).await?;
    nats.provision().await?;

    let begun = Instant::now();
    let mut relay = Relay::new(bench.journal.clone(), nats.clone());
    while relay.run_once().await? == Step::Worked {}
    let (mirrored, _) = nats.extent(EVENTS).await?;
    let relayed = per_second(mirrored, begun.elapsed());

    let messages = messages(&nats).await?;
    let begun = Instant::now();
    publish_raw(&server.jetstream().await?, &messages).await?;
    let raw = per_second(messages.len() as u64, begun.elapsed());

    eprintln!("Events per second, {mirrored} events, file storage");
    let mut table = Table::new(["relay", "raw_publish", "ratio"]);
    table.row([json!(relayed.round()), json!(raw.round()), json!(relayed / raw)]);
    table.print(args.output);
    server.stop().await?;
    bench.stop().await
}

/// Events as a catalogue of that size would have left them, one transaction each thousand.
async fn fill(bench: &Bench, events: i32) -> Result<()> {
    for first in (0..events).step_by(1_000) {
        sqlx::query(
            r"insert into journal.events
                 (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
               select 'game', gen_random_uuid()::text, 1, 'GamePriceChanged', '1',
                      jsonb_build_object('type', 'GamePriceChanged', 'price',
                                         jsonb_build_object('amount', n, 'currency', 'BRL')),
                      jsonb_build_object('actor', 'system:bench', 'command_id', gen_random_uuid(),
                                         'correlation_id', gen_random_uuid())
               from generate_series($1 + 1, least($1 + 1000, $2)) as n",
        )
        .bind(first)
        .bind(events)
        .execute(&bench.owner)
        .await?;
    }
    bench.journal.committed_after(Position::default(), 1).await?.first().context("the journal stayed empty")?;
    Ok(())
}

async fn messages(nats: &Nats) -> Result<Vec<(String, bytes::Bytes)>> {
    let mut replay = nats.replay(EVENTS, "events.>", 1);
    let mut messages = Vec::new();
    loop {
        let batch = replay.next_batch().await?;
        if batch.is_empty() {
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
