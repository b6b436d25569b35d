//! Durable consumers, as typed configuration: created and changed by the provisioner, and by nobody else.

use std::collections::HashMap;
use std::future::ready;
use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use futures::TryStreamExt;

use crate::connect::{Nats, NatsError};
use crate::streams::StreamName;

/// How a durable consumer reads a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// Which stream.
    pub stream: StreamName,
    /// Its durable name.
    pub name: String,
    /// Only these subjects; all where empty.
    pub subjects: Vec<String>,
    /// How many messages may be delivered and not answered.
    pub max_ack_pending: u16,
    /// After how long without an answer a message comes again.
    pub ack_wait: Duration,
    /// How often a message comes at most; for ever where nothing.
    pub max_deliver: Option<u16>,
}

impl ConsumerSpec {
    fn config(&self, deliver_policy: DeliverPolicy) -> pull::Config {
        pull::Config {
            durable_name: Some(self.name.clone()),
            deliver_policy,
            filter_subjects: self.subjects.clone(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            max_ack_pending: self.max_ack_pending.into(),
            max_deliver: self.max_deliver.map_or(-1, i64::from),
            ..pull::Config::default()
        }
    }

    /// Whether a consumer of the server is this one.
    fn is(&self, found: &consumer::Config) -> bool {
        let mut subjects = found.filter_subjects.clone();
        // The server keeps a single subject in a field of its own.
        subjects.extend(Some(&found.filter_subject).filter(|subject| !subject.is_empty()).cloned());
        subjects == self.subjects
            && found.max_ack_pending == i64::from(self.max_ack_pending)
            && found.ack_wait == self.ack_wait
            && found.max_deliver == self.max_deliver.map_or(-1, i64::from)
    }
}

impl Nats {
    /// Creates a consumer where it is missing, to begin behind sequence `after`, and brings it up to date where it is not.
    ///
    /// # Errors
    /// When there is no such stream, and when JetStream refuses or does not answer.
    pub async fn provision_consumer(&self, spec: &ConsumerSpec, after: u64) -> Result<(), NatsError> {
        let stream = self.jetstream().get_stream_no_info(spec.stream).await.map_err(NatsError::of("stream"))?;
        let (wrong, config) = match stream.consumer_info(&spec.name).await {
            Ok(found) => (!spec.is(&found.config), spec.config(found.config.deliver_policy)),
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {
                let start_sequence = after.saturating_add(1);
                let begin =
                    if after == 0 { DeliverPolicy::All } else { DeliverPolicy::ByStartSequence { start_sequence } };
                (true, spec.config(begin))
            }
            Err(error) => return Err(NatsError::of("consumer")(error)),
        };
        if wrong {
            let made = self.jetstream().create_consumer_on_stream(config, spec.stream).await;
            made.map_err(NatsError::of("create consumer"))?;
        }
        Ok(())
    }

    /// The consumer, as the provisioner made it.
    pub(crate) async fn consumer(&self, spec: &ConsumerSpec) -> Result<PullConsumer, NatsError> {
        let stream = self.jetstream().get_stream_no_info(spec.stream).await.map_err(NatsError::of("stream"))?;
        let found: PullConsumer = stream.get_consumer(&spec.name).await.map_err(|error| {
            NatsError::of("consumer")(format!("{error}; where it is missing, `ludoteca provision` makes it"))
        })?;
        if spec.is(&found.cached_info().config) {
            Ok(found)
        } else {
            Err(NatsError::of("consumer")("it is not what this program reads: run `ludoteca provision`"))
        }
    }

    /// Up to which sequence each durable consumer of a stream is done, by its name.
    ///
    /// # Errors
    /// When there is no such stream or the server does not answer.
    pub async fn progress(&self, stream: StreamName) -> Result<HashMap<String, u64>, NatsError> {
        let stream = self.jetstream().get_stream_no_info(stream).await.map_err(NatsError::of("stream"))?;
        let durable = |info: consumer::Info| {
            let name = info.config.durable_name;
            ready(Ok(name.map(|name| (name, info.ack_floor.stream_sequence))))
        };
        stream.consumers().try_filter_map(durable).try_collect().await.map_err(NatsError::of("consumers"))
    }
}
