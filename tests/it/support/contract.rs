//! Every answer that [`super::Answer`] reads, held to the OpenAPI document: its status is one that the operation can have,
//! and its body has the media type and the form that are described. Headers are not compared.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use journal::Position;
use jsonschema::Validator;
use ludoteca::export::{ExportArgs, From};
use ludoteca::verify::Finding;
use serde_json::{Value, json};

use super::TestApp;

static DOCUMENT: LazyLock<&Value> = LazyLock::new(gateway::openapi_document);

/// Panics where an answer of the API is not as described. What is no part of the API is passed over, and methods that it
/// has not.
#[track_caller]
pub fn hold(method: &str, path: &str, status: u16, media_type: &str, body: &Value) {
    let Some((template, operation)) = gateway::openapi_operation(method, path) else { return };
    if status == 405 {
        return;
    }
    let described = &operation["responses"][status.to_string()];
    assert!(described.is_object(), "{method} {template} is not described to answer {status}: {body}");
    let described = match described["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap(),
        None => described,
    };
    if method == "HEAD" {
        return;
    }
    let Some(content) = described["content"].as_object() else {
        assert_eq!(body, "", "{method} {template} {status} is not described to have a body");
        return;
    };
    let media_type = media_type.split(';').next().unwrap_or_default();
    let schema = content.get(media_type);
    let schema = schema.unwrap_or_else(|| panic!("{method} {template} {status} is not described as {media_type}"));
    if !media_type.ends_with("/json") && !media_type.ends_with("+json") {
        return;
    }
    let validator = validator(&format!("{method} {template} {status}"), &schema["schema"]);
    let wrong: Vec<String> =
        validator.iter_errors(body).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{method} {template} {status} is not as described: {wrong:?}\n{body}");
}

fn validator(of: &str, schema: &Value) -> Arc<Validator> {
    static KNOWN: Mutex<Option<HashMap<String, Arc<Validator>>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap();
    let known = known.get_or_insert_default();
    let build = || {
        let is_whole = schema["components"].is_object();
        let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        let whole = if is_whole { schema } else { &whole };
        Arc::new(jsonschema::options().should_validate_formats(true).build(whole).unwrap())
    };
    known.entry(of.to_owned()).or_insert_with(build).clone()
}

/// Panics where an event is not as the schema of its form and the description of the stream say.
pub async fn hold_events(app: &TestApp) {
    let events = app.foundation.journal().committed_after(Position::default(), i64::MAX).await.unwrap();
    for event in &events {
        let name = format!("{}.{}", event.event_type, event.event_version);
        let schema = journal::event_schema(&event.event_type, &event.event_version);
        let schema = schema.unwrap_or_else(|| panic!("{name} has no schema"));
        let payload = serde_json::from_str(event.payload.get()).unwrap();
        hold_to(&name, &schema, &payload);
        let described = gateway::asyncapi_document();
        let message = &described["components"]["messages"][&event.event_type]["payload"];
        let whole = json!({ "allOf": [message], "components": described["components"] });
        hold_to(&format!("message {name}"), &whole, &serde_json::to_value(event.to_cloud_event()).unwrap());
    }
}

fn hold_to(name: &str, schema: &Value, value: &Value) {
    let wrong: Vec<String> = validator(name, schema).iter_errors(value).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:?}\n{value}");
}

/// An export has all that the mirror has, to the byte; and what DuckDB makes of it is what the read models say.
pub async fn hold_export(app: &TestApp) {
    let folder = app.folder().join("export");
    let (to, nats_url) = (folder.display().to_string(), Some(app.nats.url().into()));
    ludoteca::export::run(&ExportArgs { to, from: From::Mirror, nats_url, database_url: None }).await.unwrap();
    let manifest = export::manifest_of(&folder).unwrap();
    let mut reader = export::Reader::new(&folder, &manifest);
    let mut replay = app.foundation.shared.nats.replay(nats::EVENTS, ">", 1);
    let mut mirrored = Vec::new();
    while (mirrored.len() as u64) < manifest.last {
        mirrored.extend(replay.next_batch().await.unwrap());
    }
    for stored in mirrored.iter().take_while(|stored| stored.sequence <= manifest.last) {
        let read = reader.next_event().unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&read.body), String::from_utf8_lossy(&stored.payload));
        assert_eq!(read.position, stored.sequence);
    }
    assert!(reader.next_event().unwrap().is_none(), "no event more");
    assert_duckdb(app, &folder).await;
}

async fn assert_duckdb(app: &TestApp, folder: &Path) {
    if std::env::var_os("PEERS").is_none() {
        // `export.rs` says that it is skipped.
        return;
    }
    for Finding { what, differences, .. } in ludoteca::verify::models(app.pool(), folder).await.unwrap() {
        assert_eq!(differences, 0, "{what}");
    }
}
