//! Read models as they were: folded up to a position into the schema `past`, beside those of now, and compared with them.
//!
//! Users are left out: erasing a person would not erase them there.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use journal::{Journal, connect_patiently};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

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

/// A row that differs between then and now.
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
    let time = match moment {
        Moment::Position(position) => return Ok(position),
        Moment::Time(time) => time,
    };
    let until = "with later as (select epoch, tx_id, position from journal.events where recorded_at > $1
                                order by epoch, tx_id, position limit 1)
                 select count(*) from journal.events
                 where not exists (select from later) or (epoch, tx_id, position) < (table later)";
    let mut db = connect_patiently(journal.pool()).await?;
    sqlx::query_scalar(until).bind(time).fetch_one(&mut db).await
}

/// A read model as it was.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    /// Which.
    pub projection: &'static str,
    /// How many events it is of; fewer than were asked for where there are no more.
    pub events: i64,
    /// How many of them could not be applied.
    pub parked: usize,
    /// How many rows differ from those of now, where that was asked for.
    pub differences: Option<u64>,
}

/// Folds read models up to a number of events into their tables of the schema `past`. Each row that differs between then
/// and now is told, in the order of the keys, where there is somebody to tell.
///
/// # Errors
/// [`FoldError`]; a table that was not filled yet is as it was.
pub async fn rebuild_at(
    journal: &Journal,
    projections: &[Arc<dyn AnyProjection>],
    events: i64,
    progress: impl Fn(i64),
    mut tell: Option<impl FnMut(&'static str, Difference) -> std::io::Result<()>>,
) -> Result<Vec<Past>, FoldError> {
    let mut fold = Fold::begin(journal, projections).await?;
    while fold.events < events && fold.step(None, events.saturating_sub(fold.events)).await? > 0 {
        progress(fold.events);
    }
    let mut done = Vec::new();
    while let Some((folding, mut db)) = fold.take() {
        let (projection, parked) = (folding.projection(), folding.parked());
        let mut past = Past { projection: projection.name(), events: fold.events, parked, differences: None };
        fill(&mut db, past).await?;
        if let Some(tell) = &mut tell {
            past.differences = Some(diff(&mut db, projection, tell).await?);
        }
        done.push(past);
    }
    Ok(done)
}

async fn fill(db: &mut PgConnection, Past { projection, events, parked, .. }: Past) -> Result<(), FoldError> {
    let mut tx = db.begin().await?;
    sqlx::query(&format!("truncate past.{projection}")).execute(&mut *tx).await?;
    sqlx::query(&format!("insert into past.{projection} table pg_temp.{projection}")).execute(&mut *tx).await?;
    sqlx::query(
        "insert into past.moments (projection, events, parked) values ($1, $2, $3)
         on conflict (projection) do update set events = excluded.events, parked = excluded.parked",
    )
    .bind(projection)
    .bind(events)
    .bind(i64::try_from(parked).unwrap_or(i64::MAX))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// On the connection that has folded it: others may fill `past` anew meanwhile.
async fn diff(
    db: &mut PgConnection,
    projection: &dyn AnyProjection,
    tell: &mut impl FnMut(&'static str, Difference) -> std::io::Result<()>,
) -> Result<u64, FoldError> {
    let (table, key) = (projection.name(), projection.key().join(", "));
    let query = format!(
        "select to_jsonb(back) as back, to_jsonb(live) as live
         from pg_temp.{table} as back full join read.{table} as live using ({key})
         where to_jsonb(back) is distinct from to_jsonb(live) order by {key}"
    );
    let (mut rows, mut differences) = (sqlx::query_as::<_, (Option<Value>, Option<Value>)>(&query).fetch(db), 0_u64);
    while let Some((then, now)) = rows.try_next().await? {
        differences = differences.saturating_add(1);
        tell(table, Difference { then, now })?;
    }
    Ok(differences)
}
