//! Passwords: what makes a good one, another one, and one that was forgotten.

use std::time::Duration;

use serde_json::json;

use crate::sessions;
use crate::support::{Answer, Person, TestApp, Wishes, eventually, mailed_token, mailed_tokens, mails_about};

const NEW: &str = "fourteen kettles of rain";

async fn log_in(app: &TestApp, email: &str, password: &str) -> Answer {
    app.visitor().post("/login/auth", &json!({ "email": email, "password": password })).await
}

async fn change(person: &Person, old: &str, new: &str) -> Answer {
    person.put("/users/me/password", &json!({ "current_password": old, "password": new })).await
}

async fn refresh(app: &TestApp, person: &Person) -> Answer {
    app.visitor().post("/login/refresh", &json!({ "refresh_token": person.refresh_token })).await
}

async fn forgotten(app: &TestApp, email: &str) -> Answer {
    app.visitor().post("/login/forgotten", &json!({ "email": email })).await
}

async fn reset(app: &TestApp, token: &str, password: &str) -> Answer {
    app.visitor().post("/login/reset", &json!({ "token": token, "password": password })).await
}

fn links(app: &TestApp) -> Vec<String> {
    mailed_tokens(app, "reset")
}

async fn link(app: &TestApp, before: &[String]) -> String {
    mailed_token(app, "reset", before).await
}

#[tokio::test]
async fn a_new_password_is_long_uncommon_and_says_nothing_of_its_owner() {
    let app = TestApp::start().await;
    let person = |password: &str| json!({ "name": "Ana Zenobia", "email": "ana@example.com", "password": password, "birth_date": "2001-05-17" });
    for bad in ["fourteen chars", "passwordpassword1", "123456789012345678", "zenobiaLudoteca", &"x".repeat(129)] {
        let answer = app.visitor().post("/users", &person(bad)).await;
        assert_eq!(answer.body["field"], "password", "{bad}: {}", answer.body);
        answer.refused(422, "invalid_field");
    }
    let score = async |password: &str| {
        let typed = json!({ "password": password, "known": ["Ana Zenobia"] });
        app.visitor().post("/login/strength", &typed).await.expect(200)["score"].as_u64().unwrap()
    };
    assert!(score("passwordpassword1").await < 3);
    assert_eq!(score(NEW).await, 4);
    app.visitor().post("/users", &person(NEW)).await.expect(201);
}

#[tokio::test]
async fn another_password_needs_the_old_one_and_ends_all_other_sessions() {
    let app = TestApp::start().await;
    let elsewhere = app.second_gateway().await;
    let ana = app.customer("ana").await;
    let other = Person { url: elsewhere, ..Person::log_in(&app.url, &ana.email, &ana.password).await };
    let wrong = change(&ana, "not her password", NEW).await;
    assert_eq!(wrong.body["field"], "current_password");
    wrong.refused(422, "invalid_field");
    let same = change(&ana, &ana.password, &ana.password).await;
    assert_eq!(same.body["errors"][0]["detail"], "must be another than the one before", "{}", same.body);
    same.refused(422, "invalid_field");
    let short = change(&ana, &ana.password, "too short").await;
    assert_eq!(short.body["field"], "password");
    short.refused(422, "invalid_field");

    let open = sessions::stream(&other).await;
    change(&ana, &ana.password, NEW).await.expect(204);

    sessions::ends(open).await;
    log_in(&app, &ana.email, &ana.password).await.refused(401, "wrong_credentials");
    log_in(&app, &ana.email, NEW).await.expect(200);
    eventually("the other's token is refused elsewhere", || async { (other.get("/users/me").await.status, 401) }).await;
    refresh(&app, &other).await.refused(401, "invalid_refresh_token");
    // The session that asked goes on with its refresh token.
    ana.get("/users/me").await.refused(401, "unauthenticated");
    let tokens = refresh(&app, &ana).await.expect(200);
    let ana = Person { token: tokens["access_token"].as_str().map(str::to_owned), ..ana };
    ana.get("/users/me").await.expect(200);
    assert_eq!(app.events("UserPasswordChanged").await, 1);
    eventually("she is told", || async { mails_about(&app, "Your password was changed").len() == 1 }).await;
}

#[tokio::test]
async fn nobody_changes_the_password_of_others_not_even_an_admin() {
    let app = TestApp::start().await;
    let (ana, eve) = (app.customer("ana").await, app.customer("eve").await);
    let path = format!("/users/{}/password", ana.id);
    let body = json!({ "current_password": ana.password, "password": NEW });
    eve.put(&path, &body).await.refused(404, "not_found");
    app.admin.put(&path, &body).await.refused(403, "forbidden");
    log_in(&app, &ana.email, &ana.password).await.expect(200);
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_a_link_that_is_good_once() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;

    forgotten(&app, "Ana@Example.com").await.expect(202);

    let token = link(&app, &[]).await;
    reset(&app, &token, "too short").await.refused(422, "invalid_field");
    reset(&app, &token, NEW).await.expect(204);
    log_in(&app, &ana.email, &ana.password).await.refused(401, "wrong_credentials");
    log_in(&app, &ana.email, NEW).await.expect(200);
    ana.get("/users/me").await.refused(401, "unauthenticated");
    refresh(&app, &ana).await.refused(401, "invalid_refresh_token");
    reset(&app, &token, "another umbrella kettle").await.refused(409, "reset_over");
    log_in(&app, &ana.email, NEW).await.expect(200);
}

#[tokio::test]
async fn a_link_is_over_after_half_an_hour_after_the_next_one_and_after_a_change() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    forgotten(&app, &ana.email).await.expect(202);
    let first = link(&app, &[]).await;
    app.pass(Duration::from_mins(16));
    forgotten(&app, &ana.email).await.expect(202);
    let second = link(&app, std::slice::from_ref(&first)).await;
    reset(&app, &first, NEW).await.refused(409, "reset_over");

    app.pass(Duration::from_mins(30));
    reset(&app, &second, NEW).await.refused(409, "reset_over");

    let before = [first, second];
    forgotten(&app, &ana.email).await.expect(202);
    let third = link(&app, &before).await;
    let ana = Person::log_in(&app.url, &ana.email, &ana.password).await;
    change(&ana, &ana.password, NEW).await.expect(204);
    reset(&app, &third, "another umbrella kettle").await.refused(409, "reset_over");
}

#[tokio::test]
async fn a_link_that_the_store_did_not_make_opens_nothing() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    forgotten(&app, &ana.email).await.expect(202);
    let token = link(&app, &[]).await;
    let flipped = |at: usize| {
        let mut letters: Vec<char> = token.chars().collect();
        letters[at] = if letters[at] == 'A' { 'B' } else { 'A' };
        letters.into_iter().collect::<String>()
    };
    let forged = [String::new(), "made up".to_owned(), token[..40].to_owned(), flipped(3), flipped(30), flipped(60)];
    for forged in forged {
        reset(&app, &forged, NEW).await.refused(409, "reset_over");
    }
    reset(&app, &token, NEW).await.expect(204);
}

#[tokio::test]
async fn whether_an_address_has_an_account_nobody_learns_by_forgetting_a_password() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (mut took, mut said) = (Vec::new(), Vec::new());
    for email in [ana.email.as_str(), "nobody@example.com"] {
        let begun = std::time::Instant::now();
        let answer = forgotten(&app, email).await;
        took.push(begun.elapsed());
        let names: std::collections::BTreeSet<_> = answer.headers.keys().map(ToString::to_string).collect();
        said.push((names, answer.expect(202)));
    }
    assert_eq!(said[0], said[1]);
    assert!(took.iter().all(|took| *took >= Duration::from_millis(300)), "as long as the longest: {took:?}");
    link(&app, &[]).await;
    assert_eq!(links(&app).len(), 1);
}

#[tokio::test]
async fn links_to_one_address_are_limited() {
    let app = TestApp::start_with(Wishes { rate_limits: "mailbox=5", ..Wishes::default() }).await;
    let ana = app.customer("ana").await;
    for _ in 0..5 {
        forgotten(&app, &ana.email).await.expect(202);
    }
    forgotten(&app, &ana.email).await.refused(429, "too_many_attempts");
    // A device that has logged in before asks for itself.
    let device = log_in(&app, &ana.email, &ana.password).await.header("set-cookie");
    let request = app.visitor().request(reqwest::Method::POST, "/login/forgotten").json(&json!({ "email": ana.email }));
    Answer::of(request.header("Cookie", device.split(';').next().unwrap())).await.expect(202);
    forgotten(&app, "nobody@example.com").await.expect(202);
}

#[tokio::test]
async fn two_who_change_a_password_at_once_leave_one_that_opens_the_account() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let other = Person::log_in(&app.url, &ana.email, &ana.password).await;
    let both = tokio::join!(change(&ana, &ana.password, NEW), change(&other, &ana.password, "another umbrella kettle"));
    let statuses = [both.0.status, both.1.status];
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "one of both is too late: {statuses:?}");
    let opens = [log_in(&app, &ana.email, NEW).await, log_in(&app, &ana.email, "another umbrella kettle").await];
    assert_eq!(opens.iter().filter(|answer| answer.status == 200).count(), 1, "{opens:?}");
}
