use nats::{EVENTS, Nats};
use serde_json::{Value, json};

use crate::support::{Person, TestApp, eventually};

fn lines(body: &Value) -> Vec<Value> {
    // A single line is JSON by itself.
    match body {
        Value::String(text) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        one => vec![one.clone()],
    }
}

async fn analyst(app: &TestApp) -> Person {
    let ana = app.customer("ana").await;
    app.admin.put(&format!("/users/{}/role", ana.id), &json!({ "role": "analyst" })).await.expect(204);
    Person::log_in(&app.url, &ana.email, &ana.password).await
}

#[tokio::test]
async fn an_analyst_replays_events_in_global_order() {
    let app = TestApp::start().await;
    let ana = analyst(&app).await;
    for n in 1..=3 {
        app.game(&format!("Game {n}"), 100).await;
    }
    let answer = ana.get("/eventos").await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let all = lines(&answer.expect(200));
    let positions: Vec<_> = all.iter().map(|event| event["position"].as_i64().unwrap()).collect();
    assert_eq!(positions, (1..=6).collect::<Vec<_>>(), "admin, Ana, her role, three games");

    let some = lines(&ana.get("/eventos?from=2&to=4").await.expect(200));
    assert_eq!(some.len(), 3);
    let games = lines(&ana.get("/eventos?aggregate=game&type=GameCreated").await.expect(200));
    assert_eq!(games.len(), 3);
    let one = games[1]["aggregateid"].as_str().unwrap();
    assert_eq!(lines(&ana.get(&format!("/eventos?id={one}")).await.expect(200)).len(), 1);
    assert_eq!(lines(&ana.get("/eventos?from=1000").await.expect(200)), Vec::<Value>::new());
    for bad in [
        "aggregate=%3E",
        "aggregate=shop",
        "type=*",
        "type=GameSold",
        "id=a.b",
        &format!("id={one}&follow=true"),
        &format!("id={one}&from=1"),
    ] {
        ana.get(&format!("/eventos?{bad}")).await.refused(422, "invalid_field");
    }
}

#[tokio::test]
async fn a_follower_sees_new_events_as_they_happen() {
    let app = TestApp::start().await;
    let ana = analyst(&app).await;
    let request = ana.request(reqwest::Method::GET, "/eventos?follow=true&type=GameCreated");
    let mut stream = request.send().await.unwrap();
    app.game("Summit", 100).await;
    let chunk = stream.chunk().await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&chunk).unwrap();
    assert_eq!(event["data"]["details"]["title"], "Summit");
}

#[tokio::test]
async fn whoever_is_no_analyst_any_more_follows_no_longer() {
    let app = TestApp::start().await;
    let ana = analyst(&app).await;
    let mut stream = ana.request(reqwest::Method::GET, "/eventos?follow=true").send().await.unwrap();
    app.admin.put(&format!("/users/{}/role", ana.id), &json!({ "role": "customer" })).await.expect(204);
    let to_the_end = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), to_the_end).await.expect("the stream ends");
    ana.get("/eventos").await.refused(403, "forbidden");
}

#[tokio::test]
async fn events_are_for_analysts_and_admins() {
    let app = TestApp::start().await;
    app.visitor().get("/eventos").await.refused(401, "unauthenticated");
    app.customer("eve").await.get("/eventos").await.refused(403, "forbidden");
    assert_eq!(app.admin.get("/eventos").await.status, 200);
}

#[tokio::test]
async fn the_analysts_nats_account_can_read_events_and_nothing_else() {
    let app = TestApp::start().await;
    app.game("Summit", 100).await;
    let analyst = Nats::connect(&app.nats.analyst_url()).await.unwrap();

    assert_eq!(analyst.replay(EVENTS, ">", 1).next_batch().await.unwrap().len(), 2);
    assert!(analyst.replay(nats::DLQ, "dlq.>", 1).next_batch().await.is_err(), "another stream");
    let forged =
        nats::Outgoing { subject: "events.game.Forged.0".into(), id: None, headers: vec![], payload: "{}".into() };
    assert!(analyst.publish(forged, false).await.is_err(), "publishing");
    assert!(analyst.provision().await.is_err(), "creating streams");
    assert_eq!(app.foundation.shared.nats.extent(EVENTS).await.unwrap().0, 2);
}

#[tokio::test]
async fn the_replay_command_writes_a_file_of_events() {
    let app = TestApp::start().await;
    app.game("Summit", 100).await;
    let file = app.folder().join("events.ndjson");
    let mut replay = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    replay.args(["replay", "--type", "GameCreated", "--output"]).arg(&file);
    let done = replay.env("NATS_URL", app.nats.analyst_url()).output().await.unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("Wrote 1 events"));
    let text = std::fs::read_to_string(&file).unwrap();
    eventually("the file", || async { lines(&Value::String(text.clone())).len() == 1 }).await;
}

#[tokio::test]
async fn every_event_names_the_schema_that_says_its_form() {
    let app = TestApp::start().await;
    app.game("Summit", 100).await;
    let replayed = app.admin.get("/eventos").await.expect(200);
    for event in lines(&replayed) {
        let path = format!("/schemas/{}/{}", event["type"].as_str().unwrap(), event["eventversion"].as_str().unwrap());
        let schema = app.visitor().get(&path).await;
        assert!(schema.header("content-type").starts_with("application/schema+json"));
        assert_eq!(schema.expect(200)["$id"], event["dataschema"]);
    }
    let listed = app.visitor().get("/schemas").await.expect(200);
    assert!(listed["items"].as_array().unwrap().iter().any(|it| it["url"] == "/schemas/UserRegistered/1"));
    app.visitor().get("/schemas/UserRegistered/9").await.refused(404, "not_found");
    app.verify().await;
}
