//! Which errors an operation can give, instead of all that there are. A test holds every answer that the tests see to it.

use poem::http::Method;
use serde_json::{Map, Value, json};

use super::operations;
use crate::limits::Class;

/// What each status means, wherever it is given.
const MEANINGS: [(u16, &str, &str); 13] = [
    (400, "BadRequest", "A header, a parameter or the body is malformed."),
    (401, "Unauthorized", "The access token is missing or invalid, or its login is too old for this."),
    (403, "Forbidden", "The caller's role, or the scopes of their key, do not allow this."),
    (404, "NotFound", "There is no such thing, or none that the caller may know of."),
    (408, "RequestTimeout", "The body did not come in time."),
    (409, "Conflict", "Refused as things stand; `code` says why."),
    (412, "PreconditionFailed", "Somebody else was faster: `If-Match` does not name the current version."),
    (413, "PayloadTooLarge", "The body is larger than the store reads."),
    (415, "UnsupportedMediaType", "The body has another media type."),
    (422, "Unprocessable", "A field breaks a rule; `field` and `detail` say which."),
    (428, "PreconditionRequired", "`If-Match` is missing."),
    (429, "TooManyRequests", "Too many requests; `Retry-After` says when the next one is welcome."),
    (503, "ServiceUnavailable", "Something that the store needs does not answer; try again."),
];

/// What only the storefront, only the PSP or no program may do.
const FORBIDDEN: [&str; 6] = [
    "beginShopSession",
    "beginShopSessionWithPasskey",
    "endShopSession",
    "receiveWebhook",
    "refreshShopSession",
    "registerUser",
];

/// What an aggregate may refuse, or where a consistency token may be another store's.
const CONFLICTS: [&str; 27] = [
    "addPasskey",
    "addTotp",
    "beginPasskey",
    "beginPasskeyLogin",
    "beginShopSessionWithPasskey",
    "buyGames",
    "cancelOrder",
    "cancelPromotion",
    "changePassword",
    "changeRole",
    "confirmBirthDate",
    "confirmEmail",
    "endSessions",
    "eraseUser",
    "logInWithPasskey",
    "makeApiKey",
    "makeRecoveryCodes",
    "payOrder",
    "refundOrder",
    "registerUser",
    "removeAuthenticator",
    "requestEmailConfirmation",
    "resetPassword",
    "retireGame",
    "schedulePromotion",
    "updateGame",
    "updateUser",
];

/// Ways to log in or out, where a bad access token is none of the caller's concern, and no other secret is asked for.
const OPEN: [&str; 7] = [
    "beginPasskeyLogin",
    "confirmEmail",
    "endShopSession",
    "logOut",
    "measurePassword",
    "requestPasswordReset",
    "resetPassword",
];

/// What is public, and kept by who has read it.
const KEPT: [&str; 3] = ["getGame", "getPublicKeys", "listGames"];

/// Leaves each operation the errors that it can give, as references to what all of them share.
pub(super) fn narrow(document: &mut Value) {
    let mut shared = Map::new();
    for (method, path, operation) in operations(document) {
        let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
        let given = statuses(&method, &path, &id, operation);
        let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
        for (status, name, meaning) in MEANINGS {
            let key = status.to_string();
            let own = responses.get(&key).is_some_and(|response| !is_problem(response));
            if let Some(mut described) = responses.remove(&key) {
                if own {
                    responses.insert(key, described);
                    continue;
                }
                if let Some(fields) = described.as_object_mut() {
                    fields.insert("description".to_owned(), json!(meaning));
                }
                shared.entry(name).or_insert(described);
            }
            if given.contains(&status) {
                responses.insert(key, json!({ "$ref": format!("#/components/responses/{name}") }));
            }
        }
        if KEPT.contains(&id.as_str()) {
            responses.insert("304".to_owned(), json!({ "description": "It is still as `If-None-Match` has seen it." }));
        }
        // No method that is described is answered with it.
        responses.remove("405");
    }
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.insert("responses".to_owned(), Value::Object(shared));
    }
}

fn is_problem(response: &Value) -> bool {
    response.pointer("/content/application~1problem+json").is_some()
}

fn statuses(method: &str, path: &str, id: &str, operation: &Map<String, Value>) -> Vec<u16> {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let has_header = |name: &str| {
        parameters.into_iter().flatten().any(|parameter| parameter.get("name").and_then(Value::as_str) == Some(name))
    };
    let has_body = operation.contains_key("requestBody");
    let is_versioned = has_header("If-Match");
    let takes_token = operation.get("security").and_then(Value::as_array).is_some_and(|ways| !ways.is_empty());
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap_or_default();
    let is_asked = parameters.is_some_and(|parameters| !parameters.is_empty());
    let rules = [
        (400, has_body || is_asked),
        (401, !OPEN.contains(&id)),
        // Somebody of another role, or a program whose key is for something else.
        (403, takes_token || FORBIDDEN.contains(&id)),
        (404, path.contains('{') || ["listOrders", "payOrder"].contains(&id)),
        (408, has_body),
        (409, CONFLICTS.contains(&id) || has_header("Consistency-Token")),
        (412, is_versioned),
        (413, has_body || method == Method::POST),
        (415, has_body),
        (422, has_body || is_asked),
        (428, is_versioned),
        (429, Class::of(&method, path).is_some()),
        (503, true),
    ];
    rules.into_iter().filter(|(_, may_be)| *may_be).map(|(status, _)| status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::document;

    #[test]
    fn every_operation_that_is_named_here_is_one() {
        let text = document().to_string();
        for id in FORBIDDEN.iter().chain(&CONFLICTS).chain(&OPEN).chain(&KEPT) {
            assert!(text.contains(&format!("\"operationId\":\"{id}\"")), "{id}");
        }
    }
}
