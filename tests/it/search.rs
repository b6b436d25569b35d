use serde_json::{Value, json};

use crate::support::{TestApp, eventually};

async fn catalogue() -> TestApp {
    let app = TestApp::start().await;
    let games = [
        ("The Lantern Keepers of Marrow Bay", "Adventure", "linux", 5_990, 10),
        ("Paper Lantern Parade", "Puzzle", "windows", 2_490, 0),
        ("Pão & Açúcar", "Casual", "windows", 1_990, 0),
        ("Static Bloom", "Horror", "windows", 6_490, 18),
        ("<b>Bold</b> Moves", "Puzzle", "linux", 990, 0),
    ];
    for (title, genre, platform, amount, age) in games {
        let mut body = crate::support::game(title, amount, age);
        body["genres"] = json!([genre]);
        body["platforms"] = json!([platform]);
        app.admin.post("/jogos", &body).await.expect(201);
    }
    eventually("all are found", || async { (search(&app, "").await["total"].clone(), json!(5)) }).await;
    app
}

async fn search(app: &TestApp, query: &str) -> Value {
    app.visitor().get(&format!("/jogos/busca?{query}")).await.expect(200)
}

fn titles(found: &Value) -> Vec<&str> {
    found["hits"].as_array().unwrap().iter().map(|hit| hit["title"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn words_prefixes_accents_and_typos_find_games() {
    let app = catalogue().await;
    assert_eq!(titles(&search(&app, "q=lantern%20parade").await), ["Paper Lantern Parade"]);
    assert_eq!(titles(&search(&app, "q=paper%20lan").await), ["Paper Lantern Parade"]);
    assert_eq!(titles(&search(&app, "q=ACUCAR").await), ["Pão & Açúcar"]);
    assert_eq!(titles(&search(&app, "q=statc%20blom").await), ["Static Bloom"]);
    assert_eq!(search(&app, "q=lantern").await["total"], 2);
    assert_eq!(search(&app, "q=xyzzyxyzzy").await["total"], 0);
    // Nothing of a query is ever syntax.
    for hostile in ["q=%27%20or%201=1", "q=!%20%26%20(", "q=%3A*", "q=%5C"] {
        search(&app, hostile).await;
    }
}

#[tokio::test]
async fn filters_add_up_and_facets_count() {
    let app = catalogue().await;
    assert_eq!(titles(&search(&app, "genre=Puzzle&platform=linux").await), ["<b>Bold</b> Moves"]);
    assert_eq!(search(&app, "genre=Puzzle&genre=Horror").await["total"], 3);
    assert_eq!(search(&app, "price_min=2000&price_max=6000").await["total"], 2);
    assert_eq!(search(&app, "age_max=12").await["total"], 4);
    let found = search(&app, "").await;
    assert_eq!(found["facets"]["genres"], json!({ "Adventure": 1, "Casual": 1, "Horror": 1, "Puzzle": 2 }));
    assert_eq!(found["facets"]["platforms"], json!({ "linux": 2, "windows": 3 }));
    assert_eq!(found["facets"]["age_ratings"], json!({ "0": 3, "10": 1, "18": 1 }));
    assert_eq!(found["engine"], "postgres");
}

#[tokio::test]
async fn hits_are_sorted_paged_and_highlighted() {
    let app = catalogue().await;
    assert_eq!(titles(&search(&app, "sort=cheapest&limit=2").await), ["<b>Bold</b> Moves", "Pão & Açúcar"]);
    assert_eq!(
        titles(&search(&app, "sort=cheapest&limit=2&offset=2").await),
        ["Paper Lantern Parade", "The Lantern Keepers of Marrow Bay"]
    );
    assert_eq!(titles(&search(&app, "sort=dearest&limit=1").await), ["Static Bloom"]);
    let found = search(&app, "q=moves").await;
    assert_eq!(found["hits"][0]["highlight"], "&lt;b&gt;Bold&lt;/b&gt; <mark>Moves</mark>", "titles are escaped");
    for bad in ["limit=0", "offset=-1", "offset=10001", "q=%00"] {
        app.visitor().get(&format!("/jogos/busca?{bad}")).await.refused(422, "invalid_field");
    }
    app.visitor().get("/jogos/busca?sort=random").await.refused(400, "invalid_request");
}

#[tokio::test]
async fn letters_left_out_or_swapped_find_the_word_that_was_meant_first() {
    let app = TestApp::start().await;
    for title in ["Witcher Road", "Witch Hour", "Lantern Bay"] {
        app.game(title, 100).await;
    }
    assert_eq!(titles(&search(&app, "q=witchr").await)[0], "Witcher Road");
    assert_eq!(titles(&search(&app, "q=lantren").await), ["Lantern Bay"]);
}
