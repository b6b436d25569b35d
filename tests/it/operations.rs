use serde_json::json;

use crate::support::{TestApp, eventually};

#[tokio::test]
async fn health_tells_the_truth() {
    let mut app = TestApp::start().await;
    assert_eq!(app.visitor().get("/health/live").await.expect(200), json!({ "status": "live" }));
    let well = json!({ "status": "ready", "postgres": "up", "nats": "up", "relay": "up", "psp": "up" });
    let ready = || async { app.visitor().get("/health/ready").await.body };
    eventually("the store is well", || async { (ready().await, well.clone()) }).await;
    // A key that is not taken opens the circuit breaker.
    app.psp_behaves(json!({ "fault": "unauthorised" })).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    ana.buy(&[&game], "pm_card_visa").await;
    let blocked = json!({ "status": "degraded", "postgres": "up", "nats": "up", "relay": "up", "psp": "blocked" });
    crate::support::eventually("payments wait", || async { (ready().await, blocked.clone()) }).await;
    app.psp_behaves(json!({})).await;
    crate::support::eventually("the store is well again", || async { (ready().await, well.clone()) }).await;
    app.stop_nats().await;
    crate::support::eventually("NATS is down", || async {
        app.visitor().get("/health/ready").await.body["nats"] == "down"
    })
    .await;
    app.pool().close().await;
    let down = app.visitor().get("/health/ready").await.expect(503);
    assert_eq!((&down["status"], &down["postgres"]), (&json!("down"), &json!("down")));
}

#[tokio::test]
async fn metrics_tell_lag_depth_and_outcomes() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let metrics = || async { app.visitor().get("/metrics").await.body.as_str().unwrap().to_owned() };
    for name in [
        "ludoteca_relay_lag_seconds",
        "ludoteca_mirrored_events_total",
        "ludoteca_journal_held_back_seconds",
        "ludoteca_projection_behind_events{projection=\"library\"}",
        "ludoteca_depth{of=\"payments\"}",
        "ludoteca_depth{of=\"dlq\"}",
        "ludoteca_payment_outcomes_total{by=\"payment-worker\",outcome=\"succeeded\"}",
        "ludoteca_http_request_seconds_count{method=\"POST\",status=\"202\"}",
    ] {
        eventually(&format!("{name} is told"), || async { metrics().await.contains(name) }).await;
    }
}

#[tokio::test]
async fn the_page_of_the_api_shows_the_openapi_document_and_runs_no_script_but_its_own() {
    let app = TestApp::start().await;
    let document = app.visitor().get("/openapi.json").await.expect(200);
    assert_eq!(&document, gateway::openapi_document());
    let docs = app.visitor().get("/docs").await;
    let policy = docs.header("content-security-policy");
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("script-src 'unsafe-inline'"), "{policy}");
    let page = docs.expect(200);
    let shown = page.as_str().unwrap().split_once("let spec = ").unwrap().1;
    let shown: serde_json::Value = serde_json::Deserializer::from_str(shown).into_iter().next().unwrap().unwrap();
    assert_eq!(shown, document);
}
