//! `domain/schemas` holds a JSON Schema of every form that an event was ever stored in: `<type>.<version>.json`. Those of
//! today are made from the stored forms, with the words that stand beside the events; those from before stay as they were.

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::super::version;
use super::corpus;
use crate::game::{self, GameEvent};
use crate::order::{self, OrderEvent};
use crate::payment::{self, PaymentEvent};
use crate::tree_head::{self, TreeHeadEvent};
use crate::user::{self, UserEvent};

fn file(event_type: &str, version: usize) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{event_type}.{version}.json"))
}

fn read(event_type: &str, version: usize) -> Value {
    let file = file(event_type, version);
    let schema = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&schema).unwrap()
}

/// The variants of an event type of the program, by name.
fn variants<E: JsonSchema>() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<E>().to_value();
    let variants = schema["oneOf"].as_array().unwrap().iter();
    variants.map(|variant| (name(variant).to_owned(), variant.clone())).collect()
}

/// As both enums call a variant: events are told apart by `type` where they are stored, and by their one field elsewhere.
fn name(variant: &Value) -> &str {
    let inner = variant["properties"].as_object().unwrap();
    inner.get("type").and_then(|kind| kind["const"].as_str()).unwrap_or_else(|| inner.keys().next().unwrap())
}

/// The schemas of an aggregate's events today: the forms of `S` in the words of `E`.
fn today<S: JsonSchema, E: JsonSchema>() -> Vec<(String, Value)> {
    let words = variants::<E>();
    let forms = variants::<S>().into_iter();
    forms
        .map(|(event_type, mut form)| {
            let words = &words[&event_type];
            form["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
            form["$id"] = json!(format!("urn:ludoteca:event:{event_type}:{}", version(&event_type)));
            form["title"] = json!(event_type);
            form["description"] = words["description"].clone();
            form["properties"]["type"]["description"] = json!("The event's name.");
            let told = &words["properties"][&event_type]["properties"];
            for (field, form) in form["properties"].as_object_mut().unwrap() {
                if let Some(description) = told.get(field).and_then(|told| told.get("description")) {
                    form["description"] = description.clone();
                }
            }
            (event_type, form)
        })
        .collect()
}

fn all() -> Vec<(String, Value)> {
    [
        today::<user::stored::Stored, UserEvent>(),
        today::<game::stored::Stored, GameEvent>(),
        today::<order::stored::Stored, OrderEvent>(),
        today::<payment::stored::Stored, PaymentEvent>(),
        today::<tree_head::stored::Stored, TreeHeadEvent>(),
    ]
    .concat()
}

#[test]
fn every_form_of_today_has_the_schema_that_is_kept() {
    let writes = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
    for (event_type, schema) in all() {
        let version = version(&event_type);
        if writes {
            std::fs::write(file(&event_type, version), format!("{schema:#}\n")).unwrap();
        }
        assert_eq!(read(&event_type, version), schema, "{event_type}: INSTA_UPDATE=always writes it anew");
    }
}

#[test]
fn every_field_and_event_says_what_it_means() {
    fn dumb(schema: &Value, path: &str) -> Vec<String> {
        let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        fields
            .flat_map(|(name, field)| {
                let path = format!("{path}.{name}");
                let own = field.get("description").is_none().then(|| path.clone());
                let inner = field.get("items").unwrap_or(field);
                own.into_iter().chain(dumb(inner, &path)).collect::<Vec<_>>()
            })
            .collect()
    }
    let dumb: Vec<String> = all().iter().flat_map(|(event_type, schema)| dumb(schema, event_type)).collect();
    assert_eq!(dumb, Vec::<String>::new());
    assert!(all().iter().all(|(_, schema)| schema["description"].is_string()));
}

#[test]
fn every_form_ever_stored_is_as_its_schema_says() {
    for entry in corpus() {
        let schema = read(&entry.event_type, entry.version);
        assert_eq!(schema["$id"], format!("urn:ludoteca:event:{}:{}", entry.event_type, entry.version));
        // A day after the year 9999 is no `date` (RFC 3339), and was once taken.
        let is_in_form = !entry.name.ends_with("beyond-todays-rules");
        let validator: Validator = jsonschema::options().should_validate_formats(is_in_form).build(&schema).unwrap();
        let payload: Value = serde_json::from_str(&entry.payload).unwrap();
        let wrong: Vec<String> =
            validator.iter_errors(&payload).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", entry.name);
        let mut other = payload.clone();
        other["type"] = json!("Other");
        assert!(!validator.is_valid(&other), "{} is told apart by its type", entry.name);
    }
}
