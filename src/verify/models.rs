//! What DuckDB makes of an export, beside the read models: what analysts ask is answered as the store would answer it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use export::Manifest;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::types::Json;
use tokio::process::Command;

use super::Finding;
use crate::local::find_program;

/// A view of `views.sql` and the read model of the same name.
struct Model {
    name: &'static str,
    columns: &'static [&'static str],
    times: &'static [&'static str],
}

const MODELS: [Model; 3] = [
    Model {
        name: "orders",
        columns: &[
            "order_id",
            "user_id",
            "status",
            "total",
            "currency",
            "lines",
            "refunds",
            "standing",
            "age_source",
            "payment_id",
        ],
        times: &["created_at", "updated_at"],
    },
    Model {
        name: "payments",
        columns: &[
            "payment_id",
            "order_id",
            "user_id",
            "attempt",
            "status",
            "amount",
            "currency",
            "refunded",
            "psp_reference",
            "failure",
        ],
        times: &["created_at", "updated_at"],
    },
    Model {
        name: "library",
        columns: &["user_id", "game_id", "order_id", "title", "suspended"],
        times: &["acquired_at"],
    },
];

/// Compares each model of the export in a folder with its read model. Both have to be as of the same event.
///
/// # Errors
/// When there is no `duckdb` or no export, or the database does not answer.
pub async fn models(pool: &PgPool, export: &Path) -> Result<Vec<Finding>> {
    let manifest = std::fs::read(export.join("manifest.json"))
        .with_context(|| format!("there is no export in {}", export.display()))?;
    let manifest: Manifest = serde_json::from_slice(&manifest).context("manifest.json")?;
    let events: i64 = sqlx::query_scalar("select count(*) from journal.events").fetch_one(pool).await?;
    ensure!(
        u64::try_from(events) == Ok(manifest.last),
        "the export in {} ends at event {}, and there are {events}; export again, and compare while nothing happens",
        export.display(),
        manifest.last
    );
    let asked = asked(export).await?;
    ensure!(asked.len() == MODELS.len(), "duckdb answered {} of {} questions", asked.len(), MODELS.len());
    let mut findings = Vec::new();
    for (model, asked) in MODELS.iter().zip(asked) {
        let kept = model.kept(pool).await?;
        let mut counts = HashMap::<&str, i64>::new();
        for (rows, by) in [(&kept, 1_i64), (&asked, -1)] {
            for row in rows {
                let count = counts.entry(row).or_default();
                *count = count.saturating_add(by);
            }
        }
        for (row, count) in counts.iter().filter(|(_, count)| **count != 0).take(4) {
            eprintln!("    only {}: {row}", if *count > 0 { "in the store" } else { "in the export" });
        }
        let differences = counts.values().fold(0_i64, |sum, count| sum.saturating_add(count.saturating_abs()));
        let what = format!("{0} = DuckDB's {0}", model.name);
        findings.push(Finding { what, compared: format!("{} rows", kept.len()), differences });
    }
    Ok(findings)
}

/// The rows of each view.
async fn asked(export: &Path) -> Result<Vec<Vec<String>>> {
    let program = find_program("duckdb", &[]).context("DuckDB is missing; scripts/analyst installs it")?;
    let mut duckdb = Command::new(program);
    duckdb.current_dir(export).args(["-json", "-init", "views.sql", "-bail"]);
    for model in &MODELS {
        duckdb.args(["-c", &model.question()]);
    }
    let answer = duckdb.stdin(Stdio::null()).kill_on_drop(true).output().await.context("duckdb")?;
    let said = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.success(), "duckdb cannot read {}: {said}", export.display());
    let answers = serde_json::Deserializer::from_slice(&answer.stdout).into_iter::<Vec<BTreeMap<String, Value>>>();
    let rows = |answer: Vec<BTreeMap<String, Value>>| -> Vec<String> {
        let rows = answer.into_iter().flat_map(BTreeMap::into_values).filter(|row| !row.is_null());
        rows.map(|row| comparable(row).to_string()).collect()
    };
    answers.map(|answer| Ok(rows(answer.context("duckdb's answer")?))).collect()
}

impl Model {
    /// The rows of the read model.
    async fn kept(&self, pool: &PgPool) -> Result<Vec<String>> {
        let columns = self.columns.iter().map(|column| format!("'{column}', {column}"));
        let times = self.times.iter().map(|time| format!("'{time}', (extract(epoch from {time}) * 1000000)::bigint"));
        let fields = columns.chain(times).collect::<Vec<_>>().join(", ");
        let query = format!("select jsonb_build_object({fields}) from read.{}", self.name);
        let rows: Vec<Json<Value>> = sqlx::query_scalar(&query).fetch_all(pool).await?;
        Ok(rows.into_iter().map(|Json(row)| comparable(row).to_string()).collect())
    }

    /// The rows of the view, and one of nothing: of no rows, `duckdb` prints nothing.
    fn question(&self) -> String {
        let columns = self.columns.iter().map(|column| format!("'{column}': {column}"));
        let times = self.times.iter().map(|time| format!("'{time}': epoch_us({time})"));
        let fields = columns.chain(times).collect::<Vec<_>>().join(", ");
        format!("SELECT {{{fields}}} AS row FROM {} UNION ALL SELECT NULL", self.name)
    }
}

/// Without what is empty, and with its fields in order: the two keep both differently.
fn comparable(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
            fields.into_iter().map(|(name, value)| (name, comparable(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(comparable).collect(),
        other => other,
    }
}
