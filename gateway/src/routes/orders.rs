use std::sync::Arc;

use chrono::{DateTime, Utc};
use commands::{Actor, OrderState, Purchase};
use domain::checkout::Errand;
use domain::order::{CancelReason, RefundReason};
use domain::payment::{MethodToken, PaymentMethod};
use domain::{GameId, OrderId, PaymentId, PaymentWork, Role, UserId};
use nats::Nats;
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use projections::orders::OrderView;

use super::Tag;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract::{self, ConsistencyToken, IdempotencyKey, MoneyDto};
use crate::problem::Problem;
use crate::strict::Str;

pub(crate) struct Orders;

#[derive(Clone, Copy, Enum)]
#[oai(rename = "PaymentMethodType", rename_all = "snake_case")]
enum MethodKind {
    Card,
    Pix,
}

/// How the buyer pays: a card that the PSP knows by a token, or Pix.
#[derive(Object)]
#[oai(rename = "PaymentMethod", deny_unknown_fields)]
pub(crate) struct MethodDto {
    #[oai(rename = "type")]
    kind: MethodKind,
    /// For a card: the PSP's token, such as `pm_card_visa`.
    #[oai(skip_serializing_if_is_none)]
    token: Option<Str>,
}

#[derive(Object)]
#[oai(rename = "Purchase", deny_unknown_fields)]
struct PurchaseDto {
    /// Ids of 1 to 50 distinct games. What they cost, the store knows.
    games: Vec<Str>,
    payment_method: MethodDto,
    /// What the buyer has seen that they cost. Where they cost something else now, nothing is bought, and the problem
    /// (`total_changed`) says what.
    #[oai(skip_serializing_if_is_none)]
    expected_total: Option<MoneyDto>,
}

/// Where an order stands.
#[derive(Clone, Copy, Enum, strum::IntoStaticStr)]
#[oai(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
enum OrderStatus {
    /// A payment is under way.
    AwaitingPayment,
    /// The last payment failed; it can be paid again.
    PaymentFailed,
    /// Its games are the buyer's.
    Completed,
    /// Given up, unpaid.
    Cancelled,
    /// Everything was returned.
    Refunded,
}

#[derive(Object)]
struct PurchaseAccepted {
    order_id: String,
    /// Nothing for a free order.
    payment_id: Option<String>,
    status: OrderStatus,
    total: MoneyDto,
}

#[derive(Object)]
struct OrderedGame {
    id: String,
    title: String,
    price: MoneyDto,
    /// What it would have cost without a promotion, if there was one.
    #[oai(skip_serializing_if_is_none)]
    price_before: Option<MoneyDto>,
}

/// Games on their way back, or back.
#[derive(Object)]
#[oai(rename = "Refund")]
struct RefundDto {
    /// Its number within the order, from 1.
    number: u32,
    /// Ids of games.
    games: Vec<String>,
    amount: MoneyDto,
    /// `requested`, `refunded` or `failed`.
    status: String,
}

/// What is to go back.
#[derive(Object)]
#[oai(rename = "NewRefund", deny_unknown_fields)]
struct RefundWish {
    /// Ids of games of the order; all that are left where none is named.
    #[oai(default)]
    games: Vec<Str>,
    /// Why; for admins, who may refund at any time. 1 to 200 characters.
    #[oai(skip_serializing_if_is_none)]
    reason: Option<Str>,
}

/// A refund that is under way.
#[derive(Object)]
struct RefundAccepted {
    order_id: String,
    /// `completed`, or `refunded` where what came back was free.
    status: OrderStatus,
}

/// An order.
#[derive(Object)]
pub(super) struct Order {
    id: String,
    /// `awaiting_payment`, `payment_failed`, `completed`, `cancelled` or `refunded`.
    status: String,
    total: MoneyDto,
    games: Vec<OrderedGame>,
    /// What was, or is to be, paid back.
    refunds: Vec<RefundDto>,
    /// `good`; `suspended` or `revoked` where the payment is, or was, disputed.
    standing: String,
    /// How the store knew that the buyer was old enough; nothing in older orders.
    age_source: Option<String>,
    payment_id: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Object)]
struct OrderPage {
    items: Vec<Order>,
    next: Option<String>,
}

#[derive(ApiResponse)]
enum Accepted {
    /// The order is placed; its payment is under way.
    #[oai(status = 202)]
    Purchase(
        Json<PurchaseAccepted>,
        #[oai(header = "Location")] String,
        #[oai(header = "Consistency-Token")] Option<String>,
        #[oai(header = "Idempotent-Replayed")] Option<String>,
    ),
}

#[derive(ApiResponse)]
enum Refunding {
    /// The money is on its way back; the games go once that is certain.
    #[oai(status = 202)]
    Accepted(
        Json<RefundAccepted>,
        #[oai(header = "Location")] String,
        #[oai(header = "Consistency-Token")] Option<String>,
        #[oai(header = "Idempotent-Replayed")] Option<String>,
    ),
}

#[derive(ApiResponse)]
enum Cancelled {
    #[oai(status = 204)]
    NoContent(#[oai(header = "Consistency-Token")] Option<String>),
}

#[OpenApi(tag = "Tag::Orders")]
impl Orders {
    /// Buy games.
    #[oai(path = "/jogos/compra", method = "post", operation_id = "buyGames")]
    async fn place(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        body: Json<PurchaseDto>,
        #[oai(name = "Idempotency-Key")] idempotency_key: IdempotencyKey,
    ) -> Result<Accepted, Problem> {
        let payment_method = body.payment_method.parse()?;
        let games = body.games.iter().map(|id| GameId::parse(id)).collect::<Result<Vec<_>, _>>();
        let games = games.map_err(|rule| Problem::field("games", rule))?;
        let expected_total = body.expected_total.as_ref().map(|total| total.of_field("expected_total")).transpose()?;
        let purchase = Purchase { games, payment_method, expected_total };
        let context = extract::context(&store, actor, "/jogos/compra", &idempotency_key, &body.0)?;
        let id = OrderId::from_uuid(store.commands.clock().new_id());
        let placed = store.commands.place_order(&context, id, purchase).await?;
        if let Some(payment) = placed.payment.filter(|_| !placed.replayed) {
            begin_charging(&store.nats, payment, placed.order).await;
        }
        let (id, replayed) = (placed.order, extract::replayed(placed.replayed));
        let accepted = PurchaseAccepted {
            order_id: id.to_string(),
            payment_id: placed.payment.map(|payment| payment.to_string()),
            status: placed.state.into(),
            total: placed.total.into(),
        };
        Ok(Accepted::Purchase(Json(accepted), format!("/pedidos/{id}"), extract::token(placed.position), replayed))
    }

    /// One's own orders, newest first; everybody's for admins.
    #[oai(path = "/pedidos", method = "get", operation_id = "listOrders")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the query")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        /// Only one's own, for admins as well.
        mine: Query<Option<bool>>,
        /// Only this account's, for admins.
        user: Query<Option<String>>,
        /// Only those that stand so.
        status: Query<Option<OrderStatus>>,
        limit: Query<Option<i64>>,
        cursor: Query<Option<String>>,
        #[oai(name = "Consistency-Token")] consistency_token: ConsistencyToken,
    ) -> Result<Json<OrderPage>, Problem> {
        let (limit, after) = extract::page(&limit, &cursor)?;
        extract::caught_up(&store, &consistency_token, "orders").await?;
        let buyer = match actor {
            Actor::User { role: Role::Admin, .. } if mine.0 != Some(true) => None,
            other => Some(other.user().ok_or_else(Problem::not_found)?),
        };
        let wanted = user.0.as_deref().map(UserId::parse).transpose();
        let wanted = wanted.map_err(|rule| Problem::field("user", rule))?;
        if let Some(user) = wanted {
            actor.must_own(user)?;
        }
        let (buyer, status) = (wanted.or(buyer), status.0.map(<&str>::from));
        let page = projections::orders::page(store.pool(), buyer, status, limit, after).await?;
        let items = page.items.into_iter().map(Order::from).collect();
        Ok(Json(OrderPage { items, next: page.next.map(projections::Cursor::encode) }))
    }

    /// An order of one's own; any for admins.
    #[oai(path = "/pedidos/:id", method = "get", operation_id = "getOrder")]
    async fn get(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        #[oai(name = "Consistency-Token")] consistency_token: ConsistencyToken,
    ) -> Result<Json<Order>, Problem> {
        let order = extract::path_id(OrderId::parse(&id))?;
        extract::caught_up(&store, &consistency_token, "orders").await?;
        let view = projections::orders::find(store.pool(), order).await?.ok_or_else(Problem::not_found)?;
        actor.must_own(UserId::from_uuid(view.user_id))?;
        Ok(Json(view.into()))
    }

    /// Give up an order that is not paid. A payment under way is cancelled, or paid back.
    #[oai(path = "/pedidos/:id", method = "delete", operation_id = "cancelOrder")]
    async fn cancel(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<Cancelled, Problem> {
        let order = extract::path_id(OrderId::parse(&id))?;
        let receipt =
            store.commands.cancel_order(&store.commands.context(actor), order, CancelReason::Requested).await?;
        Ok(Cancelled::NoContent(extract::token(receipt.position)))
    }

    /// Return games of a paid order for their money: within some days of the purchase, or at any time by an admin who
    /// says why.
    #[oai(path = "/pedidos/:id/reembolso", method = "post", operation_id = "refundOrder")]
    async fn refund(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        body: Json<RefundWish>,
        #[oai(name = "Idempotency-Key")] idempotency_key: IdempotencyKey,
    ) -> Result<Refunding, Problem> {
        let order = extract::path_id(OrderId::parse(&id))?;
        let games = body.games.iter().map(|id| GameId::parse(id)).collect::<Result<Vec<_>, _>>();
        let games = games.map_err(|rule| Problem::field("games", rule))?;
        let reason = body.reason.as_ref().map(|reason| RefundReason::parse(reason)).transpose();
        let reason = reason.map_err(|rule| Problem::field("reason", rule))?;
        let route = format!("/pedidos/{order}/reembolso");
        let context = extract::context(&store, actor, &route, &idempotency_key, &body.0)?;
        let receipt = store.commands.request_refund(&context, order, games, reason).await?;
        let refunded = matches!(receipt.aggregate, domain::order::Order::Refunded { .. });
        let status = if refunded { OrderStatus::Refunded } else { OrderStatus::Completed };
        let accepted = RefundAccepted { order_id: order.to_string(), status };
        let (token, replayed) = (extract::token(receipt.position), extract::replayed(receipt.replayed));
        Ok(Refunding::Accepted(Json(accepted), format!("/pedidos/{order}"), token, replayed))
    }
}

impl MethodDto {
    pub(crate) fn parse(&self) -> Result<PaymentMethod, Problem> {
        match (self.kind, &self.token) {
            (MethodKind::Pix, None) => Ok(PaymentMethod::Pix),
            (MethodKind::Pix, Some(_)) => Err(Problem::field("payment_method.token", "is for cards only")),
            (MethodKind::Card, token) => {
                let token = MethodToken::parse(token.as_deref().unwrap_or_default());
                let token = token.map_err(|rule| Problem::field("payment_method.token", rule))?;
                Ok(PaymentMethod::Card { token })
            }
        }
    }
}

impl From<OrderState> for OrderStatus {
    fn from(state: OrderState) -> Self {
        match state {
            OrderState::AwaitingPayment => Self::AwaitingPayment,
            OrderState::Completed => Self::Completed,
        }
    }
}

/// Has the worker begin before the event that tells it to has gone round. Where this is lost, only time is.
async fn begin_charging(nats: &Nats, payment: PaymentId, order: OrderId) {
    if !nats.is_connected() {
        return;
    }
    let work = PaymentWork { payment_id: payment, order_id: order };
    let why = Errand::Charge.to_string();
    if let Err(error) = nats.queue_payment_early(&payment.to_string(), &why, work.to_json().into()).await {
        tracing::debug!(%error, payment.id = %payment, "Payment {payment} begins with its event");
    }
}

impl From<OrderView> for Order {
    fn from(view: OrderView) -> Self {
        let games = view.lines.0.into_iter().map(|line| OrderedGame {
            id: line.game.to_string(),
            title: line.title.into(),
            price: line.price.money().into(),
            price_before: line.price_before.map(|price| price.money().into()),
        });
        let refunds = view.refunds.0.into_iter().map(|refund| RefundDto {
            number: refund.number,
            games: refund.games.iter().map(ToString::to_string).collect(),
            amount: MoneyDto::of(refund.amount, view.currency.clone()),
            status: refund.status,
        });
        Self {
            id: view.order_id.to_string(),
            status: view.status,
            games: games.collect(),
            refunds: refunds.collect(),
            standing: view.standing,
            age_source: view.age_source,
            total: MoneyDto::of(view.total, view.currency),
            payment_id: view.payment_id.map(|payment| payment.to_string()),
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}
