//! Reading an export back: every event in the order of the stream, with the bytes that the mirror has.
//!
//! An export keeps no bytes. They are written again from the columns, which works because each of them
//! follows from the values: `data` is the text of a `jsonb`, and all else is written by [`CloudEvent`].

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_schema::Fields;
use chrono::{DateTime, SecondsFormat, Utc};
use journal::{Chain, CloudEvent, aggregate_of, jsonb_text};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::schema::types::{Type, TypePtr};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::columns::Columns;
use crate::integrity::is_named_as_written;
use crate::rows::{Content, write};
use crate::values::{fields, time};
use crate::writer::MANIFEST;
use crate::{ExportError, Manifest, Mark, Part};

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
    /// The position of the event before.
    seen: u64,
    /// What the manifest says of the end.
    last: u64,
    last_event: Option<Mark>,
}

/// An event as the mirror has it.
pub struct Mirrored {
    /// Where it stands in the stream, from 1.
    pub position: u64,
    /// Its body.
    pub body: Vec<u8>,
}

struct OpenPart {
    /// As the manifest has it, and as it was found to be.
    named: Part,
    found: Content,
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
        let mut parts = manifest.parts.clone();
        parts.sort_by_key(|part| part.first);
        let (closed, next, open) = (parts.into(), BinaryHeap::new(), HashMap::new());
        let (last, last_event) = (manifest.last, manifest.last_event.clone());
        Self {
            folder: folder.to_owned(),
            closed,
            next,
            open,
            opened: 0,
            chain: Chain::default(),
            seen: 0,
            last,
            last_event,
        }
    }

    /// The next event; nothing at the end.
    ///
    /// # Errors
    /// When a part cannot be read, or is not as this program writes parts.
    pub fn next_event(&mut self) -> Result<Option<Mirrored>, ExportError> {
        while let Some(part) = self.closed.front()
            && self.next.peek().is_none_or(|Reverse((position, _))| part.first <= *position)
        {
            let part = OpenPart::open(&self.folder, part).map_err(|error| damaged(&part.path, error))?;
            self.closed.pop_front();
            let number = self.opened;
            self.opened = number.saturating_add(1);
            self.go_on(number, part)?;
        }
        let Some(Reverse((position, number))) = self.next.pop() else {
            return if self.seen == self.last { Ok(None) } else { Err(not_as_named(MANIFEST)) };
        };
        self.seen = position;
        let Some(mut part) = self.open.remove(&number) else { return Ok(None) };
        let (body, mark) = part.body(&mut self.chain)?;
        if position == self.last && self.last_event.as_ref() != Some(&mark) {
            return Err(not_as_named(MANIFEST));
        }
        part.row = part.row.saturating_add(1);
        self.go_on(number, part)?;
        Ok(Some(Mirrored { position, body }))
    }

    fn go_on(&mut self, number: usize, mut part: OpenPart) -> Result<(), ExportError> {
        if let Some(position) = part.position()? {
            self.next.push(Reverse((position, number)));
            self.open.insert(number, part);
            return Ok(());
        }
        if part.is_as_named() { Ok(()) } else { Err(not_as_named(&part.named.path)) }
    }
}

impl OpenPart {
    fn open(folder: &Path, part: &Part) -> Result<Self, ExportError> {
        if !is_named_as_written(part) {
            return Err(not_as_named(&part.path));
        }
        let file = File::open(folder.join(&part.path)).map_err(of_file(&part.path))?;
        // What a file says to Arrow alone, other readers do not see.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        must_be_as_written(&part.path, &file)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
        let columns = Columns::of(&part.event_type)?;
        let known = ArrowSchemaConverter::new().convert(&columns.table)?;
        if !is_part_of(reader.parquet_schema().root_schema(), known.root_schema()) {
            return Err(ExportError::OtherColumns { path: part.path.clone() });
        }
        let (event_type, versions) = (part.event_type.clone(), BTreeSet::new());
        let found = Content { event_type, day: part.day, first: 0, last: 0, rows: 0, versions };
        Ok(Self { named: part.clone(), found, own: columns.own(), batches: reader.build()?, batch: None, row: 0 })
    }

    /// The position of the next event.
    fn position(&mut self) -> Result<Option<u64>, ExportError> {
        while self.batch.as_ref().is_none_or(|(batch, _)| self.row >= batch.num_rows()) {
            let Some(batch) = self.batches.next().transpose()? else { return Ok(None) };
            let all = batch.schema();
            let is_own = |name: &str| self.own.iter().any(|own| own.name() == name);
            let own = all.fields().iter().zip(batch.columns()).filter(|(field, _)| is_own(field.name()));
            let own = own.map(|(field, column)| (field.clone(), column.clone()));
            let (fields, columns): (Vec<_>, Vec<_>) = own.unzip();
            let own = StructArray::try_new_with_length(fields.into(), columns, None, batch.num_rows())?;
            (self.batch, self.row) = (Some((batch, own)), 0);
        }
        let position = self.row()?.integer("position")?;
        Ok(Some(u64::try_from(position).unwrap_or_default()))
    }

    /// Notes the event that is next, as a writer would: its position, its day and the version of its form.
    fn note(&mut self) -> Result<(), ExportError> {
        let row = self.row()?;
        let (position, version) = (row.integer("position")?, row.text("eventversion")?.to_owned());
        let day = Some(row.time()?.date_naive());
        let position = u64::try_from(position).unwrap_or_default();
        let Content { day: of_part, first, last, rows, versions, .. } = &mut self.found;
        if *rows == 0 {
            *first = position;
        }
        // A day that differs from the first one's is none that a part could have.
        *of_part = if *of_part == day { day } else { None };
        (*last, *rows) = (position, rows.saturating_add(1));
        versions.insert(version);
        Ok(())
    }

    /// Whether the manifest says of it what was found.
    fn is_as_named(&self) -> bool {
        let Part { day, first, last, rows, versions, .. } = &self.named;
        let found = &self.found;
        (*day, *first, *last, *rows) == (found.day, found.first, found.last, found.rows)
            && versions.iter().eq(&found.versions)
    }

    fn row(&self) -> Result<Row<'_>, ExportError> {
        let Some((columns, own)) = &self.batch else { return Err(missing("row")) };
        Ok(Row { columns, own, number: self.row })
    }

    /// The body of the event that is next, and which one it is.
    fn body(&mut self, chain: &mut Chain) -> Result<(Vec<u8>, Mark), ExportError> {
        self.note()?;
        let (row, event_type) = (self.row()?, self.named.event_type.as_str());
        let (id, aggregate_id) = (row.id("id")?, row.id("aggregateid")?.to_string());
        let aggregate = aggregate_of(event_type).ok_or_else(|| missing(event_type))?;
        let time = row.time()?.to_rfc3339_opts(SecondsFormat::Micros, true);
        let partition = row.optional("partitionkey", Row::id)?.ok_or_else(|| missing("partitionkey"))?;
        let (version, trace) = (row.text("eventversion")?, row.optional("traceparent", Row::text)?);
        let (correlation, causation) = (row.optional("correlationid", Row::id)?, row.optional("causationid", Row::id)?);
        let data = RawValue::from_string(jsonb_text(&row.data(event_type)?)).map_err(ExportError::NoEvent)?;
        let event = CloudEvent {
            partitionkey: partition,
            aggregateversion: row.integer("aggregateversion")?,
            correlationid: correlation.map(|id| id.to_string().into()),
            causationid: causation.map(|id| id.to_string().into()),
            traceparent: trace.map(Into::into),
            ..CloudEvent::of((aggregate, &aggregate_id), (event_type, version), (id, &time), &data)
        };
        let (subject, aggregateversion) = (event.subject.clone().into_owned(), event.aggregateversion);
        let mark = Mark { id, subject, aggregateversion };
        Ok((chain.body(event).map_err(ExportError::NoEvent)?, mark))
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

    fn time(&self) -> Result<DateTime<Utc>, ExportError> {
        let column = self.column("time")?.as_primitive_opt::<TimestampMicrosecondType>();
        column.and_then(|column| time(column.value(self.number))).ok_or_else(|| missing("time"))
    }
}

/// Writes the rows of a part again. What stands beside them in the file, such as counts and the smallest and largest value
/// of a column, decides what other readers see, and follows from the rows.
fn must_be_as_written(path: &str, file: &File) -> Result<(), ExportError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.try_clone().map_err(of_file(path))?)?;
    let (table, batches) = (reader.schema().clone(), reader.build()?.collect::<Result<Vec<_>, _>>()?);
    let (mut kept, mut file) = (Vec::new(), file);
    file.rewind().and_then(|()| file.read_to_end(&mut kept)).map_err(of_file(path))?;
    if write(&table, &batches)? == kept { Ok(()) } else { Err(ExportError::OtherBytes { path: path.to_owned() }) }
}

fn of_file(path: &str) -> impl Fn(std::io::Error) -> ExportError {
    let path = path.to_owned();
    move |error| ExportError::Unreadable { path: path.clone(), error }
}

/// An error of the library for Parquet, with the part that it is about.
fn damaged(path: &str, error: ExportError) -> ExportError {
    match error {
        ExportError::Parquet(_) | ExportError::Column(_) => {
            ExportError::Damaged { path: path.to_owned(), error: Box::new(error) }
        }
        other => other,
    }
}

/// Whether a type has nothing that the known one does not have, in the same form. An older program may have written less.
fn is_part_of(kept: &Type, known: &Type) -> bool {
    if !kept.is_group() || !known.is_group() {
        return kept == known;
    }
    let mut unseen: Vec<_> = known.get_fields().iter().collect();
    let is_known = |field: &TypePtr| {
        let place = unseen.iter().position(|known| known.name() == field.name() && is_part_of(field, known));
        place.map(|place| unseen.swap_remove(place)).is_some()
    };
    kept.get_basic_info() == known.get_basic_info() && kept.get_fields().iter().all(is_known)
}

fn not_as_named(path: &str) -> ExportError {
    ExportError::NotAsNamed { path: path.to_owned() }
}

fn missing(name: &str) -> ExportError {
    ExportError::NoColumn(name.to_owned())
}
