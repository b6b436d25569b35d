//! `ludoteca provision`: what the NATS server is to have, and that readers go on where they were.
//!
//! Nobody else creates or changes streams and consumers. Where the mirror is missing or of an older form, it is built
//! anew from the journal before its readers are let in, each behind the last event that it is known to be done with.

use std::time::Duration;

use anyhow::{Result, ensure};
use nats::{ConsumerSpec, EVENTS, PublishError};
use workers::{Checkout, DlqWatcher, Notifier, Relay, RelayError, Step};

use crate::config::QueueConfig;
use crate::progress;
use crate::roles::Carriers;

/// How long to wait for events that a running transaction holds back.
const SOON: Duration = Duration::from_millis(20);

/// Creates what is missing and brings the rest up to date.
///
/// # Errors
/// When JetStream refuses, or NATS or the journal do not answer.
pub async fn run(carriers: &Carriers, queue: &QueueConfig) -> Result<()> {
    let (journal, nats) = (carriers.journal(), carriers.nats());
    if nats.has_another_form().await? {
        println!("The mirror is of an older form. It is built anew from the journal.");
        let mut progress = nats.progress(EVENTS).await?;
        // All lanes of checkout were one.
        if let Some(done) = progress.remove("checkout") {
            progress.extend(Checkout::consumers().into_iter().map(|lane| (lane.name, done)));
        }
        journal.note_progress(&progress).await?;
        nats.replace_events().await?;
    }
    nats.provision().await?;
    nats.provision_archive().await?;
    let progress = journal.progress().await?;
    catch_up(carriers, progress.values().copied().max().unwrap_or_default()).await?;
    for consumer in consumers(queue) {
        let done = progress.get(&consumer.name).copied().filter(|_| consumer.stream == EVENTS);
        nats.provision_consumer(&consumer, done.unwrap_or_default()).await?;
    }
    Ok(())
}

/// Every durable consumer of the store.
fn consumers(queue: &QueueConfig) -> Vec<ConsumerSpec> {
    let mut consumers = vec![Notifier::consumer(), DlqWatcher::consumer(), queue.patience().consumer()];
    consumers.extend(Checkout::consumers());
    consumers
}

/// Mirrors the journal up to where the mirror's readers were.
async fn catch_up(carriers: &Carriers, target: u64) -> Result<()> {
    let (journal, nats) = (carriers.journal(), carriers.nats());
    let (_, mut last) = nats.extent(EVENTS).await?;
    if last >= target {
        return Ok(());
    }
    let (events, _) = journal.extent().await?;
    ensure!(
        events.unsigned_abs() >= target,
        "the readers of the mirror were at event {target}, and the journal has {events}; see docs/operations.md, \"The mirror is ahead\""
    );
    let bar = progress::bar("mirror", target);
    let mut relay = Relay::new(journal.clone(), nats.clone());
    while last < target {
        match relay.run_once().await {
            Ok(Step::Worked) => (),
            // Another relay is at it as well.
            Ok(Step::Idle) | Err(RelayError::Publish(PublishError::Fenced)) => tokio::time::sleep(SOON).await,
            Err(error) => return Err(error.into()),
        }
        (_, last) = nats.extent(EVENTS).await?;
        bar.set_position(last);
    }
    bar.finish_and_clear();
    println!("The mirror holds {last} events again.");
    Ok(())
}
