//! `read.orders`: purchases and where they stand.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::order::{Line, Order, OrderEvent};
use domain::payment::{Payment, PaymentEvent};
use domain::{GameId, OrderId, PaymentId, StoreEvent, UserId};
use journal::once_more;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};
use crate::payments::Unsettled;
use crate::rows::{Row, Rows};

/// The projection.
#[derive(Clone)]
pub struct Orders;

/// The primary key of `read.orders`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct OrderKey {
    order_id: Uuid,
}

impl Row for OrderView {
    const KEY: &'static [&'static str] = &["order_id"];
    type Key = OrderKey;

    fn key(&self) -> OrderKey {
        OrderKey { order_id: self.order_id }
    }
}

impl Projection for Orders {
    const NAME: &'static str = "orders";
    const AGGREGATES: &'static [&'static str] = &[Order::TYPE, Payment::TYPE];
    type Row = OrderView;

    fn keys(&self, fact: &Fact) -> Vec<OrderKey> {
        let order = match &fact.event {
            StoreEvent::Order(order, _) => *order,
            StoreEvent::Payment(_, PaymentEvent::PaymentInitiated(terms)) => terms.order,
            StoreEvent::Payment(..) | StoreEvent::User(..) | StoreEvent::Game(..) | StoreEvent::TreeHead(..) => {
                return vec![];
            }
        };
        vec![OrderKey { order_id: order.as_uuid() }]
    }

    async fn apply(&self, rows: &mut Rows<OrderView>, fact: &Fact) -> Result<(), ApplyError> {
        match &fact.event {
            StoreEvent::Order(order, OrderEvent::OrderCreated { buyer, lines, total, age_source, .. }) => {
                let placed = created(*order, fact, (*buyer, lines, *total));
                rows.insert(OrderView { age_source: age_source.map(|source| source.to_string()), ..placed })?;
            }
            StoreEvent::Order(order, event) => {
                rows.change(&OrderKey { order_id: order.as_uuid() }, |known| known.take(event, fact));
            }
            // The buyer pays again.
            StoreEvent::Payment(payment, PaymentEvent::PaymentInitiated(terms)) => {
                rows.change(&OrderKey { order_id: terms.order.as_uuid() }, |known| {
                    if matches!(known.status.as_str(), "awaiting_payment" | "payment_failed") {
                        known.becomes("awaiting_payment", fact);
                        known.payment_id = Some(payment.as_uuid());
                    }
                });
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
            | StoreEvent::Game(..)
            | StoreEvent::TreeHead(..) => (),
        }
        Ok(())
    }
}

fn created(order: OrderId, fact: &Fact, (buyer, lines, total): (UserId, &[Line], domain::Money)) -> OrderView {
    let payment = (!total.is_zero()).then(|| PaymentId::for_attempt(order, 1));
    OrderView {
        order_id: order.as_uuid(),
        user_id: buyer.as_uuid(),
        status: "awaiting_payment".to_owned(),
        total: total.amount,
        currency: total.currency.to_string(),
        lines: Json(lines.to_vec()),
        refunds: Json(vec![]),
        standing: "good".to_owned(),
        age_source: None,
        payment_id: payment.map(PaymentId::as_uuid),
        created_at: fact.at,
        updated_at: fact.at,
    }
}

impl OrderView {
    fn take(&mut self, event: &OrderEvent, fact: &Fact) {
        match event {
            OrderEvent::OrderCreated { .. } | OrderEvent::PurchaseCompleted { .. } => return,
            OrderEvent::OrderPaymentFailed { .. } => self.becomes("payment_failed", fact),
            OrderEvent::OrderCompleted { payment, .. } => {
                self.becomes("completed", fact);
                self.payment_id = payment.map(PaymentId::as_uuid);
            }
            OrderEvent::OrderCancelled { .. } => self.becomes("cancelled", fact),
            OrderEvent::OrderRefundRequested { number, games, amount, .. } => self.refunds.0.push(RefundView {
                number: *number,
                games: games.clone(),
                amount: amount.amount,
                status: "requested".to_owned(),
            }),
            OrderEvent::OrderRefundFailed { number, .. } => self.end_refund(*number, "failed"),
            OrderEvent::OrderRefunded { number, whole, .. } => {
                self.end_refund(*number, "refunded");
                if *whole {
                    self.becomes("refunded", fact);
                    // What went back is not out of reach.
                    "good".clone_into(&mut self.standing);
                }
            }
            OrderEvent::OrderSuspended { .. } => "suspended".clone_into(&mut self.standing),
            OrderEvent::OrderReinstated { .. } => "good".clone_into(&mut self.standing),
            OrderEvent::OrderRevoked { .. } => {
                for refund in self.refunds.0.iter_mut().filter(|refund| refund.status == "requested") {
                    "failed".clone_into(&mut refund.status);
                }
                "revoked".clone_into(&mut self.standing);
            }
        }
        self.updated_at = fact.at;
    }

    fn becomes(&mut self, status: &str, fact: &Fact) {
        (self.status, self.updated_at) = (status.to_owned(), fact.at);
    }

    fn end_refund(&mut self, number: u32, status: &str) {
        for refund in self.refunds.0.iter_mut().filter(|refund| refund.number == number) {
            status.clone_into(&mut refund.status);
        }
    }
}

/// Games on their way back, or back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
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
    /// How the store knew that the buyer was old enough: `self_declared` or `staff_confirmed`; nothing in older orders.
    pub age_source: Option<String>,
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

/// Orders, newest first: one buyer's, or everybody's; of one status, or of any.
///
/// # Errors
/// When the database does not answer.
pub async fn page(
    pool: &PgPool,
    buyer: Option<UserId>,
    status: Option<&str>,
    limit: i64,
    after: Option<Cursor>,
) -> sqlx::Result<Page<OrderView>> {
    let (at, id) = Cursor::or_start(after);
    let rows = once_more(|| {
        sqlx::query_as(
            "select * from read.orders where ($1::uuid is null or user_id = $1) and (created_at, order_id) < ($2, $3)
                                         and ($5::text is null or status = $5)
         order by created_at desc, order_id desc limit $4",
        )
        .bind(buyer.map(UserId::as_uuid))
        .bind(at)
        .bind(id)
        .bind(limit.saturating_add(1))
        .bind(status)
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
