//! Reading and writing the tables of read models: one statement reads what a batch touches in all of them, and one
//! writes what it changed. Table names go unqualified, so that a fold can put temporary tables in front.

use std::collections::HashMap;

use journal::Position;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

/// The rows of a table that are to be read: their keys, as a JSON array of objects.
pub struct Wanted {
    pub(crate) table: &'static str,
    pub(crate) key: &'static [&'static str],
    pub(crate) keys: String,
}

/// What is to be written to a table: the keys of rows that are gone, and rows that are new or changed, as JSON arrays of
/// objects.
pub struct Changes {
    pub(crate) table: &'static str,
    pub(crate) key: &'static [&'static str],
    pub(crate) columns: Vec<String>,
    pub(crate) gone: Option<String>,
    pub(crate) rows: Option<String>,
}

/// A checkpoint as it was read: `version` changes whenever it is written.
pub(crate) struct Checkpoint {
    pub(crate) projection: String,
    pub(crate) sequence: i64,
    pub(crate) version: String,
}

/// Rows by table, as JSON objects.
pub(crate) type Found = HashMap<String, Vec<String>>;

/// Reads rows, and the checkpoints of these projections, all at one moment.
pub(crate) async fn read(
    db: &mut PgConnection,
    projections: &[&str],
    wanted: &[Wanted],
) -> sqlx::Result<(Vec<Checkpoint>, Found)> {
    let checkpoints = "select projection as source, sequence, xmin::text as version, null as row
                       from read.checkpoints where projection = any($1)";
    let rows = wanted.iter().enumerate().map(|(n, Wanted { table, key, .. })| {
        let parameter = n.saturating_add(2);
        let same: Vec<_> = key.iter().map(|column| format!("kept.{column} = wanted.{column}")).collect();
        // `offset 0` keeps the planner with the index, however many rows it takes to be wanted.
        format!(
            "select '{table}', null, null, to_jsonb(found)::text
             from jsonb_populate_recordset(null::{table}, ${parameter}::text::jsonb) as wanted
             cross join lateral (select * from {table} as kept where {} offset 0) as found",
            same.join(" and ")
        )
    });
    let query = std::iter::once(checkpoints.to_owned()).chain(rows).collect::<Vec<_>>().join(" union all ");
    let bound = wanted.iter().fold(sqlx::query(&query).bind(projections), |query, wanted| query.bind(&wanted.keys));
    let (mut checkpoints, mut found) = (Vec::new(), Found::new());
    for row in bound.fetch_all(db).await? {
        let source: String = row.try_get("source")?;
        match row.try_get("row")? {
            Some(kept) => found.entry(source).or_default().push(kept),
            None => checkpoints.push(checkpoint(source, &row)?),
        }
    }
    Ok((checkpoints, found))
}

fn checkpoint(projection: String, row: &PgRow) -> sqlx::Result<Checkpoint> {
    Ok(Checkpoint { projection, sequence: row.try_get("sequence")?, version: row.try_get("version")? })
}

/// Writes changes and moves the checkpoints, if these are as they were read and nothing is parked; returns whether it
/// did. One statement and so one transaction, which is over before anybody waits for it, and need not be durable then:
/// what a crash takes goes with the checkpoint, and is read from the mirror again (decision 0025).
pub(crate) async fn write_where_unmoved(
    db: &mut PgConnection,
    checkpoints: &[Checkpoint],
    changes: &[Changes],
    (sequence, position): (i64, Position),
) -> sqlx::Result<bool> {
    let guard = "with held as materialized (
           select count(*) = cardinality($1::text[])
              and not exists (select from read.parked where projection = any($1)) as ours
           from (select from read.checkpoints, set_config('synchronous_commit', 'off', true)
                 where (projection, xmin::text) in (select * from unnest($1::text[], $2::text[]))
                 order by projection for update of checkpoints) as locked)";
    let statements = statements(changes, |n| n.saturating_add(7), Some("held"));
    let changing = statements.iter().enumerate().map(|(n, (statement, _))| format!("change_{n} as ({statement})"));
    let with = std::iter::once(guard.to_owned()).chain(changing).collect::<Vec<_>>().join(", ");
    let query = format!(
        "{with} update read.checkpoints set sequence = $3, epoch = $4, tx_id = $5::text::xid8, position = $6
         from held where held.ours and projection = any($1) and sequence < $3"
    );
    let names: Vec<_> = checkpoints.iter().map(|checkpoint| checkpoint.projection.as_str()).collect();
    let versions: Vec<_> = checkpoints.iter().map(|checkpoint| checkpoint.version.as_str()).collect();
    let bound = sqlx::query(&query)
        .bind(names)
        .bind(versions)
        .bind(sequence)
        .bind(position.epoch)
        .bind(position.tx_id.to_string())
        .bind(position.position);
    let bound = statements.iter().fold(bound, |query, (_, rows)| query.bind(*rows));
    Ok(bound.execute(db).await?.rows_affected() > 0)
}

/// Writes changes in the caller's transaction.
pub(crate) async fn write(db: &mut PgConnection, changes: &[Changes]) -> sqlx::Result<()> {
    for (statement, rows) in statements(changes, |_| 1, None) {
        sqlx::query(&statement).bind(rows).execute(&mut *db).await?;
    }
    Ok(())
}

/// The statements that write changes, each with what it is given as the parameter that `parameter` numbers; where there
/// is a `guard`, they do nothing unless its column `ours` is true.
fn statements<'a>(
    changes: &'a [Changes],
    parameter: impl Fn(usize) -> usize,
    guard: Option<&str>,
) -> Vec<(String, &'a str)> {
    let (from, holds) = match guard {
        Some(guard) => (format!(", {guard}"), format!("{guard}.ours")),
        None => (String::new(), "true".to_owned()),
    };
    let mut statements = Vec::new();
    for Changes { table, key, columns, gone, rows } in changes {
        if let Some(gone) = gone {
            let n = parameter(statements.len());
            let same: Vec<_> = key.iter().map(|column| format!("kept.{column} = gone.{column}")).collect();
            let statement = format!(
                "delete from {table} as kept using jsonb_populate_recordset(null::{table}, ${n}::text::jsonb) as gone{from}
                 where {holds} and {}",
                same.join(" and ")
            );
            statements.push((statement, gone.as_str()));
        }
        if let Some(rows) = rows {
            let n = parameter(statements.len());
            let given: Vec<_> = columns.iter().map(|column| format!("given.{column}")).collect();
            let set: Vec<_> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
            let statement = format!(
                "insert into {table} ({}) select {} from jsonb_populate_recordset(null::{table}, ${n}::text::jsonb) as given{from}
                 where {holds} on conflict ({}) do update set {}",
                columns.join(", "),
                given.join(", "),
                key.join(", "),
                set.join(", ")
            );
            statements.push((statement, rows.as_str()));
        }
    }
    statements
}
