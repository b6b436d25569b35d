use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, TestApp, eventually, game};

#[tokio::test]
async fn staff_keep_the_catalogue_and_customers_do_not() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let body = game("Iron Orchard", 8_990, 12);
    ana.post("/jogos", &body).await.refused(403, "forbidden");
    app.visitor().post("/jogos", &body).await.refused(401, "unauthenticated");
    let created = app.admin.post("/jogos", &body).await;
    assert_eq!(created.header("etag"), "\"1\"");
    let id = created.expect(201)["id"].as_str().unwrap().to_owned();
    for answer in [ana.put(&format!("/jogos/{id}"), &body).await, ana.delete(&format!("/jogos/{id}")).await] {
        answer.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn a_game_is_changed_only_by_who_has_seen_its_current_version() {
    let app = TestApp::start().await;
    let id = app.game("Iron Orchard", 8_990).await;
    let path = format!("/jogos/{id}");
    let put = |etag: &str, body: serde_json::Value| {
        Answer::of(app.admin.request(Method::PUT, &path).header("If-Match", etag).json(&body))
    };
    let dearer = game("Iron Orchard", 9_990, 0);

    app.admin.put(&path, &dearer).await.refused(428, "if_match_required");
    put("nonsense", dearer.clone()).await.refused(400, "invalid_header");
    put("\"7\"", dearer.clone()).await.refused(412, "stale_version");
    let changed = put("\"1\"", dearer.clone()).await;
    assert_eq!(changed.header("etag"), "\"2\"");
    changed.expect(200);
    put("\"1\"", game("Late", 1, 0)).await.refused(412, "stale_version");
    assert_eq!(
        (app.events("GamePriceChanged").await, app.events("GameUpdated").await),
        (1, 0),
        "only the price changed"
    );

    let unknown = format!("/jogos/{}", journal::Clock::default().new_id());
    let request = app.admin.request(Method::PUT, &unknown).header("If-Match", "\"1\"").json(&dearer);
    Answer::of(request).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_retired_game_leaves_the_catalogue_and_cannot_be_changed() {
    let app = TestApp::start().await;
    let id = app.game("Iron Orchard", 8_990).await;
    let path = format!("/jogos/{id}");
    let request = |method: Method| app.admin.request(method, &path).header("If-Match", "*");
    Answer::of(request(Method::DELETE)).await.expect(204);
    eventually("it is retired", || async { app.visitor().get(&path).await.body["retired"] == true }).await;
    assert_eq!(app.visitor().get("/jogos").await.expect(200)["items"], json!([]));
    eventually("it is out of the index", || async {
        app.visitor().get("/jogos/busca?q=orchard").await.expect(200)["total"] == 0
    })
    .await;
    Answer::of(request(Method::PUT).json(&game("x", 1, 0))).await.refused(409, "game_retired");
}

#[tokio::test]
async fn the_catalogue_is_read_page_by_page() {
    let app = TestApp::start().await;
    for n in 1..=5 {
        app.game(&format!("Game {n}"), 100).await;
    }
    let (mut titles, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.visitor().get(&format!("/jogos?limit=2{cursor}")).await.expect(200);
        titles.extend(page["items"].as_array().unwrap().iter().map(|game| game["title"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(titles, ["Game 5", "Game 4", "Game 3", "Game 2", "Game 1"]);
    let beyond = [i64::MAX / 20, i64::MIN / 20].map(|micros| {
        // A time that no page ends at, and that Postgres does not know.
        BASE64_URL_SAFE_NO_PAD.encode([micros.to_be_bytes().as_slice(), &[0; 16]].concat())
    });
    for forged in ["nonsense", &beyond[0], &beyond[1]] {
        app.visitor().get(&format!("/jogos?cursor={forged}")).await.refused(422, "invalid_field");
    }
    app.visitor().get("/jogos?limit=0").await.refused(422, "invalid_field");
    app.visitor().get("/jogos?limit=101").await.refused(422, "invalid_field");
}

#[tokio::test]
async fn a_read_with_the_token_of_a_command_sees_what_it_wrote() {
    let app = TestApp::start().await;
    for n in 0..20 {
        let created = app.admin.post("/jogos", &game(&format!("Game {n}"), 100, 0)).await;
        let (location, token) = (created.header("location"), created.header("consistency-token"));
        let read = app.visitor().request(Method::GET, &location).header("Consistency-Token", token);
        assert_eq!(Answer::of(read).await.expect(200)["title"], format!("Game {n}"));
    }
    // Nothing was ever recorded there, so there is nothing to wait for.
    let read = app.visitor().request(Method::GET, "/jogos").header("Consistency-Token", "1:99999999999:1");
    Answer::of(read).await.refused(409, "unknown_consistency_token");
    let read = app.visitor().request(Method::GET, "/jogos").header("Consistency-Token", "soon");
    Answer::of(read).await.refused(400, "invalid_header");
}

#[tokio::test]
async fn a_repeated_request_meets_the_same_game() {
    let app = TestApp::start().await;
    let create = |title: &str| {
        let body = game(title, 100, 0);
        Answer::of(app.admin.request(Method::POST, "/jogos").header("Idempotency-Key", "k-1").json(&body))
    };
    let first = create("Once").await.expect(201);
    let again = create("Once").await.expect(201);
    assert_eq!(first["id"], again["id"]);
    create("Twice").await.refused(422, "idempotency_key_reused");
    assert_eq!(app.events("GameCreated").await, 1);
}
