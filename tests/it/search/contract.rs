//! What every engine gives.

use ludoteca::config::SearchConfig;
use reqwest::Method;
use serde_json::json;

use super::{add, catalogue, find, store, titles};
use crate::support::{Answer, eventually};

macro_rules! contract {
    ($($sentence:ident),* $(,)?) => {
        mod postgres {
            $(#[tokio::test]
            async fn $sentence() {
                super::$sentence(crate::search::postgres().await.unwrap()).await;
            })*
        }

        mod meilisearch {
            $(#[tokio::test]
            async fn $sentence() {
                if let Some(search) = crate::search::meilisearch().await {
                    super::$sentence(search).await;
                }
            })*
        }
    };
}

contract! {
    words_prefixes_accents_and_typos_find_games,
    filters_add_up_and_facets_pass_over_their_own,
    hits_are_sorted_paged_and_highlighted,
    letters_left_out_or_swapped_find_the_word_that_was_meant,
    synonyms_are_found_and_stop_words_are_passed_over,
    what_sells_comes_first_among_equals,
    ones_own_games_are_marked_and_can_be_left_out,
    a_retired_game_is_no_longer_found_and_a_changed_one_is_found_as_it_is,
    a_title_with_punctuation_finds_itself,
    nothing_of_a_query_is_ever_syntax,
    a_search_is_relaxed_step_by_step_and_says_so,
    titles_come_before_labels_and_labels_before_makers,
    a_word_that_enough_games_have_is_no_typo_of_another,
}

async fn words_prefixes_accents_and_typos_find_games(search: SearchConfig) {
    let app = catalogue(search).await;
    assert_eq!(titles(&find(&app, "q=lantern%20parade").await), ["Paper Lantern Parade"]);
    assert_eq!(titles(&find(&app, "q=paper%20lan").await), ["Paper Lantern Parade"]);
    assert_eq!(titles(&find(&app, "q=ACUCAR").await), ["Pão & Açúcar"]);
    assert_eq!(titles(&find(&app, "q=statc%20bloom").await), ["Static Bloom"]);
    assert_eq!(find(&app, "q=lantern").await["total"], 2);
    assert_eq!(find(&app, "q=xyzzyxyzzy").await["total"], 0);
}

async fn filters_add_up_and_facets_pass_over_their_own(search: SearchConfig) {
    let engine = if search.meili_url.is_some() { "meilisearch" } else { "postgres" };
    let app = catalogue(search).await;
    assert_eq!(titles(&find(&app, "genre=Puzzle&platform=linux").await), ["<b>Bold</b> Moves"]);
    assert_eq!(find(&app, "genre=Puzzle&genre=Horror").await["total"], 3);
    assert_eq!(find(&app, "price_min=2000&price_max=6000").await["total"], 2);
    assert_eq!(find(&app, "age_max=12").await["total"], 4);
    assert_eq!(find(&app, "year_min=2021&year_max=2023").await["total"], 2);
    assert_eq!(find(&app, "tag=Puzzle%20fans").await["total"], 2);
    let found = find(&app, "").await;
    assert_eq!(found["engine"], engine);
    assert_eq!(found["facets"]["genres"], json!({ "Adventure": 1, "Casual": 1, "Horror": 1, "Puzzle": 2 }));
    assert_eq!(found["facets"]["platforms"], json!({ "linux": 2, "windows": 3 }));
    assert_eq!(found["facets"]["age_ratings"], json!({ "0": 3, "10": 1, "18": 1 }));
    assert_eq!(found["facets"]["tags"]["Indie"], 5);
    // A genre that is chosen narrows the platforms down, and leaves the other genres to be chosen.
    let found = find(&app, "genre=Puzzle").await;
    assert_eq!(found["facets"]["genres"], json!({ "Adventure": 1, "Casual": 1, "Horror": 1, "Puzzle": 2 }));
    assert_eq!(found["facets"]["platforms"], json!({ "linux": 1, "windows": 1 }));
    let found = find(&app, "genre=Puzzle&platform=linux").await;
    assert_eq!(found["facets"]["genres"], json!({ "Adventure": 1, "Puzzle": 1 }));
    assert_eq!(found["facets"]["age_ratings"], json!({ "0": 1 }));
}

async fn hits_are_sorted_paged_and_highlighted(search: SearchConfig) {
    let app = catalogue(search).await;
    assert_eq!(titles(&find(&app, "sort=cheapest&limit=2").await), ["<b>Bold</b> Moves", "Pão & Açúcar"]);
    let second = find(&app, "sort=cheapest&limit=2&offset=2").await;
    assert_eq!(titles(&second), ["Paper Lantern Parade", "The Lantern Keepers of Marrow Bay"]);
    assert_eq!(second["total"], 5);
    assert_eq!(titles(&find(&app, "sort=dearest&limit=1").await), ["Static Bloom"]);
    assert_eq!(titles(&find(&app, "sort=newest&limit=2").await), ["Static Bloom", "Paper Lantern Parade"]);
    let found = find(&app, "q=moves").await;
    assert_eq!(found["items"][0]["highlight"], "&lt;b&gt;Bold&lt;/b&gt; <mark>Moves</mark>", "titles are escaped");
    for bad in ["limit=0", "offset=-1", "offset=10001", "q=%00", "year_min=3"] {
        app.visitor().get(&format!("/jogos/busca?{bad}")).await.refused(422, "invalid_field");
    }
    app.visitor().get("/jogos/busca?sort=random").await.refused(400, "invalid_request");
}

async fn letters_left_out_or_swapped_find_the_word_that_was_meant(search: SearchConfig) {
    let app = store(search).await;
    for title in ["Witcher Road", "Witch Hour", "Lantern Bay", "Constellation"] {
        app.game(title, 100).await;
    }
    eventually("all are found", || async { (find(&app, "").await["total"].clone(), json!(4)) }).await;
    assert!(titles(&find(&app, "q=witchr").await).contains(&"Witcher Road"));
    assert_eq!(titles(&find(&app, "q=lantren").await), ["Lantern Bay"]);
    assert_eq!(titles(&find(&app, "q=constelatoin").await), ["Constellation"], "a long word may have two");
    assert_eq!(titles(&find(&app, "q=rod").await), ["Witcher Road"], "a short word may have one");
    assert_eq!(find(&app, "q=zq").await["total"], 0, "two letters may have none");
}

async fn a_search_is_relaxed_step_by_step_and_says_so(search: SearchConfig) {
    let app = store(search).await;
    for title in ["Terra Invicta", "The Last Haven", "Black Book", "Dark Harbor", "Lantern Bay", "Euro Truck Simulator"]
    {
        app.game(title, 100).await;
    }
    eventually("all are found", || async { (find(&app, "").await["total"].clone(), json!(6)) }).await;
    for (typed, title) in [
        ("TerraInvicta", "Terra Invicta"),
        ("Ter ra Invicta", "Terra Invicta"),
        ("Th Last Haven", "The Last Haven"),
        ("Black Bok", "Black Book"),
        ("Dark Harbr", "Dark Harbor"),
        ("euro tuck simulator", "Euro Truck Simulator"),
    ] {
        let found = find(&app, &format!("q={}", typed.replace(' ', "+"))).await;
        assert_eq!(titles(&found).first(), Some(&title), "{typed}: {found}");
        assert!(found["reading"]["text"].is_string(), "{typed}: {found}");
    }
    // Each word is somewhere, and both are nowhere: one of them is enough.
    let found = find(&app, "q=invicta+haven").await;
    assert_eq!(
        (found["total"].as_u64().is_some_and(|n| n > 0), found["reading"]["without"].as_array().unwrap().len()),
        (true, 1)
    );
    let found = find(&app, "q=lantern+xyzzyx").await;
    assert_eq!(
        (titles(&found), &found["reading"]),
        (vec!["Lantern Bay"], &json!({ "text": "lantern", "without": ["xyzzyx"] }))
    );
    for as_typed in ["terra+invicta", "terra+inv", "the+last+haven", ""] {
        assert!(
            find(&app, &format!("q={as_typed}")).await.get("reading").is_none(),
            "{as_typed} was found as it was typed"
        );
    }
}

async fn a_word_that_enough_games_have_is_no_typo_of_another(search: SearchConfig) {
    let app = store(search).await;
    for title in ["Boom", "Doom", "Doom Eternal", "Doom 64"] {
        app.game(title, 100).await;
    }
    eventually("all are found", || async { (find(&app, "").await["total"].clone(), json!(4)) }).await;
    let found = find(&app, "q=doom").await;
    assert_eq!((titles(&found).first(), found.get("reading")), (Some(&"Doom"), None), "{found}");
    assert!(titles(&found).iter().take(3).all(|title| title.starts_with("Doom")), "{found}");
}

async fn titles_come_before_labels_and_labels_before_makers(search: SearchConfig) {
    let app = store(search).await;
    let mut by_maker = crate::support::game("Third", 100, 0);
    by_maker["developer"] = json!("Harbor Works");
    app.admin.post("/jogos", &by_maker).await.expect(201);
    add(&app, "Second", "Harbor", "linux", 100, 0, "2024-01-01").await;
    for title in ["Old Harbor", "Harbors Afar", "Harbor"] {
        app.game(title, 100).await;
    }
    eventually("all are found", || async { (find(&app, "q=harbor").await["total"].clone(), json!(5)) }).await;
    let found = find(&app, "q=harbor").await;
    assert_eq!(titles(&found), ["Harbor", "Harbors Afar", "Old Harbor", "Second", "Third"]);
}

async fn synonyms_are_found_and_stop_words_are_passed_over(search: SearchConfig) {
    let app = store(search).await;
    add(&app, "Crown of Ashes", "Role Playing", "linux", 100, 0, "2020-01-01").await;
    add(&app, "Kart Night", "Racing", "linux", 100, 0, "2020-01-01").await;
    eventually("all are found", || async { (find(&app, "").await["total"].clone(), json!(2)) }).await;
    assert_eq!(titles(&find(&app, "q=rpg").await), ["Crown of Ashes"]);
    assert_eq!(titles(&find(&app, "q=corrida").await), ["Kart Night"]);
    assert_eq!(titles(&find(&app, "q=the%20crown%20ashes").await), ["Crown of Ashes"]);
}

async fn what_sells_comes_first_among_equals(search: SearchConfig) {
    let app = store(search).await;
    add(&app, "Harbor One", "Casual", "linux", 500, 0, "2024-01-01").await;
    let sold = add(&app, "Harbor Two", "Casual", "linux", 500, 0, "2020-01-01").await;
    eventually("newest first", || async {
        (titles(&find(&app, "q=harbor").await).join(", "), "Harbor One, Harbor Two".to_owned())
    })
    .await;
    let ana = app.customer("ana").await;
    let order = ana.buy(&[&sold], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    eventually("what sells first", || async {
        (titles(&find(&app, "q=harbor").await).join(", "), "Harbor Two, Harbor One".to_owned())
    })
    .await;
    assert_eq!(titles(&find(&app, "sort=popular").await), ["Harbor Two", "Harbor One"]);
    assert_eq!(find(&app, "sort=popular").await["items"][0]["sales"], 1);
    app.verify().await;
}

async fn ones_own_games_are_marked_and_can_be_left_out(search: SearchConfig) {
    let app = store(search).await;
    let (mine, other) = (app.game("Harbor One", 500).await, app.game("Harbor Two", 500).await);
    let ana = app.customer("ana").await;
    let order = ana.buy(&[&mine], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    ana.owns(&["Harbor One"]).await;
    eventually("both are found", || async { (find(&app, "q=harbor").await["total"].clone(), json!(2)) }).await;
    let found = ana.get("/jogos/busca?q=harbor").await.expect(200);
    let owned = |id: &str| {
        found["items"].as_array().unwrap().iter().find(|hit| hit["id"] == id).map(|hit| hit["owned"].clone())
    };
    assert_eq!((owned(&mine), owned(&other)), (Some(json!(true)), Some(json!(false))));
    assert_eq!(titles(&ana.get("/jogos/busca?q=harbor&exclude_owned=true").await.expect(200)), ["Harbor Two"]);
    let visitor = find(&app, "q=harbor&exclude_owned=true").await;
    assert!(visitor["items"].as_array().unwrap().iter().all(|hit| hit["owned"] == false));
    assert_eq!(visitor["total"], 2, "a visitor owns nothing");
}

async fn a_retired_game_is_no_longer_found_and_a_changed_one_is_found_as_it_is(search: SearchConfig) {
    let app = store(search).await;
    let (kept, gone) = (app.game("Harbor One", 500).await, app.game("Harbor Two", 500).await);
    eventually("both are found", || async { (find(&app, "q=harbor").await["total"].clone(), json!(2)) }).await;
    let retired = app.admin.request(Method::DELETE, &format!("/jogos/{gone}")).header("If-Match", "*");
    Answer::of(retired).await.expect(204);
    let mut body = crate::support::game("Lighthouse", 700, 0);
    body["description"] = json!("By the sea.");
    app.admin.put_matching(&format!("/jogos/{kept}"), &body).await.expect(200);
    eventually("none is left", || async { (find(&app, "q=harbor").await["total"].clone(), json!(0)) }).await;
    eventually("the new title is found", || async { (find(&app, "q=lighthous").await["total"].clone(), json!(1)) })
        .await;
    assert_eq!(find(&app, "q=lighthouse").await["items"][0]["price"]["amount"], 700);
    app.verify().await;
}

async fn a_title_with_punctuation_finds_itself(search: SearchConfig) {
    let app = store(search).await;
    let all = ["DiRT Rally 2.0", "Fate/EXTELLA LINK", "F.I.S.T.: Forged In Shadow", "Half-Life 2"];
    for title in all {
        app.game(title, 100).await;
    }
    eventually("all are found", || async { (find(&app, "").await["total"].clone(), json!(4)) }).await;
    for title in all {
        let query: String = url::form_urlencoded::byte_serialize(title.as_bytes()).collect();
        assert_eq!(titles(&find(&app, &format!("q={query}")).await).first(), Some(&title));
    }
}

async fn nothing_of_a_query_is_ever_syntax(search: SearchConfig) {
    let app = catalogue(search).await;
    app.game("O'Brien's Co-Op 1/2", 100).await;
    for hostile in [
        "q=%27%20or%201=1",
        "q=!%20%26%20(",
        "q=%3A*",
        "q=%5C",
        "genre=%22%20OR%20price%20%3E%200",
        "tag=x%5C",
        "q=%E2%91%B4%20%C2%BD%20%E2%84%96",
        "q=obrian",
    ] {
        find(&app, hostile).await;
    }
    assert_eq!(find(&app, "genre=x%5C%22%20OR%20price%20%3E%200%20OR%20genres%20%3D%20%22x").await["total"], 0);
}
