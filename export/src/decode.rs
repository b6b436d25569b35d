//! What JSON has as text and columns have not: ids, and days beyond the year 9999.

use std::sync::Arc;

use arrow_array::builder::{Date32Builder, FixedSizeBinaryBuilder};
use arrow_array::types::Date32Type;
use arrow_array::{Array, ArrayRef};
use arrow_json::ReaderBuilder;
use arrow_json::reader::{ArrayDecoder, Decoder, DecoderContext, DecoderFactory, Tape, TapeElement};
use arrow_schema::{ArrowError, DataType, FieldRef, SchemaRef};
use chrono::NaiveDate;
use uuid::Uuid;

/// How many events make a batch.
const BATCH: usize = 8_192;

/// Reads lines of JSON into columns.
pub(crate) fn decoder(columns: SchemaRef) -> Result<Decoder, ArrowError> {
    let reader = ReaderBuilder::new(columns).with_batch_size(BATCH);
    reader.with_decoder_factory(Arc::new(FromText)).build_decoder()
}

#[derive(Debug)]
struct FromText;

impl DecoderFactory for FromText {
    fn make_default_decoder(
        &self,
        _: &DecoderContext,
        field: &FieldRef,
        _: bool,
    ) -> Result<Option<Box<dyn ArrayDecoder>>, ArrowError> {
        Ok(match field.data_type() {
            DataType::FixedSizeBinary(16) => Some(Box::new(Ids)),
            DataType::Date32 => Some(Box::new(Days)),
            _ => None,
        })
    }
}

/// The text of a value; `None` for none.
fn text<'a>(tape: &Tape<'a>, place: u32, what: &str) -> Result<Option<&'a str>, ArrowError> {
    match tape.get(place) {
        TapeElement::Null => Ok(None),
        TapeElement::String(text) => Ok(Some(tape.get_string(text))),
        _ => Err(tape.error(place, what)),
    }
}

struct Ids;

impl ArrayDecoder for Ids {
    fn decode(&mut self, tape: &Tape<'_>, places: &[u32]) -> Result<ArrayRef, ArrowError> {
        let mut ids = FixedSizeBinaryBuilder::with_capacity(places.len(), 16);
        for place in places {
            match text(tape, *place, "id")?.map(Uuid::try_parse) {
                None => ids.append_null(),
                Some(Ok(id)) => ids.append_value(id.as_bytes())?,
                Some(Err(_)) => return Err(tape.error(*place, "id")),
            }
        }
        Ok(Arc::new(ids.finish()) as Arc<dyn Array>)
    }
}

struct Days;

impl ArrayDecoder for Days {
    fn decode(&mut self, tape: &Tape<'_>, places: &[u32]) -> Result<ArrayRef, ArrowError> {
        let mut days = Date32Builder::with_capacity(places.len());
        for place in places {
            match text(tape, *place, "day")?.map(str::parse::<NaiveDate>) {
                None => days.append_null(),
                Some(Ok(day)) => days.append_value(Date32Type::from_naive_date(day)),
                Some(Err(_)) => return Err(tape.error(*place, "day")),
            }
        }
        Ok(Arc::new(days.finish()) as Arc<dyn Array>)
    }
}
