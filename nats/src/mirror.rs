//! Publishing in order, pipelined: each message says which sequence it expects before it, so nobody else can
//! come in between and a lost message stops all later ones.

use async_nats::jetstream::context::PublishErrorKind;
use futures::StreamExt;
use futures::stream::FuturesOrdered;

use crate::connect::{Nats, NatsError};
use crate::message::{Outgoing, Stored};
use crate::streams::{StreamName, is_missing};

/// How many messages are on their way before the first is confirmed.
const WINDOW: usize = 512;

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

impl Nats {
    /// Appends messages to a stream whose last sequence must be `after`; returns the new last sequence.
    ///
    /// # Errors
    /// [`PublishError`]; how many were stored must then be read from the stream.
    pub async fn publish_in_order(
        &self,
        after: u64,
        messages: impl IntoIterator<Item = Outgoing>,
    ) -> Result<u64, PublishError> {
        let mut last = after;
        let mut confirmed = after;
        let mut on_the_way = FuturesOrdered::new();
        for message in messages {
            if on_the_way.len() >= WINDOW
                && let Some(ack) = on_the_way.next().await
            {
                confirmed = sequence_of(ack)?;
            }
            let subject = message.subject.clone();
            let publish = message.into_publish().expected_last_sequence(last);
            let ack = self.jetstream().send_publish(subject, publish).await.map_err(publish_error)?;
            on_the_way.push_back(ack.into_future());
            last = last.saturating_add(1);
        }
        while let Some(ack) = on_the_way.next().await {
            confirmed = sequence_of(ack)?;
        }
        if confirmed == last { Ok(last) } else { Err(PublishError::Fenced) }
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

fn sequence_of(ack: Ack) -> Result<u64, PublishError> {
    ack.map(|ack| ack.sequence).map_err(publish_error)
}

fn publish_error(error: async_nats::jetstream::context::PublishError) -> PublishError {
    match error.kind() {
        PublishErrorKind::WrongLastSequence => PublishError::Fenced,
        PublishErrorKind::StreamNotFound => PublishError::NoStream,
        _ => NatsError::of("publish")(error).into(),
    }
}
