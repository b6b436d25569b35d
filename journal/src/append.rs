//! Appending: a command's events, claims and first answer, all or none, in one statement.

use domain::ClaimKind;
use serde_json::Value;
use uuid::Uuid;

use crate::JournalError;
use crate::answer::FirstAnswer;
use crate::claims::{ClaimKey, Claims, Release};
use crate::history::AggregateKey;
use crate::position::Position;
use crate::read::position_at;
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

/// What a command came to.
#[derive(Debug, Clone)]
pub struct Append<'a> {
    /// Whose events.
    pub aggregate: AggregateKey,
    /// At least one.
    pub events: &'a [NewEvent],
    /// What they take and give up.
    pub claims: Claims,
    /// What else was read for the decision, and how many events it had: the append holds only if it has no more.
    pub leans_on: &'a [(AggregateKey, usize)],
    /// What a repeat of the request is known by.
    pub answer: Option<&'a FirstAnswer>,
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

/// Most appends have events and nothing else. As `journal.append`, without what that does beside them.
const EVENTS: &str = "insert into journal.events
       (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id)
     select $1, $2, sequence, event_type, event_version, payload, metadata, event_id
     from (select pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))) as lock,
          unnest($3::bigint[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::uuid[]) with ordinality
            as e (sequence, event_type, event_version, payload, metadata, event_id, ord)
     order by ord
     returning epoch as at_epoch, tx_id::text as at_xid, position as at_position";

const EVERYTHING: &str = "select at_epoch, at_xid, at_position from journal.append
     ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";

impl Journal {
    /// Appends what a command came to; returns where the last event stands.
    ///
    /// # Errors
    /// [`AppendError`]; in every case but a broken connection nothing was written.
    pub async fn append(&self, append: Append<'_>) -> Result<Position, AppendError> {
        let Append { aggregate, events, claims, leans_on, answer } = append;
        let only_events = claims == Claims::default() && leans_on.is_empty() && answer.is_none();
        let column = |of: fn(&NewEvent) -> &str| events.iter().map(of).collect::<Vec<_>>();
        let mut query = sqlx::query(if only_events { EVENTS } else { EVERYTHING })
            .bind(aggregate.kind)
            .bind(aggregate.id.to_string())
            .bind(events.iter().map(|event| event.sequence).collect::<Vec<_>>())
            .bind(column(|event| &event.event_type))
            .bind(column(|event| &event.event_version))
            .bind(events.iter().map(|event| &event.payload).collect::<Vec<_>>())
            .bind(events.iter().map(|event| &event.metadata).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.event_id).collect::<Vec<_>>());
        if !only_events {
            query = query
                .bind(claims.taken.iter().map(|claim| claim.kind.to_string()).collect::<Vec<_>>())
                .bind(claims.taken.iter().map(|claim| claim.key.as_str()).collect::<Vec<_>>())
                .bind(claims.released.iter().map(|given| given.kind().to_string()).collect::<Vec<_>>())
                .bind(claims.released.iter().map(Release::key).collect::<Vec<_>>())
                .bind(leans_on.iter().map(|(key, _)| key.kind).collect::<Vec<_>>())
                .bind(leans_on.iter().map(|(key, _)| key.id.to_string()).collect::<Vec<_>>())
                .bind(
                    leans_on.iter().map(|(_, version)| i64::try_from(*version).unwrap_or(i64::MAX)).collect::<Vec<_>>(),
                )
                .bind(answer.map(|answer| answer.key.as_slice()))
                .bind(answer.map(|answer| answer.fingerprint.as_slice()))
                .bind(answer.and_then(|answer| answer.caller).map(domain::UserId::as_uuid));
        }
        let rows = query.fetch_all(self.pool()).await.map_err(refusal)?;
        self.wake();
        let mut last = Position::default();
        for row in &rows {
            last = last.max(position_at(row).map_err(JournalError::from)?);
        }
        Ok(last)
    }
}

/// Tells a conflict from a taken claim, and both from an outage, by what was violated. A deadlock (40P01) and a
/// serialisation failure (40001) are conflicts: deciding again helps. <https://www.postgresql.org/docs/15/errcodes-appendix.html>
fn refusal(error: sqlx::Error) -> AppendError {
    let Some(cause) = error.as_database_error() else { return JournalError::Database(error).into() };
    match (cause.code().as_deref(), cause.constraint()) {
        (Some("40001" | "40P01"), _) | (_, Some("events_pkey" | "answers_pkey")) => AppendError::Conflict,
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
