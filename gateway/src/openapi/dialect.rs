//! From what the framework writes, OpenAPI 3.0, to OpenAPI 3.1 (whose schemas are JSON Schema 2020-12), and what good
//! descriptions have beside: who may call, what an operation does, and no noise.

use serde_json::{Map, Value, json};

use super::operations;

/// Operations that need no access token, and use one where it is sent.
const FOR_ALL: [&str; 3] = ["getGame", "listGames", "searchGames"];

pub(super) fn modernise(document: &mut Value) {
    for (_, _, operation) in operations(document) {
        describe(operation);
        secure(operation);
    }
    modern(document);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("openapi".to_owned(), json!("3.1.0"));
    }
}

/// A short summary, and all that is to be said below it.
fn describe(operation: &mut Map<String, Value>) {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let (summary, description) = (text("summary"), text("description"));
    let whole = if description.is_empty() { summary } else { format!("{summary}\n\n{description}") };
    let short = whole.split([':', '.']).next().unwrap_or_default().trim().to_owned();
    operation.insert("summary".to_owned(), json!(short));
    operation.insert("description".to_owned(), json!(whole));
}

/// Without a word a generated client takes an operation to need a token.
fn secure(operation: &mut Map<String, Value>) {
    let is_for_all = operation.get("operationId").and_then(Value::as_str).is_some_and(|id| FOR_ALL.contains(&id));
    let otherwise = if is_for_all { json!([{}, { "SignedIn": [] }]) } else { json!([]) };
    operation.entry("security").or_insert(otherwise);
}

fn modern(part: &mut Value) {
    match part {
        Value::Object(fields) => {
            fields.values_mut().for_each(modern);
            unwrap_reference(fields);
            let is_nullable = fields.remove("nullable") == Some(json!(true));
            fields.retain(|name, value| !says_nothing(name, value));
            rename(fields, "content", |media_type| media_type.split(';').next().unwrap_or_default().to_owned());
            rename(fields, "headers", header_name);
            if is_nullable {
                make_nullable(part);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(modern),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// In 3.1 a description may stand beside a reference.
fn unwrap_reference(fields: &mut Map<String, Value>) {
    let Some(Value::Array(parts)) = fields.get("allOf") else { return };
    let references = parts.iter().filter(|part| part.get("$ref").is_some()).count();
    let others = parts.iter().all(|part| {
        part.as_object().is_some_and(|part| part.keys().all(|name| ["$ref", "description"].contains(&name.as_str())))
    });
    if references == 1
        && others
        && let Some(Value::Array(parts)) = fields.remove("allOf")
    {
        for part in parts {
            fields.extend(part.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
        }
    }
}

fn says_nothing(name: &str, value: &Value) -> bool {
    matches!((name, value), ("deprecated", Value::Bool(false)) | ("explode", Value::Bool(true)))
}

fn rename(fields: &mut Map<String, Value>, of: &str, name: impl Fn(&str) -> String) {
    if let Some(Value::Object(held)) = fields.get_mut(of)
        && held.values().all(Value::is_object)
    {
        *held = std::mem::take(held).into_iter().map(|(key, value)| (name(&key), value)).collect();
    }
}

/// As its standard writes it.
fn header_name(name: &str) -> String {
    match name.to_lowercase().as_str() {
        "etag" => return "ETag".to_owned(),
        "www-authenticate" => return "WWW-Authenticate".to_owned(),
        _ => (),
    }
    let word = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => format!("{}{}", first.to_uppercase(), rest.to_lowercase()),
        None => String::new(),
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

fn make_nullable(property: &mut Value) {
    let Some(fields) = property.as_object_mut() else { return };
    if let Some(Value::String(kind)) = fields.get("type") {
        let kinds = json!([kind, "null"]);
        fields.insert("type".to_owned(), kinds);
        return;
    }
    let described = ["description", "example"].map(|name| fields.remove_entry(name));
    let mut wrapped = json!({ "anyOf": [property.take(), { "type": "null" }] });
    if let Some(wrapped) = wrapped.as_object_mut() {
        wrapped.extend(described.into_iter().flatten());
    }
    *property = wrapped;
}
