//! Games that cost less for a time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, eventually};

const MINUTE: Duration = Duration::from_mins(1);

/// Minutes from now by the store's clock.
fn at(app: &TestApp, from_now: i64) -> DateTime<Utc> {
    app.foundation.shared.commands.clock().now() + TimeDelta::minutes(from_now)
}

fn window(app: &TestApp, mut discount: Value, from: i64, to: i64) -> Value {
    discount["starts_at"] = json!(at(app, from));
    discount["ends_at"] = json!(at(app, to));
    discount
}

async fn schedule(app: &TestApp, game: &str, promotion: &Value) -> Answer {
    app.admin.post(&format!("/jogos/{game}/promocoes"), promotion).await
}

/// Waits until catalogue and search show a price.
async fn costs(app: &TestApp, game: &str, amount: i64) {
    let visitor = app.visitor();
    eventually(&format!("the catalogue says {amount}"), || async {
        (visitor.get(&format!("/jogos/{game}")).await.expect(200)["price"]["amount"].clone(), json!(amount))
    })
    .await;
    let found = format!("/jogos/busca?price_min={amount}&price_max={amount}");
    eventually(&format!("the search says {amount}"), || async {
        (visitor.get(&found).await.expect(200)["items"][0]["price"]["amount"].clone(), json!(amount))
    })
    .await;
}

#[tokio::test]
async fn a_promotion_begins_and_ends_by_itself_and_the_order_keeps_the_price_before() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let promotion = schedule(&app, &game, &window(&app, json!({ "percent": 50 }), 1, 10)).await.expect(201);
    assert_eq!((&promotion["number"], &promotion["percent"]), (&json!(1), &json!(50)));
    costs(&app, &game, 5_990).await;
    app.pass(MINUTE);
    costs(&app, &game, 2_995).await;
    let shown = app.visitor().get(&format!("/jogos/{game}")).await.expect(200);
    assert_eq!((&shown["list_price"]["amount"], &shown["promotion"]["number"]), (&json!(5_990), &json!(1)));

    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let bought = &ana.order(&order).await.unwrap()["games"][0];
    assert_eq!((&bought["price"]["amount"], &bought["price_before"]["amount"]), (&json!(2_995), &json!(5_990)));

    app.admin.delete(&format!("/jogos/{game}/promocoes/1")).await.expect(204);
    costs(&app, &game, 5_990).await;
    schedule(&app, &game, &window(&app, json!({ "price": { "amount": 100, "currency": "BRL" } }), 0, 1))
        .await
        .expect(201);
    costs(&app, &game, 100).await;
    app.pass(MINUTE);
    costs(&app, &game, 5_990).await;
    assert_eq!(app.admin.get(&format!("/jogos/{game}/promocoes")).await.expect(200)["items"], json!([]));
    app.verify().await;
}

#[tokio::test]
async fn the_price_of_a_purchase_follows_the_clock_whatever_is_shown() {
    let mut app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    // Nobody notes that promotions begin.
    app.kill_role("reconciler").await;
    schedule(&app, &game, &window(&app, json!({ "percent": 100 }), 1, 10)).await.expect(201);
    let free = json!({ "games": [game], "payment_method": { "type": "pix" } });
    app.pass(MINUTE);
    assert_eq!(ana.post("/jogos/compra", &free).await.expect(202)["status"], "completed");
}

#[tokio::test]
async fn promotions_are_for_admins_and_must_make_sense() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let good = window(&app, json!({ "percent": 10 }), 1, 2);
    let path = format!("/jogos/{game}/promocoes");
    ana.post(&path, &good).await.refused(403, "forbidden");
    ana.get(&path).await.refused(403, "forbidden");
    app.visitor().post(&path, &good).await.refused(401, "unauthenticated");
    for (what, promotion, status, code) in [
        ("nothing off", window(&app, json!({ "percent": 0 }), 0, 1), 422, "invalid_field"),
        ("more than all", window(&app, json!({ "percent": 101 }), 0, 1), 422, "invalid_field"),
        ("neither", window(&app, json!({}), 0, 1), 422, "invalid_field"),
        ("over", window(&app, json!({ "percent": 10 }), -2, -1), 422, "promotion_window"),
        ("backwards", window(&app, json!({ "percent": 10 }), 2, 1), 422, "promotion_window"),
        (
            "dearer",
            window(&app, json!({ "price": { "amount": 6_000, "currency": "BRL" } }), 0, 1),
            422,
            "promotion_without_discount",
        ),
    ] {
        println!("{what}");
        schedule(&app, &game, &promotion).await.refused(status, code);
    }
    schedule(&app, &game, &good).await.expect(201);
    schedule(&app, &game, &good).await.refused(409, "promotions_overlap");
    app.admin.delete(&format!("{path}/2")).await.refused(404, "unknown_promotion");
    schedule(&app, &journal::Clock::default().new_id().to_string(), &good).await.refused(404, "not_found");
}
