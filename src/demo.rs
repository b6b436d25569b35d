//! `ludoteca demo`: a visitor buys three times, and every event is printed as it happens.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::Api;
use crate::config::ClientConfig;

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Buys with a card, has one declined, buys by Pix, and shows the library.
///
/// # Errors
/// When the store does not do what it says.
pub async fn run(config: &ClientConfig) -> Result<()> {
    let visitor = Api::visit(&config.url)?;
    let admin = Api::log_in_admin(config).await.context("the admin's login")?;
    let watching = tokio::spawn(watch(admin));

    let name = format!("demo-{:08x}", rand::random::<u32>());
    say(&format!("A visitor opens an account as {name}@ludoteca.example and looks for games"));
    let buyer = visitor.register("Demo Buyer", &format!("{name}@ludoteca.example")).await?;
    let found = visitor.get("/jogos/busca?q=lantern&limit=5").await?;
    for hit in items(&found, "items") {
        println!("    found {}", text(hit, "title"));
    }
    let games = priced_games(&visitor).await?;
    let [first, second, third] = games.first_chunk::<3>().context("the catalogue has fewer than three priced games")?;

    say(&format!("Buys {} with a card", text(first, "title")));
    let order = buy(&buyer, first, json!({ "type": "card", "token": "pm_card_visa" })).await?;
    until(&buyer, &order, "completed").await?;

    say(&format!("Buys {} with a card that the bank declines", text(second, "title")));
    let order = buy(&buyer, second, json!({ "type": "card", "token": "pm_card_chargeCustomerFail" })).await?;
    until(&buyer, &order, "payment_failed").await?;

    say(&format!("Buys {} by Pix; the money arrives a moment later, by webhook", text(third, "title")));
    let order = buy(&buyer, third, json!({ "type": "pix" })).await?;
    until(&buyer, &order, "completed").await?;

    let deadline = Instant::now().checked_add(PATIENCE);
    let library = loop {
        let library = buyer.get("/biblioteca").await?;
        if items(&library, "items").len() == 2 {
            break library;
        }
        ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "the games did not arrive: {library}");
        sleep(POLL).await;
    };
    watching.abort();
    say("The library");
    for shelf in items(&library, "items") {
        println!(
            "    {}  since {}",
            text(shelf.get("game").unwrap_or(&Value::Null), "title"),
            text(shelf, "acquired_at")
        );
    }
    Ok(())
}

fn say(what: &str) {
    println!("\n{what}");
}

async fn buy(buyer: &Api, game: &Value, method: Value) -> Result<String> {
    let purchase = json!({ "games": [text(game, "id")], "payment_method": method });
    let accepted = buyer.post("/jogos/compra", &purchase).await?;
    Ok(text(&accepted, "order_id").to_owned())
}

async fn until(buyer: &Api, order: &str, status: &str) -> Result<()> {
    let deadline = Instant::now().checked_add(PATIENCE);
    let mut seen = String::new();
    while deadline.is_some_and(|deadline| Instant::now() < deadline) {
        let answer = buyer.request(Method::GET, &format!("/pedidos/{order}")).send().await?;
        // The order may be a moment younger than the read model.
        if answer.status().is_success() {
            text(&answer.json().await?, "status").clone_into(&mut seen);
            if seen == status {
                // The last events are on their way to the terminal.
                sleep(Duration::from_millis(200)).await;
                println!("    → the order: {}", status.replace('_', " "));
                return Ok(());
            }
        }
        sleep(POLL).await;
    }
    anyhow::bail!("order {order} should be {status} but is {seen}")
}

async fn priced_games(visitor: &Api) -> Result<Vec<Value>> {
    let page = visitor.get("/jogos?limit=50").await?;
    let priced = |game: &&Value| game.pointer("/price/amount").and_then(Value::as_i64).unwrap_or(0) > 0;
    Ok(items(&page, "items").iter().filter(priced).cloned().collect())
}

/// Prints each event of the store from now on.
async fn watch(admin: Api) -> Result<()> {
    let nothing = admin.request(Method::GET, "/eventos?to=0").send().await?;
    let last = nothing.headers().get("last-position").and_then(|last| last.to_str().ok()?.parse::<u64>().ok());
    let next = last.context("the store does not say where its events end")?.saturating_add(1);
    let path = format!("/eventos?follow=true&from={next}");
    let mut chunks = admin.request(Method::GET, &path).send().await?.bytes_stream();
    let mut rest = Vec::new();
    while let Some(chunk) = chunks.next().await {
        rest.extend_from_slice(&chunk?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if let Ok(event) = serde_json::from_slice::<Value>(&line) {
                let position = event.get("position").and_then(Value::as_u64).unwrap_or_default();
                println!("    #{position:<6} {:<22} {}", text(&event, "type"), text(&event, "subject"));
            }
        }
    }
    Ok(())
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
