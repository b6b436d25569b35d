//! `ludoteca prove`: that an event is among those that the store has signed, for somebody who sees none of the others.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use domain::tree_head::{SIGNED, SignedHead};
use journal::{CloudEvent, Proof, leaf};
use nats::{EVENTS, Nats};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::progress;

/// Which event.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints a proof (C2SP tlog-proof) of at most 2 kB. scripts/check-proof checks it, with nothing but the \
                        event and the keys at /.well-known/jwks.json"
)]
pub struct ProveArgs {
    /// Its id
    pub event: Uuid,
    /// A file for the event itself, which the proof is about
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// The NATS server, with user and password; the analyst's is enough
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    pub nats_url: SecretString,
}

/// Where the event stands, and the newest tree head behind it.
struct Found {
    position: u64,
    body: Vec<u8>,
    head: Option<SignedHead>,
}

/// Prints the proof.
///
/// # Errors
/// When there is no such event, it was not signed yet, or the server does not answer.
pub async fn run(args: &ProveArgs) -> Result<()> {
    let nats = Nats::connect(args.nats_url.expose_secret()).await?;
    let Found { position, body, head } = find(&nats, args.event).await?;
    let head = head.context("the event was not signed yet; the notary does so once a minute")?;
    let size = head.size();
    let bar = progress::bar("events hashed", size);
    let mut proof = Proof::of(position, size)?;
    let mut mirror = nats.replay(EVENTS, ">", 1).bodies_only();
    'reading: loop {
        let batch = mirror.next_batch().await?;
        for stored in &batch {
            bar.inc(1);
            if !proof.push(leaf(&stored.payload)) {
                break 'reading;
            }
        }
        if batch.is_empty() {
            bail!("the mirror ends before event {size}, which was signed");
        }
    }
    bar.finish_and_clear();
    ensure!(
        proof.root().to_string() == head.root(),
        "the first {size} events do not have the root that was signed: see docs/operations.md, \"The notary halts\""
    );
    if let Some(file) = &args.body {
        std::fs::write(file, body).with_context(|| file.display().to_string())?;
    }
    print!("{}", proof.to_text(head.checkpoint())?);
    Ok(())
}

async fn find(nats: &Nats, wanted: Uuid) -> Result<Found> {
    let bar = progress::bar("events searched", nats.extent(EVENTS).await?.1);
    let mut mirror = nats.replay(EVENTS, ">", 1).bodies_only();
    let mut found: Option<Found> = None;
    loop {
        let batch = mirror.next_batch().await?;
        bar.inc(u64::try_from(batch.len())?);
        for stored in &batch {
            let event: CloudEvent<'_> = serde_json::from_slice(&stored.payload)?;
            if event.id == wanted {
                found = Some(Found { position: stored.sequence, body: stored.payload.to_vec(), head: None });
            } else if event.kind == SIGNED
                && let Some(found) = &mut found
            {
                let head: SignedHead = serde_json::from_str(event.data.get())?;
                if head.size() >= found.position {
                    found.head = Some(head);
                }
            }
        }
        if batch.is_empty() {
            bar.finish_and_clear();
            return found.with_context(|| format!("there is no event {wanted}"));
        }
    }
}
