//! Making the sandbox misbehave on purpose: `PUT /control` says how, until it is put again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use poem::http::StatusCode;
use poem::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// How the sandbox behaves; well, where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Behaviour {
    /// How long each answer takes, in milliseconds.
    pub(super) latency_ms: u64,
    /// What happens to requests instead of a good answer.
    pub(super) fault: Option<Fault>,
    /// How many requests are spared before.
    pub(super) after: u32,
    /// To how many requests after those; to all, without it.
    pub(super) times: Option<u32>,
    /// How webhooks are delivered.
    pub(super) webhooks: WebhookBehaviour,
    /// By how many seconds the clock is wrong that webhooks are signed by.
    pub(super) clock_seconds: i64,
    /// What webhooks are signed with, instead of the secret that the sandbox was started with.
    pub(super) webhook_secret: Option<String>,
}

/// What may happen to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// Nothing is done and nothing answered.
    DropBefore,
    /// It is done, and nothing answered.
    DropAfter,
    /// 409: another request with the same key is under way.
    Conflict,
    /// 429, with `Retry-After: 1`.
    Limited,
    /// 500; nothing is done.
    Error,
    /// 401: the key is not taken.
    Unauthorised,
}

/// How webhooks are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WebhookBehaviour {
    /// How often each is delivered; 0 loses it.
    pub(super) copies: u32,
    /// How late, in milliseconds.
    pub(super) delay_ms: u64,
    /// Kept back until this is unset, then delivered newest first.
    pub(super) hold: bool,
}

impl Default for WebhookBehaviour {
    fn default() -> Self {
        Self { copies: 1, delay_ms: 0, hold: false }
    }
}

#[derive(Default)]
pub(super) struct Control {
    behaviour: Mutex<Behaviour>,
    requests: AtomicU64,
}

impl Control {
    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> Behaviour {
        self.behaviour().clone()
    }

    pub(super) fn set(&self, behaviour: Behaviour) {
        *self.behaviour() = behaviour;
        self.requests.store(0, Ordering::Relaxed);
    }

    /// How many requests came since the behaviour was last set.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What is to happen to the request that came now, and how long it takes.
    pub(super) fn next(&self) -> (Duration, Option<Fault>) {
        let mut behaviour = self.behaviour();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let latency = Duration::from_millis(behaviour.latency_ms);
        if behaviour.after > 0 {
            behaviour.after = behaviour.after.saturating_sub(1);
            return (latency, None);
        }
        let fault = match &mut behaviour.times {
            Some(0) => None,
            Some(left) => {
                *left = left.saturating_sub(1);
                behaviour.fault
            }
            None => behaviour.fault,
        };
        (latency, fault)
    }
}

impl Fault {
    /// What is answered instead of anything being done; nothing where it is done all the same.
    pub(super) async fn instead(self) -> Option<Response> {
        let (status, code) = match self {
            Self::DropAfter => return None,
            Self::DropBefore => std::future::pending().await,
            Self::Conflict => (StatusCode::CONFLICT, "idempotency_key_in_use"),
            Self::Limited => (StatusCode::TOO_MANY_REQUESTS, "rate_limit"),
            Self::Error => (StatusCode::INTERNAL_SERVER_ERROR, "api_error"),
            Self::Unauthorised => (StatusCode::UNAUTHORIZED, "invalid_api_key"),
        };
        let body = serde_json::json!({ "error": { "code": code, "message": "Injected by the sandbox's control" } });
        let answer = poem::web::Json(body).with_status(status);
        Some(if self == Self::Limited {
            answer.with_header("Retry-After", "1").into_response()
        } else {
            answer.into_response()
        })
    }
}
