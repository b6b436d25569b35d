//! Replay: reads a stream from a sequence on, in batches of direct gets (ADR-31), without a consumer.
//! It needs no right but reading, so an analyst's account can do it.

use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use futures::StreamExt;
use serde::Serialize;

use crate::connect::{Nats, NatsError};
use crate::message::Stored;
use crate::streams::StreamName;

const BATCH: u16 = 512;
const PATIENCE: Duration = Duration::from_secs(5);
/// The server's count of matching messages after this one.
const PENDING: &str = "Nats-Num-Pending";

/// A reader's place in a stream.
pub struct Replay {
    nats: Nats,
    stream: StreamName,
    subject: String,
    next: u64,
}

#[derive(Serialize)]
struct DirectGet<'a> {
    seq: u64,
    next_by_subj: &'a str,
    batch: u16,
}

impl Nats {
    /// Reads `stream` from sequence `from` on, only what matches `subject` (wildcards allowed).
    #[must_use]
    pub fn replay(&self, stream: StreamName, subject: impl Into<String>, from: u64) -> Replay {
        Replay { nats: self.clone(), stream, subject: subject.into(), next: from.max(1) }
    }
}

/// A filter value that would reach beyond its place in a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be letters, digits, `-` or `_`")]
pub struct InvalidToken;

/// A value as one token of a subject; any, where there is none.
///
/// # Errors
/// [`InvalidToken`] for wildcards, dots and everything else that is no plain word.
pub fn subject_token(value: Option<&str>) -> Result<&str, InvalidToken> {
    match value {
        None => Ok("*"),
        Some(word) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if !word.is_empty() && word.chars().all(plain) { Ok(word) } else { Err(InvalidToken) }
        }
    }
}

impl Replay {
    /// The sequence that is looked at next.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The next messages; none at the stream's end.
    ///
    /// # Errors
    /// When the server does not answer; the same call can be made again.
    pub async fn next_batch(&mut self) -> Result<Vec<Stored>, NatsError> {
        let batch = self.get(BATCH).await?;
        if let Some(last) = batch.last() {
            self.next = last.sequence.saturating_add(1);
        }
        Ok(batch)
    }

    /// How many messages there are from here on.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn waiting(&self) -> Result<u64, NatsError> {
        let first = self.get(1).await?;
        let Some(first) = first.first() else { return Ok(0) };
        let after = first.header(PENDING).and_then(|count| count.parse::<u64>().ok());
        let after = after.ok_or_else(|| NatsError::of("direct get")("the server does not count what is pending"))?;
        Ok(after.saturating_add(1))
    }

    async fn get(&self, batch: u16) -> Result<Vec<Stored>, NatsError> {
        let client = self.nats.client();
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(NatsError::of("subscribe"))?;
        let request = DirectGet { seq: self.next, next_by_subj: &self.subject, batch };
        let request = serde_json::to_vec(&request).map_err(NatsError::of("request"))?;
        let subject = format!("$JS.API.DIRECT.GET.{}", self.stream);
        client.publish_with_reply(subject, inbox, request.into()).await.map_err(NatsError::of("direct get"))?;

        let mut found = Vec::new();
        loop {
            let answer = tokio::time::timeout(PATIENCE, answers.next()).await.map_err(NatsError::of("direct get"))?;
            let Some(answer) = answer else {
                return Err(NatsError::of("direct get")("the connection was closed"));
            };
            match answer.status.map(|status| status.as_u16()) {
                // A message of the stream has no status.
                None => {}
                // 204: end of batch; 404: nothing (more) to read.
                Some(204 | 404) => break,
                Some(status) => return Err(NatsError::of("direct get")(format!("status {status}"))),
            }
            let message = StreamMessage::try_from(answer).map_err(NatsError::of("direct get"))?;
            found.push(Stored {
                sequence: message.sequence,
                subject: message.subject.to_string(),
                headers: message.headers,
                payload: message.payload,
            });
        }
        Ok(found)
    }
}
