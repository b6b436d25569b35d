//! Read models as they were: folded up to a position into the schema `past`, beside those of now, and compared with them.
//!
//! People are left out: what `past` holds is not forgotten with them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use journal::Journal;
use serde_json::Value;
use sqlx::Connection;

use crate::fact::Projection;
use crate::fold::{Fold, FoldError};
use crate::projector::AnyProjection;
use crate::users::Users;

/// A moment in the history of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// With so many events.
    Position(i64),
    /// With the events until the first that was recorded later.
    Time(DateTime<Utc>),
}

/// A row that was otherwise, or was not.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// As it was; nothing where it was not there yet.
    pub then: Option<Value>,
    /// As it is; nothing where it is gone.
    pub now: Option<Value>,
}

/// Those of some projections that can be looked at as they were.
#[must_use]
pub fn with_a_past(projections: Vec<Arc<dyn AnyProjection>>) -> Vec<Arc<dyn AnyProjection>> {
    projections.into_iter().filter(|projection| projection.name() != Users::NAME).collect()
}

/// How many events there were at a moment.
///
/// # Errors
/// When the database does not answer.
pub async fn events_at(journal: &Journal, moment: Moment) -> sqlx::Result<i64> {
    let (events, time) = match moment {
        Moment::Position(position) => return Ok(position.max(0)),
        Moment::Time(time) => ("select count(*) from journal.events", time),
    };
    let later = "select epoch, tx_id, position from journal.events where recorded_at > $1
                 order by epoch, tx_id, position limit 1";
    let query = format!(
        "with later as ({later}) {events}
         where not exists (select from later) or (epoch, tx_id, position) < (select epoch, tx_id, position from later)"
    );
    sqlx::query_scalar(&query).bind(time).fetch_one(journal.pool()).await
}

/// Folds read models up to a number of events into tables of the schema `past`, where they take the place of those that
/// were folded there before; returns how many events were folded, which are fewer where there are no more.
///
/// # Errors
/// [`FoldError`]; a table that was not put in its place yet is as it was.
pub async fn rebuild_at(
    journal: &Journal,
    projections: &[Arc<dyn AnyProjection>],
    events: i64,
    progress: impl Fn(i64),
) -> Result<i64, FoldError> {
    let mut fold = Fold::begin(journal, projections).await?;
    while fold.events < events && fold.step(None, events.saturating_sub(fold.events)).await? > 0 {
        progress(fold.events);
    }
    while let Some((folding, mut db)) = fold.take() {
        let (table, key) = (folding.projection().name(), folding.projection().key().join(", "));
        let mut tx = db.begin().await?;
        for statement in [
            format!("drop table if exists past.{table}"),
            format!("create table past.{table} as table pg_temp.{table}"),
            format!("alter table past.{table} add primary key ({key})"),
            format!("comment on table past.{table} is '{table} as of event {}'", fold.events),
        ] {
            sqlx::query(&statement).execute(&mut *tx).await?;
        }
        tx.commit().await?;
    }
    Ok(fold.events)
}

/// Compares a read model as it was, which [`rebuild_at`] has made, with the one of now; `tell` hears each row that
/// differs, in the order of their keys.
///
/// # Errors
/// When the database does not answer, or `tell` fails.
pub async fn diff<E: From<sqlx::Error>>(
    journal: &Journal,
    projection: &dyn AnyProjection,
    mut tell: impl FnMut(Difference) -> Result<(), E>,
) -> Result<(), E> {
    let (table, key) = (projection.name(), projection.key().join(", "));
    let query = format!(
        "select to_jsonb(back) as back, to_jsonb(live) as live
         from past.{table} as back full join read.{table} as live using ({key})
         where to_jsonb(back) is distinct from to_jsonb(live) order by {key}"
    );
    let mut rows = sqlx::query_as::<_, (Option<Value>, Option<Value>)>(&query).fetch(journal.pool()).map_err(E::from);
    while let Some(row) = rows.next().await {
        let (then, now) = row?;
        tell(Difference { then, now })?;
    }
    Ok(())
}
