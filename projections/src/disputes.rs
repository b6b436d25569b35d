//! `read.disputes`: payments that the buyer's bank disputes, or did.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::StoreEvent;
use domain::payment::{Payment, PaymentEvent};
use journal::once_more;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};

/// The projection.
#[derive(Clone)]
pub struct Disputes;

impl Projection for Disputes {
    const NAME: &'static str = "disputes";
    const AGGREGATES: &'static [&'static str] = &[Payment::TYPE];

    async fn apply(&self, db: &mut PgConnection, fact: &Fact) -> Result<(), ApplyError> {
        let query = match &fact.event {
            StoreEvent::Payment(payment, PaymentEvent::PaymentDisputed { order, buyer, dispute, amount, reason }) => {
                sqlx::query(
                    "insert into disputes (dispute, opened_at, updated_at, payment_id, order_id, user_id, amount,
                                           currency, reason, status)
                     values ($1, $2, $2, $3, $4, $5, $6, $7, $8, 'open')",
                )
                .bind(dispute.as_str())
                .bind(fact.at)
                .bind(payment.as_uuid())
                .bind(order.as_uuid())
                .bind(buyer.as_uuid())
                .bind(amount.amount)
                .bind(amount.currency.to_string())
                .bind(reason)
            }
            StoreEvent::Payment(_, PaymentEvent::PaymentDisputeClosed { dispute, outcome, .. }) => {
                sqlx::query("update disputes set updated_at = $2, status = $3 where dispute = $1")
                    .bind(dispute.as_str())
                    .bind(fact.at)
                    .bind(outcome.to_string())
            }
            StoreEvent::Payment(..) | StoreEvent::Order(..) | StoreEvent::User(..) | StoreEvent::Game(..) => {
                return Ok(());
            }
        };
        query.execute(db).await?;
        Ok(())
    }
}

/// A dispute as staff see it.
#[derive(Debug, Clone, FromRow)]
pub struct DisputeView {
    /// The PSP's id of it.
    pub dispute: String,
    /// What is disputed.
    pub payment_id: Uuid,
    /// What was paid by it.
    pub order_id: Uuid,
    /// Who paid.
    pub user_id: Uuid,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// Why, in the PSP's word.
    pub reason: String,
    /// `open`, `won` or `lost`.
    pub status: String,
    /// When the store heard of it.
    pub opened_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Where disputes stand, by the PSP's ids of them.
///
/// # Errors
/// When the database does not answer.
pub async fn standing(pool: &PgPool, disputes: &[String]) -> sqlx::Result<HashMap<String, String>> {
    let rows: Vec<(String, String)> = once_more(|| {
        sqlx::query_as("select dispute, status from read.disputes where dispute = any($1)")
            .bind(disputes)
            .fetch_all(pool)
    })
    .await?;
    Ok(rows.into_iter().collect())
}

/// Disputes, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn page(pool: &PgPool, limit: i64, after: Option<Cursor>) -> sqlx::Result<Page<DisputeView>> {
    let (at, id) = Cursor::or_start(after);
    let rows = once_more(|| {
        sqlx::query_as(
            "select * from read.disputes where (opened_at, payment_id) < ($1, $2)
         order by opened_at desc, payment_id desc limit $3",
        )
        .bind(at)
        .bind(id)
        .bind(limit.saturating_add(1))
        .fetch_all(pool)
    })
    .await?;
    Ok(Page::of(rows, limit, |dispute: &DisputeView| Cursor { at: dispute.opened_at, id: dispute.payment_id }))
}
