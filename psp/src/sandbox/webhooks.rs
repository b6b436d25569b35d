use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::control::Behaviour;
use super::{new_id, seconds_now};
use crate::signature;

/// Delivers events to the store, again and again until it says 2xx.
pub(super) struct Webhooks {
    http: reqwest::Client,
    url: String,
    secret: SecretString,
    stop: CancellationToken,
    held: Mutex<Vec<String>>,
}

#[derive(Serialize)]
struct Event<'a, T> {
    id: String,
    object: &'static str,
    #[serde(rename = "type")]
    kind: &'a str,
    created: u64,
    data: Data<'a, T>,
}

#[derive(Serialize)]
struct Data<'a, T> {
    object: Named<'a, T>,
}

/// A thing with the word for what it is.
#[derive(Serialize)]
struct Named<'a, T> {
    object: &'static str,
    #[serde(flatten)]
    thing: &'a T,
}

const TRIES: u32 = 12;

impl Webhooks {
    pub(super) fn new(url: String, secret: SecretString, stop: CancellationToken) -> std::io::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Self { http, url, secret, stop, held: Mutex::default() })
    }

    /// Delivers an event, or keeps it back.
    pub(super) fn deliver(&self, kind: &str, object: &impl Serialize, behaviour: &Behaviour) {
        let word = match kind {
            _ if kind.starts_with("charge.dispute.") => "dispute",
            _ if kind.starts_with("refund.") => "refund",
            _ => "payment_intent",
        };
        let data = Data { object: Named { object: word, thing: object } };
        let event = Event { id: new_id("evt"), object: "event", kind, created: seconds_now(), data };
        let Ok(body) = serde_json::to_string(&event) else { return };
        if behaviour.webhooks.hold {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).push(body);
        } else {
            self.send(&body, behaviour);
        }
    }

    /// Delivers what was kept back, newest first.
    pub(super) fn release(&self, behaviour: &Behaviour) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        held.iter().rev().for_each(|body| self.send(body, behaviour));
    }

    fn send(&self, body: &str, behaviour: &Behaviour) {
        let secret = behaviour.webhook_secret.as_deref().map_or_else(|| self.secret.clone(), SecretString::from);
        let (clock, delay) = (behaviour.clock_seconds, Duration::from_millis(behaviour.webhooks.delay_ms));
        for _ in 0..behaviour.webhooks.copies {
            let (http, url, secret, body) = (self.http.clone(), self.url.clone(), secret.clone(), body.to_owned());
            let deliver = async move {
                tokio::time::sleep(delay).await;
                for again in 0..TRIES {
                    let signed = signature::sign(body.as_bytes(), &secret, seconds_now().saturating_add_signed(clock));
                    let request =
                        http.post(&url).header("Stripe-Signature", signed).header("Content-Type", "application/json");
                    match request.body(body.clone()).send().await {
                        Ok(answer) if answer.status().is_success() => return,
                        Ok(answer) => tracing::debug!(status = %answer.status(), "The store did not take a webhook"),
                        Err(error) => tracing::debug!(%error, "The store did not answer a webhook"),
                    }
                    tokio::time::sleep(Duration::from_millis(500 << again.min(6))).await;
                }
            };
            let stop = self.stop.clone();
            tokio::spawn(async move { stop.run_until_cancelled(deliver).await });
        }
    }
}
