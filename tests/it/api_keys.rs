//! Keys for programs: they do what they are for, and nothing else of what their owner may do.

use std::time::Duration;

use chrono::TimeDelta;
use domain::user::Requirement;
use reqwest::Method;
use serde_json::{Value, json};

use crate::second_factor;
use crate::support::{Answer, Person, TestApp, Wishes, eventually, mails_about};

/// What makes a key of these scopes that is good for so many days.
fn wanted(app: &TestApp, scopes: &[&str], days: i64) -> Value {
    let expires_at = app.foundation.shared.commands.clock().now() + TimeDelta::days(days);
    json!({ "name": "a script", "scopes": scopes, "expires_at": expires_at.to_rfc3339() })
}

/// A program with a key of somebody's.
pub async fn program(app: &TestApp, owner: &Person, scopes: &[&str]) -> Person {
    let made = owner.post("/users/me/api-keys", &wanted(app, scopes, 30)).await.expect(201);
    let key = made["key"].as_str().unwrap().to_owned();
    Person { token: Some(key), id: made["id"].as_str().unwrap().to_owned(), ..Person::nobody(&owner.url) }
}

/// Somebody with another role.
async fn with_role(app: &TestApp, name: &str, role: &str) -> Person {
    let person = app.customer(name).await;
    app.admin.put(&format!("/users/{}/role", person.id), &json!({ "role": role })).await.expect(204);
    Person::log_in(&app.url, &person.email, &person.password).await
}

#[tokio::test]
async fn a_key_does_what_its_scopes_name_and_nothing_else_of_what_its_owner_may() {
    let app = TestApp::start().await;
    let game = crate::support::game("Summit", 5_990, 0);
    let keeper = program(&app, &app.admin, &["write_catalogue"]).await;
    keeper.post("/jogos", &game).await.expect(201);
    for (method, path) in [
        (Method::GET, "/jogos/busca"),
        (Method::GET, "/eventos"),
        (Method::GET, "/users"),
        (Method::GET, "/users/me"),
        (Method::GET, "/users/me/sessions"),
        (Method::GET, "/users/me/export"),
        (Method::DELETE, "/users/me"),
        (Method::GET, "/biblioteca"),
        (Method::GET, "/pedidos"),
        (Method::GET, "/dlq"),
        (Method::GET, "/health/figures"),
    ] {
        Answer::of(keeper.request(method, path)).await.refused(403, "insufficient_scope");
    }
    keeper.post("/users/me/api-keys", &wanted(&app, &["read_events"], 1)).await.refused(403, "insufficient_scope");
    // However it is written, no path buys.
    for path in ["/jogos/compra/", "/jogos//compra", "/jogos/%63ompra", "/jogos/./compra"] {
        let answer = keeper.post(path, &json!({ "games": [], "payment_method": { "type": "pix" } })).await;
        assert!([403, 404, 405].contains(&answer.status), "{path}: {answer:?}");
    }
    keeper.try_buy(&["01920b5e-7c3a-7a10-9d5e-3f2b1c0d9e8f"], "pm_card_visa").await.refused(403, "insufficient_scope");

    let reader = program(&app, &app.admin, &["read_events", "operate", "read_catalogue"]).await;
    reader.get("/eventos?type=GameCreated&aggregate=game").await.expect(200);
    let actor = "select metadata->>'actor' from journal.events where event_type = 'GameCreated'";
    let actor: String = sqlx::query_scalar(actor).fetch_one(app.pool()).await.unwrap();
    assert_eq!(actor, format!("user:{} key:{}", app.admin.id, keeper.id), "both answer for it");
    reader.get("/health/figures").await.expect(200);
    reader.get("/dlq").await.expect(200);
    // Whoever has the key learns nothing of its owner.
    let ark = app.game("Ark", 0).await;
    let order = app.admin.buy(&[&ark], "pm_card_visa").await;
    app.admin.sees_order(&order, "completed").await;
    app.admin.owns(&["Ark"]).await;
    let found =
        async |who: &Person| who.get("/jogos/busca?q=ark&exclude_owned=true").await.expect(200)["total"].clone();
    eventually("who owns a game can leave it out", || async { (found(&app.admin).await, json!(0)) }).await;
    assert_eq!(found(&reader).await, 1);
    reader.post("/jogos", &game).await.refused(403, "insufficient_scope");
    // What strangers may do, programs may as well; a key is no cookie.
    for path in ["/health/live", "/health/ready", "/.well-known/jwks.json"] {
        keeper.get(path).await.expect(200);
    }
    let cookie = format!("__Host-ludoteca-access={}", reader.token.clone().unwrap());
    Answer::of(app.visitor().request(Method::GET, "/dlq").header("Cookie", cookie))
        .await
        .refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_key_is_made_by_its_owner_soon_after_a_login_within_their_role_and_for_a_year_at_most() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let make = async |who: &Person, body: &Value| who.post("/users/me/api-keys", body).await;
    for scope in ["read_events", "write_catalogue", "operate"] {
        make(&ana, &wanted(&app, &["read_catalogue", scope], 30)).await.refused(422, "invalid_field");
    }
    make(&ana, &wanted(&app, &["everything"], 30)).await.refused(400, "invalid_request");
    make(&ana, &wanted(&app, &[], 30)).await.refused(422, "invalid_field");
    let undated = json!({ "name": "a script", "scopes": ["read_catalogue"], "expires_at": "tomorrow" });
    make(&ana, &undated).await.refused(422, "invalid_field");
    for days in [-1, 367] {
        make(&ana, &wanted(&app, &["read_catalogue"], days)).await.refused(422, "invalid_field");
    }
    let path = format!("/users/{}/api-keys", ana.id);
    ben.post(&path, &wanted(&app, &["read_catalogue"], 30)).await.refused(404, "not_found");
    app.admin.post(&path, &wanted(&app, &["read_catalogue"], 30)).await.refused(403, "forbidden");
    for _ in 0..20 {
        make(&ana, &wanted(&app, &["read_catalogue"], 30)).await.expect(201);
    }
    make(&ana, &wanted(&app, &["read_catalogue"], 30)).await.refused(409, "too_many_keys");
    ben.get(&path).await.refused(404, "not_found");
    let listed = ana.get(&path).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 20);
    assert!(!listed.to_string().contains("ludo_"), "a key is shown once");
    eventually("she is told", || async { (mails_about(&app, "A key for a program").len(), 20) }).await;
    app.pass(Duration::from_mins(6));
    make(&ben, &wanted(&app, &["read_catalogue"], 30)).await.refused(401, "login_too_old");
}

#[tokio::test]
async fn a_key_ends_at_once_at_every_gateway_and_its_streams_with_it() {
    let app = TestApp::start().await;
    let elsewhere = app.second_gateway().await;
    let dora = with_role(&app, "dora", "analyst").await;
    let reader = program(&app, &dora, &["read_events"]).await;
    let there = Person { url: elsewhere, ..reader.clone() };
    let mut stream = there.request(Method::GET, "/eventos?follow=true").send().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert!(stream.chunk().await.unwrap().is_some());
    let used = || async { dora.get("/users/me/api-keys").await.expect(200)["items"][0]["used_at"].is_string() };
    assert!(used().await, "its last use is shown");

    dora.delete(&format!("/users/me/api-keys/{}", reader.id)).await.expect(204);

    for program in [&reader, &there] {
        program.get("/eventos").await.refused(401, "unauthenticated");
    }
    let to_its_end = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), to_its_end).await.expect("the stream ends");
    dora.delete(&format!("/users/me/api-keys/{}", reader.id)).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_key_is_worth_what_its_owner_is_and_goes_with_its_day_and_its_owner() {
    let app = TestApp::start().await;
    let dora = with_role(&app, "dora", "analyst").await;
    let reader = program(&app, &dora, &["read_events"]).await;
    reader.get("/eventos").await.expect(200);
    app.admin.put(&format!("/users/{}/role", dora.id), &json!({ "role": "customer" })).await.expect(204);
    reader.get("/eventos").await.refused(403, "forbidden");
    app.admin.put(&format!("/users/{}/role", dora.id), &json!({ "role": "analyst" })).await.expect(204);
    reader.get("/eventos").await.expect(200);
    // Another password ends sessions, not programs.
    let change = json!({ "current_password": dora.password, "password": "fourteen kettles of rain" });
    dora.put("/users/me/password", &change).await.expect(204);
    reader.get("/eventos").await.expect(200);

    let token = reader.token.clone().unwrap();
    let flipped = format!("{}{}", &token[..token.len() - 2], if token.ends_with("AA") { "BB" } else { "AA" });
    for made_up in [flipped, "ludo_".to_owned(), "ludo_AAAA".to_owned()] {
        let program = Person { token: Some(made_up), ..reader.clone() };
        program.get("/eventos").await.refused(401, "unauthenticated");
        program.get("/jogos").await.refused(401, "unauthenticated");
    }
    let short = dora_again(&app, &dora).await.post("/users/me/api-keys", &wanted(&app, &["read_events"], 1)).await;
    let short = Person { token: Some(short.expect(201)["key"].as_str().unwrap().to_owned()), ..reader.clone() };
    short.get("/eventos").await.expect(200);
    app.pass(Duration::from_hours(25));
    short.get("/eventos").await.refused(401, "unauthenticated");
    reader.get("/eventos").await.expect(200);
    dora_again(&app, &dora).await.delete("/users/me").await.expect(204);
    reader.get("/eventos").await.refused(401, "unauthenticated");
}

async fn dora_again(app: &TestApp, dora: &Person) -> Person {
    Person::log_in(&app.url, &dora.email, "fourteen kettles of rain").await
}

#[tokio::test]
async fn a_key_is_worth_no_more_than_its_owner_had_proven_where_the_store_wants_two_factors_of_staff() {
    let wishes = Wishes { staff_second_factor: Requirement::Required, ..Wishes::default() };
    let app = TestApp::start_with(wishes).await;
    app.admin.post("/users/me/api-keys", &wanted(&app, &["operate"], 30)).await.refused(403, "second_factor_missing");
    let weak = program(&app, &app.admin, &["read_catalogue"]).await;
    weak.get("/jogos").await.expect(200);
    weak.get("/jogos?retired=true").await.refused(403, "second_factor_missing");

    let secret = second_factor::set_up(&app, &app.admin).await;
    app.pass(Duration::from_secs(30));
    let admin = second_factor::log_in_with(&app, &app.admin, &secret).await;
    let strong = program(&app, &admin, &["read_catalogue", "operate"]).await;
    strong.get("/dlq").await.expect(200);
    strong.get("/jogos?retired=true").await.expect(200);
    weak.get("/jogos?retired=true").await.refused(403, "second_factor_missing");
    // Two factors count for as long as there are two.
    second_factor::remove_all(&admin).await.expect(204);
    strong.get("/dlq").await.refused(403, "second_factor_missing");
}

#[tokio::test]
async fn nobody_reads_a_key_from_where_it_is_kept() {
    let app = TestApp::start().await;
    let key = program(&app, &app.admin, &["operate"]).await.token.unwrap();
    let kept: Vec<String> =
        sqlx::query_scalar("select t::text from vault.api_keys t").fetch_all(app.pool()).await.unwrap();
    assert_eq!(kept.len(), 1);
    let end = &key[key.len() - 20..];
    assert!(!kept[0].contains(end) && !kept[0].contains("a script"), "{}", kept[0]);
}

#[tokio::test]
async fn the_tools_take_a_key_in_the_place_of_a_persons_login() {
    let app = TestApp::start().await;
    for (scope, is_taken) in [("operate", true), ("read_catalogue", false)] {
        let key = program(&app, &app.admin, &[scope]).await.token.unwrap();
        let mut dlq = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
        dlq.args(["dlq", "ls"]).env("LUDOTECA_DATA", app.folder()).env("LUDOTECA_URL", &app.url);
        let done = dlq.env("LUDOTECA_API_KEY", key).output().await.unwrap();
        assert_eq!(done.status.success(), is_taken, "{scope}: {done:?}");
    }
}
