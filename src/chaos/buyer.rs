//! A buyer with patience: asks until there is an answer, under the same idempotency key, and sometimes twice at once.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::{Api, new_password};

/// Until when an answer is waited for; longer than any fault lasts.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the buyers did, and what they saw that must never be.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    /// The orders that the store accepted.
    pub(super) orders: Vec<String>,
    pub(super) repeats: u64,
    pub(super) refunds: u64,
    /// Changes of somebody's own data.
    pub(super) profiles: u64,
    pub(super) retries: u64,
    /// Two answers to one request under one key that name two orders.
    pub(super) doubled: u64,
    /// How often somebody asked for what is another's.
    pub(super) intrusions: u64,
    /// And was not refused.
    pub(super) leaks: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.orders.extend(other.orders);
        for (sum, more) in [
            (&mut self.repeats, other.repeats),
            (&mut self.refunds, other.refunds),
            (&mut self.profiles, other.profiles),
            (&mut self.retries, other.retries),
            (&mut self.doubled, other.doubled),
            (&mut self.intrusions, other.intrusions),
            (&mut self.leaks, other.leaks),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

pub(super) struct Buyer {
    pub(super) name: String,
    pub(super) api: Api,
    email: String,
    password: SecretString,
    games: Vec<String>,
    rng: StdRng,
    tally: Tally,
}

impl Buyer {
    pub(super) async fn register(url: &str, number: u64, seed: u64, games: &[String]) -> Result<Self> {
        let name = format!("quimera{number:03}");
        let (email, password) = (format!("{name}@chaos.example"), new_password());
        let api = Api::visit(url)?.register_with(&name, &email, &password).await?;
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(number));
        Ok(Self { name, api, email, password, games: games.to_vec(), rng, tally: Tally::default() })
    }

    /// Buys, pays again, returns and gives up until `deadline`; what came of it. Whoever is to be erased is, before the
    /// others are done, in the middle of a purchase.
    pub(super) async fn shop(mut self, deadline: Instant, strangers: &[String], erased: bool) -> Result<(Self, Tally)> {
        while Instant::now() < deadline {
            match self.rng.gen_range(0..100) {
                0..52 => self.buy().await?,
                52..65 => self.pay_again().await?,
                65..79 => self.return_games().await?,
                79..86 => self.cancel().await?,
                86..93 => self.change_profile().await?,
                _ => self.intrude(strangers).await?,
            }
            sleep(Duration::from_millis(self.rng.gen_range(100..900))).await;
        }
        if erased {
            self.buy().await?;
            self.log_in().await?;
            self.ask(Method::DELETE, "/users/me", None, &Value::Null).await?;
        }
        let tally = std::mem::take(&mut self.tally);
        Ok((self, tally))
    }

    async fn buy(&mut self) -> Result<()> {
        let count = self.rng.gen_range(1..=3);
        let games: Vec<&String> = self.games.choose_multiple(&mut self.rng, count).collect();
        let body = json!({ "games": games, "payment_method": method(&mut self.rng) });
        let key = format!("{:032x}", self.rng.r#gen::<u128>());
        let answers = if self.rng.gen_bool(0.2) {
            self.tally.repeats = self.tally.repeats.saturating_add(1);
            let (one, other) = tokio::join!(
                self.ask(Method::POST, "/jogos/compra", Some(&key), &body),
                self.ask(Method::POST, "/jogos/compra", Some(&key), &body)
            );
            vec![one?, other?]
        } else {
            vec![self.ask(Method::POST, "/jogos/compra", Some(&key), &body).await?]
        };
        let mut orders: Vec<String> = Vec::new();
        for (status, answer, retries) in answers {
            self.tally.retries = self.tally.retries.saturating_add(retries);
            if status == StatusCode::ACCEPTED {
                orders.push(text(&answer, "order_id")?);
            }
        }
        orders.dedup();
        if orders.len() > 1 {
            self.tally.doubled = self.tally.doubled.saturating_add(1);
        }
        self.tally.orders.extend(orders);
        Ok(())
    }

    async fn pay_again(&mut self) -> Result<()> {
        let Some(order) = self.one_that_is("payment_failed").await? else { return Ok(()) };
        let body = json!({ "order_id": order, "payment_method": method(&mut self.rng) });
        let key = format!("{:032x}", self.rng.r#gen::<u128>());
        self.ask(Method::POST, "/pagamento", Some(&key), &body).await.map(drop)
    }

    async fn return_games(&mut self) -> Result<()> {
        let Some(order) = self.one_that_is("completed").await? else { return Ok(()) };
        let (status, ..) = self.ask(Method::POST, &format!("/pedidos/{order}/reembolso"), None, &json!({})).await?;
        if status == StatusCode::ACCEPTED {
            self.tally.refunds = self.tally.refunds.saturating_add(1);
        }
        Ok(())
    }

    async fn cancel(&mut self) -> Result<()> {
        let waiting = ["awaiting_payment", "payment_failed"].choose(&mut self.rng).copied().unwrap_or_default();
        let Some(order) = self.one_that_is(waiting).await? else { return Ok(()) };
        self.ask(Method::DELETE, &format!("/pedidos/{order}"), None, &Value::Null).await.map(drop)
    }

    /// Proves anew who they are: what they ask for next needs that.
    async fn log_in(&mut self) -> Result<()> {
        let credentials = json!({ "email": self.email, "password": self.password.expose_secret() });
        let (_, tokens, _) = self.ask(Method::POST, "/login/auth", None, &credentials).await?;
        self.api = self.api.with(&tokens)?;
        Ok(())
    }

    async fn change_profile(&mut self) -> Result<()> {
        let name = format!("{}x{}", self.name, self.rng.gen_range(0..1_000));
        let email = format!("{name}@chaos.example");
        let body = json!({ "name": name, "email": email, "birth_date": "1990-01-31" });
        self.log_in().await?;
        let (status, ..) = self.ask(Method::PUT, "/users/me", None, &body).await?;
        if status.is_success() {
            self.email = email;
        }
        self.tally.profiles = self.tally.profiles.saturating_add(1);
        Ok(())
    }

    /// Looks at another's order, and asks for a role.
    async fn intrude(&mut self, strangers: &[String]) -> Result<()> {
        let Some(stranger) = strangers.choose(&mut self.rng).filter(|id| !self.tally.orders.contains(id)) else {
            return Ok(());
        };
        let (status, ..) = self.ask(Method::GET, &format!("/pedidos/{stranger}"), None, &Value::Null).await?;
        let (role, ..) = self.ask(Method::PUT, "/users/me/role", None, &json!({ "role": "admin" })).await?;
        self.tally.intrusions = self.tally.intrusions.saturating_add(2);
        let leaks =
            [status == StatusCode::NOT_FOUND, role == StatusCode::FORBIDDEN].iter().filter(|held| !**held).count();
        self.tally.leaks = self.tally.leaks.saturating_add(leaks as u64);
        Ok(())
    }

    async fn one_that_is(&mut self, status: &str) -> Result<Option<String>> {
        let (_, page, _) = self.ask(Method::GET, "/pedidos?limit=20", None, &Value::Null).await?;
        let orders = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let fitting: Vec<&Value> =
            orders.iter().filter(|order| order.get("status").and_then(Value::as_str) == Some(status)).collect();
        fitting.choose(&mut self.rng).map(|order| text(order, "id")).transpose()
    }

    /// Asks until the store answers for sure: that it could not is no answer.
    async fn ask(&self, verb: Method, path: &str, key: Option<&str>, body: &Value) -> Result<(StatusCode, Value, u64)> {
        let deadline = Instant::now().checked_add(PATIENCE);
        let mut retries = 0_u64;
        loop {
            // Whatever version there is, where versions count.
            let mut request = self.api.request(verb.clone(), path).header("If-Match", "*");
            request = request.timeout(Duration::from_secs(10));
            if !body.is_null() {
                request = request.json(body);
            }
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            if let Ok(answer) = request.send().await {
                let status = answer.status();
                if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
                    return Ok((status, answer.json().await.unwrap_or_default(), retries));
                }
            }
            anyhow::ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "{path} is not answered");
            retries = retries.saturating_add(1);
            sleep(Duration::from_millis(200)).await;
        }
    }
}

fn method(rng: &mut StdRng) -> Value {
    let token = match rng.gen_range(0..100) {
        0..25 => return json!({ "type": "pix" }),
        25..40 => "pm_card_chargeCustomerFail",
        40..50 => "pm_card_flaky",
        50..53 => "pm_card_timeout",
        53..60 => "pm_card_pendingRefund",
        60..68 => "pm_card_createDispute",
        _ => "pm_card_visa",
    };
    json!({ "type": "card", "token": token })
}

fn text(value: &Value, field: &str) -> Result<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {field}"))
}
