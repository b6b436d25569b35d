//! Games that go back, and their money with them.

use serde_json::{Value, json};

use crate::support::{Answer, Person, TestApp, eventually};

impl Person {
    async fn returns(&self, order: &str, wish: &Value) -> Answer {
        self.post(&format!("/pedidos/{order}/reembolso"), wish).await
    }

    async fn sees_refunds(&self, order: &str, expected: &[&str]) {
        eventually("the refunds end as they should", || async {
            let order = self.order(order).await.unwrap();
            let statuses = order["refunds"].as_array().unwrap().iter().map(|refund| refund["status"].clone());
            (statuses.collect::<Vec<_>>(), expected.iter().map(|status| json!(status)).collect())
        })
        .await;
    }
}

#[tokio::test]
async fn a_returned_game_leaves_the_library_with_its_money_and_can_be_bought_again() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (summit, tetris) = (app.game("Summit", 5_990).await, app.game("Tetris", 1_000).await);
    let order = ana.buy(&[&summit, &tetris], "pm_card_visa").await;
    ana.owns(&["Summit", "Tetris"]).await;

    ana.returns(&order, &json!({ "games": [summit] })).await.expect(202);
    ana.sees_refunds(&order, &["refunded"]).await;
    ana.owns(&["Tetris"]).await;
    ana.sees_order(&order, "completed").await;
    assert_eq!(app.refunded().await, 5_990);

    let again = ana.buy(&[&summit], "pm_card_visa").await;
    ana.sees_order(&again, "completed").await;
    ana.returns(&order, &json!({})).await.expect(202);
    ana.sees_order(&order, "refunded").await;
    ana.owns(&["Summit"]).await;
    assert_eq!(app.refunded().await, 6_990);
    app.verify().await;
}

#[tokio::test]
async fn refunds_that_are_asked_for_at_once_never_exceed_what_was_paid() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.owns(&["Summit"]).await;

    let wish = json!({});
    let answers = futures::future::join_all((0..10).map(|_| ana.returns(&order, &wish))).await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted, 1, "{answers:?}");
    ana.sees_order(&order, "refunded").await;
    ana.returns(&order, &wish).await.refused(409, "order_refunded");
    assert_eq!((app.refunded().await, app.events("PaymentRefunded").await), (5_990, 1));
    app.verify().await;
}

#[tokio::test]
async fn a_buyer_has_some_days_to_return_games_and_staff_has_all_the_time_but_must_say_why() {
    let app = TestApp::start_with(crate::support::Wishes { refund_window_days: Some(0), ..Default::default() }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let bob = app.customer("bob").await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.owns(&["Summit"]).await;

    ana.returns(&order, &json!({})).await.refused(409, "refund_window_closed");
    ana.returns(&order, &json!({ "reason": "I say so" })).await.refused(409, "refund_window_closed");
    bob.returns(&order, &json!({})).await.refused(404, "not_found");
    app.admin.returns(&order, &json!({})).await.refused(422, "refund_reason_missing");
    app.admin.returns(&order, &json!({ "reason": "" })).await.refused(422, "invalid_field");
    app.admin.returns(&order, &json!({ "reason": "it never started" })).await.expect(202);
    ana.sees_order(&order, "refunded").await;
}

#[tokio::test]
async fn the_games_stay_until_the_bank_has_sent_the_money() {
    let mut app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_pendingRefund").await;
    ana.owns(&["Summit"]).await;
    app.kill_role("webhooks").await;

    ana.returns(&order, &json!({})).await.expect(202);
    eventually("the bank has it", || async { (app.refunded().await, 5_990) }).await;
    app.queue_is_empty().await;
    ana.sees_refunds(&order, &["requested"]).await;
    ana.owns(&["Summit"]).await;

    app.start_role("webhooks");
    ana.sees_order(&order, "refunded").await;
    ana.owns(&[]).await;
    app.verify().await;
}

#[tokio::test]
async fn a_refund_that_nobody_reports_is_asked_about() {
    let wishes = crate::support::Wishes {
        reconcile_after: Some(std::time::Duration::from_millis(300)),
        ..crate::support::Wishes::default()
    };
    let mut app = TestApp::start_with(wishes).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_pendingRefund").await;
    ana.owns(&["Summit"]).await;
    app.kill_role("webhooks").await;
    ana.returns(&order, &json!({})).await.expect(202);
    ana.sees_order(&order, "refunded").await;
}

#[tokio::test]
async fn a_worker_that_dies_after_the_refund_sends_the_money_back_once() {
    let mut app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let other = app.game("Tetris", 5_990).await;
    let order = ana.buy(&[&game, &other], "pm_card_visa").await;
    ana.owns(&["Summit", "Tetris"]).await;

    app.kill_role("payments").await;
    // As a worker left it that was killed between the PSP's answer and the journal.
    let payment = ana.order(&order).await.unwrap()["payment_id"].as_str().unwrap().to_owned();
    let reference = ana.get(&format!("/pagamento/{payment}")).await.expect(200)["psp_reference"].clone();
    ana.returns(&order, &json!({ "games": [game] })).await.expect(202);
    app.refund_at_the_psp(reference.as_str().unwrap(), 5_990, "1").await;
    app.start_role("payments");
    ana.sees_refunds(&order, &["refunded"]).await;
    assert_eq!(app.refunded().await, 5_990);
    app.verify().await;
}

#[tokio::test]
async fn what_was_free_goes_back_without_the_psp() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 0).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.owns(&["Summit"]).await;
    assert_eq!(ana.returns(&order, &json!({})).await.expect(202)["status"], "refunded");
    ana.owns(&[]).await;
    let again = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&again, "completed").await;
    app.verify().await;
}
