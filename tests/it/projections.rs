use std::sync::Arc;

use domain::Game;
use journal::{AggregateKey, Append, Change, Claims, Clock, NewEvent};
use projections::games::Games;
use projections::library::Library;
use projections::{Envelope, Projection, Projector, compare, rebuild};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::Executor;

use crate::support::{TestApp, eventually, game};

async fn bought(app: &TestApp) {
    let game = app.game("Quiet Comet", 4_990).await;
    let ana = app.customer("ana").await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    ana.owns(&["Quiet Comet"]).await;
}

/// `ludoteca parked --json`: whether it succeeded, and what it listed.
async fn parked_command(app: &TestApp) -> (bool, serde_json::Value) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    command.env("DATABASE_URL", app.store.trade.journal.database_url.expose_secret());
    command.env("NATS_URL", app.store.trade.journal.nats_url.expose_secret());
    command.env("MASTER_KEY", app.store.master_key.expose_secret());
    let done = command.args(["parked", "--json"]).output().await.unwrap();
    (done.status.success(), serde_json::from_slice(&done.stdout).unwrap())
}

async fn parked(app: &TestApp) -> i64 {
    projections::parked_count(app.pool()).await.unwrap()
}

/// An event that the store's own code would never append.
async fn append_poison(app: &TestApp, game: &str, sequence: i64) {
    let event = NewEvent {
        event_id: Clock::default().new_id(),
        sequence,
        event_type: "GamePriceChanged".to_owned(),
        event_version: "1".to_owned(),
        payload: json!({ "type": "GamePriceChanged", "price": "a lot" }),
        metadata: json!({}),
    };
    let aggregate = AggregateKey::of::<Game>(game.parse().unwrap());
    let append = Append::of(Change { aggregate, events: vec![event], claims: Claims::default() });
    app.foundation.journal().append(append).await.unwrap();
}

#[tokio::test]
async fn a_rebuilt_read_model_equals_what_it_was() {
    let app = TestApp::start().await;
    bought(&app).await;
    app.pool().execute("update read.library set title = 'Forged'").await.unwrap();
    app.pool().execute("insert into read.games select gen_random_uuid(), 'Ghost', '', '', '', '{}', '{}', '{}', null, 0, 1, 'BRL', false, 1, now(), 0, 1").await.unwrap();

    let journal = app.foundation.journal();
    let library = compare(journal, &[Arc::new(Library)], |_| ()).await.unwrap()[0];
    assert_eq!((library.missing, library.surplus), (1, 1), "the forgery is seen");
    assert_eq!(compare(journal, &[Arc::new(Games)], |_| ()).await.unwrap()[0].surplus, 1, "the ghost is seen");

    let folded = rebuild(journal, &[Arc::new(Library)], |_| ()).await.unwrap();
    rebuild(journal, &[Arc::new(Games)], |_| ()).await.unwrap();

    assert_eq!((folded.events, folded.parked), (journal.extent().await.unwrap().0, 0));
    app.verify().await;
}

#[tokio::test]
async fn a_rebuild_keeps_every_sign_that_a_text_may_have() {
    let app = TestApp::start().await;
    for n in 0..3 {
        let mut wish = game(r"\N", 100, 0);
        wish["description"] = json!("one\ntwo \\ three\n\\.\n\"four\" {five, six} \u{1F3B2}");
        wish["tags"] = json!([r"back\slash", "say \"hi\"", "a,b", "{c}", "NULL", format!("{n}")]);
        app.admin.post("/jogos", &wish).await.expect(201);
    }
    // The projector writes rows as JSON, a fold copies them.
    app.verify().await;
    rebuild(app.foundation.journal(), &[Arc::new(Games)], |_| ()).await.unwrap();
    app.verify().await;
    let kept = app.admin.get("/jogos?limit=1").await.expect(200);
    let tags = kept["items"][0]["tags"].as_array().unwrap();
    assert!(tags.contains(&json!(r"back\slash")), "{kept}");
}

#[tokio::test]
async fn a_projection_goes_on_from_where_its_rebuild_ended() {
    let app = TestApp::start().await;
    bought(&app).await;
    rebuild(app.foundation.journal(), &[Arc::new(Library)], |_| ()).await.unwrap();
    let ben = app.customer("ben").await;
    let game = app.game("Saltglass", 9_990).await;
    ben.buy(&[&game], "pm_card_visa").await;
    ben.owns(&["Saltglass"]).await;
    app.verify().await;
}

#[tokio::test]
async fn a_poisonous_event_is_parked_with_those_behind_it_and_the_rest_goes_on() {
    let app = TestApp::start().await;
    let (poisoned, healthy) = (app.game("Poisoned", 100).await, app.game("Healthy", 100).await);
    append_poison(&app, &poisoned, 2).await;
    append_poison(&app, &poisoned, 3).await;

    eventually("both are parked", || async { (parked(&app).await, 2) }).await;
    let events = projections::parked(app.pool()).await.unwrap();
    assert!(events.iter().all(|event| event.projection == Games::NAME && event.aggregate_id == poisoned));
    assert!(events[0].error.contains("payload"), "{}", events[0]);
    assert!(events[1].error.contains("earlier event"), "{}", events[1]);

    app.admin.put_matching(&format!("/jogos/{healthy}"), &crate::support::game("Healthy II", 200, 0)).await.expect(200);
    eventually("others go on", || async {
        (app.visitor().get(&format!("/jogos/{healthy}")).await.body["title"].clone(), json!("Healthy II"))
    })
    .await;
}

#[tokio::test]
async fn the_park_is_emptied_by_a_rebuild_once_the_cause_is_mended() {
    let app = TestApp::start().await;
    let game = app.game("Poisoned", 100).await;
    append_poison(&app, &game, 2).await;
    eventually("it is parked", || async { (parked(&app).await, 1) }).await;
    let (failed, listed) = parked_command(&app).await;
    assert!(!failed && listed.as_array().unwrap().len() == 1 && listed[0]["aggregate_id"] == game.as_str(), "{listed}");

    // The cause here is the event itself, which only the database's owner can mend.
    let owner = journal::connect(&app.owner_url, 1).await.unwrap();
    let mended = json!({ "type": "GamePriceChanged", "price": { "amount": 77, "currency": "BRL" } });
    let mend = sqlx::query("update journal.events set payload = $1 where payload ->> 'price' = 'a lot'").bind(mended);
    mend.execute(&owner).await.unwrap();
    rebuild(app.foundation.journal(), &[Arc::new(Games)], |_| ()).await.unwrap();

    assert_eq!(parked(&app).await, 0);
    assert_eq!(parked_command(&app).await, (true, json!([])), "the command succeeds where nothing is parked");
    let shown = app.visitor().get(&format!("/jogos/{game}")).await.expect(200);
    assert_eq!(shown["price"]["amount"], 77);
}

#[tokio::test]
async fn a_rebuild_and_a_comparison_during_traffic_see_no_difference() {
    let app = TestApp::start().await;
    let writing = async {
        for n in 0..60 {
            app.admin.post("/jogos", &crate::support::game(&format!("Game {n}"), 100, 0)).await.expect(201);
        }
    };
    let journal = app.foundation.journal();
    let folding = async {
        for _ in 0..6 {
            rebuild(journal, &[Arc::new(Games)], |_| ()).await.unwrap();
            let compared = compare(journal, &[Arc::new(Games)], |_| ()).await.unwrap()[0];
            assert!(compared.is_equal(), "{compared:?}");
        }
    };
    tokio::join!(writing, folding);
    app.verify().await;
}

#[tokio::test]
async fn what_the_database_refuses_is_parked_and_the_others_of_its_batch_go_on() {
    let mut app = TestApp::start().await;
    let owner = journal::connect(&app.owner_url, 1).await.unwrap();
    // What is appended while nobody projects is one batch later.
    app.kill_role("projector").await;
    owner.execute("alter table read.games add constraint no_scorn check (title <> 'Scorned')").await.unwrap();
    let journal = app.foundation.journal();
    let details = json!({ "title": "Scorned", "description": "", "developer": "", "publisher": "", "genres": [],
                          "tags": [], "platforms": [], "release_date": null, "age_rating": 0 });
    let scorned = journal::Clock::default().new_id();
    let event = NewEvent {
        event_id: Clock::default().new_id(),
        sequence: 1,
        event_type: "GameCreated".to_owned(),
        event_version: "1".to_owned(),
        payload: json!({ "type": "GameCreated", "details": details, "price": { "amount": 1, "currency": "BRL" } }),
        metadata: json!({}),
    };
    let aggregate = AggregateKey::of::<Game>(scorned);
    let append = Append::of(Change { aggregate, events: vec![event], claims: Claims::default() });
    let (appended, others) = tokio::join!(
        journal.append(append),
        futures::future::join_all((0..8).map(|n| {
            let game = crate::support::game(&format!("Game {n}"), 100, 0);
            let app = &app;
            async move { app.admin.post("/jogos", &game).await.expect(201)["id"].clone() }
        }))
    );
    appended.unwrap();
    app.start_role("projector");

    eventually("it is parked", || async { (parked(&app).await, 1) }).await;
    let events = projections::parked(app.pool()).await.unwrap();
    assert!(events[0].aggregate_id == scorned.to_string() && events[0].error.contains("no_scorn"), "{}", events[0]);
    for game in others {
        let path = format!("/jogos/{}", game.as_str().unwrap());
        eventually("the others are there", || async { (app.visitor().get(&path).await.status, 200) }).await;
    }
}

#[tokio::test]
async fn projectors_that_race_each_other_apply_each_event_once() {
    let mut app = TestApp::start().await;
    let games = [app.game("Quiet Comet", 4_990).await, app.game("Saltglass", 9_990).await];
    let ana = app.customer("ana").await;
    app.kill_role("projector").await;
    for game in &games {
        ana.buy(&[game], "pm_card_visa").await;
    }
    eventually("both are paid", || async { (app.events("OrderCompleted").await, 2) }).await;
    let recorded = app.foundation.journal().committed_after(journal::Position::default(), 1_000).await.unwrap();
    let events: Vec<_> = recorded.into_iter().zip(1..).map(|(event, n)| Envelope::of(event, n)).collect();

    let race = (3..8).map(|size| {
        let projector = Projector::new(app.pool().clone(), projections::all(&app.foundation.vault));
        let events = events.clone();
        tokio::spawn(async move {
            for batch in events.chunks(size) {
                projector.apply(batch.to_vec()).await.unwrap();
            }
        })
    });
    for racer in race.collect::<Vec<_>>() {
        racer.await.unwrap();
    }

    assert_eq!(parked(&app).await, 0);
    app.start_role("projector");
    app.verify().await;
}
