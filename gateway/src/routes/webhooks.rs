use std::sync::Arc;

use nats::WEBHOOK_WAKE;
use poem::Body;
use poem::http::StatusCode;
use poem::web::Data;
use poem_openapi::param::Header;
use poem_openapi::payload::Binary;
use poem_openapi::{ApiResponse, OpenApi};
use psp::signature;
use serde_json::{Value, json};

use super::Tag;
use crate::Store;
use crate::problem::Problem;

pub(crate) struct Webhooks;

/// What is kept of a delivery: ids. The rest of it, names and addresses among it, is the PSP's to tell when it is asked.
const KEPT: [&str; 3] = ["/data/object/id", "/data/object/payment_intent", "/data/object/metadata/payment_id"];

#[derive(ApiResponse)]
enum Delivered {
    /// Kept, or known already.
    #[oai(status = 200)]
    Ok,
}

#[OpenApi(tag = "Tag::Webhooks")]
impl Webhooks {
    /// A delivery of the PSP. Once this answers 200 it is safe; a duplicate changes nothing.
    #[oai(path = "/webhooks/psp", method = "post", operation_id = "receiveWebhook")]
    async fn deliver(
        &self,
        store: Data<&Arc<Store>>,
        #[oai(name = "Stripe-Signature")] stripe_signature: Header<Option<String>>,
        body: Binary<Body>,
    ) -> Result<Delivered, Problem> {
        let malformed = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "invalid_body", detail);
        let body = body.0.into_bytes().await.map_err(|_| malformed("the body broke off"))?;
        let now = store.commands.clock().now().timestamp().unsigned_abs();
        let header = stripe_signature.0.unwrap_or_default();
        signature::verify(&header, &body, &store.secrets().webhooks, now).map_err(|rule| {
            tracing::warn!(%rule, "Refused a webhook");
            Problem::new(StatusCode::FORBIDDEN, "invalid_signature", rule)
        })?;
        // jsonb has no room for it, and the PSP would deliver it again for days.
        if body.windows(6).any(|window| window == b"\\u0000") {
            return Err(malformed("the body must not contain \\u0000"));
        }
        let event: Value = serde_json::from_slice(&body).map_err(|_| malformed("the body is no JSON"))?;
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        let (Some(id), Some(kind)) = (text("id"), text("type")) else {
            return Err(malformed("the event has no id or no type"));
        };
        if store.commands.vault().keep_delivery(id, kind, &essence(&event)).await?
            && let Err(error) = store.nats.wake(WEBHOOK_WAKE).await
        {
            tracing::debug!(%error, "The webhook function will find the delivery by itself");
        }
        Ok(Delivered::Ok)
    }
}

/// A delivery without what is not kept, in its own shape.
fn essence(event: &Value) -> Value {
    let id = |path: &str| event.pointer(path).filter(|id| id.is_string());
    let [object, intent, payment] = KEPT.map(id);
    json!({ "data": { "object": { "id": object, "payment_intent": intent, "metadata": { "payment_id": payment } } } })
}
