//! The OpenAPI document, made from the routes. What their types do not tell is added: the form of headers, parameters and
//! fields (`fields.rs`), which errors an operation can give (`errors.rs`), and the form of OpenAPI 3.1 (`dialect.rs`).

mod dialect;
mod errors;
mod fields;

use std::sync::LazyLock;

use poem::handler;
use poem::http::Method;
use poem::web::{Html, Json};
use poem_openapi::{ContactObject, LicenseObject, OpenApiService};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::routes;

/// The API, with the name that it goes by.
pub(crate) fn service() -> OpenApiService<impl poem_openapi::OpenApi, ()> {
    OpenApiService::new(routes::all(), "Ludoteca", env!("CARGO_PKG_VERSION"))
        .description("An event-sourced online game store.")
        .server("/")
        .contact(ContactObject::new().name("Ludoteca"))
        .license(LicenseObject::new("MIT").url("https://opensource.org/license/mit"))
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    // Made of what was just written as JSON.
    let mut document = serde_json::from_str(&service().spec()).unwrap_or_default();
    fields::refine(&mut document);
    close(&mut document);
    errors::narrow(&mut document);
    dialect::modernise(&mut document);
    document
});

/// The description of the API, OpenAPI as JSON.
#[must_use]
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// The document.
#[handler]
pub(crate) fn describe() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// A page to read the same document on, and to try the API.
pub(crate) fn explorer() -> String {
    let service = service();
    service.swagger_ui_html().replace(&service.spec(), &DOCUMENT.to_string())
}

/// The page.
#[handler]
pub(crate) fn explore() -> Html<&'static str> {
    static PAGE: LazyLock<String> = LazyLock::new(explorer);
    Html(&PAGE)
}

/// The template of a path, and what it has by method: `/jogos/busca` is no `/jogos/{id}`.
fn of_path(path: &str) -> Option<(&'static str, &'static Map<String, Value>)> {
    let given: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        wanted.len() == given.len()
            && wanted.iter().zip(&given).all(|(wanted, given)| wanted == given || wanted.starts_with('{'))
    };
    let paths = DOCUMENT.get("paths").and_then(Value::as_object)?.iter();
    let (template, methods) =
        paths.filter(|(template, _)| fits(template)).min_by_key(|(template, _)| template.matches('{').count())?;
    Some((template, methods.as_object()?))
}

/// The operation that a request asks for, with the template of its path; HEAD is a GET.
#[must_use]
pub fn operation(method: &str, path: &str) -> Option<(&'static str, &'static Value)> {
    let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
    let (template, methods) = of_path(path)?;
    Some((template, methods.get(&method)?))
}

/// A path for the log: ids are told, anything else that somebody may have typed is not.
pub(crate) fn loggable(method: &Method, path: &str) -> String {
    let Some((template, _)) = operation(method.as_str(), path) else { return "(no operation)".to_owned() };
    let told = |(wanted, given): (&str, &str)| {
        let is_number = matches!(wanted, "{sequence}" | "{number}") && given.parse::<u64>().is_ok();
        let is_id = given == "me" || Uuid::try_parse(given).is_ok() || is_number;
        if is_id { given.to_owned() } else { wanted.to_owned() }
    };
    template.split('/').zip(path.split('/')).map(told).collect::<Vec<_>>().join("/")
}

/// The methods that a path takes, as `Allow` lists them (RFC 9110, 10.2.1), HEAD wherever GET is; these two for what is no
/// part of the API.
pub(crate) fn allowed(path: &str) -> String {
    let methods =
        of_path(path).map(|(_, methods)| methods.keys().map(|method| method.to_uppercase()).collect::<Vec<_>>());
    methods.unwrap_or_else(|| vec!["GET".to_owned()]).join(", ").replace("GET", "GET, HEAD")
}

/// Says of what is sent to the store that unknown fields are refused, and of what may be left out that it may be null.
fn close(document: &mut Value) {
    let asked = asked_for(document);
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for (name, schema) in schemas.into_iter().flatten() {
        let optional = optional_fields(schema);
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (_, property) in properties.into_iter().flatten().filter(|(field, _)| optional.contains(field)) {
            put(property, &json!({ "nullable": true }));
        }
        if asked.contains(name) && schema.get("properties").is_some() {
            put(schema, &json!({ "additionalProperties": false }));
        }
    }
}

fn put(part: &mut Value, more: &Value) {
    if let (Some(part), Some(more)) = (part.as_object_mut(), more.as_object()) {
        part.extend(more.clone());
    }
}

/// Every operation, with its method and path.
fn operations(document: &mut Value) -> impl Iterator<Item = (String, String, &mut Map<String, Value>)> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten();
    paths.flat_map(|(path, methods)| {
        let methods = methods.as_object_mut().into_iter().flatten();
        methods.filter_map(|(method, operation)| Some((method.clone(), path.clone(), operation.as_object_mut()?)))
    })
}

fn optional_fields(schema: &Value) -> Vec<String> {
    let required: Vec<&Value> = schema.get("required").and_then(Value::as_array).into_iter().flatten().collect();
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    fields.map(|(name, _)| name).filter(|name| !required.contains(&&json!(name))).cloned().collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_logged_without_what_somebody_may_have_typed() {
        let id = "01920b5e-7c3a-7a10-9d5e-3f2b1c0d9e8f";
        for (path, logged) in [
            (format!("/users/{id}"), format!("/users/{id}")),
            ("/users/ana@example.com".to_owned(), "/users/{id}".to_owned()),
            ("/users/me".to_owned(), "/users/me".to_owned()),
            // As long as a person's number with the tax office.
            ("/users/12345678909".to_owned(), "/users/{id}".to_owned()),
            ("/dlq/7".to_owned(), "/dlq/7".to_owned()),
            ("/ana@example.com".to_owned(), "(no operation)".to_owned()),
        ] {
            assert_eq!(loggable(&Method::GET, &path), logged, "{path}");
        }
    }

    #[test]
    fn every_list_has_one_shape() {
        let described = document();
        let lists = described["paths"].as_object().unwrap().values().filter_map(|path| path.get("get"));
        let of_items = |operation: &&Value| {
            let id = operation["operationId"].as_str().unwrap();
            id.starts_with("list") || id.starts_with("search")
        };
        let mut seen = 0;
        for list in lists.filter(of_items) {
            let answer = &list["responses"]["200"]["content"];
            let kind = answer.as_object().unwrap().keys().find(|kind| kind.contains("json")).unwrap();
            let reference = answer[kind]["schema"]["$ref"].as_str().unwrap();
            let schema = described.pointer(reference.trim_start_matches('#')).unwrap();
            assert_eq!(schema["properties"]["items"]["type"], "array", "{}", list["operationId"]);
            seen += 1;
        }
        assert!(seen > 8, "{seen}");
    }

    #[test]
    fn no_query_string_holds_personal_data_or_a_reason() {
        let harmless = [
            "about",
            "after",
            "age_max",
            "aggregate",
            "at",
            "class",
            "correlation",
            "count",
            "cursor",
            "exclude_owned",
            "follow",
            "from",
            "genre",
            "id",
            "limit",
            "mine",
            "offset",
            "platform",
            "price_max",
            "price_min",
            "q",
            "retired",
            "role",
            "since",
            "sort",
            "staff",
            "status",
            "tag",
            "to",
            "type",
            "until",
            "user",
            "version",
            "year_max",
            "year_min",
        ];
        let mut document = document().clone();
        for (method, path, operation) in operations(&mut document) {
            let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
            for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
                let name = parameter["name"].as_str().unwrap();
                assert!(harmless.contains(&name), "{method} {path}?{name}");
            }
        }
    }
}
