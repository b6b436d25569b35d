//! What stands in columns, as the JSON that it was written from. The other way is `decode.rs`.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType, UInt8Type, UInt32Type};
use arrow_array::{Array, StructArray};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::ExportError;

/// The fields of a row that have a value: a column cannot tell null from absent, and the stream has no nulls.
pub(crate) fn fields(columns: &StructArray, row: usize) -> Result<Map<String, Value>, ExportError> {
    let mut fields = Map::new();
    for (field, column) in columns.fields().iter().zip(columns.columns()) {
        if column.is_valid(row) {
            fields.insert(field.name().clone(), value(column, row)?);
        }
    }
    Ok(fields)
}

fn value(column: &dyn Array, row: usize) -> Result<Value, ExportError> {
    Ok(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).into(),
        DataType::FixedSizeBinary(16) => {
            let id = Uuid::from_slice(column.as_fixed_size_binary().value(row));
            id.map_err(|_| unreadable(column))?.to_string().into()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let time = time(column.as_primitive::<TimestampMicrosecondType>().value(row));
            // As serde writes a time: with as many digits as it needs, by threes.
            time.ok_or_else(|| unreadable(column))?.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
        }
        DataType::Date32 => {
            let day = Date32Type::to_naive_date_opt(column.as_primitive::<Date32Type>().value(row));
            day.ok_or_else(|| unreadable(column))?.to_string().into()
        }
        DataType::Struct(_) => fields(column.as_struct(), row)?.into(),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            if items.null_count() > 0 {
                return Err(unreadable(column));
            }
            (0..items.len()).map(|item| value(&items, item)).collect::<Result<Vec<_>, _>>()?.into()
        }
        _ => return Err(unreadable(column)),
    })
}

/// A time from its microseconds.
pub(crate) fn time(microseconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(microseconds)
}

fn unreadable(column: &dyn Array) -> ExportError {
    ExportError::NoColumn(column.data_type().to_string())
}
