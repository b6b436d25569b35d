//! `ludoteca replay`: the event stream as NDJSON, for analysts. Needs no right but reading.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use journal::{AggregateKey, CloudEvent, is_event};
use nats::{EVENTS, Nats, Stored};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};
use uuid::Uuid;

use crate::progress;

/// How much is written at once: a write to a file is handed to a thread, which costs more than a small one.
const BUFFER: usize = 1 << 20;

/// What to replay.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The NATS server, with user and password; the analyst's is enough
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    pub nats_url: SecretString,
    /// The first position
    #[arg(long, default_value_t = 1)]
    pub from: u64,
    /// The last position
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    pub to: u64,
    /// Only this kind of aggregate: user, game, order, payment, treehead
    #[arg(long)]
    pub aggregate: Option<String>,
    /// Only the aggregate of this id; all events of its kind are read for it
    #[arg(long)]
    pub id: Option<Uuid>,
    /// Only events of this name, such as `OrderCompleted`
    #[arg(long = "type")]
    pub kind: Option<String>,
    /// The same fields on every line, with `data` as text: programs that guess a table from its first lines guess right
    #[arg(long)]
    pub flat: bool,
    /// Stay and print new events as they happen
    #[arg(long)]
    pub follow: bool,
    /// Write to a file instead of standard output
    #[arg(long)]
    pub output: Option<PathBuf>,
}

/// Replays.
///
/// # Errors
/// When the server does not answer or the output cannot be written.
pub async fn run(args: &ReplayArgs) -> Result<()> {
    let kinds = AggregateKey::kinds();
    let is_kind = args.aggregate.as_deref().is_none_or(|aggregate| kinds.contains(&aggregate));
    ensure!(is_kind, "--aggregate must be one of {}", kinds.join(", "));
    ensure!(args.kind.as_deref().is_none_or(is_event), "--type is no event of this store; docs/analysts.md lists them");
    let nats = Nats::connect(args.nats_url.expose_secret()).await?;
    let subject = nats::events_of(args.aggregate.as_deref(), args.kind.as_deref())
        .map_err(|rule| anyhow!("--{} {rule}", rule.name))?;
    let mut output: Box<dyn AsyncWrite + Unpin> = match &args.output {
        Some(file) => Box::new(tokio::fs::File::create(file).await.with_context(|| file.display().to_string())?),
        None => Box::new(tokio::io::stdout()),
    };
    let written = write(args, &nats, subject, &mut BufWriter::with_capacity(BUFFER, &mut output)).await;
    // Whoever reads, such as `head`, has had enough.
    let closed = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    let written = match written {
        Err(error) if args.output.is_none() && closed(&error) => return Ok(()),
        written => written?,
    };
    if let Some(file) = &args.output {
        eprintln!("Wrote {written} events to {}", file.display());
    }
    Ok(())
}

async fn write(args: &ReplayArgs, nats: &Nats, subject: String, out: &mut (impl AsyncWrite + Unpin)) -> Result<u64> {
    let bar = progress::count("events");
    let mut replay = nats.replay(EVENTS, subject, args.from).bodies_only();
    while replay.next_sequence() <= args.to {
        let batch = replay.next_batch().await?;
        for event in batch.iter().filter(|event| event.sequence <= args.to && is_wanted(args, event)) {
            out.write_all(&if args.flat { flat(event)? } else { event.as_line() }).await?;
            bar.inc(1);
        }
        out.flush().await?;
        if batch.is_empty() {
            if !args.follow {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let written = bar.position();
    bar.finish_and_clear();
    Ok(written)
}

/// An event as a row of a table in which every row has every column.
fn flat(event: &Stored) -> Result<Vec<u8>> {
    let known: CloudEvent<'_> = serde_json::from_slice(&event.payload)?;
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    let row = json!({
        "position": event.sequence, "time": known.time, "type": known.kind, "id": known.id,
        "aggregate": known.aggregate, "aggregateid": known.aggregateid, "aggregateversion": known.aggregateversion,
        "eventversion": known.eventversion, "partitionkey": known.partitionkey,
        "correlationid": text(&known.correlationid), "causationid": text(&known.causationid),
        "traceparent": text(&known.traceparent), "data": known.data.get(),
    });
    Ok(format!("{row}\n").into_bytes())
}

/// Subjects do not name aggregates, events do.
fn is_wanted(args: &ReplayArgs, event: &Stored) -> bool {
    args.id.is_none_or(|id| {
        let known = serde_json::from_slice::<CloudEvent<'_>>(&event.payload);
        known.is_ok_and(|known| known.aggregateid == id.to_string())
    })
}
