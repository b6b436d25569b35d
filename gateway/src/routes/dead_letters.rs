use std::sync::Arc;

use commands::{Actor, LetterAction};
use domain::payment::LetterNote;
use domain::{PaymentId, PaymentWork, Text};
use nats::{DeadLetter, MAIL_QUEUE, PAYMENTS_QUEUE};
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};

use super::Tag;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract::{self, IdempotencyKey};
use crate::problem::Problem;
use crate::strict::Str;

pub(crate) struct DeadLetters;

/// Why work is dead.
#[derive(Clone, Copy, Enum, strum::IntoStaticStr)]
#[oai(rename = "DeadLetterClass", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
enum Class {
    /// Declined by the bank; nothing left to do.
    Declined,
    /// No certain answer after all tries.
    Exhausted,
    /// Other money came, or went back, than was asked for.
    Difference,
    /// Mail that nobody took.
    Undeliverable,
}

/// The classes that wait for somebody to do something.
pub(crate) const WORK: [&str; 3] = ["exhausted", "difference", "undeliverable"];

/// Payment work that could not be done.
#[derive(Object)]
#[oai(rename = "DeadLetter")]
struct Letter {
    sequence: u64,
    class: String,
    /// Nothing for mail.
    payment_id: Option<String>,
    order_id: Option<String>,
    attempts: u64,
    cause: String,
    first_at: String,
    failed_at: String,
}

#[derive(Object)]
#[oai(rename = "DeadLetterPage")]
struct LetterPage {
    items: Vec<Letter>,
    next: Option<String>,
}

/// Why somebody does something, for those who come after.
#[derive(Object)]
#[oai(rename = "Reason", deny_unknown_fields)]
struct Why {
    reason: Option<Str>,
}

#[derive(ApiResponse)]
enum Redriven {
    /// The work is in the queue again.
    #[oai(status = 202)]
    Accepted(#[oai(header = "Idempotent-Replayed")] Option<String>),
}

impl Redriven {
    fn accepted(replayed: bool) -> Self {
        Self::Accepted(extract::replayed(replayed))
    }
}

#[derive(ApiResponse)]
enum Discarded {
    #[oai(status = 204)]
    NoContent,
}

#[OpenApi(prefix_path = "/dlq", tag = "Tag::DeadLetters")]
impl DeadLetters {
    /// Work that could not be done and waits for somebody, oldest first, for admins. What a bank declined waits for
    /// nobody, and is listed only where its class is asked for.
    #[oai(path = "/", method = "get", operation_id = "listDeadLetters")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        class: Query<Option<Class>>,
        limit: Query<Option<i64>>,
        cursor: Query<Option<String>>,
    ) -> Result<Json<LetterPage>, Problem> {
        actor.must_be_admin()?;
        let limit = usize::try_from(extract::page_limit(&limit)?).unwrap_or(usize::MAX);
        let from = cursor.0.as_deref().map_or(Ok(1), str::parse);
        let from = from.map_err(|_| Problem::field("cursor", "must be a cursor that an earlier page gave"))?;
        let classes = class.0.map_or(WORK.to_vec(), |class| vec![class.into()]);
        let mut letters = store.nats.dead_letters(&classes, from, limit.saturating_add(1)).await?;
        let next = letters.get(limit).map(|(sequence, _)| sequence.to_string());
        letters.truncate(limit);
        let items = letters.into_iter().map(|(sequence, letter)| Letter::of(sequence, letter)).collect();
        Ok(Json(LetterPage { items, next }))
    }

    /// One dead letter, for admins.
    #[oai(path = "/:sequence", method = "get", operation_id = "getDeadLetter")]
    async fn get(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        sequence: Path<u64>,
    ) -> Result<Json<Letter>, Problem> {
        actor.must_be_admin()?;
        let letter = store.nats.dead_letter(sequence.0).await?;
        letter.map(|letter| Json(Letter::of(sequence.0, letter))).ok_or_else(Problem::not_found)
    }

    /// Put a dead letter's work back into the queue, for admins.
    #[oai(path = "/:sequence/redrive", method = "post", operation_id = "redriveDeadLetter")]
    async fn redrive(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        sequence: Path<u64>,
        body: Json<Why>,
        #[oai(name = "Idempotency-Key")] idempotency_key: IdempotencyKey,
    ) -> Result<Redriven, Problem> {
        actor.must_be_admin()?;
        let (route, why) = (format!("/dlq/{}/redrive", sequence.0), body.parse()?);
        let context = extract::context(&store, actor, &route, &idempotency_key, &why.as_str())?;
        let replayed = store.commands.first_report::<()>(&context).await?.is_some();
        let Some(letter) = store.nats.dead_letter(sequence.0).await? else {
            return if replayed { Ok(Redriven::accepted(replayed)) } else { Err(Problem::not_found()) };
        };
        if letter.queue == MAIL_QUEUE {
            let event = letter.key.parse().map_err(|error| Problem::unavailable("this dead letter", &error))?;
            store.commands.vault().redrive_mail(event).await?;
        } else if !replayed {
            note(&store, actor, &letter, LetterAction::Redrive, why).await?;
        }
        // Before the letter is gone: a repeat finds one or the other.
        store.commands.keep_report(&context, ()).await?;
        if letter.queue == MAIL_QUEUE {
            store.nats.discard(sequence.0, &who(actor), "redriven").await?;
        } else {
            store.nats.redrive(sequence.0, &who(actor)).await?;
        }
        Ok(Redriven::accepted(replayed))
    }

    /// Forget a dead letter, for admins.
    #[oai(path = "/:sequence/discard", method = "post", operation_id = "discardDeadLetter")]
    async fn discard(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        sequence: Path<u64>,
        body: Json<Why>,
    ) -> Result<Discarded, Problem> {
        actor.must_be_admin()?;
        let letter = store.nats.dead_letter(sequence.0).await?.ok_or_else(Problem::not_found)?;
        let why = body.parse()?;
        if letter.queue == PAYMENTS_QUEUE {
            note(&store, actor, &letter, LetterAction::Discard, why.clone()).await?;
        }
        let found = store.nats.discard(sequence.0, &who(actor), why.as_str()).await?;
        found.then_some(Discarded::NoContent).ok_or_else(Problem::not_found)
    }

    /// Forget a dead letter without a reason, for admins.
    #[oai(path = "/:sequence", method = "delete", operation_id = "deleteDeadLetter")]
    async fn delete(
        &self,
        store: Data<&Arc<Store>>,
        signed_in: SignedIn,
        sequence: Path<u64>,
    ) -> Result<Discarded, Problem> {
        self.discard(store, signed_in, sequence, Json(Why { reason: None })).await
    }
}

impl Why {
    fn parse(&self) -> Result<Text<0, 200>, Problem> {
        Text::parse(self.reason.as_deref().unwrap_or_default()).map_err(|rule| Problem::field("reason", rule))
    }
}

/// Keeps what somebody does to the work of a payment.
async fn note(
    store: &Store,
    actor: Actor,
    letter: &DeadLetter,
    action: LetterAction,
    reason: Text<0, 200>,
) -> Result<(), Problem> {
    let payment = PaymentId::parse(&letter.key).map_err(|error| Problem::unavailable("this dead letter", &error))?;
    let note = LetterNote { class: letter.class.clone(), reason };
    Ok(store.commands.note_letter(&store.commands.context(actor), payment, action, note).await?)
}

fn who(actor: Actor) -> String {
    actor.user().map_or_else(|| "the store".to_owned(), |user| user.to_string())
}

impl Letter {
    fn of(sequence: u64, letter: DeadLetter) -> Self {
        let work: Option<PaymentWork> = serde_json::from_slice(&letter.work).ok();
        let DeadLetter { queue, class, key, cause, attempts, first_at, failed_at, .. } = letter;
        let order_id = work.map(|work| work.order_id.to_string());
        let payment_id = (queue == PAYMENTS_QUEUE).then_some(key);
        Self { sequence, class, payment_id, order_id, attempts, cause, first_at, failed_at }
    }
}
