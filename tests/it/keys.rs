//! Keys and secrets that are exchanged while the store runs.

use psp::sandbox::seconds_now;
use psp::signature::sign;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Person, TestApp, eventually};

async fn published(app: &TestApp) -> Vec<String> {
    let jwks = app.visitor().get("/.well-known/jwks.json").await.expect(200);
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn access_keys_are_rotated_without_logging_anybody_out() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let old = published(&app).await;
    app.keys(&["rotate"]).await;
    eventually("the new key signs", || async {
        published(&app).await.last() == old.last() && published(&app).await.len() == 2
    })
    .await;
    ana.get("/users/me").await.expect(200);
    let again = Person::log_in(&app.url, &ana.email, &ana.password).await;

    app.keys(&["retire", &old[0]]).await;
    eventually("the old key is believed no more", || async { ana.get("/users/me").await.status == 401 }).await;
    again.get("/users/me").await.expect(200);
    assert!(!app.keys(&["ls"]).await.contains(&old[0]));
}

async fn deliver(app: &TestApp, secret: &str) -> u16 {
    let body = json!({ "id": format!("evt_{}", journal::Clock::default().new_id()), "type": "ping" }).to_string();
    let request = app.visitor().request(Method::POST, "/webhooks/psp");
    let request = request.header("Stripe-Signature", sign(body.as_bytes(), &secret.into(), seconds_now()));
    Answer::of(request.header("Content-Type", "application/json").body(body)).await.status
}

#[tokio::test]
async fn webhook_secrets_are_rotated_and_no_delivery_is_lost() {
    let app = TestApp::start().await;
    assert_eq!(deliver(&app, "whsec_fresh").await, 400);
    app.keys(&["add-secret", "--secret", "whsec_fresh"]).await;
    eventually("the fresh secret is believed", || async { (deliver(&app, "whsec_fresh").await, 200) }).await;
    assert_eq!(deliver(&app, "whsec_test").await, 200, "and so is the old one");

    // The PSP signs with the fresh one from now on.
    app.psp_behaves(json!({ "webhook_secret": "whsec_fresh" })).await;
    let listed = app.keys(&["ls"]).await;
    let old = listed.lines().find(|line| line.starts_with("secret")).unwrap().split_whitespace().nth(1).unwrap();
    app.keys(&["retire-secret", old]).await;
    eventually("the old secret is believed no more", || async { (deliver(&app, "whsec_test").await, 400) }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pix").await;
    ana.sees_order(&order, "completed").await;
}
