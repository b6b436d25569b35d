//! Replay: reads a stream from a sequence on, in batches of direct gets (ADR-31), without a consumer.
//! It needs no right but reading, so an analyst's account can do it.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::header::{NATS_SEQUENCE, NATS_SUBJECT};
use futures::StreamExt;
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::connect::{Nats, NatsError};
use crate::message::Stored;
use crate::streams::StreamName;

/// How many messages the server is asked for at once.
const BATCH: u16 = 512;
/// How many batches are on their way at once, where it is known where each begins.
const ON_THE_WAY: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
/// The server's count of matching messages after this one.
const PENDING: &str = "Nats-Num-Pending";

/// A reader's place in a stream.
pub struct Replay {
    nats: Nats,
    stream: StreamName,
    subject: String,
    next: u64,
    ahead: VecDeque<Asked>,
}

/// A batch that the server was asked for.
struct Asked {
    from: u64,
    answer: JoinHandle<Result<Vec<Stored>, NatsError>>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.answer.abort();
    }
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
        Replay { nats: self.clone(), stream, subject: subject.into(), next: from.max(1), ahead: VecDeque::new() }
    }
}

/// A filter value that would reach beyond its place in a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be letters, digits, `-` or `_`")]
pub struct InvalidToken;

/// The subject of the events of a kind of aggregate and of a type; of any, where there is none.
///
/// # Errors
/// Which of both is not letters, digits, `-` and `_`, and so would reach beyond its place in the subject.
pub fn events_of(aggregate: Option<&str>, kind: Option<&str>) -> Result<String, (&'static str, InvalidToken)> {
    match (aggregate, kind) {
        // The server then counts and reads without looking at subjects.
        (None, None) => Ok(">".to_owned()),
        _ => {
            let aggregate = token(aggregate).map_err(|rule| ("aggregate", rule))?;
            let kind = token(kind).map_err(|rule| ("type", rule))?;
            Ok(format!("events.{aggregate}.{kind}.*"))
        }
    }
}

fn token(value: Option<&str>) -> Result<&str, InvalidToken> {
    let Some(word) = value else { return Ok("*") };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !word.is_empty() && word.chars().all(plain) { Ok(word) } else { Err(InvalidToken) }
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
        let mut batch = match self.ahead.pop_front() {
            Some(mut asked) => (&mut asked.answer).await.map_err(NatsError::of("direct get"))?,
            None => self.get(self.next, BATCH).await,
        }
        .inspect_err(|_| self.ahead.clear())?;
        batch.retain(|message| message.sequence >= self.next);
        let first = self.next;
        if let Some(last) = batch.last() {
            self.next = last.sequence.saturating_add(1);
        }
        self.read_ahead(first, batch.len());
        Ok(batch)
    }

    /// Asks for more batches, where the last one was full and had no gap: then those behind it mostly have none either.
    /// What was asked for from behind a gap is forgotten, and at the stream's end it is looked again where that is.
    fn read_ahead(&mut self, first: u64, messages: usize) {
        let step = u64::from(BATCH);
        if messages < usize::from(BATCH) || self.next != first.saturating_add(step) {
            return self.ahead.clear();
        }
        while self.ahead.len() < ON_THE_WAY {
            let from = self.ahead.back().map_or(self.next, |asked| asked.from.saturating_add(step));
            let reader =
                Self { ahead: VecDeque::new(), subject: self.subject.clone(), nats: self.nats.clone(), ..*self };
            let answer = tokio::spawn(async move { reader.get(from, BATCH).await });
            self.ahead.push_back(Asked { from, answer });
        }
    }

    /// How many messages there are from here on.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn waiting(&self) -> Result<u64, NatsError> {
        let first = self.get(self.next, 1).await?;
        let Some(first) = first.first() else { return Ok(0) };
        let after = first.header(PENDING).and_then(|count| count.parse::<u64>().ok());
        let after = after.ok_or_else(|| NatsError::of("direct get")("the server does not count what is pending"))?;
        Ok(after.saturating_add(1))
    }

    async fn get(&self, from: u64, batch: u16) -> Result<Vec<Stored>, NatsError> {
        let client = self.nats.client();
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(NatsError::of("subscribe"))?;
        let request = DirectGet { seq: from, next_by_subj: &self.subject, batch };
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
            let message = stored(answer).ok_or_else(|| NatsError::of("direct get")("a message without its place"))?;
            found.push(message);
        }
        Ok(found)
    }
}

/// A message with where it stands, which its headers say. The time that they say as well is not read.
fn stored(answer: async_nats::Message) -> Option<Stored> {
    let headers = answer.headers?;
    let sequence = headers.get_last(NATS_SEQUENCE)?.as_str().parse().ok()?;
    let subject = headers.get_last(NATS_SUBJECT)?.as_str().to_owned();
    Some(Stored { sequence, subject, headers, payload: answer.payload })
}
