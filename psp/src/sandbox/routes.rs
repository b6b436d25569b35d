use std::collections::HashMap;
use std::sync::Arc;

use poem::http::StatusCode;
use poem::web::{Data, Form, Json, Path, Query};
use poem::{Body, EndpointExt, IntoResponse, Request, Response, Route, get, handler, post};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::control::Behaviour;
use super::ledger::{Answered, Entry};
use super::{Sandbox, new_id, seconds_now};
use crate::dispute::{Dispute, DisputeStatus};
use crate::intent::{Intent, IntentStatus, Method, NextAction, PaymentError, PixCode};
use crate::refund::{Refund, RefundStatus};

pub(super) fn routes(sandbox: Arc<Sandbox>) -> impl poem::Endpoint {
    Route::new()
        .at("/v1/payment_intents", get(list).post(create))
        .at("/v1/payment_intents/:id", get(retrieve))
        .at("/v1/payment_intents/:id/confirm", post(confirm))
        .at("/v1/payment_intents/:id/cancel", post(cancel))
        .at("/v1/refunds", get(refunds).post(refund))
        .at("/v1/disputes", get(disputes))
        .at("/v1/disputes/:id", get(dispute).post(respond_to_dispute))
        .at("/control", get(behaviour).put(behave))
        .around(|endpoint, request| async move { guarded(&endpoint, request).await })
        .data(sandbox)
}

/// A status and a JSON body.
type Answer = (StatusCode, Value);

/// An error as Stripe words it. <https://docs.stripe.com/api/errors>
fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    let kind = match (status, code) {
        (_, "idempotency_error") => "idempotency_error",
        (StatusCode::INTERNAL_SERVER_ERROR, _) => "api_error",
        _ => "invalid_request_error",
    };
    (status, json!({ "error": { "type": kind, "code": code, "message": message } }))
}

fn unknown_intent(id: &str) -> Answer {
    error(StatusCode::NOT_FOUND, "resource_missing", &format!("No such payment_intent: {id}"))
}

fn described(intent: &Intent) -> Answer {
    (StatusCode::OK, described_as("payment_intent", intent))
}

/// A page of things, newest first.
fn listed(url: &str, data: &impl serde::Serialize, has_more: bool) -> Answer {
    (StatusCode::OK, json!({ "object": "list", "url": url, "data": data, "has_more": has_more }))
}

/// A thing with the word for what it is.
fn described_as(object: &str, thing: impl serde::Serialize) -> Value {
    let mut body = json!(thing);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("object".to_owned(), json!(object));
    }
    body
}

fn metadata(form: &HashMap<String, String>) -> HashMap<String, String> {
    let named = form.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
        Some((name.to_owned(), value.clone()))
    });
    named.collect()
}

/// Checks the key, and misbehaves where it was told to.
async fn guarded<E: poem::Endpoint>(endpoint: &E, request: Request) -> poem::Result<Response> {
    let Some(sandbox) = request.data::<Arc<Sandbox>>().cloned() else {
        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    let expected = format!("Bearer {}", sandbox.config.key.expose_secret());
    let given = request.header("authorization").unwrap_or_default();
    if !bool::from(given.as_bytes().ct_eq(expected.as_bytes())) {
        return Ok(respond(error(StatusCode::UNAUTHORIZED, "invalid_api_key", "Invalid API key provided")));
    }
    if request.uri().path() == "/control" {
        return Ok(endpoint.call(request).await?.into_response());
    }
    let (latency, fault) = sandbox.control.next();
    tokio::time::sleep(latency).await;
    if let Some(fault) = fault {
        if let Some(answer) = fault.instead().await {
            return Ok(answer);
        }
        done(endpoint, &sandbox, request).await?;
        return std::future::pending().await;
    }
    done(endpoint, &sandbox, request).await
}

/// Answers a repeated idempotency key with the first answer, and everything else with its own.
async fn done<E: poem::Endpoint>(endpoint: &E, sandbox: &Sandbox, mut request: Request) -> poem::Result<Response> {
    let Some(key) = request.header("idempotency-key").map(str::to_owned) else {
        return Ok(endpoint.call(request).await?.into_response());
    };
    let body = request.take_body().into_bytes_limit(64 << 10).await?;
    let fingerprint = format!("{} {}", request.uri().path(), String::from_utf8_lossy(&body));
    request.set_body(Body::from_bytes(body));
    match sandbox.ledger.begin(&key) {
        Some(Answered::Done { request, status, body }) if request == fingerprint => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            return Ok(Response::builder().status(status).content_type("application/json").body(body));
        }
        Some(Answered::Done { .. }) => {
            let message = "Keys for idempotent requests can only be used with the same parameters";
            return Ok(respond(error(StatusCode::BAD_REQUEST, "idempotency_error", message)));
        }
        Some(Answered::InFlight) => {
            return Ok(respond(error(
                StatusCode::CONFLICT,
                "idempotency_key_in_use",
                "The first request is in flight",
            )));
        }
        None => (),
    }
    let response = endpoint.call(request).await?.into_response();
    let status = response.status();
    let body = response.into_body().into_string().await?;
    let answered = Answered::Done { request: fingerprint, status: status.as_u16(), body: body.clone() };
    sandbox.ledger.finish(&key, answered);
    Ok(Response::builder().status(status).content_type("application/json").body(body))
}

fn respond((status, body): Answer) -> Response {
    Json(body).with_status(status).into_response()
}

#[handler]
fn behaviour(sandbox: Data<&Arc<Sandbox>>) -> Response {
    let (behaviour, requests) = (sandbox.control.get(), sandbox.control.requests());
    respond((StatusCode::OK, json!({ "behaviour": behaviour, "requests": requests })))
}

#[handler]
fn behave(sandbox: Data<&Arc<Sandbox>>, wanted: Json<Behaviour>) -> Json<Behaviour> {
    sandbox.control.set(wanted.0.clone());
    if !wanted.webhooks.hold {
        sandbox.webhooks.release(&wanted.0);
    }
    wanted
}

#[handler]
fn create(sandbox: Data<&Arc<Sandbox>>, form: Form<HashMap<String, String>>) -> Response {
    let field = |name: &str| form.0.get(name).map(String::as_str).unwrap_or_default();
    let method = match (field("payment_method_data[type]"), field("payment_method")) {
        ("pix", _) => Method::Pix,
        (_, card) if card.starts_with("pm_card_") => Method::Card(card.to_owned()),
        (_, other) => {
            let message = format!("No such PaymentMethod: {other}");
            return respond(error(StatusCode::BAD_REQUEST, "resource_missing", &message));
        }
    };
    let Some(amount) = field("amount").parse::<i64>().ok().filter(|amount| *amount > 0) else {
        return respond(error(StatusCode::BAD_REQUEST, "parameter_invalid_integer", "amount must be positive"));
    };
    let intent = Intent {
        id: new_id("pi"),
        status: IntentStatus::RequiresConfirmation,
        amount,
        amount_received: None,
        currency: field("currency").to_owned(),
        created: i64::try_from(seconds_now()).unwrap_or(i64::MAX),
        metadata: metadata(&form),
        last_payment_error: None,
        next_action: None,
    };
    sandbox.ledger.put(Entry { intent: intent.clone(), method, confirmations: 0, refunds: vec![], dispute: None });
    respond(described(&intent))
}

#[handler]
fn retrieve(sandbox: Data<&Arc<Sandbox>>, id: Path<String>) -> Response {
    respond(sandbox.ledger.get(&id.0).map_or_else(|| unknown_intent(&id.0), |entry| described(&entry.intent)))
}

/// Which part of a list is asked for.
#[derive(Deserialize)]
pub(super) struct Page {
    starting_after: Option<String>,
    limit: Option<usize>,
    #[serde(rename = "created[gte]")]
    since: Option<i64>,
}

impl Page {
    /// This part of what is listed newest first, and whether there is more.
    pub(super) fn of<T>(&self, newest_first: impl Iterator<Item = T>, id: fn(&T) -> (&str, i64)) -> (Vec<T>, bool) {
        let since = self.since.unwrap_or(0);
        let mut found = newest_first.take_while(|thing| id(thing).1 >= since).peekable();
        if let Some(after) = &self.starting_after {
            while found.next_if(|thing| id(thing).0 != after).is_some() {}
            found.next();
        }
        let page: Vec<T> = found.by_ref().take(self.limit.unwrap_or(10).min(100)).collect();
        (page, found.peek().is_some())
    }
}

#[handler]
fn list(sandbox: Data<&Arc<Sandbox>>, page: Query<Page>) -> Response {
    let (data, has_more) = sandbox.ledger.intents(&page.0);
    respond(listed("/v1/payment_intents", &data, has_more))
}

#[handler]
async fn confirm(sandbox: Data<&Arc<Sandbox>>, id: Path<String>) -> Response {
    let Some(entry) = sandbox.ledger.get(&id.0) else { return respond(unknown_intent(&id.0)) };
    if entry.method == Method::Card("pm_card_timeout".to_owned()) {
        std::future::pending::<()>().await;
    }
    let confirmed = sandbox.ledger.change(&id.0, confirm_entry);
    let Some((answer, event, intent)) = confirmed else { return respond(unknown_intent(&id.0)) };
    if let Some(kind) = event {
        sandbox.deliver(kind, &intent);
    }
    if event == Some("payment_intent.succeeded") && entry.method == Method::Card("pm_card_createDispute".to_owned()) {
        Arc::clone(sandbox.0).dispute_soon(intent.id.clone());
    }
    if intent.status == IntentStatus::RequiresAction {
        Arc::clone(sandbox.0).pay_by_pix_soon(intent.id);
    }
    respond(answer)
}

/// Charges an intent; answers with the event to deliver and the intent as it is afterwards.
fn confirm_entry(entry: &mut Entry) -> (Answer, Option<&'static str>, Intent) {
    use IntentStatus::{RequiresAction, RequiresConfirmation, RequiresPaymentMethod, Succeeded};
    entry.confirmations = entry.confirmations.saturating_add(1);
    let intent = &mut entry.intent;
    if !matches!(intent.status, RequiresConfirmation | RequiresPaymentMethod) {
        let message = format!("This PaymentIntent's status is {}", intent.status);
        let refused = error(StatusCode::BAD_REQUEST, "payment_intent_unexpected_state", &message);
        return (refused, None, intent.clone());
    }
    let event = match &entry.method {
        Method::Pix => {
            intent.status = RequiresAction;
            intent.next_action = Some(pix_code(&intent.id));
            "payment_intent.requires_action"
        }
        Method::Card(token) => match token.as_str() {
            "pm_card_flaky" if entry.confirmations <= 2 => {
                let failed = error(StatusCode::INTERNAL_SERVER_ERROR, "api_error", "Something went wrong");
                return (failed, None, intent.clone());
            }
            "pm_card_visa" | "pm_card_flaky" | "pm_card_pendingRefund" | "pm_card_createDispute" => {
                intent.status = Succeeded;
                intent.last_payment_error = None;
                "payment_intent.succeeded"
            }
            _ => return decline(intent),
        },
    };
    (described(intent), Some(event), intent.clone())
}

fn decline(intent: &mut Intent) -> (Answer, Option<&'static str>, Intent) {
    intent.status = IntentStatus::RequiresPaymentMethod;
    let declined = PaymentError {
        code: Some("card_declined".to_owned()),
        decline_code: Some("generic_decline".to_owned()),
        message: Some("Your card was declined.".to_owned()),
    };
    intent.last_payment_error = Some(declined.clone());
    let mut answer = json!({ "error": declined });
    if let Some(error) = answer.pointer_mut("/error").and_then(Value::as_object_mut) {
        error.insert("type".to_owned(), json!("card_error"));
    }
    let answer = (StatusCode::PAYMENT_REQUIRED, answer);
    (answer, Some("payment_intent.payment_failed"), intent.clone())
}

fn pix_code(intent: &str) -> NextAction {
    let expires_at = i64::try_from(seconds_now().saturating_add(1800)).unwrap_or(i64::MAX);
    let data = format!("00020126580014br.gov.bcb.pix0136{intent}5204000053039865802BR6304");
    NextAction { kind: "pix_display_qr_code".to_owned(), pix_display_qr_code: Some(PixCode { data, expires_at }) }
}

#[handler]
fn cancel(sandbox: Data<&Arc<Sandbox>>, id: Path<String>) -> Response {
    let cancelled = sandbox.ledger.change(&id.0, |entry| {
        if matches!(entry.intent.status, IntentStatus::Succeeded) {
            let message = "You cannot cancel this PaymentIntent because it has succeeded";
            return error(StatusCode::BAD_REQUEST, "payment_intent_unexpected_state", message);
        }
        entry.intent.status = IntentStatus::Canceled;
        entry.intent.next_action = None;
        described(&entry.intent)
    });
    respond(cancelled.unwrap_or_else(|| unknown_intent(&id.0)))
}

#[derive(Deserialize)]
struct RefundsOf {
    payment_intent: Option<String>,
}

#[handler]
fn refunds(sandbox: Data<&Arc<Sandbox>>, of: Query<RefundsOf>, page: Query<Page>) -> Response {
    let (data, has_more) = match &of.payment_intent {
        Some(intent) => match sandbox.ledger.get(intent) {
            Some(entry) => (entry.refunds, false),
            None => return respond(unknown_intent(intent)),
        },
        None => sandbox.ledger.refunds(&page.0),
    };
    respond(listed("/v1/refunds", &data, has_more))
}

#[handler]
fn refund(sandbox: Data<&Arc<Sandbox>>, form: Form<HashMap<String, String>>) -> Response {
    let field = |name: &str| form.0.get(name).map(String::as_str).unwrap_or_default();
    let intent = field("payment_intent");
    let refunded = sandbox.ledger.change(intent, |entry| {
        let left = entry.left();
        let amount = field("amount").parse().unwrap_or(left);
        if entry.intent.status != IntentStatus::Succeeded || amount <= 0 || amount > left {
            let message = format!("Refund amount ({amount}) is greater than unrefunded amount ({left})");
            return (error(StatusCode::BAD_REQUEST, "charge_already_refunded", &message), None);
        }
        if entry.is_disputed() {
            let message = "This charge has been charged back";
            return (error(StatusCode::BAD_REQUEST, "charge_disputed", message), None);
        }
        let slow = entry.method == Method::Card("pm_card_pendingRefund".to_owned());
        let status = if slow { RefundStatus::Pending } else { RefundStatus::Succeeded };
        let (id, payment_intent) = (new_id("re"), intent.to_owned());
        let created = i64::try_from(seconds_now()).unwrap_or(i64::MAX);
        let refund = Refund { id, status, amount, payment_intent, created, metadata: metadata(&form) };
        entry.refunds.push(refund.clone());
        ((StatusCode::OK, described_as("refund", &refund)), slow.then_some(refund.id))
    });
    match refunded {
        Some((answer, None)) => respond(answer),
        Some((answer, Some(pending))) => {
            Arc::clone(sandbox.0).end_refund_soon(intent.to_owned(), pending);
            respond(answer)
        }
        None => respond(unknown_intent(intent)),
    }
}

fn unknown_dispute(id: &str) -> Answer {
    error(StatusCode::NOT_FOUND, "resource_missing", &format!("No such dispute: {id}"))
}

#[handler]
fn dispute(sandbox: Data<&Arc<Sandbox>>, id: Path<String>) -> Response {
    let dispute = sandbox.ledger.dispute(&id.0);
    respond(
        dispute.map_or_else(|| unknown_dispute(&id.0), |dispute| (StatusCode::OK, described_as("dispute", dispute))),
    )
}

#[handler]
fn disputes(sandbox: Data<&Arc<Sandbox>>, page: Query<Page>) -> Response {
    let (data, has_more) = sandbox.ledger.disputes(&page.0);
    respond(listed("/v1/disputes", &data, has_more))
}

/// Evidence decides at once, by the words that Stripe's test mode knows.
/// <https://docs.stripe.com/testing#evidence>
#[handler]
fn respond_to_dispute(sandbox: Data<&Arc<Sandbox>>, id: Path<String>, form: Form<HashMap<String, String>>) -> Response {
    let Some(known) = sandbox.ledger.dispute(&id.0) else { return respond(unknown_dispute(&id.0)) };
    let status = match form.0.get("evidence[uncategorized_text]").map(String::as_str) {
        Some("winning_evidence") => DisputeStatus::Won,
        Some("losing_evidence") => DisputeStatus::Lost,
        _ => known.status,
    };
    let decided = Dispute { status, ..known };
    let intent = decided.payment_intent.as_deref().unwrap_or_default();
    sandbox.ledger.change(intent, |entry| entry.dispute = Some(decided.clone()));
    if status != DisputeStatus::Other {
        sandbox.deliver("charge.dispute.closed", &decided);
    }
    respond((StatusCode::OK, described_as("dispute", decided)))
}
