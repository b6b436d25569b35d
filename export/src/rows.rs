//! Events of one type and day, on their way into a part.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_json::reader::Decoder;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::ExportError;
use crate::columns::{Columns, DATA};
use crate::decode::decoder;

/// Columns whose values are nearly all different: a dictionary of them would be thrown away.
const DISTINCT: [&str; 4] = ["position", "time", "id", "traceparent"];

/// What is in a part.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) event_type: String,
    pub(crate) day: Option<NaiveDate>,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) rows: u64,
    /// The versions of the forms that its events were stored in.
    pub(crate) versions: BTreeSet<String>,
}

/// Events that wait to be written.
pub(crate) struct Rows {
    pub(crate) content: Content,
    columns: Columns,
    decoder: Decoder,
    batches: Vec<RecordBatch>,
}

impl Rows {
    pub(crate) fn new(event_type: &str, day: NaiveDate, columns: Columns) -> Result<Self, ExportError> {
        let (first, last, rows, versions) = (u64::MAX, 0, 0, BTreeSet::new());
        let content = Content { event_type: event_type.to_owned(), day: Some(day), first, last, rows, versions };
        let decoder = decoder(columns.line.clone())?;
        Ok(Self { content, columns, decoder, batches: Vec::new() })
    }

    /// Takes the line of an event.
    pub(crate) fn push(&mut self, position: u64, version: &str, line: &[u8]) -> Result<(), ExportError> {
        let mut rest = line;
        while !rest.is_empty() {
            let taken = self.decoder.decode(rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            if taken == 0 {
                self.collect()?;
            }
        }
        let Content { first, last, rows, versions, .. } = &mut self.content;
        (*first, *last, *rows) = ((*first).min(position), position, rows.saturating_add(1));
        if !versions.contains(version) {
            versions.insert(version.to_owned());
        }
        Ok(())
    }

    fn collect(&mut self) -> Result<(), ExportError> {
        if let Some(lines) = self.decoder.flush()? {
            self.batches.push(side_by_side(&lines, &self.columns.table)?);
        }
        Ok(())
    }

    /// The part that they make.
    pub(crate) fn into_part(mut self) -> Result<(Content, Vec<u8>), ExportError> {
        self.collect()?;
        let file = write(&self.columns.table, &self.batches)?;
        Ok((self.content, file))
    }
}

/// Puts what is the event's own beside what every event has.
fn side_by_side(lines: &RecordBatch, table: &SchemaRef) -> Result<RecordBatch, ExportError> {
    let (own, envelope): (Vec<_>, Vec<_>) = lines
        .schema()
        .fields()
        .iter()
        .zip(lines.columns())
        .map(|(field, column)| (field.name() == DATA, column.clone()))
        .partition(|(is_data, _)| *is_data);
    let own = own.iter().flat_map(|(_, data): &(bool, ArrayRef)| data.as_struct().columns().to_vec());
    let columns = envelope.into_iter().map(|(_, column)| column).chain(own).collect();
    Ok(RecordBatch::try_new(Arc::clone(table), columns)?)
}

/// A Parquet file. The same rows make the same bytes, however they came in batches: nothing else is accepted as theirs.
pub(crate) fn write(table: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ExportError> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let properties = DISTINCT.iter().fold(properties, |properties, column| {
        properties.set_column_dictionary_enabled(ColumnPath::from(*column), false)
    });
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, Arc::clone(table), Some(properties.build()))?;
    writer.write(&concat_batches(table, batches)?)?;
    writer.close()?;
    Ok(file)
}
