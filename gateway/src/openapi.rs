//! The OpenAPI document, made from the routes; what their types do not tell is added here: that what may be left out
//! may be null, that unknown fields are refused, and the form of headers and ids.

use std::sync::LazyLock;

use poem::handler;
use poem::web::Json;
use poem_openapi::OpenApiService;
use serde_json::{Map, Value, json};

use crate::routes;

/// The API, with the name that it goes by.
pub(crate) fn service() -> OpenApiService<impl poem_openapi::OpenApi, ()> {
    OpenApiService::new(routes::all(), "Ludoteca", env!("CARGO_PKG_VERSION"))
        .description("An event-sourced online game store.")
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    // Made of what was just written as JSON.
    let mut document = serde_json::from_str(&service().spec()).unwrap_or_default();
    refine(&mut document);
    let asked = asked_for(&document);
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for (name, schema) in schemas.into_iter().flatten() {
        let optional = optional_fields(schema);
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (_, property) in properties.into_iter().flatten().filter(|(field, _)| optional.contains(field)) {
            make_nullable(property);
        }
        if asked.contains(name) && schema.get("properties").is_some() {
            put(schema, &json!({ "additionalProperties": false }));
        }
    }
    document
});

/// The document.
#[handler]
pub(crate) fn describe() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// The methods that a path takes, as `Allow` lists them (RFC 9110, 10.2.1), HEAD wherever GET is; these two for what is no
/// part of the API.
pub(crate) fn allowed(path: &str) -> String {
    let paths = DOCUMENT.get("paths").and_then(Value::as_object);
    let fits = |template: &str| {
        let (mut wanted, mut given) = (template.split('/'), path.trim_end_matches('/').split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given)) if wanted == given || wanted.starts_with('{') => (),
                _ => return false,
            }
        }
    };
    // `/jogos/busca` is no `/jogos/{id}`.
    let templates = paths.into_iter().flatten().filter(|(template, _)| fits(template));
    let closest = templates.min_by_key(|(template, _)| template.matches('{').count());
    let methods = closest.and_then(|(_, methods)| methods.as_object());
    let methods = methods.map(|methods| methods.keys().map(|method| method.to_uppercase()).collect::<Vec<_>>());
    methods.unwrap_or_else(|| vec!["GET".to_owned()]).join(", ").replace("GET", "GET, HEAD")
}

/// What a parameter of a name must look like.
fn form(name: &str) -> Option<Value> {
    Some(match name {
        "id" | "session" => json!({ "format": "uuid" }),
        "limit" => json!({ "minimum": 1, "maximum": 100 }),
        "offset" => json!({ "minimum": 0, "maximum": 10_000 }),
        "Consistency-Token" => json!({ "pattern": "^([0-9]{1,9}:[0-9]{1,18}:[0-9]{1,18})?$" }),
        "If-Match" => json!({ "pattern": "^(\"[0-9]{1,9}\"|\\*)$" }),
        "Stripe-Signature" => json!({ "pattern": "^t=[0-9]{1,10},v1=[0-9a-f]{64}$" }),
        "Idempotency-Key" => json!({ "minLength": 1, "maxLength": 255 }),
        _ => return None,
    })
}

/// Parameters and numbers, wherever they stand.
fn refine(part: &mut Value) {
    if let Some(form) = part.get("in").and(part.get("name")).and_then(Value::as_str).and_then(form)
        && let Some(schema) = part.get_mut("schema")
    {
        put(schema, &form);
    }
    if part.get("name").and_then(Value::as_str) == Some("If-Match") {
        put(part, &json!({ "required": true }));
    }
    match part.get("format").and_then(Value::as_str) {
        Some("naive-date") => put(part, &json!({ "format": "date" })),
        Some("uint32") => put(part, &json!({ "minimum": 0, "maximum": u32::MAX })),
        Some("uint64") => put(part, &json!({ "minimum": 0, "maximum": i64::MAX })),
        _ => (),
    }
    match part {
        Value::Object(fields) => fields.values_mut().for_each(refine),
        Value::Array(items) => items.iter_mut().for_each(refine),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

fn put(schema: &mut Value, more: &Value) {
    if let (Some(schema), Some(more)) = (schema.as_object_mut(), more.as_object()) {
        schema.extend(more.clone());
    }
}

fn optional_fields(schema: &Value) -> Vec<String> {
    let required: Vec<&Value> = schema.get("required").and_then(Value::as_array).into_iter().flatten().collect();
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    fields.map(|(name, _)| name).filter(|name| !required.contains(&&json!(name))).cloned().collect()
}

fn make_nullable(property: &mut Value) {
    // In OpenAPI 3.0 nothing may stand beside a reference.
    if property.get("$ref").is_some() {
        *property = json!({ "allOf": [property.take()] });
    }
    put(property, &json!({ "nullable": true }));
}

/// The schemas that requests are made of.
fn asked_for(document: &Value) -> Vec<String> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    let operations = paths.flat_map(|(_, path)| path.as_object().into_iter().flatten());
    let mut open: Vec<&Value> = operations.filter_map(|(_, operation)| operation.get("requestBody")).collect();
    let none = Map::new();
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object).unwrap_or(&none);
    let mut asked = Vec::new();
    while let Some(part) = open.pop() {
        if let Some(name) = part.as_str().and_then(|text| text.strip_prefix("#/components/schemas/"))
            && !asked.iter().any(|known| known == name)
        {
            asked.push(name.to_owned());
            open.extend(schemas.get(name));
        }
        open.extend(part.as_object().into_iter().flatten().map(|(_, inner)| inner));
        open.extend(part.as_array().into_iter().flatten());
    }
    asked
}
