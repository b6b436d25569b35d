//! `views.sql`: what an export is to `DuckDB`. A view for each type of event, over the parts that count, and the models
//! that follow from them.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::Manifest;

/// Beside the manifest.
pub(crate) const FILE: &str = "views.sql";
const MODELS: &str = include_str!("models.sql");

/// The views of what a manifest names, whose paths begin with `prefix`.
pub(crate) fn of(manifest: &Manifest, prefix: &str) -> String {
    let mut parts = BTreeMap::<&str, Vec<String>>::new();
    for part in &manifest.parts {
        parts.entry(&part.event_type).or_default().push(format!("'{}{}'", prefix.replace('\'', "''"), part.path));
    }
    let mut sql = format!(
        "-- Events 1 to {} of {}, as of this export; the next export writes this file anew.\n\
         -- In the folder of the export: duckdb -init views.sql\n\nSET TimeZone = 'UTC';\n\n",
        manifest.last, manifest.source
    );
    for (event_type, parts) in parts {
        // Writing to a text cannot fail.
        let _ = writeln!(
            sql,
            "CREATE OR REPLACE VIEW {event_type} AS SELECT * FROM read_parquet([{}], union_by_name = true, hive_partitioning = false);",
            parts.join(", ")
        );
    }
    sql.push('\n');
    sql.push_str(MODELS);
    sql
}
