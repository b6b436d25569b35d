use std::time::Duration;

use domain::{Currency, Game};
use journal::{Journal, Position};
use nats::{EVENTS, Nats, Outgoing};
use workers::{Mirrored, Relay, RelayError, Step};

use crate::support::{TestApp, eventually, game};

/// What the mirror holds, in its own order: position in the journal and sequence. A stream that is gone holds nothing.
async fn mirror(nats: &Nats) -> Vec<(Position, i64)> {
    let mut replay = nats.replay(EVENTS, "events.>", 1);
    let mut all = Vec::new();
    loop {
        let Ok(batch) = replay.next_batch().await else { return Vec::new() };
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.iter().map(|stored| {
            let envelope = Mirrored::try_from(stored).unwrap().envelope;
            (envelope.position, envelope.sequence)
        }));
    }
}

async fn journal_positions(journal: &Journal) -> Vec<(Position, i64)> {
    let recorded = journal.committed_after(Position::default(), 10_000).await.unwrap();
    recorded.into_iter().map(|event| event.position).zip(1..).collect()
}

async fn mirrors_everything(app: &TestApp) {
    let (journal, nats) = (app.foundation.journal(), &app.foundation.shared.nats);
    // A transaction of another test holds the newest events back.
    eventually("the whole journal can be read", || async {
        i64::try_from(journal_positions(journal).await.len()) == Ok(journal.extent().await.unwrap().0)
    })
    .await;
    eventually("mirror = journal", || async { (mirror(nats).await, journal_positions(journal).await) }).await;
}

async fn create_games(app: &TestApp, count: usize) {
    for n in 0..count {
        app.admin.post("/jogos", &game(&format!("Game {n}"), 100, 0)).await.expect(201);
    }
}

fn relay(app: &TestApp) -> Relay {
    Relay::new(app.foundation.journal().clone(), app.foundation.shared.nats.clone())
}

async fn quiet() -> TestApp {
    let mut app = TestApp::start().await;
    app.kill_role("relay").await;
    app
}

#[tokio::test]
async fn a_relay_killed_at_any_step_loses_and_doubles_nothing() {
    let mut app = quiet().await;
    create_games(&app, 40).await;
    // Killed after ever longer work: before the tail is read, while publishing, before the acks, after them.
    for micros in (0..40).map(|n| n * 150) {
        let mut relay = relay(&app);
        let _ = tokio::time::timeout(Duration::from_micros(micros), relay.run_once()).await;
    }
    app.start_role("relay");
    mirrors_everything(&app).await;
}

#[tokio::test]
async fn two_relays_at_once_cannot_interleave() {
    let mut app = quiet().await;
    create_games(&app, 20).await;
    let racing = (0..2).map(|_| {
        let mut relay = relay(&app);
        async move {
            for _ in 0..20 {
                // One of both is fenced off again and again; it reads the tail and goes on.
                let _ = relay.run_once().await;
            }
        }
    });
    futures::future::join_all(racing).await;
    app.start_role("relay");
    mirrors_everything(&app).await;
}

#[tokio::test]
async fn only_one_relay_leads_and_the_next_takes_over() {
    let mut app = TestApp::start().await;
    let first = app.foundation.clone();
    let second = tokio::spawn(async move { first.relay().await });
    create_games(&app, 3).await;
    app.kill_role("relay").await;
    create_games(&app, 3).await;
    mirrors_everything(&app).await;
    second.abort();
}

#[tokio::test]
async fn losing_nats_delays_the_mirror_and_stops_no_command() {
    let mut app = TestApp::start().await;
    create_games(&app, 2).await;
    app.stop_nats().await;

    create_games(&app, 3).await;
    let health = app.visitor().get("/health/ready").await;
    assert_eq!((health.status, health.body["status"].as_str()), (200, Some("degraded")));

    app.start_nats().await;
    mirrors_everything(&app).await;
    app.verify().await;
}

#[tokio::test]
async fn a_deleted_stream_is_rebuilt_with_the_same_sequence_numbers() {
    let app = TestApp::start().await;
    create_games(&app, 5).await;
    mirrors_everything(&app).await;
    let before = mirror(&app.foundation.shared.nats).await;
    assert!(before.len() >= 5, "{before:?}");

    let jetstream = app.nats.jetstream().await.unwrap();
    jetstream.delete_stream(EVENTS).await.unwrap();
    create_games(&app, 1).await;

    mirrors_everything(&app).await;
    let after = mirror(&app.foundation.shared.nats).await;
    assert_eq!(after[..before.len()], before);
    app.verify().await;
}

#[tokio::test]
async fn a_mirror_ahead_of_the_journal_halts_the_relay_with_a_clear_error_and_health_says_so() {
    let mut app = quiet().await;
    create_games(&app, 1).await;
    let mut relay = relay(&app);
    while relay.run_once().await.unwrap() == Step::Worked {}
    let foreign = Outgoing {
        subject: "events.game.x.GameCreated".to_owned(),
        id: journal::clock::new_id().to_string(),
        headers: vec![("Journal-Position", "1:99999999:99999999".to_owned())],
        payload: "{}".into(),
    };
    app.foundation.shared.nats.publish(foreign, false).await.unwrap();
    create_games(&app, 1).await;

    let mut fresh = Relay::new(app.foundation.journal().clone(), app.foundation.shared.nats.clone());
    let error = fresh.run_once().await.unwrap_err();
    assert!(matches!(error, RelayError::Ahead { .. }), "{error}");
    assert!(error.to_string().contains("ahead of the journal"), "{error}");
    let (messages, _) = app.foundation.shared.nats.extent(EVENTS).await.unwrap();
    assert!(fresh.run_once().await.is_err(), "it stays halted");
    assert_eq!(app.foundation.shared.nats.extent(EVENTS).await.unwrap().0, messages, "and publishes nothing");
    app.start_role("relay");
    eventually("health says so", || async {
        let health = app.visitor().get("/health/ready").await.body;
        (health["relay"] == "halted") && (health["status"] == "degraded")
    })
    .await;
}

#[tokio::test]
async fn an_event_of_the_mirror_is_a_cloud_event() {
    let app = TestApp::start().await;
    let id = app.game("Mossgate", 2_990).await;
    let mut replay = app.foundation.shared.nats.replay(EVENTS, format!("events.game.{id}.GameCreated"), 1);
    let stored = replay.next_batch().await.unwrap().remove(0);
    let event: serde_json::Value = serde_json::from_slice(&stored.payload).unwrap();
    let recorded = app.foundation.journal().committed_after(Position::default(), 100).await.unwrap();
    let recorded = recorded.iter().find(|event| event.aggregate_id == id).unwrap();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["id"], recorded.event_id.to_string());
    assert_eq!(event["type"], "GameCreated");
    assert_eq!(event["subject"], format!("game/{id}"));
    assert_eq!((&event["aggregate"], &event["sequence"]), (&"game".into(), &1.into()));
    assert_eq!(event["data"]["price"]["currency"], Currency::BRL.to_string());
    assert_eq!(stored.header("Nats-Msg-Id"), Some(recorded.event_id.to_string().as_str()));
    assert_eq!(stored.header("Journal-Position"), Some(recorded.position.to_string().as_str()));
    assert_eq!(<Game as cqrs_es::Aggregate>::TYPE, "game");
}
