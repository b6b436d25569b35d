//! Group commit: commands in flight share a transaction, and a lone one commits at once.
//!
//! Whatever was asked for while earlier batches were being committed makes the next one. Nobody waits for company.

use std::io;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use crate::JournalError;
use crate::append::{Append, AppendError};
use crate::batch::{AT_ONCE, Batch};
use crate::connect::dedicated_pool;
use crate::position::Position;

/// How many batches may be in flight: while one is being made durable, another is being executed.
const IN_FLIGHT: usize = 2;
/// Enough for each batch in flight to be appended command by command.
const CONNECTIONS: usize = IN_FLIGHT * AT_ONCE;
/// How many commands may wait; whoever comes then waits to be let in.
const QUEUE: usize = 1_024;

/// The outcome of a command, and who waits to hear what became of it.
pub(crate) struct Pending {
    pub(crate) append: Append,
    heard: oneshot::Sender<Result<Position, AppendError>>,
}

impl Pending {
    pub(crate) fn tell(self, outcome: Result<Position, AppendError>) {
        // The caller may have gone.
        let _ = self.heard.send(outcome);
    }
}

/// The way into the task that appends.
#[derive(Clone)]
pub(crate) struct Writer(mpsc::Sender<Pending>);

impl Writer {
    /// Starts the task; it ends with the last clone of this.
    pub(crate) fn start(pool: &PgPool) -> Self {
        let (queue, pending) = mpsc::channel(QUEUE);
        let connections = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        tokio::spawn(write(dedicated_pool(pool, connections), pending));
        Self(queue)
    }

    /// Returns once the append is durable, or nothing of it was written.
    pub(crate) async fn append(&self, append: Append) -> Result<Position, AppendError> {
        let (heard, outcome) = oneshot::channel();
        self.0.send(Pending { append, heard }).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}

/// Nobody knows what became of it, as if the connection had broken.
fn gone() -> JournalError {
    JournalError::Database(sqlx::Error::Io(io::ErrorKind::BrokenPipe.into()))
}

async fn write(pool: PgPool, mut queue: mpsc::Receiver<Pending>) {
    let mut in_flight = FuturesUnordered::new();
    let mut waiting = vec![];
    loop {
        let may_begin = in_flight.len() < IN_FLIGHT;
        tokio::select! {
            Some(()) = in_flight.next() => (),
            pending = queue.recv(), if may_begin && waiting.is_empty() => match pending {
                Some(pending) => waiting.push(pending),
                None => break,
            },
            else => break,
        }
        // Whoever just heard of the last commit gets to say what comes next.
        tokio::task::yield_now().await;
        while let Ok(pending) = queue.try_recv() {
            waiting.push(pending);
        }
        while in_flight.len() < IN_FLIGHT && !waiting.is_empty() {
            let (batch, rest) = Batch::of(waiting);
            waiting = rest;
            in_flight.push(batch.append(&pool));
        }
    }
    while in_flight.next().await.is_some() {}
}
