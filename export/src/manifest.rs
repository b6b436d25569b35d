//! What an export holds: the file that says which parts count.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ExportError;
use crate::rows::Content;

/// Which kind of manifest this program writes and reads.
const FORMAT: u32 = 1;

/// What was exported, and where it is: `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form; 1.
    pub format: u32,
    /// Where the events are from, as CloudEvents says it.
    pub source: String,
    /// The first position that was exported; 0 where nothing was.
    pub first: u64,
    /// The last one; nothing between them is missing.
    pub last: u64,
    /// The event at the last position: an export goes on from the stream that it is of.
    pub last_event: Option<Mark>,
    /// The parts, by type of event and position.
    pub parts: Vec<Part>,
}

/// Which event it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its id.
    pub id: Uuid,
    /// `<aggregate>/<id>`.
    pub subject: String,
    /// Its number within the aggregate, from 1.
    pub aggregateversion: i64,
}

/// A Parquet file of events of one type and day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// The type of its events.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The day of their times, in UTC; none for a part that only says which columns there are.
    pub day: Option<NaiveDate>,
    /// The position of its first event.
    pub first: u64,
    /// The position of its last.
    pub last: u64,
    /// Where it is, from the folder of the manifest.
    pub path: String,
    /// How many events it holds.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// What it must hash to, in hex.
    pub sha256: String,
    /// The versions of the forms that its events were stored in.
    pub versions: Vec<String>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { format: FORMAT, source: "/ludoteca".to_owned(), first: 0, last: 0, last_event: None, parts: vec![] }
    }
}

impl Manifest {
    /// Refuses what another version has written, and would read otherwise.
    pub(crate) fn must_be_ours(&self) -> Result<(), ExportError> {
        if self.format == FORMAT { Ok(()) } else { Err(ExportError::AnotherFormat(self.format)) }
    }

    /// How many events were exported.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.parts.iter().fold(0, |rows, part| rows.saturating_add(part.rows))
    }

    pub(crate) fn add(&mut self, part: Part) {
        self.parts.retain(|known| known.path != part.path);
        self.parts.push(part);
        self.parts.sort();
    }
}

impl Part {
    /// Whether a path is called as parts with events are: `TYPE/day=DAY/FIRST-LAST.parquet`.
    pub(crate) fn is_named_like(path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let [_, day, file] = parts.as_slice() else { return false };
        let is_day = day.strip_prefix("day=").is_some_and(|day| day.parse::<NaiveDate>().is_ok());
        let range = file.strip_suffix(".parquet").and_then(|range| range.split_once('-'));
        is_day && range.is_some_and(|(first, last)| [first, last].iter().all(|at| at.parse::<u64>().is_ok()))
    }

    /// Where a part is.
    pub(crate) fn path(event_type: &str, day: Option<NaiveDate>, (first, last): (u64, u64)) -> String {
        match day {
            Some(day) => format!("{event_type}/day={day}/{first:012}-{last:012}.parquet"),
            None => format!("{event_type}/columns.parquet"),
        }
    }

    pub(crate) fn new(content: Content, file: &[u8]) -> Self {
        let Content { event_type, day, first, last, rows, versions } = content;
        let path = Self::path(&event_type, day, (first, last));
        let (bytes, sha256) = (u64::try_from(file.len()).unwrap_or(u64::MAX), sha256(file));
        Self { event_type, day, first, last, path, rows, bytes, sha256, versions: versions.into_iter().collect() }
    }
}

/// A hash in hex, as `sha256sum` prints it.
fn sha256(file: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(file))
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
