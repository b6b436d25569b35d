//! What the `data` of events looks like, as JSON Schema: `domain/schemas`, by the name of an event and the version of its form.

use poem::http::StatusCode;
use poem::web::{Json, Path};
use poem::{IntoResponse, Response, handler};
use rust_embed::RustEmbed;
use serde_json::{Value, json};

use crate::problem::Problem;

#[derive(RustEmbed)]
#[folder = "../domain/schemas"]
struct Files;

/// The schema of a form of an event; its `$id` is the event's `dataschema`.
#[must_use]
pub fn event_schema(event_type: &str, version: &str) -> Option<Value> {
    serde_json::from_slice(&Files::get(&format!("{event_type}.{version}.json"))?.data).ok()
}

/// Whether there are, or were, events of a name.
pub(crate) fn is_event(name: &str) -> bool {
    Files::get(&format!("{name}.1.json")).is_some()
}

/// Every schema that there is.
#[handler]
pub(crate) fn list() -> Json<Value> {
    let names = Files::iter().filter_map(|file| {
        let (event_type, version) = file.strip_suffix(".json")?.split_once('.')?;
        Some(json!({ "type": event_type, "version": version, "url": format!("/schemas/{event_type}/{version}") }))
    });
    Json(json!({ "items": names.collect::<Vec<_>>() }))
}

/// One of them.
#[handler]
pub(crate) fn describe(Path((event_type, version)): Path<(String, String)>) -> Response {
    match event_schema(&event_type, &version) {
        Some(schema) => Json(schema).with_content_type("application/schema+json").into_response(),
        None => Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such schema").to_response(),
    }
}
