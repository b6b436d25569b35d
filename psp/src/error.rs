use std::time::Duration;

use serde::Deserialize;

use crate::intent::PaymentError;

/// What is known after a request that did not succeed.
///
/// Classified by HTTP status, then by `error.code`; never by `type`. <https://docs.stripe.com/error-handling>
#[derive(Debug, Clone, thiserror::Error)]
pub enum PspError {
    /// 402: the bank said no to this attempt.
    #[error("declined: {code}: {message}")]
    Declined {
        /// The decline code where there is one, else the code.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// 5xx: it may have happened, and the same idempotency key will be answered the same for a day.
    #[error("the PSP failed (HTTP {status}): {message}")]
    Faulty {
        /// The HTTP status.
        status: u16,
        /// A sentence for people.
        message: String,
    },
    /// No answer, or 409: the charge may have happened. Ask before doing anything else.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// The request never left: nothing can have happened.
    #[error("not sent: {0}")]
    NotSent(String),
    /// 429: come back later; nothing has happened.
    #[error("too many requests, wait {0:?}")]
    Limited(Duration),
    /// 401 or 403: our key is wrong. Nothing will work until somebody mends it.
    #[error("the PSP does not accept our key (HTTP {0})")]
    Unauthorised(u16),
    /// The bank has taken the charge back, or may: it cannot be refunded.
    #[error("the charge is disputed")]
    Disputed,
    /// 400 or 404: it does not do this now, or knows no such thing.
    #[error("refused (HTTP {status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// A sentence for people.
        message: String,
    },
}

#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    error: PaymentError,
}

impl PspError {
    pub(crate) fn of_transport(error: &reqwest::Error) -> Self {
        let message = chain(error);
        if error.is_connect() || error.is_builder() { Self::NotSent(message) } else { Self::Unknown(message) }
    }

    pub(crate) fn of_answer(status: u16, retry_after: Option<u64>, body: &str) -> Self {
        let ErrorBody { error } = serde_json::from_str(body).unwrap_or_default();
        let message = error.message.unwrap_or_else(|| format!("HTTP {status}"));
        match status {
            402 => Self::Declined {
                code: error.decline_code.or(error.code).unwrap_or_else(|| "declined".to_owned()),
                message,
            },
            401 | 403 => Self::Unauthorised(status),
            429 => Self::Limited(Duration::from_secs(retry_after.unwrap_or(2))),
            409 => Self::Unknown(message),
            400 if error.code.as_deref() == Some("charge_disputed") => Self::Disputed,
            500.. => Self::Faulty { status, message },
            _ => Self::Refused { status, message },
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
