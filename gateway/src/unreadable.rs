//! A request that cannot be read is refused with each field and parameter that is not as the OpenAPI document says.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::error::{TypeKind, ValidationError, ValidationErrorKind as Kind};
use jsonschema::{JsonType, Validator};
use poem::http::{StatusCode, Uri};
use poem::{Body, Endpoint, IntoResponse as _, Request, Response, Result};
use poem_openapi::error::ParseRequestPayloadError;
use serde_json::{Value, json};

use crate::openapi;
use crate::problem::{Problem, without_types};

/// How many wrong fields are named at most.
const NAMED: usize = 20;
/// How much of a field's name is repeated, which may be anything.
const LONGEST: usize = 100;

/// Looks once more at a request that no route could read.
pub(crate) async fn explained<E: Endpoint>(endpoint: Arc<E>, mut request: Request) -> Result<Response> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let body = request.take_body().into_bytes().await?;
    request.set_body(Body::from_bytes(body.clone()));
    match endpoint.call(request).await {
        Err(error) if error.status() == StatusCode::BAD_REQUEST && !error.is_from_response() => {
            let (template, operation) = openapi::operation(method.as_str(), uri.path()).unzip();
            let problem = match (error.downcast_ref::<ParseRequestPayloadError>(), operation) {
                (Some(error), operation) => of_body(operation, &body, error),
                (None, Some(operation)) => match parameters(operation, template.unwrap_or_default(), &uri) {
                    wrong if wrong.is_empty() => return Err(error),
                    wrong => Problem::unreadable(wrong),
                },
                (None, None) => return Err(error),
            };
            Ok(problem.to_response())
        }
        Err(error) => Err(error),
        Ok(answer) => Ok(answer.into_response()),
    }
}

fn of_body(operation: Option<&Value>, body: &[u8], error: &ParseRequestPayloadError) -> Problem {
    let refused = |detail| Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail);
    let body = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return refused(format!("the body must be JSON: {error}")),
    };
    let form = operation.and_then(|it| it.pointer("/requestBody/content/application~1json/schema/$ref")?.as_str());
    match form.map(|form| wrong(form, &body)).unwrap_or_default() {
        wrong if wrong.is_empty() => refused(format!("the body could not be read: {}", without_types(&error.reason))),
        wrong => Problem::unreadable(wrong),
    }
}

/// What is wrong with the parameters in a path and a query.
fn parameters(operation: &Value, template: &str, uri: &Uri) -> Vec<(String, String)> {
    let query = Request::builder().uri(uri.clone()).finish().params::<Vec<(String, String)>>().unwrap_or_default();
    let path = template.split('/').zip(uri.path().split('/'));
    let path = path.filter_map(|(name, given)| Some((name.strip_prefix('{')?.strip_suffix('}')?, given)));
    let given: Vec<_> = path.chain(query.iter().map(|(name, given)| (name.as_str(), given.as_str()))).collect();
    let described = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let wrong = described.filter_map(|parameter| {
        let (name, schema) = (parameter.get("name")?.as_str()?, parameter.get("schema")?);
        let (_, given) = given.iter().find(|(other, _)| *other == name)?;
        let kinds = schema.get("type").map(ToString::to_string).unwrap_or_default();
        // A list is given one by one.
        let is_list = kinds.contains("array");
        let is_text = !["integer", "number", "boolean"].iter().any(|kind| kinds.contains(kind));
        let text = || Value::String((*given).to_owned());
        let value = if is_text { text() } else { serde_json::from_str(given).unwrap_or_else(|_| text()) };
        let validator = validator(&format!("{template} {name}"), schema).filter(|_| !is_list)?;
        let error = validator.iter_errors(&value).next()?;
        faults(&error, name).into_iter().next()
    });
    wrong.take(NAMED).collect()
}

/// What is wrong with a body that was to have a form of the document, field by field: the first rule that each breaks.
fn wrong(form: &str, body: &Value) -> Vec<(String, String)> {
    let Some(validator) = validator(form, &json!({ "$ref": form })) else { return Vec::new() };
    let mut wrong: Vec<(String, String)> = Vec::new();
    for (field, rule) in validator.iter_errors(body).flat_map(|error| faults(&error, "body")) {
        if wrong.len() < NAMED && wrong.iter().all(|(other, _)| *other != field) {
            wrong.push((field, rule));
        }
    }
    wrong
}

/// The validator of a part of the document, made when somebody first gets it wrong.
fn validator(name: &str, schema: &Value) -> Option<Arc<Validator>> {
    static KNOWN: Mutex<Option<HashMap<String, Arc<Validator>>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(known) = known.get(name) {
        return Some(known.clone());
    }
    let schema = json!({ "allOf": [schema], "components": openapi::document().get("components")? });
    let built = Arc::new(jsonschema::options().should_validate_formats(true).build(&schema).ok()?);
    known.insert(name.to_owned(), built.clone());
    Some(built)
}

/// The fields that an error is about, each with the rule that it breaks. No value that was sent is repeated: it may be
/// secret.
fn faults(error: &ValidationError<'_>, whole: &str) -> Vec<(String, String)> {
    let at = |name: &str| {
        let path = format!("{}/{name}", error.instance_path());
        let path: String = path.trim_matches('/').replace('/', ".").chars().take(LONGEST).collect();
        if path.is_empty() { whole.to_owned() } else { path }
    };
    let rule = match error.kind() {
        Kind::Required { property } => {
            return vec![(at(property.as_str().unwrap_or_default()), "is required".to_owned())];
        }
        Kind::AdditionalProperties { unexpected } => {
            return unexpected.iter().map(|name| (at(name), "is no field of this body".to_owned())).collect();
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => match fitting(context) {
            Some(branch) => return branch.iter().flat_map(|error| faults(error, whole)).collect(),
            None => "matches none of the schemas".to_owned(),
        },
        Kind::Type { kind } => format!("must be {}", types(kind)),
        Kind::Enum { options } => format!("must be one of {}", list(options)),
        Kind::Format { format } => format!("must be {}", in_words(format)),
        Kind::MinLength { limit } => format!("must have at least {limit} character(s)"),
        Kind::MaxLength { limit } => format!("must have at most {limit} characters"),
        Kind::MinItems { limit } => format!("must have at least {limit} entries"),
        Kind::MaxItems { limit } => format!("must have at most {limit} entries"),
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::UniqueItems => "must not have an entry twice".to_owned(),
        _ => "does not match the schema".to_owned(),
    };
    vec![(at(""), rule)]
}

/// Of what a value may be, what it was meant to be: the one whose fixed values it has.
fn fitting<'a>(branches: &'a [Vec<ValidationError<'static>>]) -> Option<&'a [ValidationError<'static>]> {
    let is_another = |error: &ValidationError<'_>| match error.kind() {
        Kind::Enum { .. } | Kind::Constant { .. } => true,
        Kind::Type { kind: TypeKind::Single(kind) } => *kind == JsonType::Null,
        _ => false,
    };
    branches.iter().find(|branch| !branch.iter().any(is_another)).map(Vec::as_slice)
}

fn types(kind: &TypeKind) -> String {
    let kinds: Vec<JsonType> = match kind {
        TypeKind::Single(kind) => vec![*kind],
        TypeKind::Multiple(kinds) => kinds.iter().collect(),
    };
    let words = kinds.into_iter().filter_map(|kind| match kind {
        JsonType::Array => Some("a list"),
        JsonType::Boolean => Some("true or false"),
        JsonType::Integer => Some("a whole number"),
        JsonType::Number => Some("a number"),
        JsonType::Object => Some("an object"),
        JsonType::String => Some("text"),
        // What may be left out may be null.
        JsonType::Null => None,
    });
    words.collect::<Vec<_>>().join(" or ")
}

fn list(options: &Value) -> String {
    let options = options.as_array().into_iter().flatten();
    let words = options.filter(|option| !option.is_null()).map(|option| match option {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        other => Cow::Owned(other.to_string()),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn in_words(format: &str) -> &str {
    match format {
        "uuid" => "a UUID",
        "date" => "a date, such as 2027-01-31",
        "date-time" => "a date and time with a zone, such as 2027-01-01T00:00:00Z",
        "email" => "an e-mail address",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(form: &str, body: &Value) -> Vec<String> {
        wrong(form, body).into_iter().map(|(field, rule)| format!("{field} {rule}")).collect()
    }

    #[test]
    fn every_field_that_cannot_be_read_is_named_with_its_rule() {
        let body = json!({ "title": 7, "price": { "amount": 1.5, "currency": "BRL" }, "tags": "new", "colour": "red" });
        let mut told = told("#/components/schemas/NewGame", &body);
        told.sort();
        assert_eq!(
            told,
            [
                "age_rating is required",
                "colour is no field of this body",
                "price.amount must be a whole number",
                "tags must be a list",
                "title must be text",
            ]
        );
    }

    #[test]
    fn what_may_be_null_or_something_is_held_to_what_it_was_meant_to_be() {
        let body = json!({ "games": ["7"], "payment_method": { "type": "cheque" }, "expected_total": { "amount": 1 } });
        let mut told = told("#/components/schemas/Purchase", &body);
        told.sort();
        assert_eq!(
            told,
            [
                "expected_total.currency is required",
                "games.0 must be a UUID",
                "payment_method.type must be one of card, pix",
            ]
        );
    }
}
