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
async fn the_openapi_document_declares_every_status_that_a_route_can_give() {
    let app = TestApp::start().await;
    let document = app.visitor().get("/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/users",
        "/users/{id}",
        "/users/{id}/role",
        "/login/auth",
        "/login/refresh",
        "/login/logout",
        "/jogos",
        "/jogos/{id}",
        "/jogos/busca",
        "/biblioteca",
        "/jogos/compra",
        "/pedidos",
        "/pedidos/{id}",
        "/pagamento",
        "/pagamento/{id}",
        "/webhooks/psp",
        "/eventos",
        "/dlq",
        "/dlq/{sequence}",
        "/dlq/{sequence}/redrive",
        "/health/live",
        "/health/ready",
        "/.well-known/jwks.json",
    ] {
        let operations = paths.get(path).unwrap_or_else(|| panic!("{path} is not described: {:?}", paths.keys()));
        for (method, operation) in operations.as_object().unwrap() {
            let declared: Vec<&String> = operation["responses"].as_object().unwrap().keys().collect();
            let plain = path.starts_with("/health") || path.starts_with("/.well-known");
            for status in ["400", "401", "403", "404", "409", "412", "422", "428", "429", "503"] {
                assert!(
                    plain || declared.iter().any(|known| *known == status),
                    "{method} {path} does not declare {status}"
                );
            }
        }
    }
    let docs = app.visitor().get("/docs").await;
    assert!(docs.body.as_str().unwrap().contains("Swagger UI"));
}
