//! What follows from one order happens in order, and holds nobody else up.

use std::collections::HashMap;

use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::support::{Person, TestApp, eventually};

fn lane(id: &str) -> char {
    id.chars().last().unwrap()
}

#[tokio::test]
async fn an_order_that_nothing_can_follow_from_holds_up_its_own_lane_only() {
    let mut app = TestApp::start().await;
    app.kill_role("checkout").await;
    let game = app.game("Summit", 5_990).await;
    let ana = app.customer("ana").await;
    let stuck = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&stuck, "completed").await;
    ana.post(&format!("/pedidos/{stuck}/reembolso"), &json!({})).await.expect(202);
    // As a newer program would have written it.
    let mut owner = PgConnection::connect(app.owner_url.expose_secret()).await.unwrap();
    sqlx::query(
        "insert into journal.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         select 'order', $1, max(sequence) + 1, 'OrderGiftWrapped', '1', '{}', '{}'
         from journal.events where aggregate_type = 'order' and aggregate_id = $1",
    )
    .bind(&stuck)
    .execute(&mut owner)
    .await
    .unwrap();

    let mut orders: HashMap<String, Person> = HashMap::new();
    // Until both an order in the same lane and some in others are there.
    while orders.len() < 4 || !orders.keys().any(|order| lane(order) == lane(&stuck)) {
        let buyer = app.customer(&format!("ben{}", orders.len())).await;
        orders.insert(buyer.buy(&[&game], "pm_card_visa").await, buyer);
    }
    for (order, buyer) in &orders {
        buyer.sees_order(order, "completed").await;
        buyer.post(&format!("/pedidos/{order}/reembolso"), &json!({})).await.expect(202);
    }
    app.start_role("checkout");

    for (order, buyer) in orders.iter().filter(|(order, _)| lane(order) != lane(&stuck)) {
        buyer.sees_order(order, "refunded").await;
    }
    let elsewhere = orders.keys().filter(|order| lane(order) != lane(&stuck)).count();
    let returned = usize::try_from(app.events("PaymentRefunded").await).unwrap();
    assert_eq!(returned, elsewhere, "what is in its lane waits behind it");
}

#[tokio::test]
async fn several_checkouts_share_the_lanes_and_do_nothing_twice() {
    let app = TestApp::start().await;
    for _ in 0..2 {
        let another = app.foundation.clone();
        tokio::spawn(async move { another.checkout().await });
    }
    let game = app.game("Summit", 5_990).await;
    let mut orders = Vec::new();
    for n in 0..20 {
        let buyer = app.customer(&format!("ana{n}")).await;
        orders.push((buyer.buy(&[&game], "pm_card_visa").await, buyer));
    }
    for (order, buyer) in &orders {
        buyer.sees_order(order, "completed").await;
    }
    assert_eq!((app.events("PaymentInitiated").await, app.events("OrderCompleted").await), (20, 20));
    app.verify().await;
}

#[tokio::test]
async fn events_that_are_delivered_again_from_the_beginning_change_nothing() {
    let mut app = TestApp::start().await;
    let (summit, saltglass) = (app.game("Summit", 5_990).await, app.game("Saltglass", 1_000).await);
    let ana = app.customer("ana").await;
    let bought = ana.buy(&[&summit], "pm_card_visa").await;
    ana.sees_order(&bought, "completed").await;
    let cancelled = ana.buy(&[&saltglass], "pm_card_chargeCustomerFail").await;
    eventually("it failed", || async { app.events("OrderPaymentFailed").await == 1 }).await;
    ana.delete(&format!("/pedidos/{cancelled}")).await.expect(204);
    ana.post(&format!("/pedidos/{bought}/reembolso"), &json!({})).await.expect(202);
    ana.sees_order(&bought, "refunded").await;
    let before = app.events("%").await;

    app.kill_role("checkout").await;
    app.deliver_again(&TestApp::lanes()).await;
    app.start_role("checkout");
    app.lanes_are_empty().await;
    app.queue_is_empty().await;
    assert_eq!(app.events("%").await, before);
    ana.sees_order(&cancelled, "cancelled").await;
    app.verify().await;
}
