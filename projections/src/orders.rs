//! `read.orders`: purchases and where they stand.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::order::{Line, Order, OrderEvent};
use domain::payment::{Payment, PaymentEvent};
use domain::{GameId, OrderId, PaymentId, StoreEvent, UserId};
use journal::once_more;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};
use crate::payments::Unsettled;

/// The projection.
#[derive(Clone)]
pub struct Orders;

impl Projection for Orders {
    const NAME: &'static str = "orders";
    const AGGREGATES: &'static [&'static str] = &[Order::TYPE, Payment::TYPE];

    async fn apply(&self, db: &mut PgConnection, fact: &Fact) -> Result<(), ApplyError> {
        match &fact.event {
            StoreEvent::Order(order, event) => on_order(db, fact, *order, event).await?,
            // The buyer pays again.
            StoreEvent::Payment(payment, PaymentEvent::PaymentInitiated(terms)) => {
                sqlx::query(
                    "update orders set status = 'awaiting_payment', payment_id = $2, updated_at = $3
                     where order_id = $1 and status in ('awaiting_payment', 'payment_failed')",
                )
                .bind(terms.order.as_uuid())
                .bind(payment.as_uuid())
                .bind(fact.at)
                .execute(db)
                .await?;
            }
            StoreEvent::Payment(
                _,
                PaymentEvent::PaymentSubmitted { .. }
                | PaymentEvent::PaymentPending { .. }
                | PaymentEvent::PaymentSucceeded { .. }
                | PaymentEvent::PaymentFailed { .. }
                | PaymentEvent::PaymentCancelled { .. }
                | PaymentEvent::PaymentRedriven(_)
                | PaymentEvent::PaymentDiscarded(_)
                | PaymentEvent::PaymentDisputed { .. }
                | PaymentEvent::PaymentDisputeClosed { .. }
                | PaymentEvent::PaymentRefunded { .. },
            )
            | StoreEvent::User(..)
            | StoreEvent::Game(..) => (),
        }
        Ok(())
    }
}

async fn on_order(db: &mut PgConnection, fact: &Fact, order: OrderId, event: &OrderEvent) -> sqlx::Result<()> {
    let status = match event {
        OrderEvent::OrderCreated { buyer, lines, total, payment_method: _ } => {
            return create(db, fact, order, (*buyer, lines, *total)).await;
        }
        OrderEvent::PurchaseCompleted { .. } => return Ok(()),
        OrderEvent::OrderRefundRequested { number, games, amount, .. } => {
            let refund = RefundView {
                number: *number,
                games: games.clone(),
                amount: amount.amount,
                status: "requested".to_owned(),
            };
            return request_refund(db, fact, order, &refund).await;
        }
        OrderEvent::OrderSuspended { .. } => return stand(db, fact, order, "suspended").await,
        OrderEvent::OrderReinstated { .. } => return stand(db, fact, order, "good").await,
        OrderEvent::OrderRevoked { .. } => {
            sqlx::query(
                r#"update orders set refunds = replace(refunds::text, '"requested"', '"failed"')::jsonb where order_id = $1"#,
            )
            .bind(order.as_uuid())
            .execute(&mut *db)
            .await?;
            return stand(db, fact, order, "revoked").await;
        }
        OrderEvent::OrderRefundFailed { number, .. } => return end_refund(db, fact, order, *number, "failed").await,
        OrderEvent::OrderRefunded { number, whole: false, .. } => {
            return end_refund(db, fact, order, *number, "refunded").await;
        }
        OrderEvent::OrderPaymentFailed { .. } => "payment_failed",
        OrderEvent::OrderCompleted { payment, .. } => {
            sqlx::query("update orders set payment_id = $2 where order_id = $1")
                .bind(order.as_uuid())
                .bind(payment.map(PaymentId::as_uuid))
                .execute(&mut *db)
                .await?;
            "completed"
        }
        OrderEvent::OrderCancelled { .. } => "cancelled",
        OrderEvent::OrderRefunded { number, whole: true, .. } => {
            end_refund(db, fact, order, *number, "refunded").await?;
            // What went back is not out of reach.
            stand(db, fact, order, "good").await?;
            "refunded"
        }
    };
    sqlx::query("update orders set status = $2, updated_at = $3 where order_id = $1")
        .bind(order.as_uuid())
        .bind(status)
        .bind(fact.at)
        .execute(db)
        .await
        .map(drop)
}

async fn stand(db: &mut PgConnection, fact: &Fact, order: OrderId, standing: &str) -> sqlx::Result<()> {
    sqlx::query("update orders set standing = $2, updated_at = $3 where order_id = $1")
        .bind(order.as_uuid())
        .bind(standing)
        .bind(fact.at)
        .execute(db)
        .await
        .map(drop)
}

async fn request_refund(db: &mut PgConnection, fact: &Fact, order: OrderId, refund: &RefundView) -> sqlx::Result<()> {
    sqlx::query("update orders set refunds = refunds || $2, updated_at = $3 where order_id = $1")
        .bind(order.as_uuid())
        .bind(Json([refund]))
        .bind(fact.at)
        .execute(db)
        .await
        .map(drop)
}

async fn end_refund(db: &mut PgConnection, fact: &Fact, order: OrderId, number: u32, status: &str) -> sqlx::Result<()> {
    sqlx::query(
        "update orders set updated_at = $4, refunds =
           (select jsonb_agg(case when (refund ->> 'number')::bigint = $2
                                  then refund || jsonb_build_object('status', $3::text) else refund end order by n)
            from jsonb_array_elements(refunds) with ordinality as of (refund, n))
         where order_id = $1 and refunds <> '[]'",
    )
    .bind(order.as_uuid())
    .bind(i64::from(number))
    .bind(status)
    .bind(fact.at)
    .execute(db)
    .await
    .map(drop)
}

async fn create(
    db: &mut PgConnection,
    fact: &Fact,
    order: OrderId,
    (buyer, lines, total): (UserId, &Vec<Line>, domain::Money),
) -> sqlx::Result<()> {
    let payment = (!total.is_zero()).then(|| PaymentId::for_attempt(order, 1));
    sqlx::query(
        "insert into orders (order_id, user_id, status, total, currency, lines, payment_id, created_at, updated_at)
         values ($1, $2, 'awaiting_payment', $3, $4, $5, $6, $7, $7)",
    )
    .bind(order.as_uuid())
    .bind(buyer.as_uuid())
    .bind(total.amount)
    .bind(total.currency.to_string())
    .bind(Json(lines))
    .bind(payment.map(PaymentId::as_uuid))
    .bind(fact.at)
    .execute(db)
    .await
    .map(drop)
}

/// Games on their way back, or back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefundView {
    /// Its number within the order, from 1.
    pub number: u32,
    /// Which games.
    pub games: Vec<GameId>,
    /// Minor units.
    pub amount: i64,
    /// `requested`, `refunded` or `failed`.
    pub status: String,
}

/// An order as its buyer sees it.
#[derive(Debug, Clone, FromRow)]
pub struct OrderView {
    /// Which.
    pub order_id: Uuid,
    /// Who buys.
    pub user_id: Uuid,
    /// `awaiting_payment`, `payment_failed`, `completed`, `cancelled` or `refunded`.
    pub status: String,
    /// Minor units.
    pub total: i64,
    /// ISO 4217.
    pub currency: String,
    /// What was bought.
    pub lines: Json<Vec<Line>>,
    /// What was, or is to be, paid back.
    pub refunds: Json<Vec<RefundView>>,
    /// `good`; `suspended` or `revoked` where the payment is, or was, disputed.
    pub standing: String,
    /// The latest payment.
    pub payment_id: Option<Uuid>,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// One order.
///
/// # Errors
/// When the database does not answer.
pub async fn find(pool: &PgPool, order: OrderId) -> sqlx::Result<Option<OrderView>> {
    once_more(|| {
        sqlx::query_as("select * from read.orders where order_id = $1").bind(order.as_uuid()).fetch_optional(pool)
    })
    .await
}

/// Orders, newest first: one buyer's, or everybody's.
///
/// # Errors
/// When the database does not answer.
pub async fn page(
    pool: &PgPool,
    buyer: Option<UserId>,
    limit: i64,
    after: Option<Cursor>,
) -> sqlx::Result<Page<OrderView>> {
    let (at, id) = Cursor::or_start(after);
    let rows = once_more(|| {
        sqlx::query_as(
            "select * from read.orders where ($1::uuid is null or user_id = $1) and (created_at, order_id) < ($2, $3)
         order by created_at desc, order_id desc limit $4",
        )
        .bind(buyer.map(UserId::as_uuid))
        .bind(at)
        .bind(id)
        .bind(limit.saturating_add(1))
        .fetch_all(pool)
    })
    .await?;
    Ok(Page::of(rows, limit, |order: &OrderView| Cursor { at: order.created_at, id: order.order_id }))
}

/// How many orders are looked at in one go.
const MOST_UNPAID: i64 = 1_000;

/// Orders that were placed before and are not paid, the oldest first; some of them, where there are very many.
///
/// # Errors
/// When the database does not answer.
pub async fn unpaid_since(pool: &PgPool, since: DateTime<Utc>) -> sqlx::Result<Vec<OrderId>> {
    let ids: Vec<Uuid> = once_more(|| {
        sqlx::query_scalar(
        "select order_id from read.orders where status in ('awaiting_payment', 'payment_failed') and created_at < $1
         order by created_at desc limit $2",
    )
    .bind(since)
    .bind(MOST_UNPAID)
    .fetch_all(pool)
    })
    .await?;
    Ok(ids.into_iter().map(OrderId::from_uuid).collect())
}

/// The payments of orders with a refund that was asked for before and whose end is not known, the oldest first.
///
/// # Errors
/// When the database does not answer.
pub async fn refunding_since(pool: &PgPool, since: DateTime<Utc>) -> sqlx::Result<Vec<Unsettled>> {
    once_more(|| sqlx::query_as(
        r#"select payment_id, 'refunding' as status from read.orders where payment_id is not null and refunds @> '[{"status": "requested"}]'
             and standing <> 'revoked' and updated_at < $1
           order by updated_at"#,
    )
    .bind(since)
    .fetch_all(pool)).await
}
