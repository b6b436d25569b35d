//! The park: events that a projection could not apply, and those of the same aggregate that came after them.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, PgExecutor, PgPool};

use crate::fact::Envelope;

/// Notes an event that cannot be applied, for people to look at.
///
/// # Errors
/// When the database does not answer.
pub async fn park(db: impl PgExecutor<'_>, projection: &str, envelope: &Envelope, error: &str) -> sqlx::Result<()> {
    sqlx::query(
        "insert into read.parked (projection, sequence, aggregate_id, event_id, event_type, error)
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
    )
    .bind(projection)
    .bind(envelope.sequence)
    .bind(&envelope.aggregate_id)
    .bind(envelope.event_id)
    .bind(&envelope.event_type)
    .bind(error)
    .execute(db)
    .await
    .map(drop)
}

/// The aggregates of parked events, by projection.
pub(crate) async fn parked_aggregates(
    db: &mut PgConnection,
    projections: &[&str],
) -> sqlx::Result<HashMap<String, HashSet<String>>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("select distinct projection, aggregate_id from read.parked where projection = any($1)")
            .bind(projections)
            .fetch_all(db)
            .await?;
    let mut stuck: HashMap<String, HashSet<String>> = HashMap::new();
    for (projection, aggregate) in rows {
        stuck.entry(projection).or_default().insert(aggregate);
    }
    Ok(stuck)
}

/// An event on the park.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ParkedEvent {
    /// Which projection could not apply it.
    pub projection: String,
    /// Its place in the mirror.
    pub sequence: i64,
    /// Its name.
    pub event_type: String,
    /// Whose it is.
    pub aggregate_id: String,
    /// What is wrong.
    pub error: String,
}

impl std::fmt::Display for ParkedEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { projection, sequence, event_type, aggregate_id, error } = self;
        write!(f, "{projection} #{sequence} {event_type} {aggregate_id}: {error}")
    }
}

/// The first hundred events of the park.
///
/// # Errors
/// When the database does not answer.
pub async fn parked(pool: &PgPool) -> sqlx::Result<Vec<ParkedEvent>> {
    sqlx::query_as(
        "select projection, sequence, event_type, aggregate_id, error from read.parked order by sequence limit 100",
    )
    .fetch_all(pool)
    .await
}

/// How many events are on the park.
///
/// # Errors
/// When the database does not answer.
pub async fn parked_count(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from read.parked").fetch_one(pool).await
}
