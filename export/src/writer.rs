//! An export under way: lines in, parts and a manifest out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use journal::{event_forms, event_schema};
use serde::Deserialize;
use uuid::Uuid;

use crate::columns::Columns;
use crate::destination::Destination;
use crate::rows::{Content, Rows, write};
use crate::{ExportError, Manifest, Mark, Part, compaction, views};

pub(crate) const MANIFEST: &str = "manifest.json";
/// How many events are written at once: as many as a process keeps in memory with ease, and what a kill costs at most.
const AT_ONCE: u64 = 500_000;

/// An export under way.
pub struct Export {
    to: Destination,
    manifest: Manifest,
    columns: HashMap<String, Columns>,
    waiting: BTreeMap<NaiveDate, HashMap<String, Rows>>,
    last: u64,
    last_event: Option<Mark>,
}

/// What of a line says where it belongs.
#[derive(Deserialize)]
struct Head<'a> {
    position: u64,
    id: Uuid,
    #[serde(rename = "type")]
    event_type: &'a str,
    eventversion: &'a str,
    time: DateTime<Utc>,
    subject: &'a str,
    aggregateversion: i64,
}

impl Export {
    /// Begins an export, or goes on with one: `to` is a folder, or `s3://BUCKET/PATH`.
    ///
    /// # Errors
    /// When it cannot be read or written, or holds a manifest that is none.
    pub async fn open(to: &str) -> Result<Self, ExportError> {
        let to = Destination::open(to)?;
        let manifest = to.get(MANIFEST).await?;
        let manifest: Manifest =
            manifest.map_or_else(|| Ok(Manifest::default()), |file| serde_json::from_slice(&file))?;
        manifest.must_be_ours()?;
        let (last, last_event) = (manifest.last, manifest.last_event.clone());
        let mut columns = HashMap::new();
        for (event_type, _) in event_forms() {
            columns.insert(event_type.clone(), Columns::of(&event_type)?);
        }
        let export = Self { to, manifest, columns, waiting: BTreeMap::new(), last, last_event };
        if export.last > 0 {
            // One that was killed may have left the views of before.
            export.publish_views().await?;
        }
        export.sweep().await?;
        Ok(export)
    }

    /// What is exported.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The position of the last event that is exported or was taken; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Makes sure that the stream is the one that was exported before, by the line of its event at [`Self::last`].
    ///
    /// # Errors
    /// [`ExportError::AnotherStream`] where it is not.
    pub fn must_continue(&self, line: &[u8]) -> Result<(), ExportError> {
        let head: Head<'_> = serde_json::from_slice(line).map_err(ExportError::NoEvent)?;
        if head.position == self.last && self.last_event.as_ref().is_none_or(|known| known.id == head.id) {
            return Ok(());
        }
        Err(ExportError::AnotherStream { position: self.last })
    }

    /// Takes the next event, as a line of a replay. What was taken is exported once [`Self::save`] says so.
    ///
    /// # Errors
    /// When it is no event, not the next one, or of a form that this program does not know.
    pub fn push(&mut self, line: &[u8]) -> Result<(), ExportError> {
        let head: Head<'_> = serde_json::from_slice(line).map_err(ExportError::NoEvent)?;
        let expected = self.last.saturating_add(1);
        if head.position != expected {
            return Err(ExportError::Gap { expected, found: head.position });
        }
        let of_day = self.waiting.entry(head.time.date_naive()).or_default();
        let rows = if let Some(rows) = of_day.get_mut(head.event_type) {
            rows
        } else {
            let columns = self.columns.get(head.event_type).ok_or_else(|| unknown(&head))?;
            let rows = Rows::new(head.event_type, head.time.date_naive(), columns.clone())?;
            of_day.entry(head.event_type.to_owned()).or_insert(rows)
        };
        let is_known = rows.content.versions.contains(head.eventversion);
        if !is_known && event_schema(head.event_type, head.eventversion).is_none() {
            return Err(unknown(&head));
        }
        rows.push(head.position, head.eventversion, line)?;
        let Head { id, subject, aggregateversion, .. } = head;
        self.last = head.position;
        self.last_event = Some(Mark { id, subject: subject.to_owned(), aggregateversion });
        Ok(())
    }

    /// Whether so many events wait that they should be saved.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.last.saturating_sub(self.manifest.last) >= AT_ONCE
    }

    /// Writes what was taken: parts first, then the manifest by which they count.
    ///
    /// # Errors
    /// When they cannot be written; what the manifest names stays as it was.
    pub async fn save(&mut self) -> Result<(), ExportError> {
        if self.manifest.parts.iter().all(|part| part.day.is_some()) {
            self.name_columns().await?;
        }
        for rows in std::mem::take(&mut self.waiting).into_values().flat_map(HashMap::into_values) {
            let (content, file) = rows.into_part()?;
            self.put(content, file).await?;
        }
        if self.manifest.first == 0 && self.last > 0 {
            self.manifest.first = 1;
        }
        (self.manifest.last, self.manifest.last_event) = (self.last, self.last_event.clone());
        self.publish().await
    }

    /// Saves, brings small parts together, and writes the views.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub async fn finish(mut self) -> Result<Manifest, ExportError> {
        self.name_columns().await?;
        self.save().await?;
        let merged = compaction::compact(&self.to, &self.columns, &mut self.manifest).await?;
        self.publish().await?;
        for path in merged {
            self.to.delete(&path).await?;
        }
        Ok(self.manifest)
    }

    async fn put(&mut self, content: Content, file: Vec<u8>) -> Result<(), ExportError> {
        let part = Part::new(content, &file);
        if !self.manifest.parts.contains(&part) {
            self.to.put(&part.path, file).await?;
            self.manifest.add(part);
        }
        Ok(())
    }

    /// A part without events for each type: whoever asks for events that never happened finds none, and no error.
    async fn name_columns(&mut self) -> Result<(), ExportError> {
        let columns: BTreeMap<_, _> =
            self.columns.iter().map(|(name, columns)| (name.clone(), columns.clone())).collect();
        for (event_type, columns) in columns {
            let content = Content { event_type, day: None, first: 0, last: 0, rows: 0, versions: BTreeSet::new() };
            self.put(content, write(&columns.table, &[])?).await?;
        }
        Ok(())
    }

    async fn publish(&self) -> Result<(), ExportError> {
        let mut manifest = serde_json::to_vec_pretty(&self.manifest)?;
        manifest.push(b'\n');
        self.to.put(MANIFEST, manifest).await?;
        self.publish_views().await
    }

    async fn publish_views(&self) -> Result<(), ExportError> {
        self.to.put(views::FILE, views::of(&self.manifest, &self.to.prefix)).await
    }

    /// Removes parts that no manifest names: what an export left that was killed. Files that are called otherwise are others'.
    async fn sweep(&self) -> Result<(), ExportError> {
        let known: BTreeSet<&str> = self.manifest.parts.iter().map(|part| part.path.as_str()).collect();
        for event_type in self.columns.keys() {
            self.to.remove_unfinished(event_type)?;
            for path in self.to.list(event_type).await? {
                if Part::is_named_like(&path) && !known.contains(path.as_str()) {
                    self.to.delete(&path).await?;
                }
            }
        }
        Ok(())
    }
}

fn unknown(head: &Head<'_>) -> ExportError {
    ExportError::UnknownForm { event_type: head.event_type.to_owned(), version: head.eventversion.to_owned() }
}
