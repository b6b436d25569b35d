//! Errors as clients see them, and the whole policy of which refusal is which status, on one screen.

use commands::{CommandError, PROVEN_FOR, SessionError};
use domain::Money;
use domain::game::GameError;
use domain::order::OrderError;
use domain::user::UserError;
use journal::JournalError;
use nats::NatsError;
use poem::http::StatusCode;
use poem_openapi::error::ParseParamError;
use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;
use poem_openapi::{ApiResponse, Object};

use crate::extract::MoneyDto;
use crate::{language, request_id};

/// A field that broke a rule.
#[derive(Debug, Clone, Object)]
pub(crate) struct WrongField {
    /// Which, by its name in the body or the query.
    field: String,
    /// The rule, for people.
    detail: String,
}

/// RFC 9457, with a stable `code` for programs, in the language of `Accept-Language` (English or Portuguese).
#[derive(Debug, Clone, Object)]
#[oai(rename = "Problem")]
pub(crate) struct Details {
    /// A page that says what the code means.
    #[oai(rename = "type")]
    kind: String,
    /// What the code means, for people.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What went wrong, for programs; never changes its meaning.
    code: String,
    /// What went wrong this time, for people.
    detail: String,
    /// The field that broke a rule, where it was one; the first of them where there are more.
    #[oai(skip_serializing_if_is_none)]
    field: Option<String>,
    /// All fields that broke a rule.
    #[oai(skip_serializing_if_is_none)]
    errors: Option<Vec<WrongField>>,
    /// What the games cost now, where that is not what the buyer expected.
    #[oai(skip_serializing_if_is_none)]
    total: Option<MoneyDto>,
    /// By what the request is known in the store's log: its `X-Request-Id`.
    #[oai(skip_serializing_if_is_none)]
    request_id: Option<String>,
}

macro_rules! problems {
    ($($variant:ident = $status:literal $(, $header:literal: $kind:ty = $value:expr)?;)*) => {
        /// Every refusal that a route can give.
        #[derive(Debug, ApiResponse)]
        pub(crate) enum Problem {
            $(
                #[oai(status = $status, content_type = "application/problem+json")]
                $variant(Json<Box<Details>> $(, #[oai(header = $header)] $kind)?),
            )*
        }

        impl Problem {
            fn of(status: u16, details: Details) -> Self {
                match status {
                    $($status => Self::$variant(Json(Box::new(details)) $(, $value)?),)*
                    _ => Self::ServiceUnavailable(Json(Box::new(details)), 1),
                }
            }

            fn details(&self) -> &Details {
                match self {
                    $(Self::$variant(Json(details), ..) => details,)*
                }
            }

            fn details_mut(&mut self) -> &mut Details {
                match self {
                    $(Self::$variant(Json(details), ..) => details,)*
                }
            }
        }
    };
}

problems! {
    BadRequest = 400;
    Unauthorized = 401, "WWW-Authenticate": String = "Bearer".to_owned();
    Forbidden = 403;
    NotFound = 404;
    MethodNotAllowed = 405;
    RequestTimeout = 408;
    Conflict = 409;
    PreconditionFailed = 412;
    PayloadTooLarge = 413;
    UnsupportedMediaType = 415;
    Unprocessable = 422;
    PreconditionRequired = 428;
    TooManyRequests = 429, "Retry-After": u64 = 1;
    ServiceUnavailable = 503, "Retry-After": u64 = 1;
}

impl Problem {
    /// A problem of a status, with a code for programs and a sentence for people.
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl ToString) -> Self {
        let language = language::current();
        let meaning = language::meaning(code).map(|meaning| meaning.to(language).to_owned());
        let title = meaning.unwrap_or_else(|| status.canonical_reason().unwrap_or("Error").to_owned());
        let detail = language::detail(detail.to_string(), &title);
        let (kind, code) = (format!("/problems/{code}"), code.to_owned());
        let (status, request_id) = (status.as_u16(), request_id::current());
        Self::of(
            status,
            Details { kind, title, status, code, detail, field: None, errors: None, total: None, request_id },
        )
    }

    /// A field of the body or the query that broke a rule.
    pub(crate) fn field(name: &str, rule: impl ToString) -> Self {
        Self::fields(vec![(name.to_owned(), rule.to_string())])
    }

    /// Fields that broke rules.
    pub(crate) fn fields(wrong: Vec<(String, String)>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", "").about(wrong)
    }

    /// Fields and parameters that cannot be read: not as the OpenAPI document says.
    pub(crate) fn unreadable(wrong: Vec<(String, String)>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "").about(wrong)
    }

    fn about(mut self, wrong: Vec<(String, String)>) -> Self {
        let errors = wrong.into_iter().map(|(field, rule)| WrongField { field, detail: language::rule(&rule) });
        let errors: Vec<_> = errors.collect();
        let said: Vec<_> = errors.iter().map(|WrongField { field, detail }| format!("{field} {detail}")).collect();
        let details = self.details_mut();
        details.detail = said.join("; ");
        details.field = errors.first().map(|error| error.field.clone());
        details.errors = Some(errors);
        self
    }

    /// Too many tries; the next one is welcome in so many seconds.
    pub(crate) fn throttled(seconds: u64) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "too many attempts; wait a moment");
        match problem {
            Self::TooManyRequests(details, _) => Self::TooManyRequests(details, seconds),
            other => other,
        }
    }

    /// What was asked for needs a login of just now (RFC 9470, section 3).
    fn proof_too_old(error: &CommandError) -> Self {
        let challenge =
            format!("Bearer error=\"insufficient_user_authentication\", max_age={}", PROVEN_FOR.num_seconds());
        match Self::new(StatusCode::UNAUTHORIZED, "login_too_old", error) {
            Self::Unauthorized(details, _) => Self::Unauthorized(details, challenge),
            other => other,
        }
    }

    fn total_changed(total: Money, error: &CommandError) -> Self {
        let mut problem = Self::new(StatusCode::CONFLICT, "total_changed", error);
        problem.details_mut().total = Some(total.into());
        problem
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such thing")
    }

    pub(crate) fn unavailable(what: &str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "{what} is unavailable");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            format!("{what} is unavailable; try again in a moment"),
        )
    }

    /// The same problem for an error of the framework's own.
    pub(crate) fn of_framework(error: &poem::Error) -> Self {
        let status = error.status();
        let code = match status {
            StatusCode::BAD_REQUEST => "invalid_request",
            StatusCode::UNAUTHORIZED => "unauthenticated",
            StatusCode::NOT_FOUND => "no_such_route",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            _ => "error",
        };
        // A header, or a list of which one is wrong.
        if let Some(parameter) = error.downcast_ref::<ParseParamError>() {
            return Self::unreadable(vec![(parameter.name.to_owned(), without_types(&parameter.reason))]);
        }
        let detail = match status {
            StatusCode::UNAUTHORIZED => "a valid access token is needed".to_owned(),
            StatusCode::NOT_FOUND => "there is no such route".to_owned(),
            _ => without_types(&error.to_string()),
        };
        Self::new(status, code, detail)
    }

    /// The body, for places that answer without the API layer.
    pub(crate) fn to_response(&self) -> poem::Response {
        let status = StatusCode::from_u16(self.details().status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let mut response = poem::Response::builder().status(status).content_type("application/problem+json");
        if status == StatusCode::UNAUTHORIZED {
            response = response.header("WWW-Authenticate", "Bearer");
        }
        response.body(self.details().to_json_string())
    }
}

/// What the framework says without the names of our types, which mean nothing to clients.
pub(crate) fn without_types(said: &str) -> String {
    let said = said.split(" (occurred while parsing").next().unwrap_or_default();
    let parts = said.split("failed to parse \"").enumerate();
    parts.map(|(n, part)| if n == 0 { part } else { part.split_once("\": ").map_or("", |(_, rule)| rule) }).collect()
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        use CommandError as E;
        let (status, code) = match &error {
            E::User(UserError::UnknownUser) | E::Game(GameError::UnknownGame) | E::Order(OrderError::UnknownOrder) => {
                (StatusCode::NOT_FOUND, "not_found")
            }
            E::User(rule @ UserError::KeyScopes) => return Self::field("scopes", rule),
            E::User(rule @ UserError::KeyExpiry) => return Self::field("expires_at", rule),
            E::User(refusal) => (StatusCode::CONFLICT, refusal.code()),
            E::Game(refusal) => (game_status(refusal), refusal.code()),
            E::Order(refusal) => (order_status(refusal), refusal.code()),
            E::Payment(refusal) => (StatusCode::CONFLICT, refusal.code()),
            E::Price(rule) => return Self::field("price", rule),
            E::EmailTaken => (StatusCode::CONFLICT, "email_taken"),
            E::LastAdmin => (StatusCode::CONFLICT, "last_admin"),
            E::GameTaken(_) => (StatusCode::CONFLICT, "game_owned_or_pending"),
            E::UnknownGame(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_game"),
            E::GameNotSold(_) => (StatusCode::CONFLICT, "game_retired"),
            E::TotalChanged(total) => return Self::total_changed(*total, &error),
            E::NothingToPay => (StatusCode::CONFLICT, "nothing_to_pay"),
            E::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            E::Stale { .. } => (StatusCode::PRECONDITION_FAILED, "stale_version"),
            E::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            E::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            E::SecondFactorMissing => (StatusCode::FORBIDDEN, "second_factor_missing"),
            E::PasskeysUnavailable => (StatusCode::CONFLICT, "passkeys_unavailable"),
            E::PasskeyNotMade => return Self::field("credential", error),
            E::WrongSetupCode => return Self::field("code", error),
            E::ProofTooOld => return Self::proof_too_old(&error),
            E::WrongPassword => return Self::field("current_password", error),
            E::Password(rule) => return Self::field("password", rule),
            E::Conflict => (StatusCode::SERVICE_UNAVAILABLE, "conflict"),
            E::Unavailable(cause) => return Self::unavailable("the journal", cause),
            E::Unreadable(cause) => return Self::unavailable("this part of the journal", cause),
            E::TreeHead(cause) => return Self::unavailable("the tree of events", cause),
        };
        Self::new(status, code, error)
    }
}

fn game_status(refusal: &GameError) -> StatusCode {
    match refusal {
        GameError::PromotionWindow | GameError::PromotionWithoutDiscount => StatusCode::UNPROCESSABLE_ENTITY,
        GameError::UnknownGame | GameError::UnknownPromotion => StatusCode::NOT_FOUND,
        GameError::AlreadyCreated
        | GameError::GameRetired
        | GameError::PromotionsOverlap(_)
        | GameError::TooManyPromotions => StatusCode::CONFLICT,
    }
}

fn order_status(refusal: &OrderError) -> StatusCode {
    match refusal {
        OrderError::EmptyOrder
        | OrderError::TooManyGames
        | OrderError::DuplicateGame(_)
        | OrderError::BuyerTooYoung { .. }
        | OrderError::TotalNotChargeable(_)
        | OrderError::RefundReasonMissing
        | OrderError::GameNotInOrder(_) => StatusCode::UNPROCESSABLE_ENTITY,
        OrderError::AlreadyPlaced
        | OrderError::UnknownOrder
        | OrderError::OrderCompleted
        | OrderError::OrderCancelled
        | OrderError::OrderRefunded
        | OrderError::OrderDisputed
        | OrderError::RefundInProgress
        | OrderError::RefundWindowClosed(_)
        | OrderError::OrderNotCompleted => StatusCode::CONFLICT,
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::WrongCredentials => Self::new(StatusCode::UNAUTHORIZED, "wrong_credentials", error),
            SessionError::SecondFactorNeeded => Self::new(StatusCode::UNAUTHORIZED, "second_factor_needed", error),
            SessionError::WrongCode => Self::new(StatusCode::UNAUTHORIZED, "wrong_code", error),
            SessionError::PasskeyRefused => Self::new(StatusCode::UNAUTHORIZED, "passkey_refused", error),
            SessionError::InvalidToken => Self::new(StatusCode::UNAUTHORIZED, "invalid_refresh_token", error),
            SessionError::Command(error) => error.into(),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::unavailable("the store's database", &error)
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        CommandError::from(error).into()
    }
}

impl From<NatsError> for Problem {
    fn from(error: NatsError) -> Self {
        Self::unavailable("the event stream", &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_framework_says_names_no_type_of_ours() {
        let said = "failed to parse \"SortDto\": Expect a valid enumeration value.";
        assert_eq!(without_types(said), "Expect a valid enumeration value.");
        let said = "parse JSON error: failed to parse \"string\": Expected input type \"string\", found 1. (occurred while \
                    parsing \"NewGame\")";
        assert_eq!(without_types(said), "parse JSON error: Expected input type \"string\", found 1.");
    }
}
