//! Following a stream in order from a place that the reader keeps itself: nothing is answered, and the server keeps
//! nothing for it but a cursor in memory.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures::StreamExt;
use futures::stream::ReadyChunks;
use tokio_util::sync::CancellationToken;

use crate::connect::{Nats, NatsError};
use crate::consume::{Delivery, Messages, PAUSE, Read};
use crate::streams::StreamName;

/// After how long without its reader the server drops the cursor.
const IDLE: Duration = Duration::from_secs(10);

/// A reader that follows a stream.
pub struct Follower {
    nats: Nats,
    stream: StreamName,
    subjects: Vec<String>,
    size: usize,
    stop: CancellationToken,
    /// The first sequence that it has not been given.
    next: u64,
    /// How many messages the cursor has given out.
    given: u64,
    open: Option<ReadyChunks<Messages>>,
}

impl Nats {
    /// Follows `stream` from behind sequence `after`, in batches of at most `size`, until `stop`; only what matches one
    /// of `subjects`, everything where there are none.
    #[must_use]
    pub fn follow(
        &self,
        stream: StreamName,
        subjects: &[&str],
        after: u64,
        size: usize,
        stop: CancellationToken,
    ) -> Follower {
        let subjects = subjects.iter().map(ToString::to_string).collect();
        Follower {
            nats: self.clone(),
            stream,
            subjects,
            size,
            stop,
            next: after.saturating_add(1),
            given: 0,
            open: None,
        }
    }
}

impl Follower {
    /// What is there, in order and without a gap; waits while there is nothing, ends at `stop`.
    pub async fn next(&mut self) -> Option<Vec<Delivery>> {
        let mut said = String::new();
        loop {
            let Some(messages) = &mut self.open else {
                match self.stop.clone().run_until_cancelled(self.reopen()).await? {
                    Ok(messages) => self.open = Some(messages.ready_chunks(self.size)),
                    Err(error) => {
                        if error.to_string() != said {
                            tracing::warn!(stream = self.stream, %error, "Cannot follow the stream; trying again and again");
                            said = error.to_string();
                        }
                        self.stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await?;
                    }
                }
                continue;
            };
            match self.stop.run_until_cancelled(messages.next()).await? {
                None => self.open = None,
                Some(batch) => {
                    let fresh = self.in_order(batch);
                    if !fresh.is_empty() {
                        return Some(fresh);
                    }
                }
            }
        }
    }

    /// What of a batch follows what was given so far. A message that was lost on its way ends the cursor.
    fn in_order(&mut self, batch: Vec<Delivery>) -> Vec<Delivery> {
        let mut fresh = Vec::with_capacity(batch.len());
        for delivery in batch {
            self.given = self.given.saturating_add(1);
            if delivery.number() != self.given {
                self.open = None;
                break;
            }
            if delivery.sequence() >= self.next {
                self.next = delivery.sequence().saturating_add(1);
                fresh.push(delivery);
            }
        }
        fresh
    }

    async fn reopen(&mut self) -> Result<Messages, NatsError> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.next },
            filter_subjects: self.subjects.clone(),
            ack_policy: AckPolicy::None,
            inactive_threshold: IDLE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let stream = self.nats.jetstream().get_stream_no_info(self.stream).await.map_err(NatsError::of("stream"))?;
        let cursor = stream.create_consumer(config).await.map_err(NatsError::of("follow"))?;
        self.given = 0;
        cursor.read(self.size, self.stream).await
    }
}
