//! A client of the store: an account, its notices, and the games that it has not bought yet.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rand::seq::SliceRandom;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::mix::Action;
use crate::client::Api;
use crate::notices::Notices;

/// How long a client waits for a notice before it looks by itself whether its game has arrived.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Shopper {
    api: Api,
    notices: Notices,
    games: Vec<String>,
    patience: Duration,
}

/// What an action took: from the beginning, named by what it waited for.
pub(super) type Laps = Vec<(&'static str, Duration)>;

impl Shopper {
    /// A new customer, who listens.
    pub(super) async fn register(visitor: &Api, email: &str, games: &[String], patience: Duration) -> Result<Self> {
        let api = visitor.register("Load Buyer", email).await?;
        let notices = Notices::of(&api).await?;
        Ok(Self { api, notices, games: games.to_vec(), patience })
    }

    /// Whether there is a game left to buy.
    pub(super) fn can_buy(&self) -> bool {
        !self.games.is_empty()
    }

    /// Does something; `begun` is when it was to begin.
    pub(super) async fn act(&mut self, action: Action, begun: Instant) -> Result<Laps> {
        match action {
            Action::Browse => self.browse(begun).await,
            Action::Search => self.search(begun).await,
            Action::Purchase => self.purchase(begun).await.map(|(laps, _)| laps),
            Action::Decline => self.decline(begun).await,
            Action::Refund => self.refund(begun).await,
        }
    }

    async fn browse(&self, begun: Instant) -> Result<Laps> {
        let page = self.api.get("/jogos?limit=20").await?;
        let game = page.pointer("/items/0/id").and_then(Value::as_str).context("an empty catalogue")?;
        self.api.get(&format!("/jogos/{game}")).await?;
        Ok(vec![("two pages", begun.elapsed())])
    }

    async fn search(&self, begun: Instant) -> Result<Laps> {
        let beginnings = ["the", "star", "war", "dark", "city", "last", "world"];
        let beginning = beginnings.choose(&mut rand::thread_rng()).copied().unwrap_or("the");
        self.api.get(&format!("/jogos/busca?q={beginning}")).await?;
        Ok(vec![("answer", begun.elapsed())])
    }

    async fn purchase(&mut self, begun: Instant) -> Result<(Laps, String)> {
        let game = self.games.pop().context("all games are bought")?;
        let order = self.order(&game, "pm_card_visa").await?;
        let accepted = begun.elapsed();
        self.arrives(&order, &game).await?;
        Ok((vec![("accepted", accepted), ("in the library", begun.elapsed())], order))
    }

    async fn decline(&mut self, begun: Instant) -> Result<Laps> {
        let game = self.games.last().cloned().context("all games are bought")?;
        let order = self.order(&game, "pm_card_chargeDeclined").await?;
        self.hears("OrderPaymentFailed", &order).await?;
        let declined = begun.elapsed();
        Api::send(self.api.request(Method::DELETE, &format!("/pedidos/{order}"))).await?;
        Ok(vec![("declined", declined), ("given up", begun.elapsed())])
    }

    async fn refund(&mut self, begun: Instant) -> Result<Laps> {
        let (_, order) = self.purchase(begun).await?;
        let asked = Instant::now();
        self.api.post(&format!("/pedidos/{order}/reembolso"), &json!({})).await?;
        self.hears("OrderRefunded", &order).await?;
        Ok(vec![("refunded", asked.elapsed())])
    }

    async fn order(&self, game: &str, card: &str) -> Result<String> {
        let method = json!({ "type": "card", "token": card });
        let order = self.api.post("/jogos/compra", &json!({ "games": [game], "payment_method": method })).await?;
        Ok(order.get("order_id").and_then(Value::as_str).context("an order without an id")?.to_owned())
    }

    /// Waits until a game is in its buyer's library. A store whose parts are being killed may end the stream of notices
    /// or not answer for a moment; then the library is looked at by itself.
    async fn arrives(&mut self, order: &str, game: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let token = match timeout(LOOK, self.notices.of_order("OrderCompleted", order)).await {
                Ok(Ok(token)) => token,
                Ok(Err(_)) => {
                    if let Ok(again) = Notices::of(&self.api).await {
                        self.notices = again;
                    }
                    String::new()
                }
                Err(_) => String::new(),
            };
            let library = self.api.request(Method::GET, "/biblioteca?limit=1").header("Consistency-Token", token);
            let newest = Api::send(library).await.unwrap_or_default();
            if newest.pointer("/items/0/game/id").and_then(Value::as_str) == Some(game) {
                return Ok(());
            }
            let patience = self.patience;
            ensure!(begun.elapsed() < patience, "game {game} has not arrived after {} s", patience.as_secs());
        }
    }

    async fn hears(&mut self, kind: &str, order: &str) -> Result<()> {
        let heard = timeout(self.patience, self.notices.of_order(kind, order)).await;
        heard.with_context(|| format!("no {kind} of order {order} after {} s", self.patience.as_secs()))??;
        Ok(())
    }
}
