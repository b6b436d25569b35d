//! What the `data` of events looks like, as JSON Schema: `domain/schemas`, by the name of an event and the version of its form.

use domain::event_names;
use rust_embed::RustEmbed;
use serde_json::Value;

#[derive(RustEmbed)]
#[folder = "../domain/schemas"]
struct Files;

/// The schema of a form of an event; its `$id` is the event's `dataschema`.
#[must_use]
pub fn event_schema(event_type: &str, version: &str) -> Option<Value> {
    serde_json::from_slice(&Files::get(&format!("{event_type}.{version}.json"))?.data).ok()
}

/// Every form that an event was ever stored in: its name and the version of the form, sorted.
pub fn event_forms() -> impl Iterator<Item = (String, String)> {
    Files::iter().filter_map(|file| {
        let (event_type, version) = file.strip_suffix(".json")?.split_once('.')?;
        Some((event_type.to_owned(), version.to_owned()))
    })
}

/// The kind of aggregate that events of a name are of.
#[must_use]
pub fn aggregate_of(event_type: &str) -> Option<&'static str> {
    event_names().into_iter().find(|(_, names)| names.contains(&event_type)).map(|(kind, _)| kind)
}

/// Whether there are, or were, events of a name.
#[must_use]
pub fn is_event(name: &str) -> bool {
    Files::get(&format!("{name}.1.json")).is_some()
}
