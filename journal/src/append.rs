//! Appending: a command's events, claims and first answer, all or none.

use domain::ClaimKind;
use serde_json::Value;
use uuid::Uuid;

use crate::JournalError;
use crate::answer::FirstAnswer;
use crate::claims::{ClaimKey, Claims};
use crate::history::AggregateKey;
use crate::position::Position;
use crate::repository::Journal;

/// An event about to be appended.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its own id.
    pub event_id: Uuid,
    /// Its number within the aggregate, from 1.
    pub sequence: i64,
    /// Its name.
    pub event_type: String,
    /// The version of its stored form.
    pub event_version: String,
    /// Its stored form.
    pub payload: Value,
    /// Who, why, in which request: a flat map of texts.
    pub metadata: Value,
}

/// What happened to an aggregate.
#[derive(Debug, Clone)]
pub struct Change {
    /// Whose events.
    pub aggregate: AggregateKey,
    /// At least one; it holds only if the aggregate has no more events than stand before the first of these.
    pub events: Vec<NewEvent>,
    /// What they take and give up.
    pub claims: Claims,
}

/// The outcome of a command.
#[derive(Debug, Clone)]
pub struct Append {
    /// What the command was about, and then what followed for other aggregates, in the order in which they are to stand in
    /// the journal.
    pub changes: Vec<Change>,
    /// What else was read for the decision, and how many events it had: the append holds only if it has no more.
    pub leans_on: Vec<(AggregateKey, usize)>,
    /// What a repeat of the request is known by; it is answered with the first of the changes.
    pub answer: Option<FirstAnswer>,
}

impl Append {
    /// What happened to one aggregate, whatever else there was.
    #[must_use]
    pub fn of(change: Change) -> Self {
        Self { changes: vec![change], leans_on: vec![], answer: None }
    }
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody changed the aggregate, or something that was leant on, or gave the first answer: load and decide again.
    #[error("the aggregate, or what was decided on, changed meanwhile")]
    Conflict,
    /// Somebody else holds what was claimed.
    #[error("{} is claimed by another", .0.kind)]
    Claimed(ClaimKey),
    /// The database did not do it, or did not say whether it did.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Journal {
    /// Appends the outcome of a command, in one transaction with whatever else is being appended; returns where the last
    /// event of its first change stands.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was written, unless the connection broke or the database took too long.
    pub async fn append(&self, append: Append) -> Result<Position, AppendError> {
        let position = self.writer().append(append).await?;
        self.note_appended(position);
        Ok(position)
    }
}

/// Tells a conflict from a taken claim, and both from an outage, by what was violated. A deadlock (40P01), a
/// serialisation failure (40001) and a lock that was not to be had (55P03) are conflicts: deciding again helps. <https://www.postgresql.org/docs/15/errcodes-appendix.html>
pub(crate) fn refusal(error: sqlx::Error) -> AppendError {
    let Some(cause) = error.as_database_error() else { return JournalError::Database(error).into() };
    match (cause.code().as_deref(), cause.constraint()) {
        (Some("40001" | "40P01" | "55P03"), _) | (_, Some("events_pkey" | "answers_pkey")) => AppendError::Conflict,
        (_, Some("claims_pkey")) => match claim_of(&error) {
            Some(claim) => AppendError::Claimed(claim),
            None => JournalError::Database(error).into(),
        },
        _ => JournalError::Database(error).into(),
    }
}

/// Postgres names the violating row: `Key (kind, key)=(email, 1f…) already exists.`
fn claim_of(error: &sqlx::Error) -> Option<ClaimKey> {
    let error = error.as_database_error()?.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
    let (_, values) = error.detail()?.split_once(")=(")?;
    let (values, _) = values.rsplit_once(')')?;
    let (kind, key) = values.split_once(", ")?;
    Some(ClaimKey { kind: kind.parse::<ClaimKind>().ok()?, key: key.to_owned() })
}
