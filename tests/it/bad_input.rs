//! Bad input: each gets the status and code that its problem deserves, and nothing is written.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, TestApp, game, payment_method};

async fn events(app: &TestApp) -> i64 {
    app.foundation.journal().extent().await.unwrap().0
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

#[tokio::test]
async fn a_bad_game_is_refused() {
    let app = TestApp::start().await;
    let before = events(&app).await;
    let good = || game("Good", 100, 0);
    let price =
        |amount: Value, currency: &str| with(good(), "price", json!({ "amount": amount, "currency": currency }));
    for (what, body, status, code, field) in [
        ("unknown field", with(good(), "colour", json!("red")), 400, "invalid_request", Some("colour")),
        ("wrong type", with(good(), "title", json!(7)), 400, "invalid_request", Some("title")),
        ("missing field", json!({ "title": "x" }), 400, "invalid_request", Some("age_rating")),
        (
            "overflowing price",
            price(json!(9_223_372_036_854_775_808_u64), "BRL"),
            400,
            "invalid_request",
            Some("price.amount"),
        ),
        ("fractional price", price(json!(1.5), "BRL"), 400, "invalid_request", Some("price.amount")),
        ("negative price", price(json!(-1), "BRL"), 422, "invalid_field", Some("price")),
        ("too large a price", price(json!(100_000_000), "BRL"), 422, "invalid_field", Some("price")),
        ("foreign currency", price(json!(100), "USD"), 422, "invalid_field", Some("price")),
        ("no currency", price(json!(100), "real"), 422, "invalid_field", Some("price.currency")),
        ("empty title", with(good(), "title", json!("  ")), 422, "invalid_field", Some("title")),
        ("too long a title", with(good(), "title", json!("x".repeat(121))), 422, "invalid_field", Some("title")),
        ("control character", with(good(), "title", json!("a\u{7}b")), 422, "invalid_field", Some("title")),
        ("nul character", with(good(), "description", json!("a\u{0}b")), 422, "invalid_field", Some("description")),
        (
            "too many tags",
            with(good(), "tags", json!((0..31).map(|n| n.to_string()).collect::<Vec<_>>())),
            422,
            "invalid_field",
            Some("tags"),
        ),
        ("no such rating", with(good(), "age_rating", json!(17)), 422, "invalid_field", Some("age_rating")),
        (
            "a day after the end of time",
            with(good(), "release_date", json!("+10000-01-01")),
            422,
            "invalid_field",
            Some("release_date"),
        ),
        (
            "a day before there were games",
            with(good(), "release_date", json!("-5000-01-01")),
            422,
            "invalid_field",
            Some("release_date"),
        ),
        (
            "no such day",
            with(good(), "release_date", json!("2023-02-29")),
            400,
            "invalid_request",
            Some("release_date"),
        ),
    ] {
        println!("a game with {what}");
        let answer = app.admin.post("/jogos", &body).await;
        assert_eq!(answer.body["field"].as_str(), field, "{}", answer.body);
        answer.refused(status, code);
    }
    assert_eq!(events(&app).await, before);
}

#[tokio::test]
async fn a_bad_registration_is_refused() {
    let app = TestApp::start().await;
    let before = events(&app).await;
    let good = || json!({ "name": "Ana", "email": "ana@example.com", "password": "ana's umbrella kettle", "birth_date": "2001-05-17" });
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("a\u{0}")),
        ("name", json!("x".repeat(121))),
        ("email", json!("ana")),
        ("email", json!("ana@localhost")),
        ("email", json!(format!("{}@example.com", "x".repeat(250)))),
        ("password", json!("short")),
        ("password", json!("x".repeat(129))),
        ("birth_date", json!("2999-01-01")),
        ("birth_date", json!("1899-12-31")),
        ("name", json!("\u{200b}")),
        ("name", json!("\u{202e}anA")),
    ] {
        println!("{field}: {value}");
        let answer = app.visitor().post("/users", &with(good(), field, value)).await;
        assert_eq!(answer.body["field"], field);
        answer.refused(422, "invalid_field");
    }
    app.visitor().post("/users", &with(good(), "role", json!("admin"))).await.refused(400, "invalid_request");
    app.visitor()
        .post("/users", &with(good(), "birth_date", json!("17/05/2001")))
        .await
        .refused(400, "invalid_request");
    assert_eq!(events(&app).await, before);
}

#[tokio::test]
async fn a_bad_purchase_is_refused() {
    let app = TestApp::start().await;
    let child = Person::register(&app.url, "child", "2015-01-01").await;
    let ana = app.customer("ana").await;
    let (good, adult) = (app.game("Good", 100).await, app.admin.create_game("Adult", 100, 18).await);
    let retired = app.game("Retired", 100).await;
    let request = app.admin.request(Method::DELETE, &format!("/jogos/{retired}")).header("If-Match", "*");
    Answer::of(request).await.expect(204);
    let before = events(&app).await;

    let unknown = journal::Clock::default().new_id().to_string();
    let many: Vec<String> = (0..51).map(|_| unknown.clone()).collect();
    let buy = |games: Value| json!({ "games": games, "payment_method": payment_method("pm_card_visa") });
    for (what, body, status, code) in [
        ("no games", buy(json!([])), 422, "empty_order"),
        ("a game twice", buy(json!([good, good])), 422, "duplicate_game"),
        ("too many games", buy(json!(many)), 422, "too_many_games"),
        ("an unknown game", buy(json!([unknown])), 422, "unknown_game"),
        ("a retired game", buy(json!([retired])), 409, "game_retired"),
        ("an id that is no UUID", buy(json!(["good"])), 422, "invalid_field"),
        ("a price of its own", with(buy(json!([good])), "total", json!(1)), 400, "invalid_request"),
        (
            "an unknown method",
            with(buy(json!([good])), "payment_method", json!({ "type": "cash" })),
            400,
            "invalid_request",
        ),
        (
            "a card without token",
            with(buy(json!([good])), "payment_method", json!({ "type": "card" })),
            422,
            "invalid_field",
        ),
        (
            "a card's number",
            with(buy(json!([good])), "payment_method", json!({ "type": "card", "token": "4111111111111111" })),
            422,
            "invalid_field",
        ),
        (
            "a token for pix",
            with(buy(json!([good])), "payment_method", json!({ "type": "pix", "token": "x" })),
            422,
            "invalid_field",
        ),
        (
            "a control character",
            with(buy(json!([good])), "payment_method", json!({ "type": "card", "token": "a\u{0}" })),
            422,
            "invalid_field",
        ),
    ] {
        println!("a purchase with {what}");
        ana.post("/jogos/compra", &body).await.refused(status, code);
    }
    child.try_buy(&[&adult], "pm_card_visa").await.refused(422, "buyer_too_young");
    app.visitor().try_buy(&[&good], "pm_card_visa").await.refused(401, "unauthenticated");
    assert_eq!(events(&app).await, before);
}

#[tokio::test]
async fn a_request_that_is_none_is_a_problem_all_the_same() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let before = events(&app).await;
    let raw = |method: Method, path: &str, content_type: &str, body: String| {
        Answer::of(ana.request(method, path).header("Content-Type", content_type).body(body))
    };
    raw(Method::GET, "/nowhere", "text/plain", String::new()).await.refused(404, "no_such_route");
    raw(Method::PATCH, "/users", "text/plain", String::new()).await.refused(405, "method_not_allowed");
    let nowhere = raw(Method::PATCH, "/jogos/busca", "text/plain", String::new()).await;
    assert_eq!(nowhere.header("allow"), "GET, HEAD");
    let illegible = ana.request(Method::POST, "/jogos/compra").header("Idempotency-Key", &b"\xc2\x84"[..]);
    Answer::of(illegible.json(&json!({}))).await.refused(400, "invalid_header");
    raw(Method::POST, "/jogos/compra", "text/plain", "{}".into()).await.refused(415, "unsupported_media_type");
    raw(Method::POST, "/jogos/compra", "application/json", "{".into()).await.refused(400, "invalid_request");
    // However far its client has come with writing, it sees the answer.
    for size in [70_000, 700_000, 7_000_000] {
        let large = format!("{{\"x\":\"{}\"}}", "x".repeat(size));
        for _ in 0..10 {
            let answer = raw(Method::POST, "/jogos/compra", "application/json", large.clone());
            answer.await.refused(413, "body_too_large");
        }
    }
    ana.get("/jogos/busca?sort=random").await.refused(400, "invalid_request");
    let said =
        ana.get("/jogos/busca?limit=x&price_min=y&sort=random").await.body["detail"].as_str().unwrap().to_owned();
    for rule in ["limit must be a whole number", "price_min must be a whole number", "sort must be one of relevance, "]
    {
        assert!(said.contains(rule) && !said.contains("Dto"), "{said}");
    }
    let letter = app.admin.post("/dlq/first/discard", &json!({ "reason": "spent" })).await;
    assert_eq!(letter.body["detail"], "sequence must be a whole number");
    letter.refused(400, "invalid_request");
    ana.get("/pedidos/no-uuid").await.refused(400, "invalid_id");
    ana.get("/jogos/no-uuid").await.refused(400, "invalid_id");
    ana.get(&format!("/pedidos/{}", journal::Clock::default().new_id())).await.refused(404, "not_found");
    ana.get(&format!("/pagamento/{}", journal::Clock::default().new_id())).await.refused(404, "not_found");
    let pay = json!({ "order_id": journal::Clock::default().new_id(), "payment_method": payment_method("pix") });
    ana.post("/pagamento", &pay).await.refused(404, "not_found");
    assert_eq!(events(&app).await, before);
}

#[tokio::test]
async fn all_fields_that_are_wrong_are_named_at_once() {
    let app = TestApp::start().await;
    let wrong = with(with(game("  ", 100, 17), "release_date", json!("1900-01-01")), "genres", json!([""]));
    let answer = app.admin.post("/jogos", &wrong).await;
    let named = |answer: &Answer| -> Vec<String> {
        let errors = answer.body["errors"].as_array().unwrap();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(named(&answer), ["title", "genres", "release_date", "age_rating"]);
    answer.refused(422, "invalid_field");
    let nobody = json!({ "name": "", "email": "nowhere", "password": "short", "birth_date": "2999-01-01" });
    let answer = app.visitor().post("/users", &nobody).await;
    assert_eq!(named(&answer), ["name", "email", "birth_date", "password"]);
    answer.refused(422, "invalid_field");
}

#[tokio::test]
async fn a_problem_speaks_the_language_of_its_reader_and_names_a_page_that_explains_it() {
    let app = TestApp::start().await;
    let nobody =
        json!({ "name": "", "email": "nowhere", "password": "fourteen kettles of rain", "birth_date": "1990-01-01" });
    let request = app.visitor().request(Method::POST, "/users").json(&nobody);
    let answer = Answer::of(request.header("Accept-Language", "pt-BR,pt;q=0.9,en;q=0.8")).await;
    assert_eq!(answer.body["title"], "Confira este campo.");
    assert_eq!(
        answer.body["errors"],
        json!([
            { "field": "name", "detail": "precisa ter ao menos 1 caractere(s)" },
            { "field": "email", "detail": "precisa ser um endereço de e-mail" },
        ])
    );
    let unreadable =
        app.visitor().request(Method::POST, "/users").json(&json!({ "name": 7, "email": "ana@x.example" }));
    let unread = Answer::of(unreadable.header("Accept-Language", "pt-BR")).await;
    let detail = "password é obrigatório; birth_date é obrigatório; name precisa ser texto";
    assert_eq!(unread.body["detail"], detail);
    let page = app.visitor().get(answer.body["type"].as_str().unwrap()).await.expect(200);
    let page = page.as_str().unwrap();
    assert!(page.contains("Check this field.") && page.contains("Confira este campo."), "{page}");
    app.visitor().get("/problems/made_up").await.refused(404, "no_such_route");
}

#[tokio::test]
async fn a_catalogue_is_read_only_from_who_may_import_one() {
    let app = TestApp::start().await;
    let import = async |person: &Person, megabytes: usize| {
        let request = person.request(Method::POST, "/jogos/importacao").header("Content-Type", "text/csv");
        Answer::of(request.body("x".repeat(megabytes << 20))).await
    };
    import(&app.visitor(), 16).await.refused(401, "unauthenticated");
    import(&app.customer("ana").await, 16).await.refused(403, "forbidden");
    import(&app.admin, 5).await.refused(413, "body_too_large");
    import(&app.admin, 3).await.refused(422, "invalid_field");
}
