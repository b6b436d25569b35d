use std::sync::Arc;

use chrono::{DateTime, Utc};
use commands::Actor;
use domain::{OrderId, PaymentId, UserId};
use nats::PAYMENT_QUESTION;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use projections::payments::PaymentView;

use super::Tag;
use super::orders::MethodDto;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract::{self, ConsistencyToken, IdempotencyKey, MoneyDto};
use crate::problem::Problem;
use crate::strict::Str;

pub(crate) struct Payments;

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct PayAgain {
    order_id: Str,
    payment_method: MethodDto,
}

#[derive(Object)]
struct PaymentBegun {
    payment_id: String,
    status: String,
}

#[derive(Object)]
#[oai(rename = "Failure")]
struct FailureDto {
    code: String,
    message: String,
}

/// What the payer has to do.
#[derive(Object)]
#[oai(rename = "NextAction")]
struct NextActionDto {
    /// Such as `pix_display_qr_code`.
    #[oai(rename = "type")]
    kind: String,
    /// The code to show or to copy.
    code: Option<String>,
    expires_at: Option<DateTime<Utc>>,
}

/// A payment.
#[derive(Object)]
struct Payment {
    id: String,
    order_id: String,
    /// `initiated`, `submitted`, `pending`, `succeeded`, `failed`, `cancelled` or `refunded`.
    status: String,
    amount: MoneyDto,
    psp_reference: Option<String>,
    failure: Option<FailureDto>,
    next_action: Option<NextActionDto>,
}

#[derive(ApiResponse)]
enum Accepted {
    /// Another payment is under way.
    #[oai(status = 202)]
    Payment(
        Json<PaymentBegun>,
        #[oai(header = "Location")] String,
        #[oai(header = "Consistency-Token")] Option<String>,
        #[oai(header = "Idempotent-Replayed")] Option<String>,
    ),
}

#[OpenApi(prefix_path = "/pagamento", tag = "Tag::Payments")]
impl Payments {
    /// Pay an order again whose payment failed.
    #[oai(path = "/", method = "post", operation_id = "payOrder")]
    async fn pay(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        body: Json<PayAgain>,
        #[oai(name = "Idempotency-Key")] idempotency_key: IdempotencyKey,
    ) -> Result<Accepted, Problem> {
        let order = OrderId::parse(&body.order_id).map_err(|rule| Problem::field("order_id", rule))?;
        let method = body.payment_method.parse()?;
        let context = extract::context(&store, actor, "/pagamento", &idempotency_key, &body.0)?;
        let receipt = store.commands.pay_again(&context, order, method).await?;
        let (payment, replayed) = (PaymentId::from_uuid(receipt.id), extract::replayed(receipt.replayed));
        let begun = PaymentBegun { payment_id: payment.to_string(), status: "initiated".to_owned() };
        let (location, token) = (format!("/pagamento/{payment}"), extract::token(receipt.position));
        Ok(Accepted::Payment(Json(begun), location, token, replayed))
    }

    /// A payment of one's own; any for admins.
    #[oai(path = "/:id", method = "get", operation_id = "getPayment")]
    async fn get(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        #[oai(name = "Consistency-Token")] consistency_token: ConsistencyToken,
    ) -> Result<Json<Payment>, Problem> {
        find(&store, actor, &id, &consistency_token).await
    }

    /// The same question in the form that the store's brief gave it.
    #[oai(path = "/:id", method = "post", operation_id = "queryPayment")]
    async fn query(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        #[oai(name = "Consistency-Token")] consistency_token: ConsistencyToken,
    ) -> Result<Json<Payment>, Problem> {
        find(&store, actor, &id, &consistency_token).await
    }
}

async fn find(store: &Store, actor: Actor, id: &str, token: &ConsistencyToken) -> Result<Json<Payment>, Problem> {
    let payment = extract::path_id(PaymentId::parse(id))?;
    extract::caught_up(store, token, "payments").await?;
    let view = projections::payments::find(store.pool(), payment).await?.ok_or_else(Problem::not_found)?;
    actor.must_own(UserId::from_uuid(view.user_id))?;
    refresh(store, &view).await;
    Ok(Json(view.into()))
}

/// Has a payment that may be out of date asked about; the answer comes as an event, to this reader and all others.
async fn refresh(store: &Store, view: &PaymentView) {
    let unsettled = matches!(view.status.as_str(), "initiated" | "submitted" | "pending");
    let age = store.commands.clock().now().signed_duration_since(view.updated_at).to_std().unwrap_or_default();
    if unsettled
        && age > store.payment_stale
        && let Err(error) = store.nats.question(PAYMENT_QUESTION, view.payment_id.to_string()).await
    {
        tracing::debug!(%error, "Nobody was asked about a payment");
    }
}

impl From<PaymentView> for Payment {
    fn from(view: PaymentView) -> Self {
        Self {
            id: view.payment_id.to_string(),
            order_id: view.order_id.to_string(),
            status: view.status,
            amount: MoneyDto::of(view.amount, view.currency),
            psp_reference: view.psp_reference,
            failure: view.failure.map(|failure| FailureDto { code: failure.0.code, message: failure.0.message }),
            next_action: view.next_action.map(|action| NextActionDto {
                kind: action.0.kind,
                code: action.0.code,
                expires_at: action.0.expires_at,
            }),
        }
    }
}
