//! Events as analysts read them, through the gateway and by their tools; through NATS: `archive.rs`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nats::EVENTS;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::archive::caught_up;
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
    tokio::time::timeout(Duration::from_secs(20), to_the_end).await.expect("the stream ends");
    ana.get("/eventos").await.refused(403, "forbidden");
}

#[tokio::test]
async fn events_are_for_analysts_and_admins() {
    let app = TestApp::start().await;
    app.visitor().get("/eventos").await.refused(401, "unauthenticated");
    app.customer("eve").await.get("/eventos").await.refused(403, "forbidden");
    assert_eq!(app.admin.get("/eventos").await.status, 200);
}

/// The server-sent events of a stream that has an end: ids, names, and data.
fn server_sent(body: &str) -> Vec<(u64, String, Value)> {
    let told = body.split("\n\n").filter(|told| !told.trim().is_empty());
    told.map(|told| {
        let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        (field("id: ").parse().unwrap(), field("event: "), serde_json::from_str(&field("data: ")).unwrap())
    })
    .collect()
}

#[tokio::test]
async fn events_are_told_as_server_sent_events_as_well_and_go_on_where_they_were_left() {
    let app = TestApp::start().await;
    let ana = analyst(&app).await;
    app.game("Summit", 100).await;
    let ask = async |query: &str, seen: Option<&str>| {
        let request =
            ana.request(reqwest::Method::GET, &format!("/eventos{query}")).header("Accept", "text/event-stream");
        let request = seen.into_iter().fold(request, |request, seen| request.header("Last-Event-ID", seen));
        request.send().await.unwrap()
    };
    let answer = ask("", None).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let all = server_sent(&answer.text().await.unwrap());
    let names: Vec<_> =
        all.iter().map(|(id, name, data)| (*id, name.as_str(), data["position"].as_u64().unwrap())).collect();
    let (role, game) = ((3, "UserRoleChanged", 3), (4, "GameCreated", 4));
    assert_eq!(names, [(1, "UserRegistered", 1), (2, "UserRegistered", 2), role, game]);
    let rest = server_sent(&ask("?to=4", Some("3")).await.text().await.unwrap());
    assert_eq!(rest, all[3..]);

    let mut live = ask("?follow=true", Some("4")).await;
    app.game("Tetris", 100).await;
    let told = live.chunk().await.unwrap().unwrap();
    assert!(told.starts_with(b"id: 5\nevent: GameCreated\n"), "{}", String::from_utf8_lossy(&told));
}

#[tokio::test]
async fn a_replay_tells_what_belongs_to_a_request_or_a_time_and_no_more_than_was_asked_for() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 100).await);
    let before = chrono::DateTime::parse_from_rfc3339(
        lines(&app.admin.get("/eventos?type=GameCreated").await.expect(200))[0]["time"].as_str().unwrap(),
    );
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    app.lanes_are_empty().await;
    let replay = async |query: &str| lines(&app.admin.get(&format!("/eventos?{query}")).await.expect(200));
    let all = replay("").await;
    let created = all.iter().find(|event| event["type"] == "OrderCreated").unwrap();
    let correlation = created["correlationid"].as_str().unwrap();
    let belongs: Vec<_> = all.iter().filter(|event| event["correlationid"] == correlation).cloned().collect();
    assert!(belongs.len() >= 5, "{belongs:?}");
    assert_eq!(replay(&format!("correlation={correlation}")).await, belongs);
    assert_eq!(replay(&format!("correlation={correlation}&count=2")).await, belongs[..2]);
    assert_eq!(replay("from=2&count=1").await, all[1..2]);

    let at = before.unwrap().to_utc().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let (earlier, later): (Vec<_>, Vec<_>) =
        all.iter().cloned().partition(|event| event["time"].as_str().unwrap() < at.as_str());
    assert_eq!(replay(&format!("until={at}")).await, earlier);
    assert_eq!(replay(&format!("since={at}")).await, later);
    for bad in ["correlation=7", "count=-1", "since=yesterday", "id=7&count=1"] {
        let refused = app.admin.get(&format!("/eventos?{bad}")).await.status;
        assert!([400, 422].contains(&refused), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn staff_see_an_aggregate_as_it_was() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let path = format!("/eventos/order/{order}");
    let now = app.admin.get(&path).await.expect(200);
    let kinds: Vec<_> = now["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["OrderCreated", "PurchaseCompleted", "OrderCompleted"]);
    assert_eq!(now["version"], 3);

    let first = app.admin.get(&format!("{path}?version=1")).await.expect(200);
    assert_eq!((&first["version"], &first["events"][0]), (&json!(1), &now["events"][0]));
    assert_ne!(first["state"], now["state"]);
    let at = now["events"][0]["time"].as_str().unwrap();
    assert_eq!(app.admin.get(&format!("{path}?at={at}")).await.expect(200), first);
    app.admin.get(&format!("{path}?at=2020-01-01T00:00:00Z")).await.refused(404, "not_found");
    app.admin.get(&format!("{path}?at={at}&version=1")).await.refused(422, "invalid_field");
    app.admin.get(&format!("/eventos/basket/{order}")).await.refused(404, "not_found");
    app.admin.get(&format!("/eventos/game/{order}")).await.refused(404, "not_found");
    ana.get(&path).await.refused(403, "forbidden");

    let mut state = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    state.args(["state", "order", &order, "--version", "1"]).envs(app.environment());
    let told: Value = serde_json::from_slice(&state.output().await.unwrap().stdout).unwrap();
    assert_eq!((&told["state"], &told["event"]), (&first["state"], &json!("OrderCreated")));
}

/// What a script of ours prints, run by the Python that the tests install.
pub async fn python(script: &str, arguments: &[&str], input: &[u8]) -> Option<String> {
    let Some(peers) = std::env::var_os("PEERS").map(PathBuf::from) else {
        println!("SKIPPED: {script} (scripts/test installs what it needs)");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/analysts").join(script);
    let mut python = tokio::process::Command::new(peers.join("python"));
    python.arg(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = python.kill_on_drop(true).spawn().unwrap();
    running.stdin.take().unwrap().write_all(input).await.unwrap();
    let done = tokio::time::timeout(Duration::from_mins(1), running.wait_with_output()).await.unwrap().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(String::from_utf8(done.stdout).unwrap())
}

#[tokio::test]
async fn the_official_sdk_reads_every_event() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 100).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let replayed = app.admin.get("/eventos").await.expect(200);
    let Some(read) = python("cloudevents_read.py", &[], replayed.as_str().unwrap().as_bytes()).await else { return };
    let (read, events) = (lines(&Value::String(read)), lines(&replayed));
    assert_eq!(read.len(), events.len());
    for (read, event) in read.iter().zip(&events) {
        for (name, value) in read.as_object().unwrap() {
            assert_eq!(value, &event[name], "{name} of {event}");
        }
    }
}

#[tokio::test]
async fn programs_that_guess_a_table_from_its_first_lines_guess_right() {
    let app = TestApp::start().await;
    // More than they look at, and all of one type.
    let made = "insert into journal.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                select 'game', gen_random_uuid()::text, 1, 'GameRetired', '1', '{\"type\": \"GameRetired\"}', '{}'
                from generate_series(1, 25000)";
    sqlx::query(made).execute(app.pool()).await.unwrap();
    app.game("Summit", 100).await;
    let file = app.folder().join("events.ndjson");
    let mut replay = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    replay.args(["replay", "--flat", "--from", "2", "--output"]).arg(&file).env("NATS_URL", app.nats.url());
    eventually("everything is mirrored", || async {
        (app.foundation.shared.nats.extent(EVENTS).await.unwrap().1, 25_002)
    })
    .await;
    let done = replay.output().await.unwrap();
    assert!(done.status.success(), "{done:?}");
    let Some(guessed) = python("guess.py", &[file.to_str().unwrap()], b"").await else { return };
    let guessed: Value = serde_json::from_str(&guessed).unwrap();
    assert_eq!(guessed["kinds"], json!({ "GameRetired": 25_000, "GameCreated": 1 }));
    assert_eq!(guessed["last"]["details"]["title"], "Summit");
    let mut duckdb = tokio::process::Command::new(PathBuf::from(std::env::var_os("PEERS").unwrap()).join("duckdb"));
    let question = format!(
        "SELECT data->>'$.details.title' AS title, causationid FROM '{}' WHERE type = 'GameCreated'",
        file.display()
    );
    let told = duckdb.args(["-json", "-c", &question]).output().await.unwrap();
    assert_eq!(String::from_utf8(told.stdout).unwrap().trim(), r#"[{"title":"Summit","causationid":""}]"#);
}

#[tokio::test]
async fn the_replay_command_writes_a_file_of_events() {
    let app = TestApp::start().await;
    app.game("Summit", 100).await;
    caught_up(&app).await;
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
    // And as a page, and as a document for programs.
    let page = app.visitor().get("/docs/events").await.expect(200);
    let streams = app.visitor().get("/asyncapi.json").await.expect(200);
    for (event_type, _) in journal::event_forms() {
        assert!(page.as_str().unwrap().contains(&format!("<section id=\"{event_type}\">")), "{event_type}");
        assert!(streams["channels"][&event_type].is_object(), "{event_type}");
    }
    app.verify().await;
}
