//! How the index is kept: behind and ahead, rebuilt, and away.

use std::sync::Arc;

use ludoteca::config::{MeiliOwnerConfig, SearchConfig};
use projections::games::GameView;
use projections::search::reindex::{Progress, reindex};
use projections::search::{SearchEngine, Side};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{find, meilisearch, postgres, store};
use crate::support::{TestApp, Wishes, eventually};

fn engine(app: &TestApp) -> SearchEngine {
    ludoteca::search::writing(&app.search, app.pool()).unwrap()
}

async fn engines() -> Vec<SearchConfig> {
    postgres().await.into_iter().chain(meilisearch().await).collect()
}

#[tokio::test]
async fn an_older_document_never_overwrites_a_newer_one() {
    for search in engines().await {
        let mut app = store(search).await;
        let game = app.game("Harbor One", 500).await;
        eventually("it is indexed", || async { find(&app, "q=harbor").await["total"] == 1 }).await;
        app.kill_role("indexer").await;
        let engine = engine(&app);
        let id = game.parse().unwrap();
        let mut view = projections::games::these(app.pool(), &[id]).await.unwrap().remove(0);
        (view.price, view.sequence) = (900, view.sequence + 5);
        engine.write(Side::Live, vec![view.clone()]).await.unwrap();
        (view.price, view.sequence) = (100, view.sequence - 1);
        engine.write(Side::Live, vec![view]).await.unwrap();
        assert_eq!(engine.documents(0, 10).await.unwrap()[0].game.price, 900);
    }
}

#[tokio::test]
async fn invariant_08_the_index_is_rebuilt_under_load_and_loses_and_doubles_nothing() {
    for search in engines().await {
        let app = Arc::new(store(search).await);
        for n in 0..40 {
            app.game(&format!("Harbor {n}"), 500).await;
        }
        eventually("the first are found", || async { find(&app, "q=harbor").await["total"] == 40 }).await;
        let ana = app.customer("ana").await;
        let writing = {
            let app = app.clone();
            tokio::spawn(async move {
                for n in 40..60 {
                    let game = app.game(&format!("Harbor {n}"), 500).await;
                    ana.buy(&[&game], "pm_card_visa").await;
                    assert!(find(&app, "q=harbor").await["total"].as_i64().unwrap() >= 40, "searches go on");
                }
            })
        };
        let engine = engine(&app);
        for _ in 0..3 {
            reindex(app.foundation.journal(), &engine, |_| ()).await.unwrap();
        }
        writing.await.unwrap();
        eventually("all are found", || async { (find(&app, "q=harbor").await["total"].clone(), json!(60)) }).await;
        app.verify().await;
    }
}

#[tokio::test]
async fn a_reindex_that_was_killed_in_the_middle_can_be_started_again() {
    for search in engines().await {
        let app = store(search).await;
        for n in 0..10 {
            app.game(&format!("Harbor {n}"), 500).await;
        }
        eventually("all are found", || async { find(&app, "q=harbor").await["total"] == 10 }).await;
        let (journal, engine) = (app.foundation.journal().clone(), engine(&app));
        let killed = tokio::spawn({
            let (journal, engine) = (journal.clone(), engine.clone());
            async move {
                let stop = |progress| assert!(!matches!(progress, Progress::Indexed(..)), "killed");
                reindex(&journal, &engine, stop).await.unwrap();
            }
        });
        assert!(killed.await.is_err(), "it was killed before the swap");
        assert_eq!(find(&app, "q=harbor").await["total"], 10, "the live index is as it was");
        assert_eq!(reindex(&journal, &engine, |_| ()).await.unwrap(), 10);
        assert_eq!(find(&app, "q=harbor").await["total"], 10);
        app.verify().await;
    }
}

#[tokio::test]
async fn invariant_09_without_its_search_engine_the_store_goes_on_and_says_so() {
    let nowhere = format!("http://127.0.0.1:{}", ludoteca::local::free_port().unwrap());
    let search = SearchConfig { meili_url: Some(nowhere), meili_index: "games".to_owned(), ..SearchConfig::default() };
    let app = TestApp::start_with(Wishes { search, ..Wishes::default() }).await;
    let game = app.game("Summit", 5_990).await;
    app.visitor().get("/jogos/busca?q=summit").await.refused(503, "unavailable");
    let ana = app.customer("ana").await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    ana.owns(&["Summit"]).await;
    app.visitor().get(&format!("/jogos/{game}")).await.expect(200);
}

#[tokio::test]
async fn the_gateways_key_may_search_and_nothing_else_and_provisioning_twice_changes_nothing() {
    let Some(search) = meilisearch().await else { return };
    let app = store(search.clone()).await;
    app.game("Harbor One", 500).await;
    eventually("it is indexed", || async { find(&app, "q=harbor").await["total"] == 1 }).await;
    let reading = ludoteca::search::reading(&search, app.pool()).unwrap();
    assert!(reading.documents(0, 1).await.is_err(), "it may not read documents");
    let id = app.game("Harbor Two", 500).await.parse().unwrap();
    let games = projections::games::these(app.pool(), &[id]).await.unwrap();
    assert!(reading.write(Side::Live, games).await.is_err(), "it may not write");
    assert!(reading.begin().await.is_err(), "it may not make indexes");
    let owner = MeiliOwnerConfig {
        meili_url: search.meili_url.clone(),
        meili_master_key: std::env::var("MEILI_MASTER_KEY").ok().map(Into::into),
        meili_index: search.meili_index.clone(),
        search_words: None,
    };
    let again = ludoteca::search::provision(&owner).await.unwrap();
    let keys = |search: &SearchConfig| {
        [&search.meili_search_key, &search.meili_index_key].map(|key| key.as_ref().unwrap().expose_secret().to_owned())
    };
    assert_eq!(keys(&again), keys(&search));
    assert_eq!(find(&app, "q=harbor").await["items"][0]["title"], "Harbor One");
}

#[tokio::test]
async fn on_postgres_a_word_with_letters_left_out_comes_before_one_with_letters_added() {
    let app = store(SearchConfig::default()).await;
    for title in ["Witcher Road", "Witch Hour", "The Knight Witch"] {
        app.game(title, 100).await;
    }
    eventually("all are found", || async { find(&app, "q=witchr").await["total"] == 3 }).await;
    assert_eq!(find(&app, "q=witchr").await["items"][0]["title"], "Witcher Road");
}

#[tokio::test]
async fn on_postgres_the_labels_of_very_many_games_are_estimated_and_said_to_be() {
    let app = store(SearchConfig::default()).await;
    let id = app.game("Harbor", 500).await.parse().unwrap();
    eventually("it is indexed", || async { find(&app, "q=harbor").await["total"] == 1 }).await;
    assert_eq!(find(&app, "q=harbor").await["facets_estimated"], false);
    let game = projections::games::these(app.pool(), &[id]).await.unwrap().remove(0);
    let more = (0..7_999).map(|_| GameView { game_id: journal::Clock::default().new_id(), ..game.clone() });
    engine(&app).write(Side::Live, more.collect()).await.unwrap();
    let found = find(&app, "q=harbor").await;
    assert_eq!((&found["total"], &found["facets_estimated"]), (&json!(8_000), &json!(true)));
    assert_eq!(found["facets"]["genres"]["Puzzle"], 8_000, "scaled up from a part");
}

#[tokio::test]
async fn a_game_that_the_engine_refuses_is_parked_and_the_others_are_found() {
    let app = store(SearchConfig::default()).await;
    // As it could be recorded while labels had no bounds.
    let mut event: Value =
        serde_json::from_str(include_str!("../../../domain/corpus/GameCreated.1.beyond-todays-rules.json")).unwrap();
    event["details"]["title"] = json!("Far Harbor");
    let long = || journal::Clock::default().new_id().to_string();
    event["details"]["genres"] = json!([(0..400).map(|_| long()).collect::<String>()]);
    event["price"]["amount"] = json!(100);
    let owner = journal::connect(&app.owner_url, 1).await.unwrap();
    sqlx::query(
        "insert into journal.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('game', $1, 1, 'GameCreated', '1', $2, '{}')",
    )
    .bind(journal::Clock::default().new_id().to_string())
    .bind(&event)
    .execute(&owner)
    .await
    .unwrap();
    app.game("Near Harbor", 500).await;
    eventually("the other is found", || async { find(&app, "q=harbor").await["total"] == 1 }).await;
    eventually("the one is parked", || async {
        let parked = projections::parked(app.pool()).await.unwrap();
        (parked.into_iter().map(|event| event.projection).collect::<Vec<_>>(), vec!["search".to_owned()])
    })
    .await;
}
