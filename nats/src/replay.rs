//! Replay: reads a stream from a sequence on, in batches of direct gets (ADR-31), without a consumer.
//! It needs no right but reading, so an analyst's account can do it.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{NATS_LAST_SEQUENCE, NATS_SEQUENCE, NATS_SUBJECT};
use futures::StreamExt;
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::connect::{Nats, NatsError};
use crate::message::Stored;
use crate::streams::StreamName;

/// How many messages the server is asked for at once.
const BATCH: u16 = 1_024;
/// How many batches are on their way at once, where it is known where each begins.
const ON_THE_WAY: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
/// The subject of everything: the server then counts and reads without looking at subjects.
const ALL: &str = ">";
/// The server's count of matching messages after this one.
const PENDING: &str = "Nats-Num-Pending";

/// A reader's place in a stream.
pub struct Replay {
    nats: Nats,
    stream: StreamName,
    subject: String,
    bodies_only: bool,
    next: u64,
    ahead: VecDeque<Prefetch>,
}

/// A batch that the server was asked for ahead of its turn.
struct Prefetch {
    from: u64,
    answer: JoinHandle<Result<Vec<Stored>, NatsError>>,
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

#[derive(Serialize)]
struct DirectGet<'a> {
    seq: u64,
    next_by_subj: &'a str,
    batch: u16,
    no_hdr: bool,
}

impl Nats {
    /// Reads `stream` from sequence `from` on, only what matches `subject` (wildcards allowed).
    #[must_use]
    pub fn replay(&self, stream: StreamName, subject: impl Into<String>, from: u64) -> Replay {
        let (nats, subject, next, ahead) = (self.clone(), subject.into(), from.max(1), VecDeque::new());
        Replay { nats, stream, subject, bodies_only: false, next, ahead }
    }
}

/// A filter value that would reach beyond its place in a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be letters, digits, `-` or `_`")]
pub struct InvalidFilter {
    /// Which filter: `aggregate` or `type`.
    pub name: &'static str,
}

/// The subject of the events of a kind of aggregate and of a type; of any, where there is none.
///
/// # Errors
/// [`InvalidFilter`] for wildcards, dots and everything else that is no plain word.
pub fn events_of(aggregate: Option<&str>, kind: Option<&str>) -> Result<String, InvalidFilter> {
    if aggregate.is_none() && kind.is_none() {
        return Ok(ALL.to_owned());
    }
    let aggregate = token(aggregate).ok_or(InvalidFilter { name: "aggregate" })?;
    let kind = token(kind).ok_or(InvalidFilter { name: "type" })?;
    Ok(format!("events.{aggregate}.{kind}.*"))
}

fn token(value: Option<&str>) -> Option<&str> {
    let plain = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    value.map_or(Some("*"), |word| Some(word).filter(plain))
}

impl Replay {
    /// Reads bodies alone: subjects and headers may be empty. Of a whole stream without gaps that takes a third of the time.
    #[must_use]
    pub fn bodies_only(self) -> Self {
        Self { bodies_only: self.subject == ALL, ..self }
    }

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
        // Whoever stops waiting for it finds it here again.
        let mut batch = match self.ahead.front_mut() {
            Some(prefetch) => (&mut prefetch.answer).await.map_err(NatsError::of("direct get")).flatten(),
            None => self.get(self.next, BATCH).await,
        }
        .inspect_err(|_| self.ahead.clear())?;
        // What was asked for ahead may be from before the stream went on.
        if self.ahead.pop_front().is_some() && batch.is_empty() {
            self.ahead.clear();
            batch = self.get(self.next, BATCH).await?;
        }
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
            let from = self.ahead.back().map_or(self.next, |prefetch| prefetch.from.saturating_add(step));
            let reader =
                Self { ahead: VecDeque::new(), subject: self.subject.clone(), nats: self.nats.clone(), ..*self };
            let answer = tokio::spawn(async move { reader.get(from, BATCH).await });
            self.ahead.push_back(Prefetch { from, answer });
        }
    }

    /// How many messages there are from here on.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn waiting(&self) -> Result<u64, NatsError> {
        let (first, _) = self.ask(self.next, 1, false).await?;
        let Some(first) = first.first() else { return Ok(0) };
        let after = first.header(PENDING).and_then(|count| count.parse::<u64>().ok());
        let after = after.ok_or_else(|| NatsError::of("direct get")("the server does not count what is pending"))?;
        Ok(after.saturating_add(1))
    }

    async fn get(&self, from: u64, batch: u16) -> Result<Vec<Stored>, NatsError> {
        if self.bodies_only {
            let (bodies, last) = self.ask(from, batch, true).await?;
            // Nothing is missing between the first and the last, so each stands where it seems to.
            if last == bodies.last().map(|stored| stored.sequence) {
                return Ok(bodies);
            }
        }
        Ok(self.ask(from, batch, false).await?.0)
    }

    /// One batch, and the sequence of its last message as the server says it.
    async fn ask(&self, from: u64, batch: u16, no_hdr: bool) -> Result<(Vec<Stored>, Option<u64>), NatsError> {
        let client = self.nats.client();
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(NatsError::of("subscribe"))?;
        let request = DirectGet { seq: from, next_by_subj: &self.subject, batch, no_hdr };
        let request = serde_json::to_vec(&request).map_err(NatsError::of("request"))?;
        let subject = format!("$JS.API.DIRECT.GET.{}", self.stream);
        client.publish_with_reply(subject, inbox, request.into()).await.map_err(NatsError::of("direct get"))?;

        let mut found: Vec<Stored> = Vec::new();
        loop {
            let answer = tokio::time::timeout(PATIENCE, answers.next()).await.map_err(NatsError::of("direct get"))?;
            let Some(answer) = answer else {
                return Err(NatsError::of("direct get")("the connection was closed"));
            };
            match answer.status.map(|status| status.as_u16()) {
                // A message of the stream has no status.
                None => {}
                // 204: end of batch; 404: nothing (more) to read.
                Some(204 | 404) => return Ok((found, last_sequence(&answer))),
                Some(status) => return Err(NatsError::of("direct get")(format!("status {status}"))),
            }
            let next = found.last().map_or(from, |last| last.sequence.saturating_add(1));
            let message = if no_hdr { Some(body(answer, next)) } else { stored(answer) };
            found.push(message.ok_or_else(|| NatsError::of("direct get")("a message without its place"))?);
        }
    }
}

fn last_sequence(end: &async_nats::Message) -> Option<u64> {
    end.headers.as_ref()?.get_last(NATS_LAST_SEQUENCE)?.as_str().parse().ok()
}

/// A message that seems to stand at a sequence.
fn body(answer: async_nats::Message, sequence: u64) -> Stored {
    Stored { sequence, subject: String::new(), headers: HeaderMap::new(), payload: answer.payload }
}

/// A message with where it stands, which its headers say. The time that they say as well is not read.
fn stored(answer: async_nats::Message) -> Option<Stored> {
    let headers = answer.headers?;
    let sequence = headers.get_last(NATS_SEQUENCE)?.as_str().parse().ok()?;
    let subject = headers.get_last(NATS_SUBJECT)?.as_str().to_owned();
    Some(Stored { sequence, subject, headers, payload: answer.payload })
}
