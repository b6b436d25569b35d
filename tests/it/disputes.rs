//! Payments that the buyer's bank disputes.

use commands::Actor;
use domain::order::DisputePolicy;
use domain::payment::{Dispute, DisputeStatus, PspReference, Refund};
use domain::{Currency, Money, OrderId, PaymentId};
use serde_json::{Value, json};

use crate::support::{Person, TestApp, Wishes, eventually};

async fn under(policy: DisputePolicy) -> (TestApp, Person, String) {
    let app = TestApp::start_with(Wishes { dispute_policy: Some(policy), ..Wishes::default() }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_createDispute").await;
    ana.sees_order(&order, "completed").await;
    sees_dispute(&app, "open").await;
    (app, ana, order)
}

/// Waits for the status of the only dispute that staff see.
async fn sees_dispute(app: &TestApp, status: &str) -> Value {
    eventually(&format!("the dispute is {status}"), || async {
        let seen = app.admin.get("/disputas").await.expect(200)["items"][0]["status"].clone();
        (seen, json!(status))
    })
    .await;
    app.admin.get("/disputas").await.expect(200)["items"][0].clone()
}

async fn sees_standing(buyer: &Person, order: &str, standing: &str) {
    eventually(&format!("the order's standing is {standing}"), || async {
        (buyer.order(order).await.unwrap()["standing"].clone(), json!(standing))
    })
    .await;
}

#[tokio::test]
async fn a_disputed_game_is_out_of_reach_and_comes_back_when_the_bank_decides_for_the_store() {
    let (app, ana, order) = under(DisputePolicy::Suspend).await;
    ana.owns(&[]).await;
    sees_standing(&ana, &order, "suspended").await;
    let game = ana.order(&order).await.unwrap()["games"][0]["id"].as_str().unwrap().to_owned();
    ana.try_buy(&[&game], "pm_card_visa").await.refused(409, "game_owned_or_pending");
    ana.post(&format!("/pedidos/{order}/reembolso"), &json!({})).await.refused(409, "order_disputed");

    let dispute = sees_dispute(&app, "open").await;
    assert_eq!((&dispute["order_id"], &dispute["reason"]), (&json!(order), &json!("fraudulent")));
    app.decide_dispute(&dispute, "winning_evidence").await;
    sees_dispute(&app, "won").await;
    ana.owns(&["Summit"]).await;
    sees_standing(&ana, &order, "good").await;
    app.verify().await;
}

#[tokio::test]
async fn a_game_whose_dispute_is_lost_is_gone_and_can_be_bought_again() {
    let (app, ana, order) = under(DisputePolicy::Suspend).await;
    let dispute = sees_dispute(&app, "open").await;
    app.decide_dispute(&dispute, "losing_evidence").await;
    sees_dispute(&app, "lost").await;
    for (status, seen) in [("lost", 1), ("open", 0)] {
        let found = app.admin.get(&format!("/disputas?status={status}")).await.expect(200);
        assert_eq!(found["items"].as_array().unwrap().len(), seen, "{status}");
    }
    sees_standing(&ana, &order, "revoked").await;
    ana.owns(&[]).await;
    let game = ana.order(&order).await.unwrap()["games"][0]["id"].as_str().unwrap().to_owned();
    let again = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&again, "completed").await;
    ana.owns(&["Summit"]).await;
    app.verify().await;
}

#[tokio::test]
async fn a_store_may_wait_for_the_bank_or_let_the_games_go() {
    for (policy, left) in [(DisputePolicy::RevokeWhenLost, vec![]), (DisputePolicy::Keep, vec!["Summit"])] {
        let (app, ana, order) = under(policy).await;
        ana.owns(&["Summit"]).await;
        sees_standing(&ana, &order, "good").await;
        let dispute = sees_dispute(&app, "open").await;
        app.decide_dispute(&dispute, "losing_evidence").await;
        sees_dispute(&app, "lost").await;
        ana.owns(&left).await;
        app.verify().await;
    }
}

#[tokio::test]
async fn disputes_are_for_admins_and_are_recorded_once() {
    let (app, ana, _) = under(DisputePolicy::Suspend).await;
    ana.get("/disputas").await.refused(403, "forbidden");
    let dispute = sees_dispute(&app, "open").await;
    app.psp_behaves(json!({ "webhooks": { "copies": 5 } })).await;
    app.decide_dispute(&dispute, "winning_evidence").await;
    sees_dispute(&app, "won").await;
    ana.owns(&["Summit"]).await;
    let unhandled = "select count(*) from vault.webhook_inbox where handled_at is null";
    eventually("every delivery is worked off", || async {
        (sqlx::query_scalar::<_, i64>(unhandled).fetch_one(app.pool()).await.unwrap(), 0)
    })
    .await;
    assert_eq!((app.events("PaymentDisputed").await, app.events("PaymentDisputeClosed").await), (1, 1));
}

#[tokio::test]
async fn a_dispute_that_is_first_heard_of_when_it_is_won_hides_no_game() {
    let mut app = TestApp::start().await;
    app.kill_role("webhooks").await;
    app.kill_role("reconciler").await;
    let game = app.game("Summit", 5_990).await;
    let mut buyers = Vec::new();
    for n in 0..6 {
        let buyer = app.customer(&format!("ana{n}")).await;
        let order = buyer.buy(&[&game], "pm_card_createDispute").await;
        buyer.sees_order(&order, "completed").await;
        buyers.push((buyer, order));
    }
    eventually("the bank disputes them all", || async { (app.disputes_at_the_psp().await.len(), 6) }).await;
    for dispute in app.disputes_at_the_psp().await {
        app.decide_dispute(&dispute, "winning_evidence").await;
    }
    app.start_role("webhooks");
    eventually("every dispute is won", || async { (app.events("PaymentDisputeClosed").await, 6) }).await;
    for (buyer, order) in &buyers {
        buyer.owns(&["Summit"]).await;
        sees_standing(buyer, order, "good").await;
    }
    // Checkout is through with all of it.
    let after = buyers[0].0.buy(&[&app.game("Afterwards", 100).await], "pm_card_visa").await;
    buyers[0].0.sees_order(&after, "completed").await;
    app.lanes_are_empty().await;
    for (buyer, order) in &buyers {
        sees_standing(buyer, order, "good").await;
    }
    app.verify().await;
}

#[tokio::test]
async fn an_order_that_went_back_while_it_was_disputed_is_suspended_no_more() {
    let mut app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    app.kill_role("payments").await;
    ana.post(&format!("/pedidos/{order}/reembolso"), &json!({})).await.expect(202);

    let commands = &app.foundation.shared.commands;
    let (context, payment) =
        (commands.context(Actor::System("test")), PaymentId::for_attempt(OrderId::parse(&order).unwrap(), 1));
    let (reference, amount) = (|id| PspReference::parse(id).unwrap(), Money { amount: 5_990, currency: Currency::BRL });
    let dispute =
        Dispute { reference: reference("dp_1"), amount, reason: "fraudulent".into(), status: DisputeStatus::Open };
    commands.record_dispute(&context, payment, dispute).await.unwrap();
    sees_standing(&ana, &order, "suspended").await;

    // The money was on its way already.
    let context = commands.context(Actor::System("test"));
    let refund = Refund { reference: reference("re_1"), number: Some(1) };
    commands.refund_payment(&context, payment, amount, refund).await.unwrap();
    ana.sees_order(&order, "refunded").await;
    sees_standing(&ana, &order, "good").await;
}

#[tokio::test]
async fn a_dispute_of_another_stores_payment_is_none_of_ours() {
    let app = TestApp::start().await;
    let elsewhere = PaymentId::from_uuid(app.foundation.shared.commands.clock().new_id());
    let form = [
        ("amount", "5990"),
        ("currency", "brl"),
        ("payment_method", "pm_card_createDispute"),
        ("payment_method_types[]", "card"),
        ("metadata[payment_id]", &elsewhere.to_string()),
    ];
    let intent = app.ask_psp("/v1/payment_intents", &form).await["id"].as_str().unwrap().to_owned();
    app.ask_psp(&format!("/v1/payment_intents/{intent}/confirm"), &[]).await;
    eventually("what the PSP told of it is dealt with", || async {
        let dealt =
            "select count(*) filter (where kind like 'charge.dispute%'), count(*) filter (where handled_at is null)
                     from vault.webhook_inbox";
        (sqlx::query_as::<_, (i64, i64)>(dealt).fetch_one(app.pool()).await.unwrap(), (1, 0))
    })
    .await;
    assert_eq!(app.events("PaymentDisputed").await, 0);
}
