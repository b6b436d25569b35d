use serde_json::{Value, json};

use crate::support::{TestApp, eventually};

async fn letters(app: &TestApp) -> Vec<Value> {
    app.admin.get("/dlq").await.expect(200)["items"].as_array().unwrap().clone()
}

async fn with_a_declined_payment() -> (TestApp, Value) {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&order, "payment_failed").await;
    eventually("the dead letter", || async { letters(&app).await.len() == 1 }).await;
    let letter = letters(&app).await.remove(0);
    (app, letter)
}

#[tokio::test]
async fn a_declined_payment_leaves_one_dead_letter_with_its_cause() {
    let (app, letter) = with_a_declined_payment().await;
    assert_eq!((&letter["class"], &letter["attempts"]), (&json!("declined"), &json!(1)));
    assert!(letter["cause"].as_str().unwrap().contains("declined"), "{letter}");
    let path = format!("/dlq/{}", letter["sequence"]);
    assert_eq!(app.admin.get(&path).await.expect(200), letter);
    assert_eq!(app.admin.get("/dlq?class=exhausted").await.expect(200)["items"], json!([]));
    app.admin.get("/dlq/999").await.refused(404, "not_found");
}

#[tokio::test]
async fn dead_letters_are_for_admins() {
    let (app, letter) = with_a_declined_payment().await;
    let eve = app.customer("eve").await;
    let path = format!("/dlq/{}", letter["sequence"]);
    eve.get("/dlq").await.refused(403, "forbidden");
    eve.get(&path).await.refused(403, "forbidden");
    eve.delete(&path).await.refused(403, "forbidden");
    eve.post(&format!("{path}/redrive"), &json!({})).await.refused(403, "forbidden");
    assert_eq!(letters(&app).await.len(), 1);
}

#[tokio::test]
async fn redriven_work_that_was_settled_meanwhile_changes_nothing() {
    let (app, letter) = with_a_declined_payment().await;
    let path = format!("/dlq/{}", letter["sequence"]);
    app.admin.post(&format!("{path}/redrive"), &json!({})).await.expect(202);
    app.admin.post(&format!("{path}/redrive"), &json!({})).await.refused(404, "not_found");
    app.queue_is_empty().await;
    assert_eq!((app.events("PaymentFailed").await, letters(&app).await.len()), (1, 0));
    app.verify().await;
}

#[tokio::test]
async fn a_discarded_dead_letter_is_gone() {
    let (app, letter) = with_a_declined_payment().await;
    app.admin.delete(&format!("/dlq/{}", letter["sequence"])).await.expect(204);
    assert_eq!(letters(&app).await.len(), 0);
}
