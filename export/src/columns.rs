//! The columns of a type of event: what CloudEvents says of every event, and what the schemas of its forms say of its data.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::extension::Uuid;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use journal::{event_forms, event_schema};
use serde_json::Value;

use crate::ExportError;

/// Where a line of the stream has what is the event's own.
pub(crate) const DATA: &str = "data";

/// What every event has, by the names that CloudEvents gives it. `aggregateversion` counts from 1, `position` as well.
fn envelope() -> Vec<Field> {
    vec![
        Field::new("position", DataType::Int64, false),
        Field::new("time", time(), false),
        id("id", false),
        id("aggregateid", false),
        Field::new("aggregateversion", DataType::Int64, false),
        Field::new("eventversion", DataType::Utf8, false),
        id("partitionkey", true),
        id("correlationid", true),
        id("causationid", true),
        Field::new("traceparent", DataType::Utf8, true),
    ]
}

/// The columns of a type of event, over all forms that it was ever stored in.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// As a line has them: what is the event's own in `data`.
    pub(crate) line: SchemaRef,
    /// As its table has them: beside each other.
    pub(crate) table: SchemaRef,
}

impl Columns {
    /// The columns of a type of event.
    ///
    /// # Errors
    /// [`ExportError::NoColumn`] where its schemas say what no column can hold.
    pub(crate) fn of(event_type: &str) -> Result<Self, ExportError> {
        let schemas: Vec<Value> = event_forms()
            .filter(|(name, _)| name == event_type)
            .filter_map(|(name, version)| event_schema(&name, &version))
            .collect();
        let DataType::Struct(data) = data_type(event_type, schemas.iter().collect())? else {
            return Err(ExportError::NoColumn(event_type.to_owned()));
        };
        // The table says which type they are of.
        let data: Fields = data.iter().filter(|field| field.name() != "type").cloned().collect();
        let of_line = [envelope(), vec![Field::new(DATA, DataType::Struct(data.clone()), false)]].concat();
        let envelope = envelope().into_iter().map(Arc::new);
        let table: Fields = envelope.chain(data.iter().cloned()).collect();
        Ok(Self { line: Arc::new(Schema::new(of_line)), table: Arc::new(Schema::new(table)) })
    }

    /// The fields that are the event's own.
    pub(crate) fn own(&self) -> Fields {
        match self.line.field_with_name(DATA).map(Field::data_type) {
            Ok(DataType::Struct(own)) => own.clone(),
            _ => Fields::empty(),
        }
    }
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

fn id(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::FixedSizeBinary(16), nullable).with_extension_type(Uuid)
}

/// The column that holds whatever any of the forms describes.
fn data_type(path: &str, forms: Vec<&Value>) -> Result<DataType, ExportError> {
    let forms = alternatives(forms);
    let mut types = forms.iter().map(|form| scalar(form));
    let first = types.next().flatten();
    if let Some(first) = first.filter(|first| types.all(|other| other.as_ref() == Some(first))) {
        return Ok(first);
    }
    if !forms.is_empty() && forms.iter().all(|form| form["properties"].is_object()) {
        let mut fields = BTreeMap::<&String, Vec<&Value>>::new();
        for (name, form) in forms.iter().filter_map(|form| form["properties"].as_object()).flatten() {
            fields.entry(name).or_default().push(form);
        }
        let fields = fields.into_iter().map(|(name, forms)| field(path, name, forms));
        return Ok(DataType::Struct(fields.collect::<Result<_, _>>()?));
    }
    if !forms.is_empty() && forms.iter().all(|form| form["items"].is_object()) {
        let items = forms.iter().map(|form| &form["items"]).collect();
        return Ok(DataType::List(Arc::new(field(path, "item", items)?)));
    }
    Err(ExportError::NoColumn(path.to_owned()))
}

/// A column that may be empty: forms from before did not have it, or not all of an event's kinds have.
fn field(path: &str, name: &str, forms: Vec<&Value>) -> Result<Field, ExportError> {
    let is_id = alternatives(forms.clone()).iter().all(|form| form["format"] == "uuid");
    if is_id {
        return Ok(id(name, true));
    }
    Ok(Field::new(name, data_type(&format!("{path}.{name}"), forms)?, true))
}

/// The forms behind `oneOf` and `anyOf`, without the one that says that there may be nothing.
fn alternatives(forms: Vec<&Value>) -> Vec<&Value> {
    let inner = |form: &'_ Value| ["oneOf", "anyOf"].iter().any(|of| form.get(of).is_some());
    let mut found = Vec::new();
    for form in forms {
        if inner(form) {
            let of = ["oneOf", "anyOf"].iter().filter_map(|of| form[*of].as_array()).flatten();
            found.extend(alternatives(of.collect()));
        } else if form["type"] != "null" {
            found.push(form);
        }
    }
    found
}

/// The type of a single value, where it is one.
fn scalar(form: &Value) -> Option<DataType> {
    let names = form["type"].as_array().map_or_else(|| vec![&form["type"]], |names| names.iter().collect());
    let name = names.into_iter().filter_map(Value::as_str).find(|name| *name != "null")?;
    match (name, form["format"].as_str()) {
        ("string", Some("uuid")) => Some(DataType::FixedSizeBinary(16)),
        ("string", Some("date-time")) => Some(time()),
        ("string", Some("date")) => Some(DataType::Date32),
        ("string", _) => Some(DataType::Utf8),
        ("integer", Some("uint8")) => Some(DataType::UInt8),
        ("integer", Some("uint32")) => Some(DataType::UInt32),
        ("integer", _) => Some(DataType::Int64),
        ("boolean", _) => Some(DataType::Boolean),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> Vec<String> {
        let mut types: Vec<_> = event_forms().map(|(event_type, _)| event_type).collect();
        types.dedup();
        types
    }

    #[test]
    fn every_event_has_columns_and_none_is_named_twice() {
        for event_type in types() {
            let table = Columns::of(&event_type).unwrap().table;
            let names: std::collections::BTreeSet<_> = table.fields().iter().map(|field| field.name()).collect();
            assert_eq!(names.len(), table.fields().len(), "{event_type}: {names:?}");
        }
    }

    #[test]
    fn ids_times_days_and_money_have_types_of_their_own() {
        let order = Columns::of("OrderCreated").unwrap().table;
        let field = |name: &str| order.field_with_name(name).unwrap();
        assert_eq!(field("time").data_type(), &time());
        assert!(field("buyer").has_valid_extension_type::<Uuid>());
        let DataType::Struct(money) = field("total").data_type() else { panic!("{:?}", field("total")) };
        let money: Vec<_> = money.iter().map(|field| (field.name().as_str(), field.data_type().clone())).collect();
        assert_eq!(money, [("amount", DataType::Int64), ("currency", DataType::Utf8)]);
        let DataType::List(line) = field("lines").data_type() else { panic!("{:?}", field("lines")) };
        assert!(matches!(line.data_type(), DataType::Struct(_)));
    }

    #[test]
    fn an_event_has_the_columns_of_all_its_forms() {
        let registered = Columns::of("UserRegistered").unwrap().table;
        assert_eq!(registered.field_with_name("awaits_confirmation").unwrap().data_type(), &DataType::Boolean);
        let DataType::Struct(profile) = registered.field_with_name("profile").unwrap().data_type() else { panic!() };
        assert!(profile.iter().any(|field| field.name() == "birth_date"));
    }
}
