//! Reading in the order of commits.
//!
//! Only what lies below the oldest running transaction is read: above it, an event with a lower position
//! may still be uncommitted, and reading past it would lose it for ever.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use crate::JournalError;
use crate::connect::once_more;
use crate::position::Position;
use crate::repository::Journal;

/// An event as the journal holds it.
#[derive(Debug)]
pub struct Recorded {
    /// Its own id.
    pub event_id: Uuid,
    /// Where it stands in the order of commits.
    pub position: Position,
    /// Which aggregate's.
    pub aggregate_type: String,
    /// Whose.
    pub aggregate_id: String,
    /// Its number within the aggregate, from 1.
    pub sequence: i64,
    /// Its name.
    pub event_type: String,
    /// The version of its stored form.
    pub event_version: String,
    /// Its stored form, as JSON text.
    pub payload: Box<RawValue>,
    /// Who, why, in which request.
    pub metadata: Box<RawValue>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// What is noted beside an event, as far as the store reads it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Metadata<'a> {
    /// What it belongs to.
    #[serde(borrow, default)]
    pub(crate) correlation_id: Option<Cow<'a, str>>,
    /// The event that caused it.
    #[serde(borrow, default)]
    pub(crate) causation_id: Option<Cow<'a, str>>,
    /// The W3C trace that it belongs to.
    #[serde(borrow, default)]
    pub(crate) traceparent: Option<Cow<'a, str>>,
    /// What it must stay in order with.
    #[serde(default)]
    partition_key: Option<Uuid>,
}

/// Where a payment's event says which order it is for; metadata did not always.
#[derive(Deserialize)]
struct ForOrder {
    order: Uuid,
}

impl Recorded {
    /// What the event must stay in order with: for a payment its order, else its own aggregate.
    pub(crate) fn partition(&self, metadata: &Metadata<'_>) -> Uuid {
        let paid = || serde_json::from_str::<ForOrder>(self.payload.get()).ok().map(|event| event.order);
        let paid = || if self.aggregate_type == "payment" { paid() } else { None };
        let own = || Uuid::try_parse(&self.aggregate_id).ok();
        metadata.partition_key.or_else(paid).or_else(own).unwrap_or_default()
    }

    pub(crate) fn metadata(&self) -> Metadata<'_> {
        serde_json::from_str(self.metadata.get()).unwrap_or_default()
    }
}

/// The transaction id goes out as text under another name: `order by tx_id` must mean the number.
pub(crate) const COLUMNS: &str =
    "event_id, epoch, tx_id::text as xid, position, aggregate_type, aggregate_id, sequence,
    event_type, event_version, payload, metadata, recorded_at";

impl Journal {
    /// The next events after a position, at most `limit`, in the order of commits; fields that are null are left out, which
    /// means the same and which a column of an export could not tell apart.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn committed_after(&self, after: Position, limit: i64) -> Result<Vec<Recorded>, JournalError> {
        let columns = COLUMNS.replace("payload", "jsonb_strip_nulls(payload) as payload");
        let query = format!("select {columns} from journal.committed_after($1, $2::text::xid8, $3, $4)");
        let rows = once_more(|| {
            sqlx::query(&query)
                .bind(after.epoch)
                .bind(after.tx_id.to_string())
                .bind(after.position)
                .bind(limit)
                .fetch_all(self.pool())
        })
        .await?;
        let mut events: Vec<_> = rows.iter().map(recorded).collect::<sqlx::Result<_>>()?;
        // That a function's rows come in its order is nowhere promised.
        events.sort_unstable_by_key(|event| event.position);
        Ok(events)
    }

    /// Below it every event is committed that ever will be, and [`Journal::committed_after`] reads no further.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn horizon(&self) -> Result<Position, JournalError> {
        let row = once_more(|| sqlx::query(
            "select journal.epoch() as epoch, pg_snapshot_xmin(pg_current_snapshot())::text as xid, 0::bigint as position",
        )
        .fetch_one(self.pool())).await?;
        Ok(position_of(&row)?)
    }

    /// The id of the event at a position, if there is one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn event_at(&self, at: Position) -> Result<Option<Uuid>, JournalError> {
        let id = once_more(|| {
            sqlx::query_scalar(
                "select event_id from journal.events where epoch = $1 and tx_id = $2::text::xid8 and position = $3",
            )
            .bind(at.epoch)
            .bind(at.tx_id.to_string())
            .bind(at.position)
            .fetch_optional(self.pool())
        })
        .await?;
        Ok(id)
    }

    /// Where an event stands, if there is such a one: the `sequence`-th of an aggregate.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn position_of(
        &self,
        aggregate: &str,
        id: &str,
        sequence: i64,
    ) -> Result<Option<Position>, JournalError> {
        let query = "select epoch, tx_id::text as xid, position from journal.events
                     where aggregate_type = $1 and aggregate_id = $2 and sequence = $3";
        let found =
            once_more(|| sqlx::query(query).bind(aggregate).bind(id).bind(sequence).fetch_optional(self.pool()));
        Ok(found.await?.as_ref().map(position_of).transpose()?)
    }

    /// How many events there are, and where the last one stands.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn extent(&self) -> Result<(i64, Position), JournalError> {
        let count =
            once_more(|| sqlx::query_scalar("select count(*) from journal.events").fetch_one(self.pool())).await?;
        let last = once_more(|| {
            sqlx::query(
                "select epoch, tx_id::text as xid, position from journal.events
             order by epoch desc, tx_id desc, position desc limit 1",
            )
            .fetch_optional(self.pool())
        })
        .await?;
        Ok((count, last.as_ref().map_or(Ok(Position::default()), position_of)?))
    }

    /// For how many seconds the first event after a position has been there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn waiting_seconds(&self, after: Position) -> Result<f64, JournalError> {
        let seconds = once_more(|| {
            sqlx::query_scalar(
                "select coalesce(extract(epoch from clock_timestamp() -
               (select recorded_at from journal.events where (epoch, tx_id, position) > ($1, $2::text::xid8, $3)
                order by epoch, tx_id, position limit 1)), 0)::float8",
            )
            .bind(after.epoch)
            .bind(after.tx_id.to_string())
            .bind(after.position)
            .fetch_one(self.pool())
        })
        .await?;
        Ok(seconds)
    }

    /// For how many seconds the oldest transaction that writes has held back [`Journal::committed_after`].
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn held_back_seconds(&self) -> Result<f64, JournalError> {
        let seconds = once_more(|| {
            sqlx::query_scalar(
                "select coalesce(extract(epoch from max(clock_timestamp() - xact_start)), 0)::float8
             from pg_stat_activity where backend_xid is not null",
            )
            .fetch_one(self.pool())
        })
        .await?;
        Ok(seconds)
    }
}

pub(crate) fn recorded(row: &PgRow) -> sqlx::Result<Recorded> {
    Ok(Recorded {
        event_id: row.try_get("event_id")?,
        position: position_of(row)?,
        aggregate_type: row.try_get("aggregate_type")?,
        aggregate_id: row.try_get("aggregate_id")?,
        sequence: row.try_get("sequence")?,
        event_type: row.try_get("event_type")?,
        event_version: row.try_get("event_version")?,
        payload: row.try_get::<Json<Box<RawValue>>, _>("payload")?.0,
        metadata: row.try_get::<Json<Box<RawValue>>, _>("metadata")?.0,
        recorded_at: row.try_get("recorded_at")?,
    })
}

pub(crate) fn position_of(row: &PgRow) -> sqlx::Result<Position> {
    Ok(Position { epoch: row.try_get("epoch")?, tx_id: xid(row.try_get("xid")?)?, position: row.try_get("position")? })
}

/// As [`position_of`], for columns that are told from a table's own by their names.
pub(crate) fn position_at(row: &PgRow) -> sqlx::Result<Position> {
    let (epoch, position) = (row.try_get("at_epoch")?, row.try_get("at_position")?);
    Ok(Position { epoch, tx_id: xid(row.try_get("at_xid")?)?, position })
}

/// A transaction id from its text: sqlx has no `xid8`.
pub(crate) fn xid(text: &str) -> sqlx::Result<u64> {
    text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
