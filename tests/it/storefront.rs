//! What the gateway does for the storefront: its files, its session in cookies, exports and imports.

use reqwest::header::{CONTENT_SECURITY_POLICY, COOKIE, SET_COOKIE};
use reqwest::{Method, Response};
use serde_json::json;
use strum::VariantNames;

use crate::support::{Answer, Person, TestApp, eventually};

/// `name=value` of each cookie that an answer sets.
fn cookies(response: &Response) -> String {
    let set = response.headers().get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    set.map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect::<Vec<_>>().join("; ")
}

async fn begin(app: &TestApp, person: &Person) -> Response {
    let credentials = json!({ "email": person.email, "password": person.password });
    let request = app.visitor().request(Method::POST, "/login/session").header("X-Ludoteca-Storefront", "1");
    request.json(&credentials).send().await.unwrap()
}

#[tokio::test]
async fn the_first_page_is_small_and_allows_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let mut total = 0;
    let first = [
        "/",
        "/loja/main.js",
        "/loja/api.js",
        "/loja/i18n.js",
        "/loja/ui.js",
        "/loja/app.css",
        "/loja/icon.svg",
        "/loja/pages/catalogue.js",
        "/loja/vendor/preact.js",
    ];
    for path in first {
        let response = app.visitor().request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let text = response.text().await.unwrap();
        assert!(!text.contains("https://") || path.ends_with("preact.js"), "{path} asks elsewhere");
        total += text.len();
    }
    assert!(total < 100_000, "{total} bytes before compression");
}

#[tokio::test]
async fn a_session_lives_in_cookies_that_scripts_cannot_read_and_other_sites_cannot_use() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let begun = begin(&app, &ana).await;
    assert_eq!(begun.status(), 204);
    for cookie in begun.headers().get_all(SET_COOKIE) {
        let cookie = cookie.to_str().unwrap();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("Secure") && cookie.contains("SameSite=Strict"),
            "{cookie}"
        );
    }
    let cookies = cookies(&begun);
    let with = |method: Method, path: &str| app.visitor().request(method, path).header(COOKIE, &cookies);
    assert_eq!(Answer::of(with(Method::GET, "/users/me")).await.expect(200)["id"], ana.id.as_str());
    // A form of another site would send the cookie, but cannot send the header.
    let order = json!({ "games": [], "payment_method": { "type": "pix" } });
    Answer::of(with(Method::POST, "/jogos/compra").json(&order)).await.refused(401, "unauthenticated");
    Answer::of(with(Method::PUT, "/login/session")).await.refused(403, "not_from_the_storefront");
    let proven = |method, path: &str| with(method, path).header("X-Ludoteca-Storefront", "1");
    Answer::of(proven(Method::POST, "/jogos/compra").json(&order)).await.refused(422, "empty_order");
    // Two tabs that wake up at once both stay logged in.
    for _ in 0..2 {
        Answer::of(proven(Method::PUT, "/login/session")).await.expect(204);
    }
}

#[tokio::test]
async fn a_session_that_was_ended_cannot_be_renewed() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let cookies = cookies(&begin(&app, &ana).await);
    let proven = |method| {
        let request = app.visitor().request(method, "/login/session").header(COOKIE, &cookies);
        request.header("X-Ludoteca-Storefront", "1")
    };
    Answer::of(proven(Method::DELETE)).await.expect(204);
    Answer::of(proven(Method::PUT)).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_cookie_that_is_not_good_any_more_is_taken_back() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let cookies = cookies(&begin(&app, &ana).await);
    ana.delete("/users/me").await.expect(204);
    let with = || app.visitor().request(Method::GET, "/jogos").header(COOKIE, &cookies);
    eventually("the token speaks for nobody", || async {
        let response = with().send().await.unwrap();
        let taken = response.headers().get_all(SET_COOKIE).iter().any(|cookie| {
            let cookie = cookie.to_str().unwrap();
            cookie.starts_with("__Host-ludoteca-access=;") && cookie.contains("Max-Age=0")
        });
        ((response.status().as_u16(), taken), (401, true))
    })
    .await;
}

#[tokio::test]
async fn people_can_take_their_data_with_them_and_nobody_elses() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    ana.owns(&["Summit"]).await;
    let export = ana.get("/users/me/export").await.expect(200);
    assert_eq!(export["profile"]["email"], ana.email.as_str());
    assert_eq!((&export["orders"][0]["id"], &export["library"][0]["game"]["id"]), (&json!(order), &json!(game)));
    ben.get(&format!("/users/{}/export", ana.id)).await.refused(404, "not_found");
}

#[tokio::test]
async fn an_admin_imports_a_catalogue_and_is_told_of_each_bad_line() {
    let app = TestApp::start().await;
    let csv = "title,publisher,genres,tags,platforms,release_date,age_rating,price,currency\n\
               Harbor,,Casual,,linux,2024-01-01,0,10.50,BRL\nBad,,,,,,13,1,BRL\nWorse,,,,,,0,1.234,BRL\n\
               Far,,,,,+10000-01-01,0,1,BRL\nCheap,,,,,,0,-0.50,BRL\n";
    let import = |person: &Person| {
        person.request(Method::POST, "/jogos/importacao").header("Content-Type", "text/csv").body(csv)
    };
    let imported = Answer::of(import(&app.admin)).await.expect(200);
    assert_eq!((&imported["new"], &imported["known"]), (&json!(1), &json!(0)));
    let refused = imported["refused"].as_array().unwrap();
    assert!(refused[0].as_str().unwrap().starts_with("line 3: age_rating"), "{refused:?}");
    assert!(refused[1].as_str().unwrap().starts_with("line 4: price"), "{refused:?}");
    assert!(refused[2].as_str().unwrap().starts_with("line 5: release_date"), "{refused:?}");
    assert!(refused[3].as_str().unwrap().contains("must not be negative"), "{refused:?}");
    assert_eq!(Answer::of(import(&app.admin)).await.expect(200)["known"], 1, "twice changes nothing");
    Answer::of(import(&app.customer("ana").await)).await.refused(403, "forbidden");
}

#[tokio::test]
async fn an_admin_sees_how_far_everything_is_behind() {
    let app = TestApp::start().await;
    // A projection is listed once it has taken its first event.
    let told = || async {
        let figures = app.admin.get("/health/figures").await.expect(200);
        assert!(figures["events"].as_i64() >= Some(1), "{figures}");
        let known = |name: &&str| figures["projections_behind"][*name].is_i64();
        (["users", "games", "orders", "payments", "library"].iter().filter(|name| known(name)).count(), 5)
    };
    eventually("every projection is listed", told).await;
    app.customer("ana").await.get("/health/figures").await.refused(403, "forbidden");
}

#[tokio::test]
async fn files_of_the_shop_are_kept_for_ever_and_the_page_is_asked_for_again() {
    let app = TestApp::start().await;
    let get = async |path: &str, headers: &[(&'static str, &str)]| {
        let request = headers.iter().fold(app.visitor().request(Method::GET, path), |it, (n, v)| it.header(*n, *v));
        request.send().await.unwrap()
    };
    let page = get("/", &[]).await;
    let (etag, kept) = (page.headers()["etag"].to_str().unwrap().to_owned(), page.headers()["cache-control"].clone());
    assert_eq!(kept, "no-cache");
    assert_eq!(get("/", &[("If-None-Match", &etag)]).await.status(), 304);
    let html = page.text().await.unwrap();
    assert!(html.contains(r#"<meta name="currency" content="BRL">"#), "{html}");
    let script = html.split('"').find(|part| part.ends_with("/main.js")).unwrap();
    let script = get(script, &[]).await;
    assert_eq!(
        (script.status().as_u16(), script.headers()["cache-control"].to_str().unwrap()),
        (200, "public, max-age=31536000, immutable")
    );
    // A browser that asks for what is not there sees the shop; a program sees a problem.
    let nowhere = get("/nowhere", &[("Accept", "text/html,*/*")]).await;
    assert_eq!(
        (nowhere.status().as_u16(), nowhere.headers()["content-type"].to_str().unwrap()),
        (404, "text/html; charset=utf-8")
    );
    Answer::of(app.visitor().request(Method::GET, "/nowhere")).await.refused(404, "no_such_route");
}

#[tokio::test]
async fn what_is_read_is_compressed_and_what_is_secret_is_not() {
    let app = TestApp::start().await;
    for n in 0..20 {
        app.game(&format!("Harbor {n}"), 100).await;
    }
    let compressed = async |request: reqwest::RequestBuilder| {
        let answer = request.header("Accept-Encoding", "gzip, br").send().await.unwrap();
        (answer.headers().contains_key("content-encoding"), answer.bytes().await.unwrap().len())
    };
    let plain = app.visitor().request(Method::GET, "/jogos").send().await.unwrap().bytes().await.unwrap().len();
    let (is_small, size) = compressed(app.visitor().request(Method::GET, "/jogos")).await;
    assert!(is_small && size < plain / 4, "{size} of {plain} bytes");
    for document in ["/openapi.json", "/asyncapi.json", "/schemas", "/schemas/OrderCreated/1"] {
        assert!(compressed(app.visitor().request(Method::GET, document)).await.0, "{document}");
    }
    assert!(!compressed(app.visitor().request(Method::GET, "/health/live")).await.0, "too small to be worth it");
    let credentials = json!({ "email": app.admin.email, "password": app.admin.password });
    assert!(!compressed(app.visitor().request(Method::POST, "/login/auth").json(&credentials)).await.0);
}

/// The keys of a translation in `web/i18n.js`, and every text that the shop shows through `t`.
fn texts() -> (Vec<String>, Vec<String>) {
    let i18n = std::fs::read_to_string("web/i18n.js").unwrap();
    let portuguese = i18n.split("const pt = {").nth(1).unwrap().split("\n};").next().unwrap();
    let keys =
        portuguese.lines().filter_map(|line| line.trim().strip_prefix('"')?.split("\":").next().map(str::to_owned));
    let mut shown = Vec::new();
    for folder in ["web", "web/pages"] {
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_none_or(|kind| kind != "js") {
                continue;
            }
            let script = std::fs::read_to_string(&file).unwrap();
            for (quote, call) in [('\'', "t('"), ('"', "t(\"")] {
                let calls = script
                    .match_indices(call)
                    .filter(|(at, _)| !script[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '.' || c == '_'));
                shown.extend(calls.map(|(at, _)| script[at + 3..].split(quote).next().unwrap().to_owned()));
            }
        }
    }
    (keys.collect(), shown)
}

#[test]
fn every_text_of_the_shop_is_translated_and_every_problem_is_explained() {
    let (keys, shown) = texts();
    assert!(shown.len() > 100, "the texts were found");
    let missing: Vec<_> = shown.iter().filter(|text| !keys.contains(text)).collect();
    assert!(missing.is_empty(), "not in Portuguese: {missing:?}");
    let problems = std::fs::read_to_string("gateway/src/problems.json").unwrap();
    let problems: serde_json::Value = serde_json::from_str(&problems).unwrap();
    let codes = domain::order::OrderError::VARIANTS.iter().chain(domain::user::UserError::VARIANTS);
    let codes = codes.chain(domain::game::GameError::VARIANTS).chain(domain::payment::PaymentError::VARIANTS);
    let mut codes: Vec<String> = codes.map(|code| (*code).to_owned()).collect();
    for folder in ["gateway/src", "gateway/src/routes"] {
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
            let source = std::fs::read_to_string(file).unwrap();
            let after = source
                .split("StatusCode::")
                .skip(1)
                .filter_map(|part| part.split_once(','))
                .map(|(_, rest)| rest.trim_start());
            codes.extend(
                after
                    .filter_map(|rest| rest.strip_prefix('"')?.split('"').next())
                    .filter(|code| *code != "Bearer")
                    .map(str::to_owned),
            );
        }
    }
    assert!(codes.len() > 50, "the codes were found");
    let missing: Vec<_> = codes.iter().filter(|code| !problems["codes"][code.as_str()].is_object()).collect();
    assert!(missing.is_empty(), "not explained to people: {missing:?}");
}

#[tokio::test]
async fn a_birth_date_is_seen_by_its_owner_and_by_staff() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let hers = format!("/users/{}", ana.id);
    ana.get(&hers).await.expect(200)["birth_date"].as_str().unwrap();
    app.admin.get(&hers).await.expect(200)["birth_date"].as_str().unwrap();
    ben.get(&hers).await.refused(404, "not_found");
}
