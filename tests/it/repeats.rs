//! A request with an `Idempotency-Key` that is sent again gets the first answer, whatever has happened since.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{Answer, Person, TestApp, game, payment_method};

async fn keyed(person: &Person, path: &str, key: &str, body: &Value) -> Answer {
    Answer::of(person.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
}

fn basket(game: &str) -> Value {
    json!({ "games": [game], "payment_method": payment_method("pm_card_visa") })
}

/// What a client can tell answers apart by; when it was given and which request it was are not the answer.
fn told(headers: &HeaderMap) -> Vec<(String, String)> {
    ["location", "etag", "consistency-token", "content-type"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.to_owned())))
        .collect()
}

#[track_caller]
fn repeats(first: &Answer, again: &Answer) {
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(told(&first.headers), told(&again.headers));
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(again.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn a_purchase_is_answered_as_at_first_after_it_was_paid_refunded_and_revoked() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (summit, comet) = (app.game("Summit", 5_990).await, app.game("Quiet Comet", 4_990).await);
    let body = json!({ "games": [summit, comet], "payment_method": payment_method("pm_card_visa") });
    let first = keyed(&ana, "/jogos/compra", "k", &body).await;
    assert_eq!(first.status, 202);
    let order = first.body["order_id"].as_str().unwrap().to_owned();
    repeats(&first, &keyed(&ana, "/jogos/compra", "k", &body).await);

    ana.sees_order(&order, "completed").await;
    repeats(&first, &keyed(&ana, "/jogos/compra", "k", &body).await);

    let refund = json!({ "games": [comet] });
    let path = format!("/pedidos/{order}/reembolso");
    let asked = keyed(&ana, &path, "k", &refund).await;
    assert_eq!(asked.status, 202);
    ana.owns(&["Summit"]).await;
    repeats(&first, &keyed(&ana, "/jogos/compra", "k", &body).await);
    repeats(&asked, &keyed(&ana, &path, "k", &refund).await);

    ana.post(&path, &json!({})).await.expect(202);
    ana.sees_order(&order, "refunded").await;
    repeats(&first, &keyed(&ana, "/jogos/compra", "k", &body).await);
    repeats(&asked, &keyed(&ana, &path, "k", &refund).await);
    assert_eq!(app.events("OrderCreated").await, 1);
    assert_eq!(app.events("OrderRefundRequested").await, 2);
}

#[tokio::test]
async fn a_purchase_is_answered_as_at_first_after_it_was_cancelled() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let summit = app.game("Summit", 5_990).await;
    let body = json!({ "games": [summit], "payment_method": payment_method("pm_card_chargeCustomerFail") });
    let first = keyed(&ana, "/jogos/compra", "k", &body).await;
    let order = first.body["order_id"].as_str().unwrap().to_owned();
    ana.sees_order(&order, "payment_failed").await;

    let pay = json!({ "order_id": order, "payment_method": payment_method("pm_card_chargeCustomerFail") });
    let paid = keyed(&ana, "/pagamento", "k", &pay).await;
    assert_eq!(paid.status, 202);
    ana.delete(&format!("/pedidos/{order}")).await.expect(204);

    repeats(&first, &keyed(&ana, "/jogos/compra", "k", &body).await);
    repeats(&paid, &keyed(&ana, "/pagamento", "k", &pay).await);
}

#[tokio::test]
async fn a_repeated_registration_needs_the_same_password_and_raises_nobody_from_the_dead() {
    let app = TestApp::start().await;
    let person = |password: &str| json!({ "name": "Ana", "email": "ana@example.com", "password": password, "birth_date": "1990-05-17" });
    let register = |password: &'static str| {
        let visitor = app.visitor();
        async move { keyed(&visitor, "/users", "1", &person(password)).await }
    };
    let first = register("ana's umbrella kettle").await;
    assert_eq!(first.status, 201);
    repeats(&first, &register("ana's umbrella kettle").await);
    register("eve's umbrella kettle").await.refused(422, "idempotency_key_reused");

    let ana = Person::log_in(&app.url, "ana@example.com", "ana's umbrella kettle").await;
    ana.delete("/users/me").await.expect(204);
    let again = register("ana's umbrella kettle").await;
    assert_eq!(again.status, 201);
    assert_ne!(again.body["id"], first.body["id"], "whoever comes after an erased person is somebody else");
    ana.get("/users/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn visitors_do_not_share_their_keys() {
    let app = TestApp::start().await;
    let person = |name: &str| json!({ "name": name, "email": format!("{name}@example.com"), "password": "an umbrella of mine", "birth_date": "1990-05-17" });
    let ana = keyed(&app.visitor(), "/users", "1", &person("ana")).await.expect(201);
    let ben = keyed(&app.visitor(), "/users", "1", &person("ben")).await.expect(201);
    assert_ne!(ana["id"], ben["id"]);
}

#[tokio::test]
async fn equal_requests_at_once_are_carried_out_once() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let body = basket(&app.game("Summit", 5_990).await);
    let answers = futures::future::join_all((0..8).map(|_| keyed(&ana, "/jogos/compra", "k", &body))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (202, &answers[0].body));
    }
    assert_eq!(app.events("OrderCreated").await, 1);
}

#[tokio::test]
async fn games_and_promotions_are_made_once_for_a_key() {
    let app = TestApp::start().await;
    let body = game("Summit", 5_990, 0);
    let first = keyed(&app.admin, "/jogos", "k", &body).await;
    assert_eq!(first.status, 201);
    let promotions = format!("/jogos/{}/promocoes", first.body["id"].as_str().unwrap());
    let half = json!({ "percent": 50, "starts_at": "2030-01-01T00:00:00Z", "ends_at": "2030-01-08T00:00:00Z" });
    let scheduled = keyed(&app.admin, &promotions, "k", &half).await;
    assert_eq!(scheduled.status, 201);
    repeats(&scheduled, &keyed(&app.admin, &promotions, "k", &half).await);
    repeats(&first, &keyed(&app.admin, "/jogos", "k", &body).await);
}

#[tokio::test]
async fn a_key_is_free_again_after_a_day() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let body = basket(&app.game("Summit", 5_990).await);
    let first = keyed(&ana, "/jogos/compra", "k", &body).await.expect(202);
    ana.sees_order(first["order_id"].as_str().unwrap(), "completed").await;
    sqlx::query("update journal.answers set answered_at = answered_at - interval '25 hours'")
        .execute(app.pool())
        .await
        .unwrap();
    keyed(&ana, "/jogos/compra", "k", &body).await.refused(409, "game_owned_or_pending");
}

#[tokio::test]
async fn no_hash_of_a_registration_stands_beside_its_event() {
    let app = TestApp::start().await;
    let ana = json!({ "name": "Ana", "email": "ana@example.com", "password": "ana's umbrella kettle", "birth_date": "1990-05-17" });
    let first = keyed(&app.visitor(), "/users", "1", &ana).await.expect(201);
    let metadata: String =
        sqlx::query_scalar("select string_agg(metadata::text, '') from journal.events where aggregate_id = $1")
            .bind(first["id"].as_str().unwrap())
            .fetch_one(app.pool())
            .await
            .unwrap();
    assert!(!metadata.contains("fingerprint") && !metadata.contains("idempotency"), "{metadata}");
}

#[tokio::test]
async fn an_import_is_reported_as_at_first_whatever_is_known_by_now() {
    let app = TestApp::start().await;
    let file = "title,age_rating,price,currency\nSummit,0,10.00,BRL\nno price,0,,BRL\n";
    let import = async |file: &str| {
        let request = app.admin.request(Method::POST, "/jogos/importacao").header("Content-Type", "text/csv");
        Answer::of(request.header("Idempotency-Key", "k").body(file.to_owned())).await
    };
    let first = import(file).await;
    assert_eq!((first.status, &first.body["new"]), (200, &json!(1)), "{first:?}");
    repeats(&first, &import(file).await);
    assert_eq!(import("title,age_rating,price,currency\n").await.status, 422);
}

#[tokio::test]
async fn a_dead_letter_is_redriven_once_per_key_and_the_repeat_hears_so() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);
    let order = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&order, "payment_failed").await;
    let letters = async || app.admin.get("/dlq?class=declined").await.expect(200)["items"].as_array().unwrap().clone();
    let path = format!("/dlq/{}/redrive", letters().await[0]["sequence"]);
    let first = keyed(&app.admin, &path, "k", &json!({})).await;
    assert_eq!(first.status, 202);
    repeats(&first, &keyed(&app.admin, &path, "k", &json!({})).await);
    assert_eq!(app.events("PaymentRedriven").await, 1);
    assert_eq!(keyed(&app.admin, &path, "another", &json!({})).await.status, 404);
}
