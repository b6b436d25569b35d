//! Where somebody is logged in, and how that ends.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, TestApp, eventually, mails_about};

const DAY: Duration = Duration::from_hours(24);

async fn sessions(person: &Person) -> Vec<Value> {
    person.get("/users/me/sessions").await.expect(200)["items"].as_array().unwrap().clone()
}

async fn refresh(app: &TestApp, token: &str) -> Answer {
    app.visitor().post("/login/refresh", &json!({ "refresh_token": token })).await
}

/// A stream of notices of somebody, which is open.
pub async fn stream(person: &Person) -> reqwest::Response {
    let mut stream = person.request(Method::GET, "/notificacoes").send().await.unwrap();
    assert_eq!(stream.status(), 200);
    stream.chunk().await.unwrap().expect("it begins with a notice");
    stream
}

/// Waits for the end of a stream.
pub async fn ends(mut stream: reqwest::Response) {
    let to_its_end = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), to_its_end).await.expect("the stream ends");
}

#[tokio::test]
async fn a_person_sees_where_they_are_logged_in_and_ends_a_session_there_at_every_gateway() {
    let app = TestApp::start().await;
    let elsewhere = app.second_gateway().await;
    let ana = app.customer("ana").await;
    let credentials = json!({ "email": ana.email, "password": ana.password });
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let lost = app.visitor().request(Method::POST, "/login/auth").header("User-Agent", firefox).json(&credentials);
    let lost = Answer::of(lost).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let lost = Person {
        token: Some(text(&lost["access_token"])),
        refresh_token: text(&lost["refresh_token"]),
        url: elsewhere,
        ..ana.clone()
    };
    let stream = stream(&lost).await;

    let seen = sessions(&ana).await;

    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!((&seen[0]["device"], &seen[0]["network"]), (&json!("Firefox · Linux"), &json!("127.0.0.0/24")));
    assert_eq!((&seen[0]["current"], &seen[1]["current"]), (&json!(false), &json!(true)));

    ana.delete(&format!("/users/me/sessions/{}", text(&seen[0]["id"]))).await.expect(204);

    assert_eq!(sessions(&ana).await.len(), 1);
    refresh(&app, &lost.refresh_token).await.refused(401, "invalid_refresh_token");
    eventually("the access token is refused elsewhere", || async { (lost.get("/users/me").await.status, 401) }).await;
    ends(stream).await;
    ana.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn an_owner_is_told_of_a_login_from_a_device_that_has_not_logged_in_before() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let credentials = json!({ "email": ana.email, "password": ana.password });
    let log_in = async |agent: &str, cookie: &str| {
        let request = app.visitor().request(Method::POST, "/login/auth").json(&credentials);
        Answer::of(request.header("User-Agent", agent).header("Cookie", cookie)).await
    };
    let told = || mails_about(&app, "A login from a new device");
    let (firefox, phone) = ("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "Mozilla/5.0 (Android 16) Firefox/141.0");

    let cookie = log_in(firefox, "").await.header("set-cookie").split(';').next().unwrap().to_owned();
    eventually("she is told", || async { (told().len(), 1) }).await;
    assert!(told()[0].contains("Firefox") && told()[0].contains("127.0.0.0/24"), "{}", told()[0]);

    // Neither the same device again, nor one that shows its cookie, nor a wrong password.
    log_in(firefox, "").await.expect(200);
    log_in(phone, &cookie).await.expect(200);
    let wrong = json!({ "email": ana.email, "password": "not her umbrella kettle" });
    app.visitor().post("/login/auth", &wrong).await.refused(401, "wrong_credentials");
    assert_eq!(app.events("UserLoggedInOnNewDevice").await, 1);
    log_in("curl/8.0", "").await.expect(200);
    assert_eq!(app.events("UserLoggedInOnNewDevice").await, 2);
}

#[tokio::test]
async fn logging_out_ends_the_access_token_as_well() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    app.visitor().post("/login/logout", &json!({ "refresh_token": ana.refresh_token })).await.expect(204);
    ana.get("/users/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn whoever_knows_of_a_session_cannot_end_it_by_a_token_that_they_made_up() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (session, secret) = ana.refresh_token.split_once('.').unwrap();
    let flipped = secret.replacen(&secret[30..31], if &secret[30..31] == "A" { "B" } else { "A" }, 1);
    for made_up in [format!("{session}.{}", "A".repeat(43)), format!("{session}.{flipped}")] {
        refresh(&app, &made_up).await.refused(401, "invalid_refresh_token");
        app.visitor().post("/login/logout", &json!({ "refresh_token": made_up })).await.expect(204);
    }
    ana.get("/users/me").await.expect(200);
    refresh(&app, &ana.refresh_token).await.expect(200);
}

#[tokio::test]
async fn logging_out_everywhere_ends_all_sessions_tokens_and_streams_at_every_gateway() {
    let app = TestApp::start().await;
    let elsewhere = app.second_gateway().await;
    let ana = app.customer("ana").await;
    let other = Person { url: elsewhere, ..Person::log_in(&app.url, &ana.email, &ana.password).await };
    let (here, there) = (stream(&ana).await, stream(&other).await);

    ana.delete("/users/me/sessions").await.expect(204);

    ana.get("/users/me").await.refused(401, "unauthenticated");
    eventually("and elsewhere", || async { (other.get("/users/me").await.status, 401) }).await;
    ends(here).await;
    ends(there).await;
    for token in [&ana.refresh_token, &other.refresh_token] {
        refresh(&app, token).await.refused(401, "invalid_refresh_token");
    }
    // Whoever logs in afterwards is in.
    let again = Person::log_in(&app.url, &ana.email, &ana.password).await;
    assert_eq!(sessions(&again).await.len(), 1);
}

#[tokio::test]
async fn sessions_of_others_do_not_exist() {
    let app = TestApp::start().await;
    let (ana, eve) = (app.customer("ana").await, app.customer("eve").await);
    let session = sessions(&ana).await[0]["id"].as_str().unwrap().to_owned();
    eve.get(&format!("/users/{}/sessions", ana.id)).await.refused(404, "not_found");
    eve.delete(&format!("/users/{}/sessions", ana.id)).await.refused(404, "not_found");
    eve.delete(&format!("/users/{}/sessions/{session}", ana.id)).await.refused(404, "not_found");
    eve.delete(&format!("/users/me/sessions/{session}")).await.refused(404, "not_found");
    eve.delete("/users/me/sessions/first").await.refused(400, "invalid_id");
    ana.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn the_staff_end_somebodys_sessions() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let stream = stream(&ana).await;
    app.admin.delete(&format!("/users/{}/sessions", ana.id)).await.expect(204);
    ana.get("/users/me").await.refused(401, "unauthenticated");
    ends(stream).await;
    Person::log_in(&app.url, &ana.email, &ana.password).await;
}

#[tokio::test]
async fn a_session_ends_after_thirty_days_however_often_it_is_refreshed_and_after_fourteen_without() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let mut token = ana.refresh_token;
    for _ in 0..2 {
        app.pass(13 * DAY);
        let tokens = refresh(&app, &token).await.expect(200);
        tokens["refresh_token"].as_str().unwrap().clone_into(&mut token);
    }
    refresh(&app, &ben.refresh_token).await.refused(401, "invalid_refresh_token");
    app.pass(5 * DAY);
    refresh(&app, &token).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn what_opens_an_account_and_what_cannot_be_undone_need_a_login_of_just_now() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let profile = |name: &str, email: &str, born: &str| json!({ "name": name, "email": email, "birth_date": born });
    app.pass(Duration::from_secs(5 * 60 + 1));

    // Refreshing proves nothing.
    let tokens = refresh(&app, &ana.refresh_token).await.expect(200);
    let ana = Person { token: tokens["access_token"].as_str().map(str::to_owned), ..ana };
    let refused = ana.put_profile("/users/me", &profile("ana", "new@example.com", "1990-05-17")).await;
    assert_eq!(
        refused.header("www-authenticate"),
        "Bearer error=\"insufficient_user_authentication\", max_age=300",
        "RFC 9470"
    );
    refused.refused(401, "login_too_old");
    ana.put_profile("/users/me", &profile("ana", "ana@example.com", "1980-05-17")).await.refused(401, "login_too_old");
    ana.get("/users/me/export").await.refused(401, "login_too_old");
    ana.delete("/users/me").await.refused(401, "login_too_old");
    let promotion = json!({ "role": "analyst" });
    let role = format!("/users/{}/role", ana.id);
    app.admin.put(&role, &promotion).await.refused(401, "login_too_old");
    // A name opens nothing.
    ana.put_profile("/users/me", &profile("Ana Maria", "ana@example.com", "1990-05-17")).await.expect(204);

    let admin = Person::log_in(&app.url, &app.admin.email, &app.admin.password).await;
    admin.put(&role, &promotion).await.expect(204);
    let ana = Person::log_in(&app.url, &ana.email, &ana.password).await;
    ana.get("/users/me/export").await.expect(200);
    ana.put_profile("/users/me", &profile("ana", "new@example.com", "1980-05-17")).await.expect(204);
    ana.delete("/users/me").await.expect(204);
}
