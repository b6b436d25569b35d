//! The mirror of events that analysts read by any client of NATS, and all that their login does not reach.

use futures::StreamExt;
use nats::{EVENTS, Nats};
use serde_json::json;

use crate::analysts::python;
use crate::support::{TestApp, eventually};

/// Any client of NATS, by a login alone.
async fn any_client(url: &str) -> async_nats::Client {
    let server: async_nats::ServerAddr = url.parse().unwrap();
    let login = |text: Option<&str>| text.unwrap().to_owned();
    let options =
        async_nats::ConnectOptions::with_user_and_password(login(server.username()), login(server.password()));
    options.connect(server).await.unwrap()
}

/// The analyst, once what has happened is in the archive.
pub async fn caught_up(app: &TestApp) -> Nats {
    let analyst = Nats::connect(&app.nats.analyst_url()).await.unwrap();
    let (_, last) = app.foundation.shared.nats.extent(EVENTS).await.unwrap();
    eventually("the archive has it", || async { (analyst.extent(EVENTS).await.unwrap().1, last) }).await;
    analyst
}

#[tokio::test]
async fn the_analysts_nats_account_can_read_events_and_nothing_else() {
    let app = TestApp::start().await;
    app.game("Summit", 100).await;
    let analyst = caught_up(&app).await;

    assert_eq!(analyst.replay(EVENTS, ">", 1).next_batch().await.unwrap().len(), 2);
    assert!(analyst.replay(nats::DLQ, "dlq.>", 1).next_batch().await.is_err(), "another stream");
    let forged =
        nats::Outgoing { subject: "events.game.Forged.0".into(), id: None, headers: vec![], payload: "{}".into() };
    assert!(analyst.publish(forged, false).await.is_err(), "publishing");
    assert!(analyst.provision().await.is_err(), "creating streams");
    assert!(analyst.provision_archive().await.is_err(), "changing the archive");
    assert_eq!(app.foundation.shared.nats.extent(EVENTS).await.unwrap().0, 2);
}

/// What the store has at NATS: its streams with how much they hold, and the durable consumers of EVENTS as they are set up.
async fn held(app: &TestApp) -> Vec<String> {
    let jetstream = app.nats.jetstream().await.unwrap();
    let mut held = Vec::new();
    for stream in [EVENTS, nats::PAYMENTS, nats::DLQ] {
        let stream = jetstream.get_stream(stream).await.unwrap();
        held.push(format!("{} {}", stream.cached_info().config.name, stream.cached_info().state.messages));
        let mut consumers: Vec<_> = stream.consumers().map(Result::unwrap).collect().await;
        consumers.sort_by(|a, b| a.name.cmp(&b.name));
        held.extend(consumers.iter().map(|consumer| format!("{} {:?}", consumer.name, consumer.config)));
    }
    held
}

#[tokio::test]
async fn no_reply_that_an_analyst_asks_for_reaches_what_is_the_stores() {
    let app = TestApp::start().await;
    app.game("Summit", 100).await;
    caught_up(&app).await;
    app.queue_is_empty().await;
    let before = held(&app).await;
    let analyst = any_client(&app.nats.analyst_url()).await;
    let asked = [
        ("$JS.API.DIRECT.GET.EVENTS", r#"{"seq":999999}"#),
        ("$JS.API.DIRECT.GET.EVENTS", r#"{"seq":1}"#),
        ("$JS.API.DIRECT.GET.EVENTS", r#"{"seq":1,"batch":50,"next_by_subj":">"}"#),
        ("$JS.API.STREAM.INFO.EVENTS", ""),
        // The one question that the store's own account answers.
        ("$JS.API.STREAM.NAMES", ""),
    ];
    for (subject, body) in asked {
        for victim in [
            "$JS.API.STREAM.DELETE.DLQ",
            "$JS.API.STREAM.PURGE.DLQ",
            "$JS.API.STREAM.DELETE.PAYMENTS",
            "$JS.API.STREAM.DELETE.EVENTS",
            "ARCHIVE.API.STREAM.DELETE.EVENTS",
            "$JS.API.CONSUMER.DELETE.EVENTS.notifier",
            "payments.process.9",
            "events.game.Forged.0",
            "dlq.forged",
        ] {
            analyst.publish_with_reply(subject, victim, body.into()).await.unwrap();
        }
    }
    // Whoever is answered was heard, and so was everything before.
    analyst.request("$JS.API.STREAM.INFO.EVENTS", "".into()).await.unwrap();
    assert_eq!(held(&app).await, before);
    assert_eq!(caught_up(&app).await.extent(EVENTS).await.unwrap().0, 2, "the archive as well");
    app.verify().await;
}

#[tokio::test]
async fn an_analysts_consumers_are_none_of_the_stores_and_deliver_to_analysts_only() {
    let app = TestApp::start().await;
    app.game("Summit", 100).await;
    caught_up(&app).await;
    app.queue_is_empty().await;
    let (before, analyst) = (held(&app).await, any_client(&app.nats.analyst_url()).await);
    let store = any_client(&app.nats.url()).await;
    let mut heard = store.subscribe("made.up").await.unwrap();
    store.flush().await.unwrap();

    let mut inbox = analyst.subscribe("_INBOX.mine").await.unwrap();
    for (subject, config) in [
        ("$JS.API.CONSUMER.CREATE.EVENTS", json!({ "name": "notifier", "filter_subject": "events.none" })),
        (
            "$JS.API.CONSUMER.CREATE.EVENTS.notifier.events.none",
            json!({ "name": "notifier", "filter_subject": "events.none" }),
        ),
        ("$JS.API.CONSUMER.CREATE.EVENTS", json!({ "deliver_subject": "made.up" })),
        ("$JS.API.CONSUMER.CREATE.EVENTS", json!({ "deliver_subject": "events.game.Forged.0" })),
        ("$JS.API.CONSUMER.CREATE.EVENTS", json!({ "deliver_subject": "_INBOX.mine", "ack_policy": "none" })),
    ] {
        let wish = json!({ "stream_name": "EVENTS", "config": config }).to_string();
        analyst.request(subject, wish.into()).await.unwrap();
    }
    analyst.request("$JS.API.CONSUMER.DELETE.EVENTS.notifier", "".into()).await.unwrap();
    for stream in ["PAYMENTS", "DLQ"] {
        let subject = format!("$JS.API.CONSUMER.CREATE.{stream}");
        let wish = json!({ "stream_name": stream, "config": {} }).to_string();
        analyst.request(subject, wish.into()).await.unwrap_err();
    }
    // What goes to the analyst comes, after what would have gone elsewhere.
    for _ in 0..2 {
        inbox.next().await.unwrap();
    }
    store.publish("made.up", "the only one".into()).await.unwrap();
    assert_eq!(heard.next().await.unwrap().payload, "the only one");
    assert_eq!(held(&app).await, before);
    app.verify().await;
}

#[tokio::test]
async fn an_ordinary_ordered_consumer_follows_the_events_by_the_analysts_login_alone() {
    let app = TestApp::start().await;
    for n in 1..=3 {
        app.game(&format!("Game {n}"), 100).await;
    }
    let Some(seen) = python("follow.py", &[&app.nats.analyst_url(), "4"], b"").await else { return };
    assert_eq!(seen, "1\n2\n3\n4\n");
}
