//! Small parts, brought together: an export a minute would otherwise leave a thousand files a day for each type of event.

use std::collections::{BTreeMap, HashMap};

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
    let mut replaced = Vec::new();
    for ((event_type, day), parts) in small {
        let Some(columns) = columns.get(&event_type) else { continue };
        for parts in in_groups(parts) {
            let (old, part) = merge(to, columns, (&event_type, day), &parts).await?;
            let Some(part) = part else { continue };
            manifest.parts.retain(|known| !old.contains(&known.path));
            manifest.add(part);
            replaced.extend(old);
        }
    }
    Ok(replaced)
}

/// Parts that make one large one, and no more than that is in memory at once.
fn in_groups(parts: Vec<Part>) -> Vec<Vec<Part>> {
    let (mut groups, mut bytes) = (vec![vec![]], 0_u64);
    for part in parts {
        bytes = bytes.saturating_add(part.bytes);
        if bytes > LARGE {
            bytes = part.bytes;
            groups.push(vec![]);
        }
        groups.last_mut().into_iter().for_each(|group| group.push(part.clone()));
    }
    groups
}

/// Puts those parts into one that have the columns of today; their paths, and the one. What was written with others stays as
/// it is: an older form of a column is none of today, and a newer one this program would lose.
async fn merge(
    to: &Destination,
    columns: &Columns,
    (event_type, day): (&str, NaiveDate),
    parts: &[Part],
) -> Result<(Vec<String>, Option<Part>), ExportError> {
    let (mut alike, mut batches) = (Vec::new(), Vec::new());
    for part in parts {
        // One that the manifest names and that is gone is an error, and not nothing.
        let missing =
            || object_store::Error::NotFound { path: part.path.clone(), source: "the manifest names it".into() };
        let file = to.get(&part.path).await?.ok_or_else(missing)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
        if reader.schema().fields() == columns.table.fields() {
            batches.extend(reader.build()?.collect::<Result<Vec<_>, _>>()?);
            alike.push(part);
        }
    }
    let (Some(first), Some(last), true) = (alike.first(), alike.last(), alike.len() > 1) else {
        return Ok((vec![], None));
    };
    let content = Content {
        event_type: event_type.to_owned(),
        day: Some(day),
        first: first.first,
        last: last.last,
        rows: alike.iter().fold(0, |rows, part| rows.saturating_add(part.rows)),
        versions: alike.iter().flat_map(|part| part.versions.clone()).collect(),
    };
    let file = write(&columns.table, &batches)?;
    let part = Part::new(content, &file);
    to.put(&part.path, file).await?;
    Ok((alike.iter().map(|part| part.path.clone()).collect(), Some(part)))
}
