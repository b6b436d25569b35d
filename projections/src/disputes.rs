//! `read.disputes`: payments that the buyer's bank disputes, or did.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::StoreEvent;
use domain::payment::{Payment, PaymentEvent};
use journal::once_more;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};
use crate::rows::{Row, Rows};

/// The projection.
#[derive(Clone)]
pub struct Disputes;

/// The primary key of `read.disputes`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct DisputeKey {
    dispute: String,
}

impl Row for DisputeView {
    const KEY: &'static [&'static str] = &["dispute"];
    type Key = DisputeKey;

    fn key(&self) -> DisputeKey {
        DisputeKey { dispute: self.dispute.clone() }
    }
}

impl Projection for Disputes {
    const NAME: &'static str = "disputes";
    const AGGREGATES: &'static [&'static str] = &[Payment::TYPE];
    type Row = DisputeView;

    fn keys(&self, fact: &Fact) -> Vec<DisputeKey> {
        match &fact.event {
            StoreEvent::Payment(
                _,
                PaymentEvent::PaymentDisputed { dispute, .. } | PaymentEvent::PaymentDisputeClosed { dispute, .. },
            ) => vec![DisputeKey { dispute: dispute.as_str().to_owned() }],
            StoreEvent::Payment(..)
            | StoreEvent::Order(..)
            | StoreEvent::User(..)
            | StoreEvent::Game(..)
            | StoreEvent::TreeHead(..) => vec![],
        }
    }

    async fn apply(&self, rows: &mut Rows<DisputeView>, fact: &Fact) -> Result<(), ApplyError> {
        match &fact.event {
            StoreEvent::Payment(payment, PaymentEvent::PaymentDisputed { order, buyer, dispute, amount, reason }) => {
                rows.insert(DisputeView {
                    dispute: dispute.as_str().to_owned(),
                    payment_id: payment.as_uuid(),
                    order_id: order.as_uuid(),
                    user_id: buyer.as_uuid(),
                    amount: amount.amount,
                    currency: amount.currency.to_string(),
                    reason: reason.clone(),
                    status: "open".to_owned(),
                    opened_at: fact.at,
                    updated_at: fact.at,
                })?;
            }
            StoreEvent::Payment(_, PaymentEvent::PaymentDisputeClosed { dispute, outcome, .. }) => {
                rows.change(&DisputeKey { dispute: dispute.as_str().to_owned() }, |known| {
                    (known.status, known.updated_at) = (outcome.to_string(), fact.at);
                });
            }
            StoreEvent::Payment(..)
            | StoreEvent::Order(..)
            | StoreEvent::User(..)
            | StoreEvent::Game(..)
            | StoreEvent::TreeHead(..) => (),
        }
        Ok(())
    }
}

/// A dispute as staff see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
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
pub async fn page(
    pool: &PgPool,
    status: Option<&str>,
    limit: i64,
    after: Option<Cursor>,
) -> sqlx::Result<Page<DisputeView>> {
    let (at, id) = Cursor::or_start(after);
    let rows = once_more(|| {
        sqlx::query_as(
            "select * from read.disputes where (opened_at, payment_id) < ($1, $2) and ($4::text is null or status = $4)
         order by opened_at desc, payment_id desc limit $3",
        )
        .bind(at)
        .bind(id)
        .bind(limit.saturating_add(1))
        .bind(status)
        .fetch_all(pool)
    })
    .await?;
    Ok(Page::of(rows, limit, |dispute: &DisputeView| Cursor { at: dispute.opened_at, id: dispute.payment_id }))
}
