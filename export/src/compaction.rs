//! Small parts, brought together: an export a minute would otherwise leave a thousand files a day for each type of event.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::columns::Columns;
use crate::destination::Destination;
use crate::rows::{Content, write};
use crate::{ExportError, Manifest, Part};

/// Parts from here on are left alone, bytes.
const LARGE: u64 = 64 << 20;
/// How many small parts a day may have that is not over.
const SMALL_ONES: usize = 8;

/// Brings small parts of a type and day together where there are many, or where the day is over; the paths of those that
/// the manifest names no longer.
pub(crate) async fn compact(
    to: &Destination,
    columns: &HashMap<String, Columns>,
    manifest: &mut Manifest,
) -> Result<Vec<String>, ExportError> {
    let today = manifest.parts.iter().filter_map(|part| part.day).max();
    let mut small = BTreeMap::<(String, NaiveDate), Vec<Part>>::new();
    for part in manifest.parts.iter().filter(|part| part.bytes < LARGE) {
        if let Some(day) = part.day {
            small.entry((part.event_type.clone(), day)).or_default().push(part.clone());
        }
    }
    small.retain(|(_, day), parts| parts.len() >= if Some(*day) == today { SMALL_ONES } else { 2 });
    let mut merged = Vec::new();
    for ((event_type, day), parts) in small {
        let Some(columns) = columns.get(&event_type) else { continue };
        let part = merge(to, columns, event_type, day, &parts).await?;
        let gone = |known: &str| parts.iter().any(|part| part.path == known);
        manifest.parts.retain(|known| !gone(&known.path));
        merged.extend(parts.iter().map(|old| old.path.clone()).filter(|old| *old != part.path));
        manifest.add(part);
    }
    Ok(merged)
}

async fn merge(
    to: &Destination,
    columns: &Columns,
    event_type: String,
    day: NaiveDate,
    parts: &[Part],
) -> Result<Part, ExportError> {
    let mut batches = Vec::new();
    for part in parts {
        // One that the manifest names and that is gone is an error, and not nothing.
        let missing =
            || object_store::Error::NotFound { path: part.path.clone(), source: "the manifest names it".into() };
        batches.extend(read(to.get(&part.path).await?.ok_or_else(missing)?, &columns.table)?);
    }
    let file = write(&columns.table, &batches)?;
    let content = Content {
        event_type,
        day: Some(day),
        first: parts.iter().map(|part| part.first).min().unwrap_or_default(),
        last: parts.iter().map(|part| part.last).max().unwrap_or_default(),
        rows: parts.iter().fold(0, |rows, part| rows.saturating_add(part.rows)),
        versions: parts.iter().flat_map(|part| part.versions.clone()).collect(),
    };
    let part = Part::new(content, &file);
    to.put(&part.path, file).await?;
    Ok(part)
}

/// The events of a part, in the columns of today.
fn read(file: Bytes, table: &SchemaRef) -> Result<Vec<RecordBatch>, ExportError> {
    let batches = ParquetRecordBatchReaderBuilder::try_new(file)?.build()?;
    batches.map(|batch| in_columns(&batch?, table)).collect()
}

/// Columns that there were not yet are empty.
fn in_columns(batch: &RecordBatch, table: &SchemaRef) -> Result<RecordBatch, ExportError> {
    let column = |name: &str, of: &arrow_schema::DataType| -> ArrayRef {
        batch.column_by_name(name).cloned().unwrap_or_else(|| new_null_array(of, batch.num_rows()))
    };
    let columns = table.fields().iter().map(|field| column(field.name(), field.data_type())).collect();
    Ok(RecordBatch::try_new(Arc::clone(table), columns)?)
}
