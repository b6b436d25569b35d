//! Reading and writing the tables of read models: one statement reads what a batch touches in all of them, and one
//! writes what it changed. Table names go unqualified, so that a fold can put temporary tables in front.

use std::collections::HashMap;

use journal::Position;
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::copy_format;

/// The rows of a table that are to be read: their keys, as a JSON array of objects.
pub struct Wanted {
    pub(crate) table: &'static str,
    pub(crate) key: &'static [&'static str],
    pub(crate) keys: String,
}

/// What is to be written to a table.
pub struct Changes {
    pub(crate) table: &'static str,
    pub(crate) key: &'static [&'static str],
    /// The columns that are arrays.
    pub(crate) arrays: &'static [&'static str],
    /// The keys of rows that are gone.
    pub(crate) gone: Vec<Map<String, Value>>,
    /// The keys of rows that are changed.
    pub(crate) replaced: Vec<Map<String, Value>>,
    /// The rows that are new or changed.
    pub(crate) rows: Vec<Map<String, Value>>,
}

impl Changes {
    fn columns(&self) -> Vec<&str> {
        self.rows.first().map(|row| row.keys().map(String::as_str).collect()).unwrap_or_default()
    }
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
    let statements = statements(changes);
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
    let bound = statements.iter().fold(bound, |query, (_, rows)| query.bind(rows));
    Ok(bound.execute(db).await?.rows_affected() > 0)
}

/// Writes changes in the caller's transaction: rows are copied, which costs Postgres a quarter of reading them as JSON.
pub(crate) async fn write(db: &mut PgConnection, changes: &Changes) -> sqlx::Result<()> {
    let Changes { table, key, arrays, gone, replaced, rows } = changes;
    let old = [gone.as_slice(), replaced].concat();
    if !old.is_empty() {
        sqlx::query(&deletion(table, key, 1, "")).bind(json(&old)).execute(&mut *db).await?;
    }
    if !rows.is_empty() {
        let columns = changes.columns();
        let copy = format!("copy {table} ({}) from stdin", columns.join(", "));
        let mut copy = db.copy_in_raw(&copy).await?;
        copy.send(copy_format::lines(&columns, arrays, rows).as_bytes()).await?;
        copy.finish().await?;
    }
    Ok(())
}

/// The statements that write changes where `held.ours` is true, each with what it is given as its parameter; the first is
/// the seventh.
fn statements(changes: &[Changes]) -> Vec<(String, String)> {
    let mut statements = Vec::new();
    for change in changes {
        let Changes { table, key, gone, rows, .. } = change;
        if !gone.is_empty() {
            let n = statements.len().saturating_add(7);
            statements.push((deletion(table, key, n, "and exists (select from held where ours)"), json(gone)));
        }
        if !rows.is_empty() {
            let (n, columns) = (statements.len().saturating_add(7), change.columns());
            let given: Vec<_> = columns.iter().map(|column| format!("given.{column}")).collect();
            let set: Vec<_> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
            let statement = format!(
                "insert into {table} ({}) select {} from jsonb_populate_recordset(null::{table}, ${n}::text::jsonb) as given, held
                 where held.ours on conflict ({}) do update set {}",
                columns.join(", "),
                given.join(", "),
                key.join(", "),
                set.join(", ")
            );
            statements.push((statement, json(rows)));
        }
    }
    statements
}

/// Deletes the rows whose keys the `n`th parameter holds, where a further condition holds.
fn deletion(table: &str, key: &[&str], n: usize, condition: &str) -> String {
    let same: Vec<_> = key.iter().map(|column| format!("kept.{column} = gone.{column}")).collect();
    format!(
        "delete from {table} as kept using jsonb_populate_recordset(null::{table}, ${n}::text::jsonb) as gone
         where {} {condition}",
        same.join(" and ")
    )
}

fn json(rows: &[Map<String, Value>]) -> String {
    // JSON has nothing that could fail to be written.
    serde_json::to_string(rows).unwrap_or_default()
}
