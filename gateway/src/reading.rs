//! A reader of the event stream: which events they want, in which form, and for how long they may.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use journal::CloudEvent;
use nats::{NatsError, Replay, Stored};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use crate::Store;
use crate::auth::Identity;

/// How often a follower looks for new events.
const POLL: Duration = Duration::from_millis(50);
/// How long a stream of server-sent events is silent at most.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// In which form events are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line of JSON each.
    Lines,
    /// Server-sent events, named by type, whose ids are positions.
    ServerSent,
}

/// Which events are wanted, beside what the subject says.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The last position.
    pub(crate) to: u64,
    /// How many there may still be, where that is bounded.
    pub(crate) left: Option<u64>,
    pub(crate) correlation: Option<Uuid>,
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) until: Option<DateTime<Utc>>,
}

impl Wanted {
    /// Whether an event is. Times have only nearly the order of commits, so a later one may still be.
    fn takes(&self, event: &CloudEvent<'_>) -> bool {
        let time = event.recorded_at().unwrap_or_default();
        let is_of = |wanted: Uuid| event.correlationid.as_deref().and_then(|id| id.parse().ok()) == Some(wanted);
        self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && self.correlation.is_none_or(is_of)
    }

    /// Whether there is an end to come to, beside that of the right to read.
    fn has_end(&self) -> bool {
        self.to < u64::MAX || self.left.is_some() || self.until.is_some()
    }

    /// Whether an event must be read to know.
    pub(crate) fn looks_inside(&self) -> bool {
        self.correlation.is_some() || self.since.is_some() || self.until.is_some()
    }
}

/// Somebody who reads.
pub(crate) struct Reader {
    pub(crate) store: Arc<Store>,
    pub(crate) identity: Identity,
    pub(crate) replay: Replay,
    pub(crate) wanted: Wanted,
    pub(crate) form: Form,
    /// Until when whoever follows may; nothing for who does not.
    pub(crate) follows_until: Option<Instant>,
    /// When something was last told.
    pub(crate) told: Instant,
}

impl Reader {
    /// What comes next; nothing at the end. A follower waits there for more, for as long as they may; a replay that has an end
    /// and may not go on to it breaks off, or it would look whole.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while self.is_open() {
            let is_endless = self.follows_until.is_some() && !self.wanted.has_end();
            match (self.may_go_on().await, is_endless) {
                (true, _) => (),
                (false, true) => return Ok(None),
                (false, false) => return Err(io::ErrorKind::PermissionDenied.into()),
            }
            let before = self.replay.next_sequence();
            let told = self.read().await.map_err(io::Error::other)?;
            if !told.is_empty() {
                return Ok(Some(told));
            }
            let is_at_end = self.replay.next_sequence() == before;
            if is_at_end && self.follows_until.is_none() {
                return Ok(None);
            }
            if self.form == Form::ServerSent && self.told.elapsed() >= HEARTBEAT {
                self.told = Instant::now();
                // Whoever comes back need not look again at what was looked at.
                let looked_at = self.replay.next_sequence().saturating_sub(1);
                return Ok(Some(format!("id: {looked_at}\n\n").into()));
            }
            // Nothing of a batch may be wanted; only where there is none is the end.
            if !is_at_end {
                continue;
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(None)
    }

    fn is_open(&self) -> bool {
        self.wanted.left != Some(0) && self.replay.next_sequence() <= self.wanted.to
    }

    /// Whether the reader may read on; waits for as long as that is not known.
    async fn may_go_on(&self) -> bool {
        while self.follows_until.is_none_or(|until| Instant::now() < until) {
            match self.store.authority.now(&self.identity) {
                Ok(actor) => return actor.is_some_and(|actor| actor.may_read_events().is_ok()),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
        false
    }

    /// What is there now.
    pub(crate) async fn read(&mut self) -> Result<Bytes, NatsError> {
        if !self.is_open() {
            return Ok(Bytes::new());
        }
        let batch = self.replay.next_batch().await?;
        let mut told = Vec::new();
        for event in batch.iter().take_while(|event| event.sequence <= self.wanted.to) {
            if self.wanted.left == Some(0) {
                break;
            }
            let was_told = self.tell(event, &mut told);
            self.wanted.left = self.wanted.left.map(|left| left.saturating_sub(u64::from(was_told)));
        }
        if !told.is_empty() {
            self.told = Instant::now();
        }
        Ok(told.into())
    }

    /// Tells an event if it is wanted, and whether it was.
    fn tell(&self, event: &Stored, told: &mut Vec<u8>) -> bool {
        if self.form == Form::Lines && !self.wanted.looks_inside() {
            told.extend(event.as_line());
            return true;
        }
        // What is no event of ours is nobody's wish.
        let Some(known) = serde_json::from_slice(&event.payload).ok().filter(|known| self.wanted.takes(known)) else {
            return false;
        };
        let CloudEvent { kind, .. } = known;
        if self.form == Form::ServerSent {
            told.extend(format!("id: {}\nevent: {kind}\ndata: ", event.sequence).into_bytes());
        }
        told.extend(event.as_line());
        if self.form == Form::ServerSent {
            told.push(b'\n');
        }
        true
    }
}
