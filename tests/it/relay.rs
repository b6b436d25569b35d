use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::Config;
use domain::{Currency, Game};
use futures::{StreamExt, TryStreamExt};
use journal::{Journal, Position};
use nats::{DLQ, EVENTS, Nats, Outgoing, PublishError};
use workers::{Mirrored, Relay, RelayError, Step};

use crate::support::{TestApp, eventually, game};

/// What the mirror holds, in its own order: position in the journal and sequence. A stream that is gone, or has only
/// just made way for another and still answers, holds nothing.
async fn mirror(nats: &Nats) -> Vec<(Position, i64)> {
    let mut replay = nats.replay(EVENTS, ">", 1);
    let mut all = Vec::new();
    loop {
        let Ok(batch) = replay.next_batch().await else { return Vec::new() };
        if batch.is_empty() {
            return all;
        }
        for stored in &batch {
            let Ok(Mirrored { envelope, .. }) = Mirrored::try_from(stored) else { return Vec::new() };
            all.push((envelope.position, envelope.sequence));
        }
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
async fn a_long_backlog_is_mirrored_once_however_often_the_relay_is_killed() {
    let mut app = quiet().await;
    create_games(&app, 1).await;
    let owner = journal::connect(&app.owner_url, 1).await.unwrap();
    sqlx::query(
        "insert into journal.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         select aggregate_type, gen_random_uuid()::text, 1, event_type, event_version, payload, metadata
         from journal.events cross join generate_series(1, 5000) where event_type = 'GameCreated'",
    )
    .execute(&owner)
    .await
    .unwrap();
    let nats = app.foundation.shared.nats.clone();
    let last = || async { nats.extent(EVENTS).await.unwrap().1 };
    let mut killed = 0;
    loop {
        let (before, mut relay) = (last().await, relay(&app));
        let grown = async {
            while last().await < before + 100 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            step = relay.run_once() => if matches!(step, Ok(Step::Idle)) { break },
            () = grown => killed += 1,
        }
    }
    assert!(killed > 2, "killed {killed} times with messages on their way");
    app.start_role("relay");
    mirrors_everything(&app).await;
}

#[tokio::test]
async fn a_replay_passes_over_what_is_gone_and_ends_where_the_stream_does() {
    let app = quiet().await;
    let nats = &app.foundation.shared.nats;
    for _ in 0..4_096 {
        let letter = Outgoing { subject: "dlq.a.b.c".into(), id: None, headers: vec![], payload: "{}".into() };
        nats.publish(letter, false).await.unwrap();
    }
    let gone = [1, 1_024, 1_025, 2_000, 3_073];
    for sequence in gone {
        nats.remove(DLQ, sequence).await.unwrap();
    }
    for (replay, how) in [
        (nats.replay(DLQ, ">", 1), "all"),
        (nats.replay(DLQ, ">", 1).bodies_only(), "bodies"),
        (nats.replay(DLQ, "dlq.*.b.*", 1), "some"),
    ] {
        let (mut replay, mut found) = (replay, vec![]);
        loop {
            // Whoever stops waiting loses nothing.
            let _ = tokio::time::timeout(Duration::from_micros(200), replay.next_batch()).await.map(|batch| {
                found.extend(batch.unwrap().iter().map(|stored| stored.sequence));
            });
            let batch = replay.next_batch().await.unwrap();
            if batch.is_empty() {
                break;
            }
            found.extend(batch.iter().map(|stored| stored.sequence));
        }
        let left: Vec<_> = (1..=4_096).filter(|sequence| !gone.contains(sequence)).collect();
        assert_eq!(found, left, "{how}");
    }
}

#[tokio::test]
async fn two_relays_at_once_cannot_interleave() {
    let mut app = quiet().await;
    let mut relays = [relay(&app), relay(&app)];
    let (mut worked, mut fenced) = (0, 0);
    for n in 0..20 {
        app.admin.post("/jogos", &game(&format!("Game {n}"), 100, 0)).await.expect(201);
        let [one, two] = &mut relays;
        let (one, two) = tokio::join!(one.run_once(), two.run_once());
        for step in [one, two] {
            match step {
                Ok(step) => worked += usize::from(step == Step::Worked),
                // It believed the mirror to end where it left it; it reads the tail and goes on.
                Err(RelayError::Publish(PublishError::Fenced)) => fenced += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(worked > 0 && fenced > 0, "both got in each other's way: {worked} steps, {fenced} fenced off");
    app.start_role("relay");
    mirrors_everything(&app).await;
}

#[tokio::test]
async fn only_one_relay_leads_and_the_next_takes_over() {
    let mut app = TestApp::start().await;
    let first = app.foundation.clone();
    let second = tokio::spawn(async move { first.carriers.relay().await });
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
async fn a_deleted_stream_is_rebuilt_with_the_same_sequence_numbers_and_nobody_reads_it_again() {
    let app = TestApp::start().await;
    create_games(&app, 5).await;
    let ana = app.customer("ana").await;
    let order = ana.buy(&[&app.game("Summit", 5_990).await], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    mirrors_everything(&app).await;
    let (journal, nats) = (app.foundation.journal(), &app.foundation.shared.nats);
    let before = mirror(nats).await;
    app.lanes_are_empty().await;
    eventually("everybody's place is noted", || async {
        let noted = journal.progress().await.unwrap();
        noted.get("notifier") > Some(&0) && noted == nats.progress(EVENTS).await.unwrap()
    })
    .await;

    let jetstream = app.nats.jetstream().await.unwrap();
    jetstream.delete_stream(EVENTS).await.unwrap();
    create_games(&app, 1).await;
    assert!(jetstream.get_stream(EVENTS).await.is_err(), "it is not for the relay to make streams");
    app.provision().await;
    let stream = jetstream.get_stream(EVENTS).await.unwrap();
    for (reader, done) in nats.progress(EVENTS).await.unwrap() {
        let begun = stream.consumer_info(&reader).await.unwrap().config.deliver_policy;
        let begins = DeliverPolicy::ByStartSequence { start_sequence: done + 1 };
        assert!(done == 0 || begun == begins || done > before.len() as u64, "{reader} reads again: {begun:?}");
    }

    mirrors_everything(&app).await;
    assert_eq!(mirror(nats).await[..before.len()], before);
    app.game("Afterwards", 100).await;
    app.verify().await;
}

#[tokio::test]
async fn a_mirror_of_the_older_form_is_built_anew_and_its_readers_go_on() {
    let app = TestApp::start().await;
    create_games(&app, 3).await;
    mirrors_everything(&app).await;
    let jetstream = app.nats.jetstream().await.unwrap();
    // As it was before events had lanes: one subject for each aggregate, one consumer for all of checkout.
    jetstream.delete_stream(EVENTS).await.unwrap();
    let older = Config { name: EVENTS.to_owned(), subjects: vec!["events.>".to_owned()], ..Config::default() };
    let stream = jetstream.create_stream(older).await.unwrap();
    let consumer = pull::Config { durable_name: Some("checkout".to_owned()), ..pull::Config::default() };
    let consumer = stream.create_consumer(consumer).await.unwrap();
    for n in 0..2 {
        jetstream.publish(format!("events.game.{n}.GameCreated"), "{}".into()).await.unwrap().await.unwrap();
    }
    let mut messages = consumer.messages().await.unwrap();
    for _ in 0..2 {
        messages.next().await.unwrap().unwrap().double_ack().await.unwrap();
    }

    app.provision().await;
    mirrors_everything(&app).await;
    let progress = app.foundation.journal().progress().await.unwrap();
    assert!(progress["checkout-0"] >= 2 && progress["checkout-f"] >= 2, "{progress:?}");
    assert!(!progress.contains_key("checkout"));
    app.game("Afterwards", 100).await;
    app.verify().await;
}

#[tokio::test]
async fn a_reader_whose_consumer_is_not_as_it_should_be_waits_until_it_is_provisioned() {
    let app = TestApp::start().await;
    let jetstream = app.nats.jetstream().await.unwrap();
    let stream = jetstream.get_stream(EVENTS).await.unwrap();
    eventually("the admin's mail is sent", || async { (mails(&app), 1) }).await;
    for wrong in [None, Some(pull::Config { durable_name: Some("notifier".to_owned()), ..pull::Config::default() })] {
        let (mails, name) = (mails(&app), if wrong.is_none() { "ana" } else { "ben" });
        stream.delete_consumer("notifier").await.unwrap();
        if let Some(wrong) = wrong {
            stream.create_consumer(wrong).await.unwrap();
        }
        app.customer(name).await;
        mirrors_everything(&app).await;
        app.customer(&format!("{name}a")).await;
        // It is not for the notifier to make it or to change it.
        let found = stream.consumer_info("notifier").await;
        assert!(found.is_err() || found.is_ok_and(|found| found.ack_floor.stream_sequence == 0));
        app.provision().await;
        eventually("the mails are sent", || async { (self::mails(&app), mails + 2) }).await;
    }
}

fn mails(app: &TestApp) -> usize {
    std::fs::read_dir(app.folder().join("outbox")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn subjects_grow_with_the_kinds_of_events_and_not_with_their_number() {
    let app = TestApp::start().await;
    create_games(&app, 40).await;
    mirrors_everything(&app).await;
    let jetstream = app.nats.jetstream().await.unwrap();
    let stream = jetstream.get_stream(EVENTS).await.unwrap();
    let subjects = stream.info_with_subjects("events.game.>").await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    assert!((2..=16).contains(&subjects.len()), "forty games in sixteen lanes: {subjects:?}");
}

#[tokio::test]
async fn a_mirror_ahead_of_the_journal_halts_the_relay_with_a_clear_error_and_health_says_so() {
    let mut app = quiet().await;
    create_games(&app, 1).await;
    let mut relay = relay(&app);
    while relay.run_once().await.unwrap() == Step::Worked {}
    let foreign = Outgoing {
        subject: "events.game.GameCreated.0".to_owned(),
        id: None,
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
    let mut replay = app.foundation.shared.nats.replay(EVENTS, "events.game.GameCreated.*", 1);
    let stored = replay.next_batch().await.unwrap().remove(0);
    let event: serde_json::Value = serde_json::from_slice(&stored.payload).unwrap();
    let recorded = app.foundation.journal().committed_after(Position::default(), 100).await.unwrap();
    let recorded = recorded.iter().find(|event| event.aggregate_id == id).unwrap();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["id"], recorded.event_id.to_string());
    assert_eq!(event["type"], "GameCreated");
    assert_eq!(event["subject"], format!("game/{id}"));
    assert_eq!((&event["aggregate"], &event["aggregateversion"]), (&"game".into(), &1.into()));
    assert_eq!(event["partitionkey"], id);
    assert_eq!(event["dataschema"], format!("urn:ludoteca:event:GameCreated:{}", recorded.event_version));
    assert_eq!(stored.subject, format!("events.game.GameCreated.{}", id.chars().last().unwrap()));
    assert_eq!(event["data"]["price"]["currency"], Currency::BRL.to_string());
    assert_eq!(stored.header("Journal-Position"), Some(recorded.position.to_string().as_str()));
    assert_eq!(<Game as cqrs_es::Aggregate>::TYPE, "game");
}

/// As a standby could hold it that took over: it stands before what is mirrored, and is not among it.
async fn record_late(app: &TestApp) {
    let owner = journal::connect(&app.owner_url, 1).await.unwrap();
    sqlx::query(
        "insert into journal.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                                     epoch, tx_id, position)
         overriding system value
         select aggregate_type, gen_random_uuid()::text, 1, event_type, event_version, payload, metadata,
                epoch, tx_id, position - 1000
         from journal.events where event_type = 'GameCreated' order by epoch, tx_id, position limit 1",
    )
    .execute(&owner)
    .await
    .unwrap();
}

async fn halted(app: &TestApp) {
    eventually("health says so", || async { app.visitor().get("/health/ready").await.body["relay"] == "halted" }).await;
}

#[tokio::test]
async fn an_event_that_was_recorded_late_while_the_lead_changed_hands_is_noticed() {
    let mut app = quiet().await;
    create_games(&app, 5).await;
    let mut first = relay(&app);
    eventually("all is mirrored", || async { (app.foundation.journal().extent().await.unwrap().0, 6) }).await;
    while first.run_once().await.unwrap() == Step::Worked {}
    record_late(&app).await;

    // Whoever leads already has no reason to look back; whoever takes over does.
    let error = relay(&app).run_once().await.unwrap_err();
    assert!(matches!(error, RelayError::Differs { .. }), "{error}");
    app.start_role("relay");
    halted(&app).await;
}

#[tokio::test]
async fn a_relay_that_takes_the_lead_again_looks_back_as_well() {
    let app = TestApp::start().await;
    create_games(&app, 5).await;
    mirrors_everything(&app).await;
    record_late(&app).await;
    let owner = journal::connect(&app.owner_url, 1).await.unwrap();
    let depose = "select pg_terminate_backend(pid) from pg_locks l join pg_database d on d.oid = l.database
                  where locktype = 'advisory' and objid = 7260001 and datname = current_database()";
    sqlx::query(depose).execute(&owner).await.unwrap();
    halted(&app).await;
}

#[tokio::test]
async fn the_mirrors_lag_rises_while_nothing_moves() {
    let mut app = TestApp::start().await;
    app.stop_nats().await;
    create_games(&app, 1).await;
    let lag = || workers::metrics::RELAY_LAG.get();
    // The gauge is one for all relays of this process; the others set it to nothing within a second.
    eventually("it rises", || async { lag() > 2.5 }).await;
    app.start_nats().await;
    mirrors_everything(&app).await;
}
