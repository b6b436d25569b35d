//! `read.payments`: payment attempts and what the PSP said.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::payment::{Failure, NextAction, Payment, PaymentEvent, Terms};
use domain::{PaymentId, StoreEvent};
use journal::once_more;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool, Postgres};
use uuid::Uuid;

use crate::fact::{ApplyError, Fact, Projection};

/// How many payments without a use are looked at in one round.
const MOST_UNUSED: i64 = 1_000;

/// The projection.
#[derive(Clone)]
pub struct Payments;

impl Projection for Payments {
    const NAME: &'static str = "payments";
    const AGGREGATES: &'static [&'static str] = &[Payment::TYPE];

    async fn apply(&self, db: &mut PgConnection, fact: &Fact) -> Result<(), ApplyError> {
        let StoreEvent::Payment(payment, event) = &fact.event else { return Ok(()) };
        let update = |statement| sqlx::query(statement).bind(payment.as_uuid()).bind(fact.at);
        let query = match event {
            PaymentEvent::PaymentInitiated(terms) => initiate(*payment, fact, terms),
            PaymentEvent::PaymentSubmitted { reference } => update(
                "update payments set status = 'submitted', updated_at = $2, psp_reference = $3 where payment_id = $1",
            )
            .bind(reference.as_str()),
            PaymentEvent::PaymentPending { next_action } => update(
                "update payments set status = 'pending', updated_at = $2, next_action = $3 where payment_id = $1",
            )
            .bind(next_action.as_ref().map(Json)),
            PaymentEvent::PaymentSucceeded { reference, .. } => update(
                "update payments set status = 'succeeded', updated_at = $2, psp_reference = $3, next_action = null,
                                     failure = null where payment_id = $1",
            )
            .bind(reference.as_str()),
            PaymentEvent::PaymentFailed { failure, .. } => update(
                "update payments set status = 'failed', updated_at = $2, failure = $3, next_action = null
                 where payment_id = $1",
            )
            .bind(Json(failure)),
            PaymentEvent::PaymentCancelled { .. } => update(
                "update payments set status = 'cancelled', updated_at = $2, next_action = null where payment_id = $1",
            ),
            // What people did to its work is for the event stream; disputes have a table of their own.
            PaymentEvent::PaymentRedriven(_)
            | PaymentEvent::PaymentDiscarded(_)
            | PaymentEvent::PaymentDisputed { .. }
            | PaymentEvent::PaymentDisputeClosed { .. } => return Ok(()),
            PaymentEvent::PaymentRefunded { amount, .. } => update(
                "update payments set updated_at = $2, refunded = refunded + $3,
                                     status = case when refunded + $3 >= amount then 'refunded' else status end
                 where payment_id = $1",
            )
            .bind(amount.amount),
        };
        query.execute(db).await?;
        Ok(())
    }
}

fn initiate<'q>(payment: PaymentId, fact: &Fact, terms: &Terms) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(
        "insert into payments
           (payment_id, created_at, updated_at, order_id, user_id, attempt, status, amount, currency)
         values ($1, $2, $2, $3, $4, $5, 'initiated', $6, $7)",
    )
    .bind(payment.as_uuid())
    .bind(fact.at)
    .bind(terms.order.as_uuid())
    .bind(terms.buyer.as_uuid())
    .bind(i32::try_from(terms.attempt).unwrap_or(i32::MAX))
    .bind(terms.amount.amount)
    .bind(terms.amount.currency.to_string())
}

/// A payment as its payer sees it.
#[derive(Debug, Clone, FromRow)]
pub struct PaymentView {
    /// Which.
    pub payment_id: Uuid,
    /// What is paid.
    pub order_id: Uuid,
    /// Who pays.
    pub user_id: Uuid,
    /// `initiated`, `submitted`, `pending`, `succeeded`, `failed`, `cancelled` or `refunded`.
    pub status: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
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
