//! `read.payments`: payment attempts and what the PSP said.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::payment::{Failure, NextAction, Payment, PaymentEvent, Terms};
use domain::{PaymentId, StoreEvent};
use journal::once_more;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::fact::{ApplyError, Fact, Projection};
use crate::rows::{Row, Rows};

/// How many payments without a use are looked at in one round.
const MOST_UNUSED: i64 = 1_000;

/// The projection.
#[derive(Clone)]
pub struct Payments;

/// The primary key of `read.payments`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct PaymentKey {
    payment_id: Uuid,
}

impl Row for PaymentView {
    const KEY: &'static [&'static str] = &["payment_id"];
    type Key = PaymentKey;

    fn key(&self) -> PaymentKey {
        PaymentKey { payment_id: self.payment_id }
    }
}

impl Projection for Payments {
    const NAME: &'static str = "payments";
    const AGGREGATES: &'static [&'static str] = &[Payment::TYPE];
    type Row = PaymentView;

    fn keys(&self, fact: &Fact) -> Vec<PaymentKey> {
        match &fact.event {
            StoreEvent::Payment(payment, _) => vec![PaymentKey { payment_id: payment.as_uuid() }],
            StoreEvent::User(..) | StoreEvent::Game(..) | StoreEvent::Order(..) | StoreEvent::TreeHead(..) => vec![],
        }
    }

    async fn apply(&self, rows: &mut Rows<PaymentView>, fact: &Fact) -> Result<(), ApplyError> {
        let StoreEvent::Payment(payment, event) = &fact.event else { return Ok(()) };
        let key = PaymentKey { payment_id: payment.as_uuid() };
        match event {
            PaymentEvent::PaymentInitiated(terms) => rows.insert(initiated(*payment, fact, terms))?,
            PaymentEvent::PaymentSubmitted { reference } => rows.change(&key, |known| {
                known.becomes("submitted", fact);
                known.psp_reference = Some(reference.as_str().to_owned());
            }),
            PaymentEvent::PaymentPending { next_action } => rows.change(&key, |known| {
                known.becomes("pending", fact);
                known.next_action = next_action.clone().map(Json);
            }),
            PaymentEvent::PaymentSucceeded { reference, .. } => rows.change(&key, |known| {
                known.becomes("succeeded", fact);
                known.psp_reference = Some(reference.as_str().to_owned());
                (known.next_action, known.failure) = (None, None);
            }),
            PaymentEvent::PaymentFailed { failure, .. } => rows.change(&key, |known| {
                known.becomes("failed", fact);
                (known.next_action, known.failure) = (None, Some(Json(failure.clone())));
            }),
            PaymentEvent::PaymentCancelled { .. } => rows.change(&key, |known| {
                known.becomes("cancelled", fact);
                known.next_action = None;
            }),
            PaymentEvent::PaymentRefunded { amount, .. } => rows.change(&key, |known| {
                known.refunded = known.refunded.saturating_add(amount.amount);
                known.updated_at = fact.at;
                if known.refunded >= known.amount {
                    known.becomes("refunded", fact);
                }
            }),
            // What people did to its work is for the event stream; disputes have a table of their own.
            PaymentEvent::PaymentRedriven(_)
            | PaymentEvent::PaymentDiscarded(_)
            | PaymentEvent::PaymentDisputed { .. }
            | PaymentEvent::PaymentDisputeClosed { .. } => (),
        }
        Ok(())
    }
}

fn initiated(payment: PaymentId, fact: &Fact, terms: &Terms) -> PaymentView {
    PaymentView {
        payment_id: payment.as_uuid(),
        order_id: terms.order.as_uuid(),
        user_id: terms.buyer.as_uuid(),
        attempt: i32::try_from(terms.attempt).unwrap_or(i32::MAX),
        status: "initiated".to_owned(),
        amount: terms.amount.amount,
        currency: terms.amount.currency.to_string(),
        refunded: 0,
        psp_reference: None,
        failure: None,
        next_action: None,
        created_at: fact.at,
        updated_at: fact.at,
    }
}

/// A payment as its payer sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub struct PaymentView {
    /// Which.
    pub payment_id: Uuid,
    /// What is paid.
    pub order_id: Uuid,
    /// Who pays.
    pub user_id: Uuid,
    /// Which attempt to pay the order, from 1.
    pub attempt: i32,
    /// `initiated`, `submitted`, `pending`, `succeeded`, `failed`, `cancelled` or `refunded`.
    pub status: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// How much of it went back, in minor units.
    pub refunded: i64,
    /// The PSP's id.
    pub psp_reference: Option<String>,
    /// Why it failed.
    pub failure: Option<Json<Failure>>,
    /// What the payer has to do.
    pub next_action: Option<Json<NextAction>>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl PaymentView {
    fn becomes(&mut self, status: &str, fact: &Fact) {
        (self.status, self.updated_at) = (status.to_owned(), fact.at);
    }
}

/// One payment.
///
/// # Errors
/// When the database does not answer.
pub async fn find(pool: &PgPool, payment: PaymentId) -> sqlx::Result<Option<PaymentView>> {
    once_more(|| {
        sqlx::query_as("select * from read.payments where payment_id = $1").bind(payment.as_uuid()).fetch_optional(pool)
    })
    .await
}

/// The payment that the PSP knows by a reference.
///
/// # Errors
/// When the database does not answer.
pub async fn by_reference(pool: &PgPool, reference: &str) -> sqlx::Result<Option<PaymentId>> {
    let id: Option<Uuid> = once_more(|| {
        sqlx::query_scalar("select payment_id from read.payments where psp_reference = $1")
            .bind(reference)
            .fetch_optional(pool)
    })
    .await?;
    Ok(id.map(PaymentId::from_uuid))
}

/// What is known of a charge that the PSP lists.
#[derive(Debug, Clone, FromRow)]
pub struct Charge {
    /// The PSP's id.
    pub psp_reference: String,
    /// How much, in minor units.
    pub amount: i64,
    /// How much of it went back.
    pub refunded: i64,
}

/// What is known to have been charged, of some of the PSP's ids or of all.
///
/// # Errors
/// When the database does not answer.
pub async fn charged(pool: &PgPool, references: Option<&[String]>) -> sqlx::Result<Vec<Charge>> {
    once_more(|| {
        sqlx::query_as(
            "select psp_reference, amount, refunded from read.payments
         where ($1::text[] is null or psp_reference = any($1)) and status in ('succeeded', 'refunded')",
        )
        .bind(references)
        .fetch_all(pool)
    })
    .await
}

/// A payment that somebody waits for.
#[derive(Debug, Clone, FromRow)]
pub struct Unsettled {
    /// Which.
    pub payment_id: Uuid,
    /// `initiated`, `submitted` or `pending`; `refunding` where money is to go back, `unused` where it came and nothing
    /// followed.
    pub status: String,
}

/// Every payment that has not changed since and whose outcome is not known, the oldest first.
///
/// # Errors
/// When the database does not answer.
pub async fn unsettled_since(pool: &PgPool, since: DateTime<Utc>) -> sqlx::Result<Vec<Unsettled>> {
    once_more(|| {
        sqlx::query_as(
            "select payment_id, status from read.payments
         where status in ('initiated', 'submitted', 'pending') and updated_at < $1 order by updated_at",
        )
        .bind(since)
        .fetch_all(pool)
    })
    .await
}

/// Payments that succeeded before, and whose money neither completed an order nor went back; the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn unused_since(pool: &PgPool, since: DateTime<Utc>) -> sqlx::Result<Vec<Unsettled>> {
    once_more(|| sqlx::query_as(
        "select p.payment_id, 'unused' as status from read.payments p join read.orders o using (order_id)
         where p.status = 'succeeded' and p.updated_at < $1
           and (o.status in ('awaiting_payment', 'payment_failed', 'cancelled') or o.payment_id <> p.payment_id)
           and not exists (select from read.disputes d where d.payment_id = p.payment_id and d.status in ('open', 'lost'))
         order by p.updated_at desc limit $2",
    )
    .bind(since)
    .bind(MOST_UNUSED)
    .fetch_all(pool)).await
}
