//! The event streams as an AsyncAPI document, <https://www.asyncapi.com/docs/reference/specification/v3.1.0>: made from the
//! events of the domain and the schemas of their forms.

use std::fmt::Write;
use std::sync::LazyLock;

use domain::event_names;
use journal::{event_forms, event_schema};
use poem::handler;
use poem::web::{Html, Json};
use serde_json::{Map, Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// An event, and which kind of aggregate it is of.
struct Event {
    name: &'static str,
    aggregate: &'static str,
    /// By the version of the form, the oldest first.
    forms: Vec<(String, Value)>,
}

impl Event {
    fn all() -> Vec<Self> {
        let names = event_names().into_iter().flat_map(|(kind, names)| names.iter().map(move |name| (kind, *name)));
        names.map(|(aggregate, name)| Self { name, aggregate, forms: forms(name) }).collect()
    }

    /// What it means.
    fn description(&self) -> &str {
        self.forms.last().and_then(|(_, schema)| schema["description"].as_str()).unwrap_or_default()
    }

    fn subject(&self) -> String {
        format!("events.{}.{}.{{lane}}", self.aggregate, self.name)
    }

    fn channel(&self) -> Value {
        let message = format!("#/components/messages/{}", self.name);
        json!({
            "address": self.subject(),
            "description": self.description(),
            "messages": { self.name: { "$ref": message } },
            "parameters": { "lane": { "$ref": "#/components/parameters/lane" } },
        })
    }

    fn operation(&self) -> Value {
        let channel = format!("#/channels/{}", self.name);
        json!({
            "action": "send",
            "description": self.description(),
            "channel": { "$ref": channel },
            "messages": [{ "$ref": format!("{channel}/messages/{}", self.name) }],
        })
    }

    fn message(&self) -> Value {
        let forms = self.forms.iter().map(|(version, _)| json!({ "$ref": reference(self.name, version) }));
        let own = json!({
            "type": "object",
            "properties": {
                "type": { "const": self.name },
                "aggregate": { "const": self.aggregate },
                "data": { "anyOf": forms.collect::<Vec<_>>() },
            },
        });
        json!({
            "name": self.name,
            "title": self.name,
            "summary": self.description(),
            "contentType": "application/cloudevents+json",
            "payload": { "allOf": [{ "$ref": "#/components/schemas/Event" }, own] },
        })
    }
}

fn forms(event_type: &str) -> Vec<(String, Value)> {
    let versions = event_forms().filter(|(name, _)| name == event_type).map(|(_, version)| version);
    let mut forms: Vec<_> =
        versions.filter_map(|version| Some((version.clone(), event_schema(event_type, &version)?))).collect();
    forms.sort_by_key(|(version, _)| version.parse::<u32>().unwrap_or_default());
    forms
}

fn reference(event_type: &str, version: &str) -> String {
    format!("#/components/schemas/{event_type}.{version}")
}

/// What every event has, whichever it is: the store's form of CloudEvents 1.0.
fn envelope() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let id = |description: &str| json!({ "type": "string", "format": "uuid", "description": description });
    json!({
        "type": "object",
        "description": "A CloudEvent 1.0 in JSON.",
        "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "aggregate",
                     "aggregateid", "aggregateversion", "eventversion", "partitionkey", "data"],
        "properties": {
            "specversion": { "type": "string", "const": "1.0" },
            "id": id("The event's own id."),
            "source": { "type": "string", "const": "/ludoteca" },
            "type": text("The event's name."),
            "subject": text("`<aggregate>/<id>`."),
            "time": { "type": "string", "format": "date-time", "description": "When it was recorded, in microseconds." },
            "datacontenttype": { "type": "string", "const": "application/json" },
            "dataschema": text("The `$id` of the schema of `data`; `GET /schemas/{type}/{version}` gives it."),
            "aggregate": text("Which kind of aggregate."),
            "aggregateid": id("Which aggregate."),
            "aggregateversion": { "type": "integer", "minimum": 1, "description": "Its number within the aggregate." },
            "eventversion": text("The version of the form of `data`."),
            "partitionkey": id("What it stays in order with: for a payment its order, else its own aggregate."),
            "correlationid": text("The same for everything that follows from one request."),
            "causationid": text("The event that it follows from."),
            "traceparent": text("The trace of the request that it began with (W3C Trace Context)."),
            "previoushash": {
                "type": "string",
                "contentEncoding": "base64",
                "description": "The hash of the event before (RFC 6962 leaf hash of its bytes); the first has none.",
            },
            "data": { "type": "object", "description": "What happened." },
        },
    })
}

fn document() -> Value {
    let events = Event::all();
    let each = |part: fn(&Event) -> Value| -> Map<String, Value> {
        events.iter().map(|event| (event.name.to_owned(), part(event))).collect()
    };
    let mut schemas = Map::from_iter([("Event".to_owned(), envelope())]);
    for event in &events {
        for (version, schema) in &event.forms {
            let mut schema = schema.clone();
            // Each stands alone where it is served; here it is a part.
            if let Some(fields) = schema.as_object_mut() {
                fields.retain(|name, _| !name.starts_with('$'));
            }
            schemas.insert(format!("{}.{version}", event.name), schema);
        }
    }
    json!({
        "asyncapi": "3.1.0",
        "id": "urn:ludoteca:events",
        "info": {
            "title": "Events of Ludoteca",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Everything that happens in the store, in one order: the JetStream stream EVENTS, which analysts \
                            read by their login. Readers ignore fields that they do not know; a form that was published \
                            only ever gains such as may be missing.",
            "license": { "name": "MIT", "url": "https://spdx.org/licenses/MIT.html" },
            "contact": { "name": "Ludoteca" },
            "tags": [{ "name": "Events", "description": "What happened." }],
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "nats": {
                "host": "localhost:4222",
                "protocol": "nats",
                "description": "The store's NATS server; the user `analyst` reads EVENTS and nothing else.",
                "security": [{ "$ref": "#/components/securitySchemes/analyst" }],
            },
        },
        "channels": each(Event::channel),
        "operations": each(Event::operation),
        "components": {
            "messages": each(Event::message),
            "schemas": schemas,
            "parameters": {
                "lane": {
                    "description": "The last digit of `partitionkey`: what belongs together has one lane.",
                    "enum": "0123456789abcdef".chars().map(String::from).collect::<Vec<_>>(),
                },
            },
            "securitySchemes": { "analyst": { "type": "userPassword", "description": "User and password of the server." } },
        },
    })
}

/// The document.
#[must_use]
pub fn asyncapi_document() -> &'static Value {
    &DOCUMENT
}

/// The document, served.
#[handler]
pub(crate) fn describe() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// A page to read it on.
#[handler]
pub(crate) fn read() -> Html<&'static str> {
    static PAGE: LazyLock<String> = LazyLock::new(page);
    Html(&PAGE)
}

fn page() -> String {
    let sections = Event::all().iter().map(section).collect::<String>();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Events of Ludoteca</title>\
         <meta name=\"viewport\" content=\"width=device-width\"></head><body><h1>Events of Ludoteca</h1>\
         <p>Everything that happens in the store. The same as an AsyncAPI document: <a href=\"/asyncapi.json\">asyncapi.json</a>. \
         Requests are described at <a href=\"/docs\">/docs</a>.</p>{sections}</body></html>"
    )
}

fn section(event: &Event) -> String {
    let (name, description, subject) = (event.name, escaped(event.description()), event.subject());
    let Some((version, schema)) = event.forms.last() else { return String::new() };
    let mut rows = String::new();
    fields(schema, "", &mut rows);
    format!(
        "<section id=\"{name}\"><h2>{name}</h2><p>{description}</p>\
         <p><code>{subject}</code>, version {version} (<a href=\"/schemas/{name}/{version}\">schema</a>)</p>\
         <table><thead><tr><th>field</th><th>type</th><th>meaning</th></tr></thead><tbody>{rows}</tbody></table></section>"
    )
}

/// A row for each field, those within others by their path.
fn fields(schema: &Value, path: &str, rows: &mut String) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let is_list = field["items"].is_object();
        let types = field["type"].as_array().into_iter().flatten().chain([&field["type"]]).filter_map(Value::as_str);
        let kind = field["format"].as_str().or(types.into_iter().find(|name| *name != "null")).unwrap_or("one of");
        let meaning = escaped(field["description"].as_str().unwrap_or_default());
        // Writing to a text cannot fail.
        let _ = write!(rows, "<tr><td><code>{path}</code></td><td>{kind}</td><td>{meaning}</td></tr>");
        fields(if is_list { &field["items"] } else { field }, &path, rows);
    }
}

fn escaped(text: &str) -> String {
    html_escape::encode_text(text).into_owned()
}
