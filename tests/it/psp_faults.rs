//! What the PSP may do to the store, one thing at a time, and that no money is lost or doubled by it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Person, TestApp, Wishes, eventually};

/// A buyer, and an order that they placed while the PSP behaves like this.
async fn buy_while(app: &TestApp, behaviour: Value) -> (Person, String) {
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    app.psp_behaves(behaviour).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    (ana, order)
}

async fn is_paid_once(app: &TestApp, buyer: &Person, order: &str) {
    buyer.sees_order(order, "completed").await;
    app.queue_is_empty().await;
    assert_eq!(app.charges().await.into_values().collect::<Vec<_>>(), [1]);
    app.has_no_dead_letters().await;
    app.verify().await;
}

#[tokio::test]
async fn a_worker_that_dies_before_the_psp_has_answered_charges_once() {
    let mut app = TestApp::start().await;
    app.kill_role("webhooks").await;
    app.kill_role("reconciler").await;
    let (ana, order) = buy_while(&app, json!({ "fault": "drop_after" })).await;
    eventually("the PSP was told", || async { app.psp_requests().await >= 1 }).await;
    app.kill_role("payments").await;
    app.psp_behaves(json!({})).await;
    app.start_role("payments");
    is_paid_once(&app, &ana, &order).await;
}

#[tokio::test]
async fn a_charge_whose_answer_never_comes_is_settled_by_its_webhook() {
    let app = TestApp::start_with(Wishes { psp_timeout: Some(Duration::from_secs(20)), ..Wishes::default() }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    // The first answer is that to creating the intent; the second, to confirming it, is lost.
    app.psp_behaves(json!({ "fault": "drop_after", "after": 1, "times": 1 })).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    assert_eq!(app.charges().await.into_values().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_psp_that_does_not_take_our_key_stops_the_work_and_burns_no_delivery() {
    let app = TestApp::start().await;
    let (ana, order) = buy_while(&app, json!({ "fault": "unauthorised" })).await;
    // Far longer than all deliveries would have taken.
    eventually("it is asked whether it is well", || async { app.psp_requests().await >= 4 }).await;
    assert_eq!(ana.order(&order).await.unwrap()["status"], "awaiting_payment");
    app.psp_behaves(json!({})).await;
    is_paid_once(&app, &ana, &order).await;
}

#[tokio::test]
async fn a_run_of_failures_opens_the_breaker_and_nothing_is_given_up_meanwhile() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let mut games = Vec::new();
    for n in 0..12 {
        games.push(app.game(&format!("Game {n}"), 100).await);
    }
    app.psp_behaves(json!({ "fault": "error" })).await;
    let mut orders = Vec::new();
    for game in &games {
        orders.push(ana.buy(&[game], "pm_card_visa").await);
    }
    eventually("it is asked whether it is well", || async { app.psp_requests().await >= 12 }).await;
    app.psp_behaves(json!({})).await;
    for order in &orders {
        ana.sees_order(order, "completed").await;
    }
    assert_eq!(app.charges().await.into_values().sum::<usize>(), 12);
    app.has_no_dead_letters().await;
}

#[tokio::test]
async fn a_psp_that_asks_for_patience_gets_it() {
    let app = TestApp::start().await;
    let (ana, order) = buy_while(&app, json!({ "fault": "limited", "times": 1 })).await;
    is_paid_once(&app, &ana, &order).await;
}

#[tokio::test]
async fn conflicts_and_errors_are_asked_about_and_charge_once() {
    for fault in ["conflict", "error", "drop_before"] {
        let app = TestApp::start().await;
        let (ana, order) = buy_while(&app, json!({ "fault": fault, "times": 2 })).await;
        is_paid_once(&app, &ana, &order).await;
    }
}

#[tokio::test]
async fn webhooks_that_come_doubled_late_and_in_reverse_change_nothing() {
    let app = TestApp::start().await;
    let copies = json!({ "webhooks": { "copies": 3, "hold": true } });
    let (ana, order) = buy_while(&app, copies).await;
    ana.sees_order(&order, "completed").await;
    let events = app.events("PaymentSucceeded").await;
    app.psp_behaves(json!({ "webhooks": { "copies": 3 } })).await;
    eventually("they are in the inbox and handled", || async {
        let handled = "select count(*) from vault.webhook_inbox where handled_at is not null";
        sqlx::query_scalar::<_, i64>(handled).fetch_one(app.pool()).await.unwrap() >= 1
    })
    .await;
    assert_eq!((events, app.events("PaymentSucceeded").await), (1, 1));
    is_paid_once(&app, &ana, &order).await;
}

#[tokio::test]
async fn webhooks_signed_by_a_clock_that_is_wrong_are_refused_and_the_reconciler_settles() {
    let wishes = Wishes { reconcile_after: Some(Duration::from_millis(300)), ..Wishes::default() };
    let app = TestApp::start_with(wishes).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    app.psp_behaves(json!({ "clock_seconds": -600 })).await;
    let order = ana.buy(&[&game], "pix").await;
    ana.sees_order(&order, "completed").await;
    let inbox = sqlx::query_scalar::<_, i64>("select count(*) from vault.webhook_inbox").fetch_one(app.pool()).await;
    assert_eq!(inbox.unwrap(), 0);
}

#[tokio::test]
async fn a_refund_that_the_psp_answers_with_an_error_goes_back_once() {
    let app = TestApp::start().await;
    let (ana, order) = buy_while(&app, json!({})).await;
    ana.sees_order(&order, "completed").await;
    for fault in ["error", "drop_after"] {
        let other = app.game(fault, 1_000).await;
        let order = ana.buy(&[&other], "pm_card_visa").await;
        ana.sees_order(&order, "completed").await;
        // The first answer lists the refunds that there are; the next one is to asking for one.
        app.psp_behaves(json!({ "fault": fault, "after": 1, "times": 1 })).await;
        ana.post(&format!("/pedidos/{order}/reembolso"), &json!({})).await.expect(202);
        ana.sees_order(&order, "refunded").await;
    }
    assert_eq!(app.refunded().await, 2_000);
    app.verify().await;
}
