//! What many routes read from a request: the context of a command, versions, tokens, pages.

use chrono::{DateTime, NaiveDate, Utc};
use commands::{Actor, CommandError, Context};
use domain::{BirthDate, InvalidPerson, UserId};
use journal::{AggregateKey, Position};
use poem::http::StatusCode;
use poem_openapi::Object;
use poem_openapi::param::{Header, Query};
use poem_openapi::types::ToJSON;
use projections::Cursor;
use projections::consistency::Standing;
use uuid::Uuid;

use crate::Store;
use crate::problem::Problem;
use crate::strict::{Str, Whole};

/// How many entries a page has where the client does not say, and at most.
const PAGE: (i64, i64) = (20, 100);

/// The `Idempotency-Key` of a request that creates something.
pub(crate) type IdempotencyKey = Header<Option<String>>;
/// The `Consistency-Token` that an earlier command answered with.
pub(crate) type ConsistencyToken = Header<Option<String>>;
/// The `If-Match` of a change.
pub(crate) type IfMatch = Header<Option<String>>;

/// An amount in minor units.
#[derive(Debug, Clone, Object)]
#[oai(rename = "Money", deny_unknown_fields)]
pub(crate) struct MoneyDto {
    /// Minor units: 5990 is 59.90.
    pub(crate) amount: Whole,
    /// ISO 4217, such as `BRL`.
    pub(crate) currency: Str,
}

impl From<domain::Money> for MoneyDto {
    fn from(money: domain::Money) -> Self {
        Self::of(money.amount, money.currency.to_string())
    }
}

impl MoneyDto {
    pub(crate) fn of(amount: i64, currency: String) -> Self {
        Self { amount: Whole(amount), currency: Str(currency) }
    }

    pub(crate) fn parse(&self) -> Result<domain::Money, domain::InvalidMoney> {
        Ok(domain::Money { amount: self.amount.0, currency: domain::Currency::parse(&self.currency)? })
    }

    /// The money of a field.
    pub(crate) fn of_field(&self, name: &str) -> Result<domain::Money, Problem> {
        self.parse().map_err(|rule| Problem::field(&format!("{name}.currency"), rule))
    }
}

/// The context of a command, with what a repeat of it is known by where the client sent a key. No secret may be in
/// `body`.
pub(crate) fn context(
    store: &Store,
    actor: Actor,
    route: &str,
    key: &IdempotencyKey,
    body: &impl ToJSON,
) -> Result<Context, Problem> {
    anonymous_context(store, actor, "", route, key, body)
}

/// As [`context`], for callers without an account, who are told apart by `who`.
pub(crate) fn anonymous_context(
    store: &Store,
    actor: Actor,
    who: &str,
    route: &str,
    key: &IdempotencyKey,
    body: &impl ToJSON,
) -> Result<Context, Problem> {
    let mut context = store.commands.context(actor);
    if let Some(key) = &key.0 {
        if key.is_empty() || key.len() > 255 {
            return Err(bad_header("Idempotency-Key", "must have 1 to 255 characters"));
        }
        context.repeatable = Some(store.commands.repeatable(actor, who, route, key, &body.to_json_string()));
    }
    Ok(context)
}

/// The `Idempotent-Replayed` of an answer that was given before, as Stripe has it.
/// <https://docs.stripe.com/api/idempotent_requests>
pub(crate) fn replayed(replayed: bool) -> Option<String> {
    replayed.then(|| "true".to_owned())
}

/// A time as every column can hold it, so that it is the same wherever it is kept: to the microsecond, and a leap second as
/// the second after it.
pub(crate) fn moment(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

/// The version that the client has seen. Changes without one are refused.
pub(crate) fn required_version(header: &IfMatch) -> Result<Option<usize>, Problem> {
    let Some(text) = &header.0 else {
        let detail = "send the ETag that you have seen as If-Match";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "if_match_required", detail));
    };
    if text.trim() == "*" {
        return Ok(None);
    }
    let quoted = text.trim().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let version = quoted.and_then(|version| version.parse().ok());
    version.map(Some).ok_or_else(|| bad_header("If-Match", "must be an ETag of this store, such as \"3\""))
}

/// The `ETag` of a version.
pub(crate) fn etag(version: impl std::fmt::Display) -> String {
    format!("\"{version}\"")
}

/// Waits until a projection has what the client's earlier command wrote, for two seconds at most. A token that the store
/// cannot have given is refused at once.
pub(crate) async fn caught_up(store: &Store, token: &ConsistencyToken, projection: &str) -> Result<(), Problem> {
    // Empty is what a client sends that has written nothing yet.
    let Some(token) = token.0.as_deref().filter(|token| !token.is_empty()) else { return Ok(()) };
    let position: Position = token.parse().map_err(|rule| bad_header("Consistency-Token", rule))?;
    match store.progress.wait(store.pool(), projection, position).await? {
        Standing::Passed => Ok(()),
        Standing::Behind => {
            tracing::warn!(projection, token, "A read was answered before its projection had caught up");
            Ok(())
        }
        Standing::Never => {
            let detail = "Consistency-Token must be one that this store gave";
            Err(Problem::new(StatusCode::CONFLICT, "unknown_consistency_token", detail))
        }
    }
}

/// Waits until a projection has all that the journal has of an aggregate.
pub(crate) async fn known(store: &Store, key: AggregateKey, projection: &str) -> Result<(), Problem> {
    let histories = store.commands.journal().histories(&[key]).await.map_err(CommandError::from)?;
    if let Some(last) = histories.of(key).last() {
        store.progress.wait(store.pool(), projection, last.position).await?;
    }
    Ok(())
}

/// The token of a command; nothing where nothing changed.
pub(crate) fn token(position: Option<Position>) -> Option<String> {
    position.map(|position| position.to_string())
}

/// How many entries, after which.
pub(crate) fn page(
    limit: &Query<Option<i64>>,
    cursor: &Query<Option<String>>,
) -> Result<(i64, Option<Cursor>), Problem> {
    let cursor = cursor.0.as_deref().map(Cursor::decode).transpose();
    Ok((page_limit(limit)?, cursor.map_err(|rule| Problem::field("cursor", rule))?))
}

/// How many entries.
pub(crate) fn page_limit(limit: &Query<Option<i64>>) -> Result<i64, Problem> {
    let (default, most) = PAGE;
    match limit.0.unwrap_or(default) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(Problem::field("limit", format!("must be 1 to {most}"))),
    }
}

/// Whose account a path means; `me` is the caller's own.
pub(crate) fn account(actor: Actor, id: &str) -> Result<UserId, Problem> {
    match (id, actor.user()) {
        ("me", Some(user)) => Ok(user),
        _ => path_id(UserId::parse(id)),
    }
}

/// A birth date, as of today where the store is.
pub(crate) fn birth_date(store: &Store, date: NaiveDate) -> Result<BirthDate, InvalidPerson> {
    BirthDate::parse(date, store.commands.today())
}

/// An id of the path.
pub(crate) fn path_id<T>(parsed: Result<T, domain::InvalidId>) -> Result<T, Problem> {
    parsed.map_err(|rule| Problem::new(StatusCode::BAD_REQUEST, "invalid_id", format!("the id of the path {rule}")))
}

/// What was begun with an authenticator, as a field names it.
pub(crate) fn ceremony(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::field("ceremony", domain::InvalidId))
}

fn bad_header(name: &str, rule: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_header", format!("{name} {rule}"))
}
