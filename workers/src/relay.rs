//! Moves events from the journal into the mirror, in the order of commits, each exactly once.
//!
//! The gateway does not publish: a crash between commit and publish would lose the event.
//! One relay leads, by a session lock on a connection of its own (a transaction lock would hold back the very
//! transaction horizon that it reads below). Should two lead at once, every publish names the sequence it expects
//! before it, so they cannot interleave. The stream's last message is the checkpoint; nothing else is trusted.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use journal::{Chain, Journal, JournalError, Position, Recorded};
use nats::{EVENTS, JOURNAL_WAKE, Nats, NatsError, Outgoing, PublishError, RELAY_HEALTH};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lane::subject;
use crate::metrics::{HELD_BACK, MIRRORED, RELAY_HALTED, RELAY_LAG};
use crate::mirrored::{POSITION, claim};

const BATCH: i64 = 1_000;
/// How many full batches follow one another before the last is waited for.
const BATCHES: usize = 16;
/// The journal is read this often at least, whether anybody woke us or not.
const POLL: Duration = Duration::from_secs(1);
/// How often it is read at most: what is appended meanwhile is read together.
const MIN_INTERVAL: Duration = Duration::from_millis(1);
/// For how long it is read again and again where somebody appended and the event cannot be read yet.
const HELD_BACK_FOR: Duration = Duration::from_millis(100);
/// How long to wait after something went wrong.
const PAUSE: Duration = Duration::from_millis(500);
/// How often the lead is asked for.
const ASK: Duration = Duration::from_secs(1);
/// How often figures are measured and the lock is looked at, and how long the lock may take to answer.
const WATCH: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(3);
/// How many of the mirror's last events are compared with the journal before anything is added to them.
const COMPARED: u64 = 1_000;
/// How often it is noted how far readers have got.
const NOTE: Duration = Duration::from_secs(1);
/// The advisory lock of the leader; locks belong to one database.
const LEADER: i64 = 7_260_001;

/// Whether there was something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing was waiting.
    Idle,
    /// Events were mirrored.
    Worked,
}

/// Why the relay stopped short.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The mirror holds what the journal does not: one of both was put back to an older state.
    #[error(
        "the mirror is ahead of the journal: its last message {sequence} is event {event}, which the journal does not \
         hold at {position:?}. Nothing is published until one of both is mended; see docs/operations.md, \"The mirror is ahead\""
    )]
    Ahead {
        /// The mirror's last sequence.
        sequence: u64,
        /// The event that it claims to be.
        event: String,
        /// Where it claims to stand.
        position: Option<Position>,
    },
    /// The journal holds an event that the mirror passed over.
    #[error(
        "the mirror lacks an event: the journal has one at {found} where the mirror has another, message {sequence}. Nothing is \
         published until the mirror is built anew; see docs/operations.md, \"The mirror is ahead\""
    )]
    Differs {
        /// The message that stands where the event belongs.
        sequence: u64,
        /// Where the event stands in the journal.
        found: Position,
    },
    /// The mirror was made by another version.
    #[error("the mirror is of another form than this program's; run: ludoteca provision")]
    OtherForm,
    /// The mirror did not take it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The server did not answer.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The journal did not answer.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The relay's place: the last message of the mirror.
#[derive(Debug, Clone, Copy, Default)]
struct Tail {
    sequence: u64,
    position: Position,
    chain: Option<Chain>,
}

/// The next events, ready to be published.
struct Batch {
    messages: Vec<Outgoing>,
    /// Where the last of them stands; nothing where there are none.
    end: Option<Position>,
    /// What follows them.
    chain: Option<Chain>,
}

impl Batch {
    async fn read(journal: Journal, after: Position, mut chain: Option<Chain>) -> Result<Self, JournalError> {
        let events = journal.committed_after(after, BATCH).await?;
        let end = events.last().map(|last| last.position);
        let messages = events.iter().map(|event| outgoing(event, chain.as_mut())).collect::<Result<_, _>>()?;
        Ok(Self { messages, end, chain })
    }
}

/// The relay.
pub struct Relay {
    journal: Journal,
    nats: Nats,
    tail: Option<Tail>,
    next: Option<Batch>,
    /// Whether mirror and journal contradict each other.
    halted: Arc<AtomicBool>,
    /// Up to where the mirror is known to reach.
    reached: Arc<Mutex<Position>>,
    /// Whether events carry the hashes of those before.
    is_chained: bool,
}

impl Relay {
    /// A relay from a journal to a server.
    #[must_use]
    pub fn new(journal: Journal, nats: Nats) -> Self {
        let (halted, reached) = (Arc::default(), Arc::default());
        Self { journal, nats, tail: None, next: None, halted, reached, is_chained: true }
    }

    /// The same without hashes, to measure what they cost: what it mirrors is no mirror.
    #[must_use]
    pub fn without_hashes(self) -> Self {
        Self { is_chained: false, ..self }
    }

    /// Leads, or waits to lead, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.lead(&stop).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "The relay lost the lead and asks for it again"),
            }
            stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
    }

    /// Returns when `stop` is reached, fails when the lock's connection does.
    async fn lead(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut lock = PgConnection::connect_with(&self.journal.pool().connect_options()).await?;
        while !takes_the_lead(&mut lock).await? {
            if stop.run_until_cancelled(tokio::time::sleep(ASK)).await.is_none() {
                return Ok(());
            }
        }
        tracing::info!("The relay leads");
        // What was known when the lead was lost is out of date.
        (self.tail, self.next) = (None, None);
        let (journal, nats) = (self.journal.clone(), self.nats.clone());
        let (halted, reached) = (self.halted.clone(), self.reached.clone());
        let health = || if halted.load(Ordering::Relaxed) { "halted" } else { "up" };
        let led = tokio::select! {
            led = self.mirror(stop) => led,
            lost = watch(&mut lock, &journal, &reached) => lost,
            () = nats.answer(RELAY_HEALTH, health) => Ok(()),
            never = note_progress(&journal, &nats) => match never {},
        };
        // Whoever leads now measures.
        RELAY_LAG.set(0.0);
        HELD_BACK.set(0.0);
        led
    }

    async fn mirror(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut wakes = self.nats.questions(JOURNAL_WAKE).await?;
        let (mut wanted, mut woken) = (Position::default(), Instant::now());
        let mut due = Instant::now();
        while !stop.is_cancelled() {
            if self.next.is_none() {
                stop.run_until_cancelled(tokio::time::sleep_until(due)).await;
            }
            // This read is the answer to all of them.
            while let Some(Some(wake)) = wakes.next().now_or_never() {
                (wanted, woken) = (furthest(wanted, &wake), Instant::now());
            }
            due = Instant::now().checked_add(MIN_INTERVAL).unwrap_or(due);
            // What is cut off has no tail, and whoever leads next finds it.
            match stop.run_until_cancelled(Box::pin(self.run_once())).await {
                None | Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::error!(%error, "The relay could not go on; it reads the mirror's end again");
                    stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                }
            }
            if self.next.is_some() {
                continue;
            }
            // Not all that was appended could be read: a transaction that began earlier still runs, and ends soon.
            let held_back = wanted > self.reached() && woken.elapsed() < HELD_BACK_FOR;
            let pause = tokio::time::sleep(if held_back { MIN_INTERVAL } else { POLL });
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = &mut pause => break,
                    Some(wake) = wakes.next() => {
                        (wanted, woken) = (furthest(wanted, &wake), Instant::now());
                        if wanted > self.reached() {
                            break;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Mirrors the next events, up to sixteen batches of them.
    ///
    /// # Errors
    /// [`RelayError`]; the next step reads the mirror's end again before it does anything.
    pub async fn run_once(&mut self) -> Result<Step, RelayError> {
        let tail = match self.tail {
            Some(tail) => tail,
            None => self.find_tail().await?,
        };
        let batch = match self.next.take() {
            Some(batch) => batch,
            None => Batch::read(self.journal.clone(), tail.position, tail.chain).await?,
        };
        let (Some(mut position), mut chain) = (batch.end, batch.chain) else {
            self.reach(tail);
            return Ok(Step::Idle);
        };
        // Any surprise ends the step with no tail, and the next one finds out where the mirror ends.
        self.tail = None;
        let mut pipeline = self.nats.pipeline(tail.sequence);
        let mut batch = Some(batch);
        for _ in 0..BATCHES {
            let Some(Batch { messages, end: Some(end), chain: after }) = batch.take() else { break };
            (position, chain) = (end, after);
            // While the mirror writes this batch, another core reads the next one.
            let full = i64::try_from(messages.len()).is_ok_and(|events| events >= BATCH);
            let next = full.then(|| tokio::spawn(Batch::read(self.journal.clone(), position, chain)));
            pipeline.send(messages).await?;
            if let Some(next) = next {
                batch = next.await.ok().transpose()?;
            }
        }
        let sequence = pipeline.finish().await?;
        self.next = batch;
        self.reach(Tail { sequence, position, chain });
        MIRRORED.inc_by(sequence.saturating_sub(tail.sequence));
        Ok(Step::Worked)
    }

    fn reach(&mut self, tail: Tail) {
        self.tail = Some(tail);
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = tail.position;
    }

    fn reached(&self) -> Position {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares the mirror's last events with the journal: one that was recorded late, while the lead changed hands, would
    /// be missing among them.
    async fn compare(&self, tail: Tail) -> Result<(), RelayError> {
        let first = tail.sequence.saturating_sub(COMPARED).saturating_add(1);
        let mut replay = self.nats.replay(EVENTS, ">", first);
        let mut mirrored = Vec::new();
        while replay.next_sequence() <= tail.sequence {
            let batch = replay.next_batch().await?;
            if batch.is_empty() {
                break;
            }
            mirrored.extend(batch.iter().map(|stored| (stored.sequence, claim(stored))));
        }
        let Some(((_, (_, begin)), rest)) = mirrored.split_first() else { return Ok(()) };
        let begin = begin.unwrap_or_default();
        let recorded = self.journal.committed_after(begin, i64::try_from(COMPARED).unwrap_or(i64::MAX)).await?;
        let recorded = recorded.iter().take_while(|event| event.position <= tail.position);
        for (found, (sequence, claimed)) in recorded.zip(rest) {
            if (Some(found.event_id), Some(found.position)) != *claimed {
                self.halt(true);
                return Err(RelayError::Differs { sequence: *sequence, found: found.position });
            }
        }
        Ok(())
    }

    fn halt(&self, halted: bool) {
        self.halted.store(halted, Ordering::Relaxed);
        RELAY_HALTED.set(f64::from(u8::from(halted)));
    }

    /// Where the mirror ends, and that the journal agrees.
    async fn find_tail(&mut self) -> Result<Tail, RelayError> {
        self.next = None;
        if self.nats.has_another_form().await? {
            return Err(RelayError::OtherForm);
        }
        let last = self.nats.tail(EVENTS).await?;
        let chain = |chain| self.is_chained.then_some(chain);
        let Some(last) = last else { return Ok(Tail { chain: chain(Chain::default()), ..Tail::default() }) };
        let (event, position) = claim(&last);
        let known = match position {
            Some(position) => self.journal.event_at(position).await?,
            None => None,
        };
        match (position, known) {
            (Some(position), Some(known)) if event == Some(known) => {
                let tail = Tail { sequence: last.sequence, position, chain: chain(Chain::after(&last.payload)) };
                self.compare(tail).await?;
                self.halt(false);
                Ok(tail)
            }
            _ => {
                self.halt(true);
                let event = event.map_or_else(|| "unknown".to_owned(), |event| event.to_string());
                Err(RelayError::Ahead { sequence: last.sequence, event, position })
            }
        }
    }
}

/// Notes in the journal how far the mirror's readers have got, so that they go on there if it must be built anew.
async fn note_progress(journal: &Journal, nats: &Nats) -> Infallible {
    loop {
        tokio::time::sleep(NOTE).await;
        match nats.progress(EVENTS).await {
            Ok(progress) => {
                if let Err(error) = journal.note_progress(&progress).await {
                    tracing::debug!(%error, "How far readers have got is not noted");
                }
            }
            Err(error) => tracing::debug!(%error, "The mirror does not say how far its readers have got"),
        }
    }
}

/// Sees that the lock is still ours, and measures on its own clock, so that figures rise while nothing moves.
async fn watch(lock: &mut PgConnection, journal: &Journal, reached: &Mutex<Position>) -> anyhow::Result<()> {
    loop {
        tokio::time::timeout(PATIENCE, lock.ping()).await??;
        let reached = *reached.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = async {
            HELD_BACK.set(journal.held_back_seconds().await?);
            RELAY_LAG.set(journal.waiting_seconds(reached).await?);
            Ok::<_, JournalError>(())
        };
        if let Err(error) = measured.await {
            tracing::debug!(%error, "How far the mirror is behind is not known");
        }
        tokio::time::sleep(WATCH).await;
    }
}

async fn takes_the_lead(lock: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LEADER).fetch_one(lock).await
}

/// How far whoever wakes the relay has appended, if that is further.
fn furthest(known: Position, wake: &str) -> Position {
    wake.parse().unwrap_or(known).max(known)
}

fn outgoing(recorded: &Recorded, chain: Option<&mut Chain>) -> Result<Outgoing, JournalError> {
    let event = recorded.to_cloud_event();
    Ok(Outgoing {
        subject: subject(&event),
        // Each names the sequence before it, so none is stored twice.
        id: None,
        headers: vec![(POSITION, recorded.position.to_string())],
        payload: match chain {
            Some(chain) => chain.body(event)?,
            None => serde_json::to_vec(&event).map_err(JournalError::from)?,
        }
        .into(),
    })
}
