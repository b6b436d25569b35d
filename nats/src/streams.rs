//! The streams, as typed configuration. One provisioner creates all of it; doing so again changes nothing.

use std::time::Duration;

use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};

use crate::connect::{Nats, NatsError};

/// A stream of the store, by name.
pub type StreamName = &'static str;

/// Every event, in the journal's order. Written by the relay alone.
pub const EVENTS: StreamName = "EVENTS";
/// Payment work, each message gone once it is done.
pub const PAYMENTS: StreamName = "PAYMENTS";
/// Payment work that could not be done, for people to look at.
pub const DLQ: StreamName = "DLQ";
/// The server's own word that work ran out of deliveries.
pub const ADVISORIES: StreamName = "ADVISORIES";

const QUARTER: Duration = Duration::from_hours(90 * 24);
/// How long a deleted stream is given to be gone.
const PAUSE: Duration = Duration::from_millis(200);
const WEEK: Duration = Duration::from_hours(7 * 24);

/// The durable consumer that works off [`PAYMENTS`].
pub const PAYMENT_WORKER: &str = "payment-worker";

/// Core subject, not kept: something was appended to the journal, up to the position that the message says.
pub const JOURNAL_WAKE: &str = "wake.journal";
/// Core subject, not kept: the PSP delivered something.
pub const WEBHOOK_WAKE: &str = "wake.webhooks";
/// Core subject, not kept: read models have got further. The body is their names and the position, with spaces between.
pub const PROJECTED: &str = "wake.projected";
/// What callers used of their limits, as gateways tell each other.
pub const LIMITS_USED: &str = "limits.used";
/// Core subject, not kept: somebody looks at a payment, named in the body, that may be out of date.
pub const PAYMENT_QUESTION: &str = "question.payment";

/// Core subject, not kept: how it stands with the mirror. The relay that leads answers `up` or `halted`.
pub const RELAY_HEALTH: &str = "health.relay";
/// Core subject, not kept: how it stands with the PSP. A payment worker answers `up` or `blocked`.
pub const PSP_HEALTH: &str = "health.psp";

/// The form in which events stand in [`EVENTS`], a note on the stream: 2 since subjects name lanes instead of aggregates,
/// 3 since each event carries the hash of the one before.
const FORM: (&str, &str) = ("form", "3");

/// The stream's configuration; kept in file storage.
fn config(stream: StreamName, replicas: usize) -> Config {
    let config = |subjects: &[&str]| Config {
        name: stream.to_owned(),
        subjects: subjects.iter().map(ToString::to_string).collect(),
        storage: StorageType::File,
        num_replicas: replicas,
        allow_direct: true,
        ..Config::default()
    };
    match stream {
        EVENTS => Config {
            deny_delete: true,
            deny_purge: true,
            metadata: [FORM].map(|(name, form)| (name.to_owned(), form.to_owned())).into(),
            ..config(&["events.>"])
        },
        PAYMENTS => Config { retention: RetentionPolicy::WorkQueue, ..config(&["payments.process.*"]) },
        DLQ => Config { max_age: QUARTER, ..config(&["dlq.>"]) },
        _ => Config {
            max_age: WEEK,
            ..config(&[
                "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.PAYMENTS.*",
                "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.PAYMENTS.*",
            ])
        },
    }
}

impl Nats {
    /// Creates the streams that are missing and brings the others up to date.
    ///
    /// # Errors
    /// When JetStream refuses or does not answer.
    pub async fn provision(&self) -> Result<(), NatsError> {
        for stream in [EVENTS, PAYMENTS, DLQ, ADVISORIES] {
            let config = config(stream, self.replicas());
            self.jetstream().create_or_update_stream(config).await.map_err(NatsError::of("create stream"))?;
        }
        Ok(())
    }

    /// Whether [`EVENTS`] is there in a form that this program does not read.
    ///
    /// # Errors
    /// When JetStream does not answer.
    pub async fn has_another_form(&self) -> Result<bool, NatsError> {
        match self.jetstream().get_stream(EVENTS).await {
            Ok(events) => {
                let form = events.cached_info().config.metadata.get(FORM.0);
                Ok(form.map(String::as_str) != Some(FORM.1))
            }
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(NatsError::of("stream")(error)),
        }
    }

    /// Puts an empty [`EVENTS`] of this program's form in the place of the one that is there. The journal has all that
    /// it held; how far its readers had got is forgotten.
    ///
    /// # Errors
    /// When JetStream refuses or does not answer.
    pub async fn replace_events(&self) -> Result<(), NatsError> {
        loop {
            self.jetstream().delete_stream(EVENTS).await.map_err(NatsError::of("delete stream"))?;
            tokio::time::sleep(PAUSE).await;
            let created = self.jetstream().create_stream(config(EVENTS, self.replicas())).await;
            // nats-server 2.15 sometimes brings back what was written just before a stream of the same name was deleted.
            if created.map_err(NatsError::of("create stream"))?.cached_info().state.last_sequence == 0 {
                return Ok(());
            }
        }
    }

    /// How many messages of the stream the consumer has neither answered nor been given.
    ///
    /// # Errors
    /// When there is no such consumer or the server does not answer.
    pub async fn waiting(&self, stream: StreamName, consumer: &str) -> Result<u64, NatsError> {
        let stream = self.jetstream().get_stream_no_info(stream).await.map_err(NatsError::of("stream"))?;
        let info = stream.consumer_info(consumer).await.map_err(NatsError::of("consumer"))?;
        Ok(info.num_pending.saturating_add(info.num_ack_pending as u64))
    }

    /// The sequences of messages that the stream holds though its consumer was given all of them as often as it may be,
    /// and is given none of them again. Those between two that wait for an answer are found once these are answered.
    ///
    /// # Errors
    /// When there is no such consumer or the server does not answer.
    pub async fn stuck(&self, stream: StreamName, consumer: &str) -> Result<Vec<u64>, NatsError> {
        let held = self.jetstream().get_stream(stream).await.map_err(NatsError::of("stream"))?;
        let info = held.consumer_info(consumer).await.map_err(NatsError::of("consumer"))?;
        let waiting = info.num_pending.saturating_add(info.num_ack_pending as u64);
        if held.cached_info().state.messages <= waiting {
            return Ok(vec![]);
        }
        let answered = if info.num_ack_pending == 0 { info.delivered } else { info.ack_floor }.stream_sequence;
        let mut replay = self.replay(stream, ">", 1);
        let mut stuck = Vec::new();
        loop {
            let batch = replay.next_batch().await?;
            stuck.extend(batch.iter().map(|stored| stored.sequence).take_while(|sequence| *sequence <= answered));
            if batch.last().is_none_or(|last| last.sequence > answered) {
                return Ok(stuck);
            }
        }
    }

    /// The name of the server that leads the stream; nothing while there is an election, or no cluster.
    ///
    /// # Errors
    /// When there is no such stream or the server does not answer.
    pub async fn leader(&self, stream: &str) -> Result<Option<String>, NatsError> {
        let stream = self.jetstream().get_stream(stream).await.map_err(NatsError::of("stream"))?;
        Ok(stream.cached_info().cluster.as_ref().and_then(|cluster| cluster.leader.clone()))
    }

    /// How many messages the stream holds, and the sequence of the last one it ever held.
    ///
    /// # Errors
    /// When there is no such stream or the server does not answer.
    pub async fn extent(&self, stream: StreamName) -> Result<(u64, u64), NatsError> {
        let stream = self.jetstream().get_stream(stream).await.map_err(NatsError::of("stream"))?;
        let state = &stream.cached_info().state;
        Ok((state.messages, state.last_sequence))
    }
}

/// Whether the server knows no such stream.
pub(crate) fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(ref cause) if cause.code() == 404)
}
