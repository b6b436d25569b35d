//! The form of parameters and fields: bounds, patterns and examples that their types do not tell. The bounds are those of the
//! domain; what no schema can say (a birth date in the past, a password that is hard to guess) is refused with 422.

use domain::order::{MAX_GAMES, RefundReason};
use domain::payment::MethodToken;
use domain::user::{ApiKeyName, AuthenticatorName};
use domain::{Description, Label, Labels, Name, PersonName, Price, Title};
use serde_json::{Value, json};

use super::put;

/// One line of text, with something in it that is seen.
const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*[^\s\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff][^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$";
/// One line of text, or none.
const LINE_OR_NOTHING: &str = r"^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$";
/// A file whose first line names a column that every catalogue has; all of them, in any order, no pattern tells.
const CATALOGUE: &str = r"^[^\r\n]*title";
/// What the store made, in base64 for URLs.
const OPAQUE: &str = "^[A-Za-z0-9_-]+$";
const ID: &str = "01920b5e-7c3a-7a10-9d5e-3f2b1c0d9e8f";

/// Refines the document, wherever a parameter or a field stands.
pub(super) fn refine(document: &mut Value) {
    let rules = rules();
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for (schema, described) in schemas.into_iter().flatten() {
        let fields = described.get_mut("properties").and_then(Value::as_object_mut);
        for (field, property) in fields.into_iter().flatten() {
            if let Some(rule) = common(field) {
                put(property, &rule);
            }
            let Some(rule) = rules.get(schema).and_then(|rules| rules.get(field)) else { continue };
            if let (Some(_), Some(fields)) = (rule.get("$ref"), property.as_object_mut()) {
                fields.retain(|name, _| name == "description");
            }
            put(property, rule);
        }
    }
    let catalogue = "/paths/~1jogos~1importacao/post/requestBody/content/text~1csv/schema";
    if let Some(catalogue) = document.pointer_mut(catalogue) {
        put(
            catalogue,
            &json!({ "pattern": CATALOGUE, "example": "title,age_rating,price,currency\nArk,12,59.90,BRL\n" }),
        );
    }
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    if let Some(schemas) = schemas {
        schemas.extend(ENUMS.map(|(name, values)| (name.to_owned(), json!({ "type": "string", "enum": values }))));
    }
    walk(document);
}

fn line(min: usize, max: usize) -> Value {
    let pattern = if min == 0 { LINE_OR_NOTHING } else { LINE };
    json!({ "minLength": min, "maxLength": max, "pattern": pattern })
}

fn with(mut rule: Value, more: &Value) -> Value {
    put(&mut rule, more);
    rule
}

fn labels() -> Value {
    json!({ "maxItems": Labels::MAX, "items": with(line(Label::MIN, Label::MAX), &json!({ "type": "string" })) })
}

/// What a field of a name is everywhere.
fn common(field: &str) -> Option<Value> {
    Some(match field {
        "order_id" | "payment_id" | "user_id" => json!({ "format": "uuid", "example": ID }),
        "email" => json!({ "example": "ana@example.com" }),
        "birth_date" => json!({ "example": "1990-05-17" }),
        "currency" => json!({ "pattern": "^[A-Z]{3}$", "example": "BRL" }),
        "amount" => json!({ "example": 5990 }),
        "password" | "current_password" => json!({ "format": "password" }),
        _ => return None,
    })
}

/// What a field of a schema is.
fn rules() -> Value {
    with(accounts(), &trade())
}

fn accounts() -> Value {
    let id = json!({ "format": "uuid", "example": ID });
    let name = with(line(PersonName::MIN, PersonName::MAX), &json!({ "example": "Ana" }));
    let new_password = json!({ "minLength": 15, "maxLength": 128, "example": "fourteen kettles of rain" });
    let guarded_password = json!({ "minLength": 8, "maxLength": 128, "example": "fourteen kettles of rain" });
    let held = with(line(AuthenticatorName::MIN, AuthenticatorName::MAX), &json!({ "example": "my phone" }));
    let known_password = json!({ "example": "fourteen kettles of rain" });
    let address = json!({ "format": "idn-email", "maxLength": 254 });
    json!({
        "NewUser": { "name": name, "email": address, "password": new_password },
        "ChangedUser": { "name": name, "email": address },
        "ForgottenPassword": { "email": address },
        "NewPassword": { "password": guarded_password, "current_password": known_password },
        "PasswordReset": { "password": guarded_password, "token": { "example": "AZIL…" } },
        "Credentials": { "password": known_password, "code": { "example": "123456" } },
        "Authenticator": { "id": id },
        "ApiKey": { "id": id },
        "ApiKeyMade": { "id": id },
        "NewApiKey": {
            "name": with(line(ApiKeyName::MIN, ApiKeyName::MAX), &json!({ "example": "nightly import" })),
            "scopes": { "minItems": 1, "maxItems": 4, "uniqueItems": true },
            "expires_at": { "format": "date-time", "example": "2027-01-01T00:00:00Z" },
        },
        "AuthenticatorAdded": { "id": id },
        "AuthenticatorList": { "recovery_codes": { "minimum": 0, "maximum": 10 } },
        "NewTotp": { "ceremony": id, "name": held, "code": { "example": "123456" } },
        "NewPasskey": { "ceremony": id, "name": held, "credential": { "type": "object" } },
        "PasskeyAnswer": { "ceremony": id, "credential": { "type": "object" } },
        "PasskeyOptions": { "ceremony": id, "options": { "type": "object" } },
        "TotpSetup": { "ceremony": id },
        "User": { "id": id },
        "Session": { "id": id },
        "TypedPassword": { "known": { "maxItems": 8 }, "password": known_password },
        "EmailConfirmation": { "token": { "example": "AZIL…" } },
        "Refresh": { "refresh_token": { "example": "AZIL…" } },
        "Strength": { "score": { "minimum": 0, "maximum": 4 } },
    })
}

fn trade() -> Value {
    let id = json!({ "format": "uuid", "example": ID });
    let ids = json!({ "type": "string", "format": "uuid", "example": ID });
    let price = json!({ "minimum": 0, "maximum": Price::MAX });
    json!({
        "Money": { "amount": price },
        "NewGame": {
            "title": with(line(Title::MIN, Title::MAX), &json!({ "example": "Ark" })),
            "description": { "maxLength": Description::MAX, "example": "Two of every animal." },
            "developer": with(line(Name::MIN, Name::MAX), &json!({ "example": "Small Team" })),
            "publisher": with(line(Name::MIN, Name::MAX), &json!({ "example": "Seven Gulls" })),
            "genres": labels(),
            "tags": labels(),
            "platforms": labels(),
            "age_rating": { "enum": [0, 10, 12, 14, 16, 18], "example": 10 },
            "release_date": { "example": "2024-03-01" },
        },
        "Game": { "id": id, "age_rating": { "enum": [0, 10, 12, 14, 16, 18] } },
        "Hit": { "id": id, "age_rating": { "enum": [0, 10, 12, 14, 16, 18] } },
        "OwnedGame": { "id": id },
        "OrderedGame": { "id": id },
        "SearchResult": { "engine": { "enum": ["postgres", "meilisearch"] } },
        "NewPromotion": {
            "percent": { "minimum": 1, "maximum": 100, "example": 25 },
            "starts_at": { "example": "2026-12-01T00:00:00Z" },
            "ends_at": { "example": "2026-12-08T00:00:00Z" },
        },
        "PaymentMethod": {
            "token": { "minLength": 1, "maxLength": 200, "pattern": MethodToken::PATTERN, "example": "pm_card_visa" },
        },
        "Purchase": { "games": { "minItems": 1, "maxItems": MAX_GAMES, "uniqueItems": true, "items": ids } },
        "Reason": { "reason": with(line(0, 200), &json!({ "example": "the bank was away" })) },
        "NewRefund": {
            "games": { "maxItems": MAX_GAMES, "uniqueItems": true, "items": ids },
            "reason": with(line(RefundReason::MIN, RefundReason::MAX), &json!({ "example": "not as described" })),
        },
        "Refund": { "status": one_of("RefundStatus") },
        "Order": { "id": id, "status": one_of("OrderStatus"), "standing": one_of("Standing"), "age_source": one_of("AgeSource") },
        "Payment": { "id": id, "status": one_of("PaymentStatus") },
        "PaymentBegun": { "status": one_of("PaymentStatus") },
        "Access": { "staff_id": id, "key_id": { "format": "uuid" }, "about": { "format": "uuid" } },
        "Dispute": { "status": one_of("DisputeStatus") },
        "DeadLetter": {
            "class": one_of("DeadLetterClass"),
            "first_at": { "format": "date-time" },
            "failed_at": { "format": "date-time" },
        },
    })
}

/// Names of states that the read models keep as text.
const ENUMS: [(&str, &[&str]); 4] = [
    ("Standing", &["good", "suspended", "revoked"]),
    ("AgeSource", &["self_declared", "staff_confirmed"]),
    ("RefundStatus", &["requested", "refunded", "failed"]),
    ("PaymentStatus", &["initiated", "submitted", "pending", "succeeded", "failed", "cancelled", "refunded"]),
];

fn one_of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// What a parameter of a name must look like.
fn parameter(name: &str) -> Option<Value> {
    let label = || json!({ "maxItems": Labels::MAX, "items": with(line(1, Label::MAX), &json!({ "type": "string" })) });
    Some(match name {
        "id" | "session" | "authenticator" | "key" | "user" | "correlation" | "staff" | "about" => {
            json!({ "format": "uuid" })
        }
        "limit" => json!({ "minimum": 1, "maximum": 100 }),
        "offset" => json!({ "minimum": 0, "maximum": 10_000 }),
        "cursor" => json!({ "pattern": OPAQUE }),
        "year_min" | "year_max" => json!({ "minimum": 1950, "maximum": 2200 }),
        "q" => json!({ "maxLength": 200, "pattern": LINE_OR_NOTHING }),
        "genre" | "tag" | "platform" => label(),
        "Consistency-Token" => json!({ "pattern": "^([0-9]{1,9}:[0-9]{1,18}:[0-9]{1,18})?$" }),
        "If-Match" => json!({ "pattern": "^(\"[0-9]{1,9}\"|\\*)$" }),
        "Stripe-Signature" => json!({ "pattern": "^t=[0-9]{1,10},v1=[0-9a-f]{64}$" }),
        "Idempotency-Key" => json!({ "minLength": 1, "maxLength": 255 }),
        _ => return None,
    })
}

fn walk(part: &mut Value) {
    if let Some(form) = part.get("in").and(part.get("name")).and_then(Value::as_str).and_then(parameter)
        && let Some(schema) = part.get_mut("schema")
    {
        put(schema, &form);
    }
    if part.get("name").and_then(Value::as_str) == Some("If-Match") {
        put(part, &json!({ "required": true }));
    }
    match part.get("format").and_then(Value::as_str) {
        Some("naive-date") => put(part, &json!({ "format": "date" })),
        Some("uint8") => put(part, &json!({ "format": "int32" })),
        Some("uint16") => put(part, &json!({ "format": "int32", "minimum": 0, "maximum": u16::MAX })),
        Some("uint32") => put(part, &json!({ "format": "int64", "minimum": 0, "maximum": u32::MAX })),
        Some("uint64") => put(part, &json!({ "format": "int64", "minimum": 0, "maximum": i64::MAX })),
        _ => (),
    }
    match part {
        Value::Object(fields) => fields.values_mut().for_each(walk),
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::document;

    #[test]
    fn every_value_that_is_sent_has_an_example() {
        let schemas = document()["components"]["schemas"].as_object().unwrap();
        let sent = schemas.iter().filter(|(_, schema)| schema["additionalProperties"] == false);
        for (name, schema) in sent {
            for (field, form) in schema["properties"].as_object().unwrap() {
                let kinds = form["type"].as_array().into_iter().flatten().chain([&form["type"]]);
                let is_value = kinds.into_iter().any(|kind| *kind == "string" || *kind == "integer");
                let is_told = form["example"].is_string() || form["example"].is_number() || form["enum"].is_array();
                assert!(!is_value || is_told, "{name}.{field}");
            }
        }
    }

    #[test]
    fn every_field_that_has_a_rule_here_is_one() {
        for (schema, fields) in rules().as_object().unwrap() {
            for field in fields.as_object().unwrap().keys() {
                let described = &document()["components"]["schemas"][schema]["properties"][field];
                assert!(described.is_object(), "{schema}.{field}");
            }
        }
    }
}
