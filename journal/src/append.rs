//! Appending: a command's events and claims, all or none, in one statement.

use serde_json::Value;
use sqlx::Row;
use uuid::Uuid;

use crate::JournalError;
use crate::position::Position;
use crate::read::position_of;
use crate::repository::Journal;

/// What a claim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum ClaimKind {
    /// An e-mail address, as a keyed hash, held by a user.
    Email,
    /// A game that a user owns or is about to own, held by the order.
    Ownership,
}

/// Something that only one may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it is about.
    pub kind: ClaimKind,
    /// Which one.
    pub key: String,
}

/// What an append claims and releases. One statement must not do both to one key.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// Taken for the aggregate.
    pub taken: Vec<Claim>,
    /// What the aggregate held before.
    pub released: Vec<Release>,
}

/// What of an aggregate's claims is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// All of a kind.
    All(ClaimKind),
    /// One.
    One(Claim),
}

impl Release {
    fn kind(&self) -> ClaimKind {
        match self {
            Self::All(kind) | Self::One(Claim { kind, .. }) => *kind,
        }
    }

    fn key(&self) -> Option<&str> {
        match self {
            Self::All(_) => None,
            Self::One(claim) => Some(&claim.key),
        }
    }
}

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

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended to the aggregate first: load it and decide again.
    #[error("the aggregate changed meanwhile")]
    Conflict,
    /// Somebody else holds what was claimed.
    #[error("{} is claimed by another", .0.kind)]
    Claimed(Claim),
    /// The database did not do it, or did not say whether it did.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The events of a command, in their order.
macro_rules! events {
    () => {
        "insert into journal.events
           (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id)
         select $1, $2, sequence, event_type, event_version, payload, metadata, event_id
         from unnest($3::bigint[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::uuid[]) with ordinality
           as e (sequence, event_type, event_version, payload, metadata, event_id, ord)
         order by ord
         returning epoch, tx_id::text as xid, position"
    };
}

const EVENTS: &str = events!();

/// The same, with what the command claims and releases.
const CLAIMS_AND_EVENTS: &str = concat!(
    "with taken as (
       insert into journal.claims (kind, key, holder)
       select kind, key, $2::text::uuid from unnest($9::text[], $10::text[]) as c (kind, key)
     ), released as (
       delete from journal.claims as held using unnest($11::text[], $12::text[]) as given (kind, key)
       where held.holder = $2::text::uuid and held.kind = given.kind and held.key = coalesce(given.key, held.key)
     )",
    events!()
);

impl Journal {
    /// Appends a command's events and claims to an aggregate; returns where the last of them stands.
    ///
    /// # Errors
    /// [`AppendError`]; in every case but a broken connection nothing was written.
    pub async fn append(
        &self,
        aggregate_type: &str,
        aggregate_id: Uuid,
        events: &[NewEvent],
        claims: &Claims,
    ) -> Result<Position, AppendError> {
        let column = |of: fn(&NewEvent) -> &str| events.iter().map(of).collect::<Vec<_>>();
        let plain = claims.taken.is_empty() && claims.released.is_empty();
        let mut append = sqlx::query(if plain { EVENTS } else { CLAIMS_AND_EVENTS })
            .bind(aggregate_type)
            .bind(aggregate_id.to_string())
            .bind(events.iter().map(|event| event.sequence).collect::<Vec<_>>())
            .bind(column(|event| &event.event_type))
            .bind(column(|event| &event.event_version))
            .bind(events.iter().map(|event| &event.payload).collect::<Vec<_>>())
            .bind(events.iter().map(|event| &event.metadata).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.event_id).collect::<Vec<_>>());
        if !plain {
            append = append
                .bind(claims.taken.iter().map(|claim| claim.kind.to_string()).collect::<Vec<_>>())
                .bind(claims.taken.iter().map(|claim| claim.key.as_str()).collect::<Vec<_>>())
                .bind(claims.released.iter().map(|given| given.kind().to_string()).collect::<Vec<_>>())
                .bind(claims.released.iter().map(Release::key).collect::<Vec<_>>());
        }
        let rows = append.fetch_all(self.pool()).await.map_err(refusal)?;
        self.wake();
        let mut last = Position::default();
        for row in &rows {
            last = last.max(position_of(row).map_err(JournalError::from)?);
        }
        Ok(last)
    }
}

/// Tells a conflict from a taken claim by the constraint that was violated.
fn refusal(error: sqlx::Error) -> AppendError {
    let violated = error.as_database_error().filter(|error| error.is_unique_violation());
    match violated.and_then(|error| error.constraint()) {
        Some("events_pkey") => AppendError::Conflict,
        Some("claims_pkey") => match claim_of(&error) {
            Some(claim) => AppendError::Claimed(claim),
            None => JournalError::Database(error).into(),
        },
        _ => JournalError::Database(error).into(),
    }
}

/// Postgres names the violating row: `Key (kind, key)=(email, 1f…) already exists.`
fn claim_of(error: &sqlx::Error) -> Option<Claim> {
    let error = error.as_database_error()?.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
    let (_, values) = error.detail()?.split_once(")=(")?;
    let (values, _) = values.rsplit_once(')')?;
    let (kind, key) = values.split_once(", ")?;
    Some(Claim { kind: kind.parse().ok()?, key: key.to_owned() })
}

/// Who holds a claim.
impl Journal {
    /// The aggregate that holds a claim, if any does.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn holder(&self, claim: &Claim) -> Result<Option<Uuid>, JournalError> {
        let row = sqlx::query("select holder from journal.claims where kind = $1 and key = $2")
            .bind(claim.kind.to_string())
            .bind(&claim.key)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.map(|row| row.try_get("holder")).transpose()?)
    }
}
