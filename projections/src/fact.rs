use chrono::{DateTime, Utc};
use domain::StoreEvent;
use journal::{JournalError, Position, Recorded};
use uuid::Uuid;

use crate::rows::{Row, Rows};

/// An event on its way to a projection, not decoded yet.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Its place in the mirror, from 1 and without gaps.
    pub sequence: i64,
    /// Its place in the journal.
    pub position: Position,
    /// Its own id.
    pub event_id: Uuid,
    /// Which kind of aggregate.
    pub aggregate: String,
    /// Which aggregate.
    pub aggregate_id: String,
    /// Its number within the aggregate, from 1.
    pub version: i64,
    /// Its name.
    pub event_type: String,
    /// The version of its stored form.
    pub event_version: String,
    /// Its stored form, as JSON text.
    pub payload: String,
    /// When it was recorded.
    pub at: DateTime<Utc>,
}

impl Envelope {
    /// An event read from the journal, of which it is the `sequence`-th.
    #[must_use]
    pub fn of(recorded: Recorded, sequence: i64) -> Self {
        Self {
            sequence,
            position: recorded.position,
            event_id: recorded.event_id,
            aggregate: recorded.aggregate_type,
            aggregate_id: recorded.aggregate_id,
            version: recorded.sequence,
            event_type: recorded.event_type,
            event_version: recorded.event_version,
            payload: recorded.payload.get().to_owned(),
            at: recorded.recorded_at,
        }
    }

    /// What happened; what is wrong with it where this program cannot read it.
    pub(crate) fn fact(&self) -> Result<Fact, String> {
        let Self { aggregate, aggregate_id, event_type, event_version, payload, .. } = self;
        let event = StoreEvent::read(aggregate, aggregate_id, event_type, event_version, payload)
            .map_err(|error| error.to_string())?;
        let Self { event_id, sequence, version, at, .. } = *self;
        Ok(Fact { event_id, sequence, version, at, event })
    }
}

/// An event as a projection sees it.
#[derive(Debug, Clone)]
pub struct Fact {
    /// Its own id.
    pub event_id: Uuid,
    /// Its place in the mirror, from 1 and without gaps.
    pub sequence: i64,
    /// Its number within the aggregate, from 1.
    pub version: i64,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// What happened.
    pub event: StoreEvent,
}

/// Why a projection did not take an event.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The event itself cannot be applied, however often it is tried.
    #[error("{0}")]
    Poison(String),
    /// The database is in the way; the event is innocent.
    #[error(transparent)]
    Unavailable(sqlx::Error),
}

impl From<sqlx::Error> for ApplyError {
    fn from(error: sqlx::Error) -> Self {
        let transient = |code: &str| matches!(code.get(..2), Some("08" | "40" | "53" | "55" | "57" | "58"));
        match &error {
            sqlx::Error::Database(cause) if !cause.code().is_some_and(|code| transient(&code)) => {
                Self::Poison(error.to_string())
            }
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_) => {
                Self::Poison(error.to_string())
            }
            _ => Self::Unavailable(error),
        }
    }
}

impl From<JournalError> for ApplyError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Database(error) => error.into(),
            // Nothing is wrong with the event; this process has to be given the new key.
            error @ JournalError::WrongMasterKey => Self::Unavailable(sqlx::Error::Configuration(error.into())),
            other => Self::Poison(other.to_string()),
        }
    }
}

/// A read model: a table, and how events change it.
pub trait Projection: Clone + Send + Sync + 'static {
    /// Its name, and that of its table in schema `read`.
    const NAME: &'static str;
    /// The aggregates whose events it looks at.
    const AGGREGATES: &'static [&'static str];
    /// Events that are applied though an earlier one of their aggregate is parked.
    const NEVER_HELD_BACK: &'static [&'static str] = &[];
    /// What its table holds.
    type Row: Row;

    /// Every row that [`Projection::apply`] may touch for an event.
    fn keys(&self, fact: &Fact) -> Vec<<Self::Row as Row>::Key>;

    /// Takes one event. The rows are written with those of other events, and with the checkpoint.
    fn apply(&self, rows: &mut Rows<Self::Row>, fact: &Fact) -> impl Future<Output = Result<(), ApplyError>> + Send;
}
