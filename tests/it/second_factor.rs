//! What people hold to open their accounts, beside what they know. Passkeys themselves are made in `browser.rs`, which has a
//! device for them.

use std::time::Duration;

use domain::user::Requirement;
use ludoteca::stock::create_admin;
use reqwest::Method;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::api_keys;
use crate::sessions::ends;
use crate::support::{Answer, Person, TestApp, Wishes, eventually, mailed_token, mailed_tokens, mails_about};

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

/// What an app shows now.
pub fn shown(app: &TestApp, secret: &str) -> String {
    let now = app.foundation.shared.commands.clock().now().timestamp();
    let app = Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).with_account_name("any");
    app.build().unwrap().generate(u64::try_from(now).unwrap()).to_string()
}

/// Sets an app up; its secret, and the recovery codes that come with the first.
async fn set_up_with_codes(app: &TestApp, person: &Person) -> (String, Vec<String>) {
    let setup = person.post("/users/me/totp/setup", &json!({})).await.expect(200);
    let secret = setup["secret"].as_str().unwrap().to_owned();
    let first = json!({ "ceremony": setup["ceremony"], "name": "my phone", "code": shown(app, &secret) });
    let added = person.post("/users/me/totp", &first).await.expect(201);
    let codes = added["recovery_codes"].as_array().into_iter().flatten();
    (secret, codes.map(|code| code.as_str().unwrap().to_owned()).collect())
}

/// Sets an app up; its secret.
pub async fn set_up(app: &TestApp, person: &Person) -> String {
    set_up_with_codes(app, person).await.0
}

async fn log_in(person: &Person, code: Option<&str>) -> Answer {
    let mut credentials = json!({ "email": person.email, "password": person.password });
    if let Some(code) = code {
        credentials["code"] = json!(code);
    }
    Person::nobody(&person.url).post("/login/auth", &credentials).await
}

/// The same person with the tokens of a login.
fn with(person: &Person, tokens: &Value) -> Person {
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    Person { token: Some(text("access_token")), refresh_token: text("refresh_token"), ..person.clone() }
}

/// The same person, logged in with a code of their app.
pub async fn log_in_with(app: &TestApp, person: &Person, secret: &str) -> Person {
    with(person, &log_in(person, Some(&shown(app, secret))).await.expect(200))
}

async fn held(person: &Person) -> Value {
    person.get("/users/me/authenticators").await.expect(200)
}

async fn recovery_codes(person: &Person) -> Vec<String> {
    let made = person.post("/users/me/recovery-codes", &json!({})).await.expect(201);
    made["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

pub async fn remove_all(person: &Person) -> Answer {
    let id = held(person).await["items"][0]["id"].as_str().unwrap().to_owned();
    person.delete(&format!("/users/me/authenticators/{id}")).await
}

#[tokio::test]
async fn an_app_guards_the_password_from_its_first_code_on_and_each_code_opens_once() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let setup = ana.post("/users/me/totp/setup", &json!({})).await.expect(200);
    let secret = setup["secret"].as_str().unwrap();
    assert!(setup["uri"].as_str().unwrap().starts_with("otpauth://totp/Ludoteca:ana"), "{setup}");
    assert!(setup["qr_code"].as_str().unwrap().starts_with("data:image/svg+xml;base64,"));
    let first = |code: &str| json!({ "ceremony": setup["ceremony"], "name": "my phone", "code": code });
    log_in(&ana, None).await.expect(200);

    let refused = ana.post("/users/me/totp", &first("000000")).await;
    assert_eq!(refused.body["field"], "code");
    refused.refused(422, "invalid_field");
    let code = shown(&app, secret);
    ana.post("/users/me/totp", &first(&code)).await.expect(201);

    log_in(&ana, None).await.refused(401, "second_factor_needed");
    log_in(&ana, Some("000000")).await.refused(401, "wrong_code");
    log_in(&ana, Some(&code)).await.refused(401, "wrong_code");
    log_in(&Person { password: "not her umbrella kettle".to_owned(), ..ana.clone() }, None)
        .await
        .refused(401, "wrong_credentials");
    app.pass(HALF_A_MINUTE);
    let next = shown(&app, secret);
    let strong = with(&ana, &log_in(&ana, Some(&format!("{} {}", &next[..3], &next[3..]))).await.expect(200));
    log_in(&ana, Some(&next)).await.refused(401, "wrong_code");
    // What was begun is finished once.
    strong.post("/users/me/totp", &first(&next)).await.refused(422, "invalid_field");
    let items = &held(&ana).await["items"];
    assert_eq!((&items[0]["kind"], &items[0]["name"]), (&json!("totp"), &json!("my phone")));
    assert!(items[0]["used_at"].is_string(), "{items}");
    eventually("she is told", || async { (mails_about(&app, "An authenticator app was added").len(), 1) }).await;

    // Another phone takes its place; a session from before the first one has no say in that.
    ana.post("/users/me/totp/setup", &json!({})).await.refused(401, "login_too_old");
    remove_all(&ana).await.refused(401, "login_too_old");
    let another = json!({ "current_password": ana.password, "password": "fourteen kettles of rain" });
    ana.put("/users/me/password", &another).await.refused(401, "login_too_old");
    ana.post("/users/me/recovery-codes", &json!({})).await.refused(401, "login_too_old");
    let other = set_up(&app, &strong).await;
    app.pass(HALF_A_MINUTE);
    log_in(&ana, Some(&shown(&app, secret))).await.refused(401, "wrong_code");
    log_in(&ana, Some(&shown(&app, &other))).await.expect(200);
    assert_eq!(held(&ana).await["items"].as_array().unwrap().len(), 1);

    remove_all(&strong).await.expect(204);
    log_in(&ana, None).await.expect(200);
    eventually("she is told", || async { (mails_about(&app, "A way to log in was removed").len(), 1) }).await;
}

#[tokio::test]
async fn recovery_codes_open_once_each_until_there_are_new_ones_or_nothing_to_stand_in_for() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    ana.post("/users/me/recovery-codes", &json!({})).await.refused(409, "no_second_factor");
    let (_, codes) = set_up_with_codes(&app, &ana).await;
    assert_eq!((codes.len(), held(&ana).await["recovery_codes"].as_i64()), (10, Some(10)));

    let strong = with(&ana, &log_in(&ana, Some(&codes[0])).await.expect(200));
    log_in(&ana, Some(&codes[0])).await.refused(401, "wrong_code");
    log_in(&ana, Some(&codes[1].to_lowercase().replace('-', " "))).await.expect(200);
    assert_eq!(held(&ana).await["recovery_codes"], 8);
    eventually("she is told", || async { (mails_about(&app, "A recovery code was used").len(), 2) }).await;
    assert_eq!(app.events("UserRecoveryCodeUsed").await, 2);

    // Of two at the same moment one is let in.
    let (one, other) = tokio::join!(log_in(&ana, Some(&codes[2])), log_in(&ana, Some(&codes[2])));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);

    let new = recovery_codes(&strong).await;
    log_in(&ana, Some(&codes[3])).await.refused(401, "wrong_code");
    log_in(&ana, Some(&new[0])).await.expect(200);
    remove_all(&strong).await.expect(204);
    assert_eq!(held(&ana).await, json!({ "items": [], "recovery_codes": 0 }));
    log_in(&ana, None).await.expect(200);
}

#[tokio::test]
async fn what_opens_an_account_is_its_owners_soon_after_a_login_and_an_admin_takes_away_what_was_lost() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    set_up(&app, &ana).await;
    let lost = held(&ana).await["items"][0]["id"].as_str().unwrap().to_owned();
    let root = format!("/users/{}/authenticators", ana.id);
    for what in ["totp/setup", "passkeys/options", "recovery-codes"] {
        let path = format!("/users/{}/{what}", ana.id);
        ben.post(&path, &json!({})).await.refused(404, "not_found");
        app.admin.post(&path, &json!({})).await.refused(403, "forbidden");
    }
    ben.get(&root).await.refused(404, "not_found");
    ben.delete(&format!("{root}/{lost}")).await.refused(404, "not_found");

    app.pass(Duration::from_mins(6));
    for what in ["totp/setup", "passkeys/options", "recovery-codes"] {
        ana.post(&format!("/users/me/{what}"), &json!({})).await.refused(401, "login_too_old");
    }
    ana.delete(&format!("{root}/{lost}")).await.refused(401, "login_too_old");
    let seen = json!({ "birth_date": "1990-05-18", "evidence": "identity_document" });
    app.admin.put(&format!("/users/{}/birth-date", ana.id), &seen).await.refused(401, "login_too_old");

    // She has lost her phone and has no recovery codes; the staff knows her.
    log_in(&ana, None).await.refused(401, "second_factor_needed");
    let admin = Person::log_in(&app.url, &app.admin.email, &app.admin.password).await;
    admin.delete(&format!("{root}/{lost}")).await.expect(204);
    log_in(&ana, None).await.expect(200);
    admin.delete(&format!("{root}/{lost}")).await.refused(404, "not_found");
}

#[tokio::test]
async fn eight_characters_are_enough_beside_a_second_factor_and_keep_it() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let choose = async |by: &Person, new: &str| {
        by.put("/users/me/password", &json!({ "current_password": ana.password, "password": new })).await
    };
    let short = "tk7#Vq2m";
    choose(&ana, short).await.refused(422, "invalid_field");
    let secret = set_up(&app, &ana).await;
    app.pass(HALF_A_MINUTE);
    let strong = log_in_with(&app, &ana, &secret).await;
    choose(&strong, "tk7#Vq2").await.refused(422, "invalid_field");
    choose(&strong, short).await.expect(204);

    app.pass(HALF_A_MINUTE);
    let shorter = Person { password: short.to_owned(), ..ana.clone() };
    let again = log_in_with(&app, &shorter, &secret).await;
    remove_all(&again).await.refused(409, "password_too_weak");
    let long = json!({ "current_password": short, "password": "fourteen kettles of rain" });
    again.put("/users/me/password", &long).await.expect(204);
    let tokens = again.post("/login/refresh", &json!({ "refresh_token": again.refresh_token })).await.expect(200);
    remove_all(&with(&again, &tokens)).await.expect(204);
}

#[tokio::test]
async fn staff_without_a_second_factor_are_customers_where_the_store_wants_one_of_them() {
    let wishes = Wishes { staff_second_factor: Requirement::Required, ..Wishes::default() };
    let app = TestApp::start_with(wishes).await;
    let game = crate::support::game("Summit", 100, 0);
    app.admin.post("/jogos", &game).await.refused(403, "second_factor_missing");
    app.admin.get("/users").await.refused(403, "second_factor_missing");
    app.admin.get("/eventos").await.refused(403, "second_factor_missing");
    let ana = app.customer("ana").await;
    app.admin.get(&format!("/users/{}", ana.id)).await.refused(403, "second_factor_missing");
    app.admin.get("/users/me").await.expect(200);
    ana.get("/users").await.refused(403, "forbidden");

    let secret = set_up(&app, &app.admin).await;
    app.admin.get("/users").await.refused(403, "second_factor_missing");
    app.pass(HALF_A_MINUTE);
    let admin = log_in_with(&app, &app.admin, &secret).await;
    admin.get("/users").await.expect(200);
    let tokens = admin.post("/login/refresh", &json!({ "refresh_token": admin.refresh_token })).await.expect(200);
    let admin = with(&admin, &tokens);
    admin.post("/jogos", &game).await.expect(201);
    let stream = admin.request(Method::GET, "/eventos?follow=true").send().await.unwrap();
    assert_eq!(stream.status(), 200);

    // Whoever becomes an analyst is one with the next login by two factors.
    admin.put(&format!("/users/{}/role", ana.id), &json!({ "role": "analyst" })).await.expect(204);
    ana.get("/eventos").await.refused(403, "second_factor_missing");

    // What is open ends with the second of the factors that it was opened by.
    remove_all(&admin).await.expect(204);
    ends(stream).await;
    admin.get("/users").await.refused(403, "second_factor_missing");
}

#[tokio::test]
async fn a_hundred_wrong_codes_in_a_row_wear_an_app_out() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (secret, codes) = set_up_with_codes(&app, &ana).await;
    app.pass(HALF_A_MINUTE);
    let right = shown(&app, &secret);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    for _ in 0..100 {
        log_in(&ana, Some(wrong)).await.refused(401, "wrong_code");
    }
    log_in(&ana, Some(&right)).await.refused(401, "wrong_code");
    log_in(&ana, Some(&codes[0])).await.expect(200);
    assert_eq!(held(&ana).await["items"][0]["worn_out"], true);
}

#[tokio::test]
async fn a_made_up_passkey_opens_nothing() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let begun = app.visitor().post("/login/passkey/options", &json!({})).await.expect(200);
    assert_eq!(
        (&begun["options"]["rpId"], &begun["options"]["userVerification"]),
        (&json!("localhost"), &json!("required"))
    );
    let made_up = json!({
        "id": "AAAA", "rawId": "AAAA", "type": "public-key", "clientExtensionResults": {},
        "response": {
            "authenticatorData": "AAAA", "clientDataJSON": "AAAA", "signature": "AAAA",
            "userHandle": "AAAAAAAAAAAAAAAAAAAAAA",
        },
    });
    for credential in [made_up, json!({}), json!({ "id": 7 })] {
        let answer = json!({ "ceremony": begun["ceremony"], "credential": credential });
        app.visitor().post("/login/passkey", &answer).await.refused(401, "passkey_refused");
    }
    let unknown = json!({ "ceremony": ana.id, "credential": {} });
    app.visitor().post("/login/passkey", &unknown).await.refused(401, "passkey_refused");
    let nothing = json!({ "ceremony": ana.id });
    app.visitor().post("/login/passkey", &nothing).await.refused(422, "invalid_field");
    let no_id = json!({ "ceremony": "7", "credential": {} });
    app.visitor().post("/login/passkey", &no_id).await.refused(422, "invalid_field");

    let begun = ana.post("/users/me/passkeys/options", &json!({})).await.expect(200);
    assert_eq!(begun["options"]["authenticatorSelection"]["residentKey"], "required");
    let made_up = json!({
        "id": "AAAA", "rawId": "AAAA", "type": "public-key", "clientExtensionResults": {},
        "response": { "attestationObject": "AAAA", "clientDataJSON": "AAAA" },
    });
    let new = json!({ "ceremony": begun["ceremony"], "name": "my phone", "credential": made_up });
    ana.post("/users/me/passkeys", &new).await.refused(422, "invalid_field");
    assert_eq!(held(&ana).await["items"], json!([]));
}

#[tokio::test]
async fn whoever_reads_the_mail_or_sits_at_the_console_gets_an_account_without_what_a_stranger_left_in_it() {
    let app = TestApp::start().await;
    // Mallory is first to register an address that is not his, and leaves a way in.
    let mallory = app.customer("boss").await;
    let key = api_keys::program(&app, &mallory, &["read_catalogue"]).await;
    set_up(&app, &mallory).await;

    let ask = json!({ "email": mallory.email });
    app.visitor().post("/login/forgotten", &ask).await.expect(202);
    let token = mailed_token(&app, "reset", &[]).await;
    let owner = Person { password: "fourteen kettles of rain".to_owned(), ..mallory.clone() };
    let chosen = json!({ "token": token, "password": owner.password });
    app.visitor().post("/login/reset", &chosen).await.expect(204);
    key.get("/jogos").await.refused(401, "unauthenticated");
    let owner = Person::log_in(&app.url, &owner.email, &owner.password).await;

    // The address is confirmed by now: another reset leaves what its owner has added.
    set_up(&app, &owner).await;
    let before = mailed_tokens(&app, "reset");
    app.visitor().post("/login/forgotten", &ask).await.expect(202);
    let chosen =
        json!({ "token": mailed_token(&app, "reset", &before).await, "password": "seven umbrellas of cheese" });
    app.visitor().post("/login/reset", &chosen).await.expect(204);
    let reset = Person { password: "seven umbrellas of cheese".to_owned(), ..owner };
    log_in(&reset, None).await.refused(401, "second_factor_needed");

    // Nor does it make an admin of whoever had the account until now.
    let password = "the boss's own umbrella".to_owned();
    create_admin(&app.foundation, &reset.email, &password.clone().into()).await.unwrap();
    let boss = Person { password, ..reset };
    log_in(&boss, None).await.expect(200);
    let boss = Person::log_in(&app.url, &boss.email, &boss.password).await;
    boss.get("/users").await.expect(200);
    assert_eq!(held(&boss).await["items"], json!([]));
}
