//! Publishing in order, pipelined: each message says which sequence it expects before it, so nobody else can
//! come in between and a lost message stops all later ones. So a message that is stored tells of all before it, and only
//! some of them ask for a confirmation.

use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SEQUENCE;
use async_nats::jetstream::context::PublishErrorKind;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;

use crate::connect::{Nats, NatsError};
use crate::message::{Outgoing, Stored};
use crate::streams::{StreamName, is_missing};

/// How many messages are confirmed by one.
const CONFIRMED_TOGETHER: usize = 256;
/// How many confirmations are waited for at most; the server keeps 10 000 messages of a stream waiting, and drops the rest.
const WINDOW: usize = 8;

/// How long a message may wait for its turn to be sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a batch was not stored to its end. The stream's last message tells how far it came.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Another wrote to the stream, or a message was lost on the way.
    #[error("the stream does not end where expected")]
    Fenced,
    /// There is no such stream.
    #[error("the stream is missing: run `ludoteca provision`")]
    NoStream,
    /// The server did not confirm.
    #[error(transparent)]
    Nats(#[from] NatsError),
}

/// Messages on their way to the end of a stream.
pub struct Pipeline {
    nats: Nats,
    /// The sequence of the last one that was sent, once it is stored.
    last: u64,
    confirmed: u64,
    on_the_way: FuturesOrdered<BoxFuture<'static, Ack>>,
}

impl Pipeline {
    /// Sends messages, without waiting for the last of them to be stored.
    ///
    /// # Errors
    /// [`PublishError`]; how many were stored must then be read from the stream.
    pub async fn send(&mut self, messages: Vec<Outgoing>) -> Result<(), PublishError> {
        let mut messages = messages.into_iter();
        while let Some(message) = messages.next() {
            let (subject, mut headers, payload) = message.into_parts();
            headers.insert(NATS_EXPECTED_LAST_SEQUENCE, self.last.to_string());
            // The first one as well: if the stream refuses it, its answer says why.
            let asks = self.last == self.confirmed || messages.len().is_multiple_of(CONFIRMED_TOGETHER);
            self.last = self.last.saturating_add(1);
            if !asks {
                self.nats.send_unconfirmed(subject, headers, payload, PATIENCE).await?;
                continue;
            }
            if self.on_the_way.len() >= WINDOW {
                self.confirm().await?;
            }
            let sent = self.nats.jetstream().publish_with_headers(subject, headers, payload).await;
            self.on_the_way.push_back(sent.map_err(publish_error)?.into_future());
        }
        Ok(())
    }

    /// Waits until all are stored; returns the stream's new last sequence.
    ///
    /// # Errors
    /// As [`Pipeline::send`].
    pub async fn finish(mut self) -> Result<u64, PublishError> {
        while !self.on_the_way.is_empty() {
            self.confirm().await?;
        }
        if self.confirmed == self.last { Ok(self.last) } else { Err(PublishError::Fenced) }
    }

    async fn confirm(&mut self) -> Result<(), PublishError> {
        if let Some(ack) = self.on_the_way.next().await {
            self.confirmed = ack.map_err(publish_error)?.sequence;
        }
        Ok(())
    }
}

impl Nats {
    /// Publishes to a stream whose last sequence must be `after`.
    #[must_use]
    pub fn pipeline(&self, after: u64) -> Pipeline {
        Pipeline { nats: self.clone(), last: after, confirmed: after, on_the_way: FuturesOrdered::new() }
    }

    /// The stream's last message; nothing where it never held one.
    ///
    /// # Errors
    /// [`PublishError::NoStream`] where there is no such stream; else when the server does not answer.
    pub async fn tail(&self, stream: StreamName) -> Result<Option<Stored>, PublishError> {
        let info = self.jetstream().get_stream(stream).await.map_err(|error| {
            if is_missing(&error) { PublishError::NoStream } else { NatsError::of("stream")(error).into() }
        })?;
        match info.cached_info().state.last_sequence {
            0 => Ok(None),
            last => {
                let found = self.message(stream, last).await?;
                found.map(Some).ok_or(PublishError::Fenced)
            }
        }
    }
}

type Ack = Result<async_nats::jetstream::publish::PublishAck, async_nats::jetstream::context::PublishError>;

fn publish_error(error: async_nats::jetstream::context::PublishError) -> PublishError {
    match error.kind() {
        PublishErrorKind::WrongLastSequence => PublishError::Fenced,
        PublishErrorKind::StreamNotFound => PublishError::NoStream,
        _ => NatsError::of("publish")(error).into(),
    }
}
