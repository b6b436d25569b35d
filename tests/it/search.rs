//! One contract, two engines. Meilisearch's part runs where `MEILI_URL` (and `MEILI_MASTER_KEY`) is set.

mod contract;
mod index;

use ludoteca::config::{MeiliOwnerConfig, SearchConfig};
use serde_json::{Value, json};

use crate::support::{TestApp, Wishes, eventually};

/// Meilisearch with an index of one's own; nothing where there is no Meilisearch.
pub async fn meilisearch() -> Option<SearchConfig> {
    let Ok(url) = std::env::var("MEILI_URL") else {
        eprintln!("SKIPPED: Meilisearch's part of the search contract (MEILI_URL is not set)");
        return None;
    };
    let owner = MeiliOwnerConfig {
        meili_url: Some(url),
        meili_master_key: std::env::var("MEILI_MASTER_KEY").ok().map(Into::into),
        meili_index: format!("games-{}", journal::Clock::default().new_id()),
        search_words: None,
    };
    Some(ludoteca::search::provision(&owner).await.unwrap())
}

/// Postgres.
pub async fn postgres() -> Option<SearchConfig> {
    Some(SearchConfig::default())
}

pub async fn store(search: SearchConfig) -> TestApp {
    TestApp::start_with(Wishes { search, ..Wishes::default() }).await
}

pub async fn add(
    app: &TestApp,
    title: &str,
    genre: &str,
    platform: &str,
    amount: i64,
    age: i32,
    released: &str,
) -> String {
    let mut body = crate::support::game(title, amount, age);
    body["genres"] = json!([genre]);
    body["tags"] = json!([format!("{genre} fans"), "Indie"]);
    body["platforms"] = json!([platform]);
    body["release_date"] = json!(released);
    body["description"] = json!("A quiet story about going home.");
    app.admin.post("/jogos", &body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

/// A store with five games, all of them indexed.
pub async fn catalogue(search: SearchConfig) -> TestApp {
    let app = store(search).await;
    add(&app, "The Lantern Keepers of Marrow Bay", "Adventure", "linux", 5_990, 10, "2021-03-01").await;
    add(&app, "Paper Lantern Parade", "Puzzle", "windows", 2_490, 0, "2023-07-15").await;
    add(&app, "Pão & Açúcar", "Casual", "windows", 1_990, 0, "2019-11-30").await;
    add(&app, "Static Bloom", "Horror", "windows", 6_490, 18, "2024-02-29").await;
    add(&app, "<b>Bold</b> Moves", "Puzzle", "linux", 990, 0, "2020-01-01").await;
    eventually("all are found", || async { (find(&app, "").await["total"].clone(), json!(5)) }).await;
    app
}

pub async fn find(app: &TestApp, query: &str) -> Value {
    app.visitor().get(&format!("/jogos/busca?{query}")).await.expect(200)
}

pub fn titles(found: &Value) -> Vec<&str> {
    found["items"].as_array().unwrap().iter().map(|hit| hit["title"].as_str().unwrap()).collect()
}
