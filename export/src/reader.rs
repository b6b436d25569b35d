//! Reading an export back: every event in the order of the stream, with the bytes that the mirror has.
//!
//! Nothing of the bytes is kept in an export. They are written again from the columns, which works because each of them
//! follows from the values: `data` is the text of a `jsonb`, and all else is written by [`CloudEvent`].

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_schema::{FieldRef, Fields};
use chrono::SecondsFormat;
use journal::{Chain, CloudEvent, aggregate_of, jsonb_text};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::columns::Columns;
use crate::values::{fields, time};
use crate::{ExportError, Manifest, Part};

/// The events of an export in order.
pub struct Reader {
    folder: PathBuf,
    /// Parts that are not open yet, by their first position.
    closed: VecDeque<Part>,
    /// Open parts by the position of their next event, and which they are.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    open: HashMap<usize, OpenPart>,
    opened: usize,
    chain: Chain,
}

/// An event as the mirror has it.
pub struct Mirrored {
    /// Where it stands in the stream, from 1.
    pub position: u64,
    /// Its body.
    pub body: Vec<u8>,
}

struct OpenPart {
    event_type: String,
    /// Which columns are the event's own.
    own: Fields,
    batches: ParquetRecordBatchReader,
    batch: Option<(RecordBatch, StructArray)>,
    row: usize,
}

impl Reader {
    /// Reads what a manifest names, in a folder.
    #[must_use]
    pub fn new(folder: &Path, manifest: &Manifest) -> Self {
        let mut parts: Vec<_> = manifest.parts.iter().filter(|part| part.day.is_some()).cloned().collect();
        parts.sort_by_key(|part| part.first);
        let (closed, next, open) = (parts.into(), BinaryHeap::new(), HashMap::new());
        Self { folder: folder.to_owned(), closed, next, open, opened: 0, chain: Chain::default() }
    }

    /// The next event; nothing at the end.
    ///
    /// # Errors
    /// When a part cannot be read, or is not as this program writes parts.
    pub fn next_event(&mut self) -> Result<Option<Mirrored>, ExportError> {
        while let Some(part) = self.closed.front()
            && self.next.peek().is_none_or(|Reverse((position, _))| part.first <= *position)
        {
            let part = OpenPart::open(&self.folder, part)?;
            self.closed.pop_front();
            let number = self.opened;
            self.opened = number.saturating_add(1);
            self.go_on(number, part)?;
        }
        let Some(Reverse((position, number))) = self.next.pop() else { return Ok(None) };
        let Some(mut part) = self.open.remove(&number) else { return Ok(None) };
        let body = part.body(&mut self.chain)?;
        part.row = part.row.saturating_add(1);
        self.go_on(number, part)?;
        Ok(Some(Mirrored { position, body }))
    }

    fn go_on(&mut self, number: usize, mut part: OpenPart) -> Result<(), ExportError> {
        if let Some(position) = part.position()? {
            self.next.push(Reverse((position, number)));
            self.open.insert(number, part);
        }
        Ok(())
    }
}

impl OpenPart {
    fn open(folder: &Path, part: &Part) -> Result<Self, ExportError> {
        let path = folder.join(&part.path);
        let unreadable = |error| ExportError::Unreadable { path: part.path.clone(), error };
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).map_err(unreadable)?)?;
        let columns = Columns::of(&part.event_type)?;
        // What an older program wrote may lack columns; none may be of another type.
        let known = |field: &FieldRef| columns.table.fields().iter().any(|own| own == field);
        if let Some(other) = reader.schema().fields().iter().find(|field| !known(field)) {
            return Err(ExportError::NoColumn(format!("{}.{}", part.event_type, other.name())));
        }
        let (event_type, own) = (part.event_type.clone(), columns.own());
        Ok(Self { event_type, own, batches: reader.build()?, batch: None, row: 0 })
    }

    /// The position of the next event.
    fn position(&mut self) -> Result<Option<u64>, ExportError> {
        while self.batch.as_ref().is_none_or(|(batch, _)| self.row >= batch.num_rows()) {
            let Some(batch) = self.batches.next().transpose()? else { return Ok(None) };
            let own =
                self.own.iter().filter_map(|field| Some((field.clone(), batch.column_by_name(field.name())?.clone())));
            let (fields, columns): (Vec<_>, Vec<_>) = own.unzip();
            let own = StructArray::try_new_with_length(fields.into(), columns, None, batch.num_rows())?;
            (self.batch, self.row) = (Some((batch, own)), 0);
        }
        let position = self.row()?.integer("position")?;
        Ok(Some(u64::try_from(position).unwrap_or_default()))
    }

    fn row(&self) -> Result<Row<'_>, ExportError> {
        let Some((columns, own)) = &self.batch else { return Err(missing("row")) };
        Ok(Row { columns, own, number: self.row })
    }

    /// The body of the event that is next.
    fn body(&self, chain: &mut Chain) -> Result<Vec<u8>, ExportError> {
        let row = self.row()?;
        let (id, aggregate_id) = (row.id("id")?, row.id("aggregateid")?.to_string());
        let aggregate = aggregate_of(&self.event_type).ok_or_else(|| missing(&self.event_type))?;
        let time = row.time()?;
        let (version, trace) = (row.text("eventversion")?, row.optional("traceparent", Row::text)?);
        let (correlation, causation) = (row.optional("correlationid", Row::id)?, row.optional("causationid", Row::id)?);
        let data = RawValue::from_string(jsonb_text(&row.data(&self.event_type)?)).map_err(ExportError::NoEvent)?;
        let event = CloudEvent {
            partitionkey: row.id("partitionkey")?,
            aggregateversion: row.integer("aggregateversion")?,
            correlationid: correlation.map(|id| id.to_string().into()),
            causationid: causation.map(|id| id.to_string().into()),
            traceparent: trace.map(Into::into),
            ..CloudEvent::of((aggregate, &aggregate_id), (&self.event_type, version), (id, &time), &data)
        };
        chain.body(event).map_err(ExportError::NoEvent)
    }
}

/// A row of a part.
struct Row<'a> {
    columns: &'a RecordBatch,
    own: &'a StructArray,
    number: usize,
}

impl<'a> Row<'a> {
    /// What is the event's own.
    fn data(&self, event_type: &str) -> Result<Value, ExportError> {
        let mut own = fields(self.own, self.number)?;
        own.insert("type".to_owned(), event_type.into());
        Ok(own.into())
    }

    fn column(&self, name: &str) -> Result<&'a dyn Array, ExportError> {
        let column = self.columns.column_by_name(name).ok_or_else(|| missing(name))?;
        Ok(column.as_ref())
    }

    fn optional<T>(
        &self,
        name: &'static str,
        read: impl Fn(&Self, &str) -> Result<T, ExportError>,
    ) -> Result<Option<T>, ExportError> {
        if self.column(name)?.is_null(self.number) { Ok(None) } else { read(self, name).map(Some) }
    }

    fn integer(&self, name: &str) -> Result<i64, ExportError> {
        let column = self.column(name)?.as_primitive_opt::<Int64Type>();
        Ok(column.ok_or_else(|| missing(name))?.value(self.number))
    }

    fn text(&self, name: &str) -> Result<&'a str, ExportError> {
        let column = self.column(name)?.as_string_opt::<i32>();
        Ok(column.ok_or_else(|| missing(name))?.value(self.number))
    }

    fn id(&self, name: &str) -> Result<Uuid, ExportError> {
        let column = self.column(name)?.as_fixed_size_binary_opt().ok_or_else(|| missing(name))?;
        Uuid::from_slice(column.value(self.number)).map_err(|_| missing(name))
    }

    fn time(&self) -> Result<String, ExportError> {
        let column = self.column("time")?.as_primitive_opt::<TimestampMicrosecondType>();
        let time = column.and_then(|column| time(column.value(self.number))).ok_or_else(|| missing("time"))?;
        Ok(time.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

fn missing(name: &str) -> ExportError {
    ExportError::NoColumn(name.to_owned())
}
