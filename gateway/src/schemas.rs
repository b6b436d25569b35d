//! The schemas of events, as documents.

use journal::{event_forms, event_schema};
use poem::http::StatusCode;
use poem::web::{Json, Path};
use poem::{IntoResponse, Response, handler};
use serde_json::{Value, json};

use crate::problem::Problem;

/// Every schema that there is.
#[handler]
pub(crate) fn list() -> Json<Value> {
    let schemas = event_forms().map(|(event_type, version)| {
        let url = format!("/schemas/{event_type}/{version}");
        json!({ "type": event_type, "version": version, "url": url })
    });
    Json(json!({ "items": schemas.collect::<Vec<_>>() }))
}

/// One of them.
#[handler]
pub(crate) fn describe(Path((event_type, version)): Path<(String, String)>) -> Response {
    match event_schema(&event_type, &version) {
        Some(schema) => Json(schema).with_content_type("application/schema+json").into_response(),
        None => Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such schema").to_response(),
    }
}
