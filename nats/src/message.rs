use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID};
use bytes::Bytes;

use crate::connect::{Nats, NatsError};
use crate::streams::StreamName;

/// A message about to be published.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub subject: String,
    /// Its id, where it may be published twice: the server drops a second one of the same id within two minutes.
    pub id: Option<String>,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub payload: Bytes,
}

impl Outgoing {
    /// Its subject, headers and body.
    pub(crate) fn into_parts(self) -> (String, HeaderMap, Bytes) {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        if let Some(id) = self.id {
            headers.insert(NATS_MESSAGE_ID, id);
        }
        (self.subject, headers, self.payload)
    }
}

/// A message as a stream holds it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its place in the stream, from 1.
    pub sequence: u64,
    /// Where it was published to.
    pub subject: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub payload: Bytes,
}

impl Stored {
    /// The body, which must be a JSON object, as a line of NDJSON with the place in the stream as `position`.
    #[must_use]
    pub fn as_line(&self) -> Vec<u8> {
        numbered(self.sequence, &self.payload)
    }

    /// One of its headers, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(async_nats::HeaderValue::as_str)
    }
}

/// A JSON object as a line of NDJSON, with its place in the stream as `position`.
#[must_use]
pub fn numbered(sequence: u64, body: &[u8]) -> Vec<u8> {
    let fields = body.strip_prefix(b"{").unwrap_or_default();
    [format!("{{\"position\":{sequence},").as_bytes(), fields, b"\n"].concat()
}

impl Nats {
    /// Publishes one message and waits until the stream holds it.
    /// With `only_if_first`, refuses when the subject holds a message already; that counts as done.
    ///
    /// # Errors
    /// When the stream did not confirm it.
    pub async fn publish(&self, message: Outgoing, only_if_first: bool) -> Result<(), NatsError> {
        let (subject, mut headers, payload) = message.into_parts();
        if only_if_first {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        }
        let ack = self.jetstream().publish_with_headers(subject, headers, payload).await;
        let ack = ack.map_err(NatsError::of("publish"))?;
        match ack.await {
            Ok(_) => Ok(()),
            Err(error)
                if only_if_first
                    && error.kind() == async_nats::jetstream::context::PublishErrorKind::WrongLastSequence =>
            {
                Ok(())
            }
            Err(error) => Err(NatsError::of("publish")(error)),
        }
    }

    /// The message at a sequence, if the stream still holds it.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn message(&self, stream: StreamName, sequence: u64) -> Result<Option<Stored>, NatsError> {
        use async_nats::jetstream::stream::RawMessageErrorKind;
        let stream = self.jetstream().get_stream_no_info(stream).await.map_err(NatsError::of("stream"))?;
        match stream.get_raw_message(sequence).await {
            Ok(found) => Ok(Some(Stored {
                sequence: found.sequence,
                subject: found.subject.to_string(),
                headers: found.headers,
                payload: found.payload,
            })),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                _ => Err(NatsError::of("get message")(error)),
            },
        }
    }

    /// Whether the stream holds a message of a subject.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn holds(&self, stream: StreamName, subject: &str) -> Result<bool, NatsError> {
        use async_nats::jetstream::stream::LastRawMessageErrorKind;
        let stream = self.jetstream().get_stream_no_info(stream).await.map_err(NatsError::of("stream"))?;
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(false),
                _ => Err(NatsError::of("get last message")(error)),
            },
        }
    }

    /// Removes a message for good.
    ///
    /// # Errors
    /// When the stream forbids it or the server does not answer.
    pub async fn remove(&self, stream: StreamName, sequence: u64) -> Result<(), NatsError> {
        let stream = self.jetstream().get_stream_no_info(stream).await.map_err(NatsError::of("stream"))?;
        stream.delete_message(sequence).await.map_err(NatsError::of("delete message"))?;
        Ok(())
    }
}
