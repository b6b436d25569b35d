//! The pull loop: takes messages in parallel, answers each, and goes on whatever happens to the connection.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use crate::connect::{Nats, NatsError};
use crate::consumers::ConsumerSpec;

/// How long to wait before asking the server again after it failed us.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);

/// A message in our hands, not answered yet.
#[derive(Debug)]
pub struct Delivery(Message);

/// The answer to a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done with; it does not come again.
    Done,
    /// To come again after a while.
    Retry(Duration),
    /// Never to come again, and why.
    Terminate(String),
}

impl Delivery {
    /// Its place in the stream, from 1; 0 for a message that did not come from a stream.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.0.info().map_or(0, |info| info.stream_sequence)
    }

    /// How often it was delivered, this time included.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.0.info().map_or(1, |info| u64::try_from(info.delivered).unwrap_or(1))
    }

    /// Its number among what this reader was given, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.0.info().map_or(0, |info| info.consumer_sequence)
    }

    /// How many messages wait behind it.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.0.info().map_or(0, |info| info.pending)
    }

    /// Where it was published to.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.subject.as_str()
    }

    /// Its body.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// One of its headers, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
    }

    /// Answers it. A lost answer costs a redelivery, nothing else.
    pub async fn answer(&self, verdict: Verdict) {
        let answered = match verdict {
            Verdict::Done => self.0.ack().await,
            Verdict::Retry(wait) => self.0.ack_with(AckKind::Nak(Some(wait))).await,
            // `AckKind::Term` has no room for a reason, the protocol has.
            Verdict::Terminate(reason) => match self.0.reply.clone() {
                Some(reply) => {
                    let publish = self.0.context.client().publish(reply, format!("+TERM {reason}").into()).await;
                    publish.map_err(Into::into)
                }
                None => Ok(()),
            },
        };
        if let Err(error) = answered {
            tracing::warn!(%error, subject = self.subject(), "Could not answer a message; it will come again");
        }
    }

    /// Does `work` while telling the server that the message is still ours.
    pub async fn keeping<T>(&self, ack_wait: Duration, work: impl Future<Output = T>) -> T {
        let every = ack_wait.checked_div(3).unwrap_or(ack_wait);
        tokio::select! {
            done = work => done,
            never = self.keep_alive(every) => match never {},
        }
    }

    async fn keep_alive(&self, every: Duration) -> Infallible {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = self.0.ack_with(AckKind::Progress).await {
                tracing::debug!(%error, "Could not report progress");
            }
        }
    }
}

/// Messages until the connection breaks off.
pub(crate) type Messages = BoxStream<'static, Delivery>;

impl Nats {
    /// Hands each message to `handle`, at most `slots` at a time, until `stop`.
    pub async fn consume<F, Fut>(&self, spec: &ConsumerSpec, slots: usize, stop: &CancellationToken, handle: F)
    where
        F: Fn(Delivery) -> Fut,
        Fut: Future<Output = ()>,
    {
        while let Some(messages) = self.reopen(spec, slots, stop).await {
            messages.for_each_concurrent(slots, &handle).await;
        }
    }

    /// As [`Nats::consume`], with whatever is there at once, at most `size` messages, one batch after another.
    pub async fn consume_batches<F, Fut>(&self, spec: &ConsumerSpec, size: usize, stop: &CancellationToken, handle: F)
    where
        F: Fn(Vec<Delivery>) -> Fut,
        Fut: Future<Output = ()>,
    {
        while let Some(messages) = self.reopen(spec, size, stop).await {
            messages.ready_chunks(size).for_each(&handle).await;
        }
    }

    /// Opens a consumer, however often that takes; nothing once `stop` is reached.
    async fn reopen(&self, spec: &ConsumerSpec, prefetch: usize, stop: &CancellationToken) -> Option<Messages> {
        let mut said = String::new();
        while !stop.is_cancelled() {
            match self.open(spec, prefetch, stop).await {
                Ok(messages) => return Some(messages),
                Err(error) if error.to_string() == said => (),
                Err(error) => {
                    tracing::warn!(consumer = spec.name, stream = spec.stream, %error, "Cannot read the stream; trying again and again");
                    said = error.to_string();
                }
            }
            stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
        None
    }

    /// The consumer's messages until the first error or until `stop`.
    async fn open(
        &self,
        spec: &ConsumerSpec,
        prefetch: usize,
        stop: &CancellationToken,
    ) -> Result<Messages, NatsError> {
        let messages = self.consumer(spec).await?.read(prefetch, &spec.name).await?;
        Ok(messages.take_until(stop.clone().cancelled_owned()).boxed())
    }
}

/// Reading what the server hands out.
pub(crate) trait Read {
    /// The consumer's messages until the first error; `name` is what logs call it.
    async fn read(&self, prefetch: usize, name: &str) -> Result<Messages, NatsError>;
}

impl Read for PullConsumer {
    async fn read(&self, prefetch: usize, name: &str) -> Result<Messages, NatsError> {
        let messages = self
            .stream()
            .max_messages_per_batch(prefetch)
            .expires(Duration::from_secs(10))
            .heartbeat(Duration::from_secs(2))
            .messages()
            .await
            .map_err(NatsError::of("pull"))?;
        let name = name.to_owned();
        let messages = messages
            .inspect(move |message| {
                if let Err(error) = message {
                    tracing::debug!(consumer = name, %error, "The message stream broke off and is opened again");
                }
            })
            .take_while(|message| ready(message.is_ok()))
            .filter_map(|message| ready(message.ok().map(Delivery)));
        Ok(messages.boxed())
    }
}
