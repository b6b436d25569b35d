//! Every answer that [`super::Answer`] reads, held to the OpenAPI document: its status is one that the operation can have,
//! and its body has the media type and the form that are described. Headers are not compared.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};
use sqlx::PgPool;

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
        let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        Arc::new(jsonschema::options().should_validate_formats(true).build(&whole).unwrap())
    };
    known.entry(of.to_owned()).or_insert_with(build).clone()
}

/// Panics where an event is not as its schema says.
pub async fn hold_events(pool: &PgPool) {
    let events = "select event_type, event_version, payload from journal.events";
    let events: Vec<(String, String, Value)> = sqlx::query_as(events).fetch_all(pool).await.unwrap();
    for (event_type, version, payload) in events {
        let name = format!("{event_type}.{version}");
        let schema = gateway::event_schema(&event_type, &version).unwrap_or_else(|| panic!("{name} has no schema"));
        let wrong: Vec<String> =
            validator(&name, &schema).iter_errors(&payload).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}\n{payload}");
    }
}
