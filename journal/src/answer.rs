//! First answers: what a repeat of a request is answered from, for a day.
//!
//! An answer is kept as the aggregate that it was about, as of the version that it had then; the rest follows from that
//! history, which does not change. So nothing is kept that a person wrote. What is about no single aggregate is a
//! report, and kept as it was.

use domain::UserId;
use serde_json::Value;
use sqlx::Row;

use crate::JournalError;
use crate::connect::once_more;
use crate::history::AggregateKey;
use crate::position::Position;
use crate::read::position_at;
use crate::repository::Journal;

/// What a repeat of a request is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAnswer {
    /// A keyed hash of caller, route and the key that the caller chose.
    pub key: [u8; 32],
    /// A keyed hash of the body without secrets: a repeat must bring the same.
    pub fingerprint: [u8; 32],
    /// Whose it is; it goes with them.
    pub caller: Option<UserId>,
}

/// What was answered first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The hash of the first body.
    pub fingerprint: Vec<u8>,
    /// Which aggregate the answer was about.
    pub aggregate_id: uuid::Uuid,
    /// How many events it had.
    pub version: usize,
    /// Where the last of them stands, if the request led to any.
    pub position: Option<Position>,
}

impl Journal {
    /// What was answered first to a request within the last 24 hours.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn answered(&self, request: &FirstAnswer) -> Result<Option<Answered>, JournalError> {
        let row = once_more(|| sqlx::query(
            "select fingerprint, aggregate_id::uuid as aggregate_id, version,
                    epoch as at_epoch, tx_id::text as at_xid, position as at_position
             from journal.answers where key = $1 and report is null and answered_at > clock_timestamp() - interval '24 hours'",
        )
        .bind(request.key.as_slice())
        .fetch_optional(self.pool())).await?;
        let Some(row) = row else { return Ok(None) };
        let changed = row.try_get::<Option<i32>, _>("at_epoch")?.is_some();
        Ok(Some(Answered {
            fingerprint: row.try_get("fingerprint")?,
            aggregate_id: row.try_get("aggregate_id")?,
            version: usize::try_from(row.try_get::<i64, _>("version")?).unwrap_or_default(),
            position: changed.then(|| position_at(&row)).transpose()?,
        }))
    }

    /// Keeps the answer to a request that changed nothing. Returns whether it is the first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_answer(
        &self,
        request: &FirstAnswer,
        about: AggregateKey,
        version: usize,
    ) -> Result<bool, JournalError> {
        let kept = sqlx::query(
            "insert into journal.answers as a (key, fingerprint, caller, aggregate_id, version)
             values ($1, $2, $3, $4, $5)
             on conflict (key) do update
             set (fingerprint, caller, aggregate_id, version, epoch, tx_id, position, answered_at, report) =
               (excluded.fingerprint, excluded.caller, excluded.aggregate_id, excluded.version, null, null, null,
                excluded.answered_at, null)
             where a.answered_at < clock_timestamp() - interval '24 hours'",
        )
        .bind(request.key.as_slice())
        .bind(request.fingerprint.as_slice())
        .bind(request.caller.map(UserId::as_uuid))
        .bind(about.id.to_string())
        .bind(i64::try_from(version).unwrap_or(i64::MAX))
        .execute(self.pool())
        .await?;
        Ok(kept.rows_affected() > 0)
    }

    /// The report that was given to a request within the last 24 hours, and the hash of that request's body.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reported(&self, request: &FirstAnswer) -> Result<Option<(Vec<u8>, Value)>, JournalError> {
        let report = once_more(|| {
            sqlx::query_as(
                "select fingerprint, report from journal.answers
             where key = $1 and report is not null and answered_at > clock_timestamp() - interval '24 hours'",
            )
            .bind(request.key.as_slice())
            .fetch_optional(self.pool())
        })
        .await?;
        Ok(report)
    }

    /// Keeps the report that a request is answered with, unless it has one. Returns whether it had none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_report(&self, request: &FirstAnswer, report: &Value) -> Result<bool, JournalError> {
        let kept = sqlx::query(
            "insert into journal.answers as a (key, fingerprint, caller, report) values ($1, $2, $3, $4)
             on conflict (key) do update
             set (fingerprint, caller, report, answered_at) =
               (excluded.fingerprint, excluded.caller, excluded.report, excluded.answered_at)
             where a.answered_at < clock_timestamp() - interval '24 hours'",
        )
        .bind(request.key.as_slice())
        .bind(request.fingerprint.as_slice())
        .bind(request.caller.map(UserId::as_uuid))
        .bind(report)
        .execute(self.pool())
        .await?;
        Ok(kept.rows_affected() > 0)
    }
}
