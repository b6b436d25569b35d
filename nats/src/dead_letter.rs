//! Dead letters: work that could not be done, kept for people with what is known of it, until somebody redrives or
//! discards it. A work queue cannot be peeked at, so they live in a stream of their own.

use bytes::Bytes;

use crate::connect::{Nats, NatsError};
use crate::message::{Outgoing, Stored};
use crate::payment_queue;
use crate::streams::{DLQ, PAYMENTS};

const CLASS: &str = "Dlq-Class";
const CAUSE: &str = "Dlq-Cause";
const ATTEMPTS: &str = "Dlq-Attempts";
const FIRST_AT: &str = "Dlq-First-At";
const FAILED_AT: &str = "Dlq-Failed-At";

/// Who put a message back into its queue.
pub const REDRIVEN_BY: &str = "Redriven-By";

/// The queue of payments.
pub const PAYMENTS_QUEUE: &str = "payments";
/// The outbox of mail; it is no stream, and who keeps it puts work back.
pub const MAIL_QUEUE: &str = "mail";

/// Work that could not be done.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Whose work it was: [`PAYMENTS_QUEUE`] or [`MAIL_QUEUE`].
    pub queue: String,
    /// Why, in one word.
    pub class: String,
    /// What the work is about; one dead letter of a class for each.
    pub key: String,
    /// What happened at last.
    pub cause: String,
    /// How often it was tried.
    pub attempts: u64,
    /// When it was first tried, RFC 3339.
    pub first_at: String,
    /// When it was given up, RFC 3339.
    pub failed_at: String,
    /// The work itself, as it stood in the queue.
    pub work: Bytes,
}

impl DeadLetter {
    fn into_outgoing(self) -> Outgoing {
        let Self { queue, class, key, cause, attempts, first_at, failed_at, work } = self;
        Outgoing {
            subject: format!("dlq.{queue}.{class}.{key}"),
            id: Some(format!("{key}:{class}:{failed_at}")),
            headers: vec![
                (CLASS, class),
                (CAUSE, cause.replace(['\r', '\n'], " ")),
                (ATTEMPTS, attempts.to_string()),
                (FIRST_AT, first_at),
                (FAILED_AT, failed_at),
            ],
            payload: work,
        }
    }

    fn read(stored: &Stored) -> Self {
        let header = |name| stored.header(name).unwrap_or_default().to_owned();
        Self {
            class: header(CLASS),
            queue: stored.subject.split('.').nth(1).unwrap_or_default().to_owned(),
            key: stored.subject.rsplit('.').next().unwrap_or_default().to_owned(),
            cause: header(CAUSE),
            attempts: header(ATTEMPTS).parse().unwrap_or_default(),
            first_at: header(FIRST_AT),
            failed_at: header(FAILED_AT),
            work: stored.payload.clone(),
        }
    }
}

fn of_class(class: &str) -> String {
    format!("dlq.*.{class}.*")
}

impl Nats {
    /// Keeps a dead letter; one of the same class and key that is kept already stays as it is.
    ///
    /// # Errors
    /// When the stream did not confirm it.
    pub async fn bury(&self, letter: DeadLetter) -> Result<(), NatsError> {
        self.publish(letter.into_outgoing(), true).await
    }

    /// Dead letters of some classes from a sequence on, oldest first, each with its sequence.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn dead_letters(
        &self,
        classes: &[&str],
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, DeadLetter)>, NatsError> {
        let mut letters = Vec::new();
        for class in classes {
            let mut replay = self.replay(DLQ, of_class(class), from);
            let mut found = 0;
            while found < limit {
                let batch = replay.next_batch().await?;
                if batch.is_empty() {
                    break;
                }
                found = found.saturating_add(batch.len());
                letters.extend(batch.iter().map(|stored| (stored.sequence, DeadLetter::read(stored))));
            }
        }
        letters.sort_by_key(|(sequence, _)| *sequence);
        letters.truncate(limit);
        Ok(letters)
    }

    /// How many dead letters of some classes there are.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn count_dead_letters(&self, classes: &[&str]) -> Result<u64, NatsError> {
        let mut count = 0_u64;
        for class in classes {
            count = count.saturating_add(self.replay(DLQ, of_class(class), 1).waiting().await?);
        }
        Ok(count)
    }

    /// One dead letter, if it is still there.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn dead_letter(&self, sequence: u64) -> Result<Option<DeadLetter>, NatsError> {
        // Sequences begin at 1; the server takes 0 for a malformed question.
        let stored = if sequence == 0 { None } else { self.message(DLQ, sequence).await? };
        Ok(stored.as_ref().map(DeadLetter::read))
    }

    /// Puts the work of a dead letter of [`PAYMENTS_QUEUE`] back into the queue, under an id that the server has not seen; whether it was there.
    ///
    /// # Errors
    /// When the queue did not confirm it; the dead letter stays then.
    pub async fn redrive(&self, sequence: u64, by: &str) -> Result<bool, NatsError> {
        let Some(letter) = self.dead_letter(sequence).await? else { return Ok(false) };
        let work = Outgoing {
            subject: payment_queue::subject(&letter.key),
            id: Some(format!("{}:redrive:{sequence}", letter.key)),
            headers: vec![(REDRIVEN_BY, by.to_owned())],
            payload: letter.work,
        };
        self.publish(work, false).await?;
        self.remove(DLQ, sequence).await?;
        tracing::info!(sequence, by, key = letter.key, queue = PAYMENTS, "Redrove a dead letter");
        Ok(true)
    }

    /// Forgets a dead letter; whether it was there.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn discard(&self, sequence: u64, by: &str, reason: &str) -> Result<bool, NatsError> {
        let Some(letter) = self.dead_letter(sequence).await? else { return Ok(false) };
        self.remove(DLQ, sequence).await?;
        tracing::info!(sequence, by, reason, key = letter.key, "Discarded a dead letter");
        Ok(true)
    }
}
