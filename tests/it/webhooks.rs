use futures::future::join_all;
use psp::sandbox::seconds_now;
use psp::signature::sign;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, eventually};

async fn deliver(app: &TestApp, body: &str, signature: impl Into<Option<String>>) -> Answer {
    let mut request = app.visitor().request(Method::POST, "/webhooks/psp");
    if let Some(signature) = signature.into() {
        request = request.header("Stripe-Signature", signature);
    }
    Answer::of(request.header("Content-Type", "application/json").body(body.to_owned())).await
}

fn event(id: &str, kind: &str, object: &Value) -> String {
    json!({ "id": id, "object": "event", "type": kind, "data": { "object": object } }).to_string()
}

fn signed(body: &str) -> String {
    sign(body.as_bytes(), &"whsec_of_tests".into(), seconds_now())
}

async fn inbox(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from vault.webhook_inbox").fetch_one(app.pool()).await.unwrap()
}

#[tokio::test]
async fn a_delivery_is_believed_only_with_a_fresh_signature_of_an_active_secret() {
    let app = TestApp::start().await;
    let body = event("evt_1", "charge.updated", &json!({ "id": "ch_1" }));
    let at = |seconds: u64, secret: &str| Some(sign(body.as_bytes(), &secret.into(), seconds));
    for (what, signature) in [
        ("missing", None),
        ("malformed", Some("t=,v1=".to_owned())),
        ("by another secret", at(seconds_now(), "whsec_foreign")),
        ("too old", at(seconds_now() - 400, "whsec_of_tests")),
        ("from the future", at(seconds_now() + 400, "whsec_of_tests")),
        ("of another body", Some(signed("{}"))),
    ] {
        println!("a signature that is {what}");
        deliver(&app, &body, signature).await.refused(403, "invalid_signature");
    }
    assert_eq!(inbox(&app).await, 0, "nothing is written");
    deliver(&app, &body, at(seconds_now(), "whsec_next")).await.expect(200);
    deliver(&app, &body, signed(&body)).await.expect(200);
    assert_eq!(inbox(&app).await, 1, "a duplicate changes nothing");
}

#[tokio::test]
async fn a_delivery_that_is_no_event_or_too_large_is_refused() {
    let app = TestApp::start().await;
    for body in ["no json", "[]", "{\"id\":\"evt_1\"}", "{\"id\":\"evt\\u0000\",\"type\":\"x\"}"] {
        deliver(&app, body, signed(body)).await.refused(400, "invalid_body");
    }
    let large = "x".repeat((256 << 10) + 1);
    deliver(&app, &large, signed(&large)).await.refused(413, "body_too_large");
    assert_eq!(inbox(&app).await, 0);
}

#[tokio::test]
async fn a_hundred_identical_deliveries_at_once_settle_a_payment_once() {
    let mut app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    // The sandbox's own deliveries go on as well; one outcome is recorded all the same.
    app.kill_role("webhooks").await;
    let order = ana.buy(&[&game], "pix").await;
    eventually("it is charged", || async { app.charges().await.len() == 1 }).await;
    let (payment, _) = app.charges().await.into_iter().next().unwrap();
    let reference: String =
        sqlx::query_scalar("select psp_reference from read.payments").fetch_one(app.pool()).await.unwrap();
    let object = json!({ "id": reference, "metadata": { "payment_id": payment } });
    let bodies: Vec<String> =
        (0..100).map(|n| event(&format!("evt_{}", n % 10), "payment_intent.succeeded", &object)).collect();
    let answers = join_all(bodies.iter().map(|body| deliver(&app, body, signed(body)))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    app.start_role("webhooks");

    ana.sees_order(&order, "completed").await;
    eventually("the inbox is worked off", || async { app.foundation.vault.deliveries_waiting().await.unwrap() == 0 })
        .await;
    assert_eq!((app.events("PaymentSucceeded").await, app.events("PurchaseCompleted").await), (1, 1));
    app.verify().await;
}

#[tokio::test]
async fn a_delivery_is_a_hint_and_not_believed_over_the_psp() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let (payment, _) = app.charges().await.into_iter().next().unwrap();
    let reference: String =
        sqlx::query_scalar("select psp_reference from read.payments").fetch_one(app.pool()).await.unwrap();
    let object = json!({ "id": reference, "status": "canceled", "metadata": { "payment_id": payment } });
    for kind in ["payment_intent.payment_failed", "payment_intent.canceled"] {
        let body = event(kind, kind, &object);
        deliver(&app, &body, signed(&body)).await.expect(200);
    }
    let foreign = event("evt_foreign", "payment_intent.succeeded", &json!({ "id": "pi_of_another_store" }));
    deliver(&app, &foreign, signed(&foreign)).await.expect(200);
    let unknown = event("evt_unknown", "charge.dispute.created", &json!({ "id": "dp_that_the_psp_does_not_know" }));
    deliver(&app, &unknown, signed(&unknown)).await.expect(200);
    eventually("the inbox is worked off", || async { app.foundation.vault.deliveries_waiting().await.unwrap() == 0 })
        .await;
    assert_eq!((app.events("PaymentFailed").await, app.events("PaymentCancelled").await), (0, 0));
    ana.sees_order(&order, "completed").await;
}

#[tokio::test]
async fn of_a_delivery_only_ids_are_kept() {
    let app = TestApp::start().await;
    let object = json!({
        "id": "pi_1", "metadata": { "payment_id": journal::Clock::default().new_id(), "note": "for Zenobia" },
        "charges": { "data": [{ "billing_details": { "name": "Zenobia", "address": { "city": "Palmyra" } } }] } });
    let body = event("evt_names", "payment_intent.succeeded", &object);
    deliver(&app, &body, signed(&body)).await.expect(200);
    let kept = sqlx::query_scalar("select payload::text from vault.webhook_inbox where event_id = 'evt_names'");
    let kept: String = kept.fetch_one(app.pool()).await.unwrap();
    assert!(kept.contains("pi_1") && kept.contains("payment_id"), "{kept}");
    assert!(!kept.contains("Zenobia") && !kept.contains("Palmyra"), "{kept}");
}

#[tokio::test]
async fn a_delivery_about_a_payment_that_this_program_cannot_read_holds_up_no_other() {
    let mut app = TestApp::start().await;
    app.kill_role("webhooks").await;
    let strange = journal::Clock::default().new_id();
    let unreadable = journal::NewEvent {
        event_id: journal::Clock::default().new_id(),
        sequence: 1,
        event_type: "PaymentInitiated".to_owned(),
        event_version: "99".to_owned(),
        payload: json!({ "type": "PaymentInitiated", "from": "a newer program" }),
        metadata: json!({}),
    };
    let aggregate = journal::AggregateKey::of::<domain::Payment>(strange);
    let change = journal::Change { aggregate, events: vec![unreadable], claims: journal::Claims::default() };
    app.foundation.journal().append(journal::Append::of(change)).await.unwrap();
    let object = json!({ "id": "pi_strange", "metadata": { "payment_id": strange.to_string() } });
    let body = event("evt_strange", "payment_intent.succeeded", &object);
    deliver(&app, &body, signed(&body)).await.expect(200);
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pix").await;
    eventually("the PSP has said that it was paid", || async { (inbox(&app).await, 2) }).await;

    app.start_role("webhooks");

    ana.sees_order(&order, "completed").await;
}
