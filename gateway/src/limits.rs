//! How often anybody may do what: each class of requests has a quota for each caller, the same whether what they ask for
//! exists or not. Gateways tell each other what was used (decision 0032).

mod buckets;
mod class;
mod quotas;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use journal::Vault;
use nats::{LIMITS_USED, Nats};
use poem::http::{HeaderName, HeaderValue};
use poem::{Endpoint, IntoResponse, Request, Response, Result};
use strum::IntoEnumIterator;

use self::buckets::{Buckets, Left};
use crate::problem::Problem;
use crate::source::Source;

pub use class::Class;
pub use quotas::Quotas;

/// How often gateways tell each other.
const EVERY: Duration = Duration::from_secs(1);
/// How much is told at once at most; what is beyond that counts here alone.
const TOLD: usize = 10_000;
/// The quota of a caller's class of requests, and what is left of it
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>, version 10).
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// What was used of all quotas.
pub(crate) struct Limits {
    quotas: Quotas,
    vault: Vault,
    buckets: HashMap<Class, Buckets>,
    /// What was used here and not told yet.
    used: Mutex<HashMap<(Class, u64), u32>>,
    /// What this gateway calls itself.
    name: u64,
}

impl Limits {
    pub(crate) fn new(quotas: Quotas, vault: Vault) -> Self {
        let buckets = Class::iter().map(|class| (class, Buckets::new(quotas.of(class), class.window()))).collect();
        Self { quotas, vault, buckets, used: Mutex::default(), name: rand::random() }
    }

    /// Counts a request of a caller, who is remembered by a keyed hash only.
    fn take(&self, class: Class, caller: &str) -> Left {
        let hash = self.vault.keyed_hash("limit", caller.as_bytes());
        let key = u64::from_be_bytes(hash.first_chunk().copied().unwrap_or_default());
        let Some(buckets) = self.buckets.get(&class) else { return Left::Nothing(EVERY) };
        let left = buckets.take(key);
        if matches!(left, Left::Some(_)) {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            if used.len() < TOLD || used.contains_key(&(class, key)) {
                let used = used.entry((class, key)).or_default();
                *used = used.saturating_add(1);
            }
        }
        left
    }

    /// Counts what no route stands for: attempts at one account.
    ///
    /// # Errors
    /// 429 where nothing is left.
    pub(crate) fn admit(&self, class: Class, caller: &str) -> Result<(), Problem> {
        match self.take(class, caller) {
            Left::Some(_) => Ok(()),
            Left::Nothing(wait) => Err(Problem::throttled(seconds(wait))),
        }
    }

    /// Counts an access token that is not good against the address that it comes from.
    ///
    /// # Errors
    /// 429 where nothing is left.
    pub(crate) fn bad_token(&self, request: &Request) -> Result<(), Problem> {
        self.admit(Class::Token, &stranger(request))
    }

    /// Tells other gateways what was used, and hears what they say, for as long as it is awaited.
    pub(crate) async fn share(&self, nats: &Nats) -> Infallible {
        let tell = async {
            loop {
                tokio::time::sleep(EVERY).await;
                let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
                if used.is_empty() {
                    continue;
                }
                let lines: String = used.iter().map(|((class, key), n)| format!("\n{class} {key} {n}")).collect();
                if let Err(error) = nats.question(LIMITS_USED, format!("{}{lines}", self.name)).await {
                    tracing::debug!(%error, "Limits count in this gateway alone");
                }
            }
        };
        let hear = async {
            loop {
                match nats.questions(LIMITS_USED).await {
                    Ok(mut told) => {
                        while let Some(told) = told.next().await {
                            self.hear(&told);
                        }
                    }
                    Err(error) => tracing::debug!(%error, "Limits of other gateways are not heard"),
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::select! {
            never = tell => never,
            never = hear => never,
        }
    }

    fn hear(&self, told: &str) {
        let mut lines = told.lines();
        if lines.next().is_none_or(|name| name == self.name.to_string()) {
            return;
        }
        for line in lines {
            let mut parts = line.split(' ');
            let class = parts.next().and_then(|class| class.parse().ok());
            let key = parts.next().and_then(|key| key.parse().ok());
            let used = parts.next().and_then(|used| used.parse().ok());
            if let (Some(class), Some(key), Some(used)) = (class, key, used)
                && let Some(buckets) = self.buckets.get(&class)
            {
                buckets.took(key, used);
            }
        }
    }
}

/// Counts a request, and says with its answer what is left.
pub(crate) async fn limited<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    match Class::of(request.method(), request.uri().path()).filter(|class| *class != Class::Page) {
        Some(class) => counted(&endpoint, request, class).await,
        None => endpoint.call(request).await.map(IntoResponse::into_response),
    }
}

/// The same for what is the same for all, and so no part of the API: by the whole path, before it is shortened for a route.
pub(crate) async fn limited_pages<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    match Class::of(request.method(), request.uri().path()) {
        Some(Class::Page) => counted(&endpoint, request, Class::Page).await,
        _ => endpoint.call(request).await.map(IntoResponse::into_response),
    }
}

async fn counted<E: Endpoint>(endpoint: &E, request: Request, class: Class) -> Result<Response> {
    let Some(limits) = request.data::<Arc<Limits>>().cloned() else {
        return endpoint.call(request).await.map(IntoResponse::into_response);
    };
    let user = request.data::<commands::Actor>().and_then(|actor| actor.user());
    let caller = user.map_or_else(|| stranger(&request), |user| user.to_string());
    let left = limits.take(class, &caller);
    let mut response = match left {
        Left::Nothing(wait) => poem::Error::from(Problem::throttled(seconds(wait))).into_response(),
        Left::Some(_) => match endpoint.call(request).await {
            Err(error) if error.is_from_response() => error.into_response(),
            answered => answered?.into_response(),
        },
    };
    let (quota, window) = (limits.quotas.of(class), class.window().as_secs());
    let said = match left {
        Left::Some(left) => format!("\"{class}\";r={left}"),
        Left::Nothing(wait) => format!("\"{class}\";r=0;t={}", seconds(wait)),
    };
    for (name, value) in [(POLICY, format!("\"{class}\";q={quota};w={window}")), (LEFT, said)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The address that somebody comes from who is nobody yet; those that no socket knows count as one.
fn stranger(request: &Request) -> String {
    let address = request.remote_addr().as_socket_addr();
    address.map(|address| Source::from(address.ip()).to_string()).unwrap_or_default()
}

/// Whole seconds after which it is worth trying again.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(1)
}
