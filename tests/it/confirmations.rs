//! Addresses: whether mail to them arrives, and what strangers learn of that.

use std::time::Duration;

use domain::user::Requirement;
use serde_json::{Value, json};

use crate::support::{
    Answer, Person, TestApp, Wishes, all_mails, eventually, mailed_token, mailed_tokens, mails_about, token_in,
};

const PASSWORD: &str = "ana's umbrella kettle";

/// A store where addresses have to be confirmed.
async fn strict() -> TestApp {
    TestApp::start_with(Wishes { email_confirmation: Requirement::Required, ..Wishes::default() }).await
}

fn person(email: &str, password: &str) -> Value {
    json!({ "name": "Ana", "email": email, "password": password, "birth_date": "2001-05-17" })
}

fn profile(email: &str) -> Value {
    json!({ "name": "Ana", "email": email, "birth_date": "2001-05-17" })
}

async fn register(app: &TestApp, email: &str, password: &str) -> Answer {
    app.visitor().post("/users", &person(email, password)).await
}

async fn log_in(app: &TestApp, email: &str, password: &str) -> Answer {
    app.visitor().post("/login/auth", &json!({ "email": email, "password": password })).await
}

async fn confirm(app: &TestApp, token: &str) -> Answer {
    app.visitor().post("/login/confirm", &json!({ "token": token })).await
}

/// What a link carries that is mailed to an address to confirm it.
async fn link_to(app: &TestApp, email: &str) -> String {
    let there = |mail: &String| mail.to_lowercase().contains(&format!("<{email}>"));
    let link = || all_mails(app).iter().filter(|mail| there(mail)).find_map(|mail| token_in(mail, "confirm"));
    eventually("the link is mailed", || async { link().is_some() }).await;
    link().unwrap()
}

/// Somebody whose address is confirmed.
async fn confirmed(app: &TestApp, email: &str) -> Person {
    register(app, email, PASSWORD).await.expect(202);
    confirm(app, &link_to(app, email).await).await.expect(204);
    Person::log_in(&app.url, email, PASSWORD).await
}

async fn is_confirmed(person: &Person) -> bool {
    person.get("/users/me").await.expect(200)["email_confirmed"] == true
}

#[tokio::test]
async fn where_addresses_must_be_confirmed_an_account_opens_and_buys_once_its_link_was_followed() {
    let app = strict().await;
    let game = app.admin.create_game("Ark", 5_990, 10).await;
    register(&app, "ana@example.com", PASSWORD).await.expect(202);
    log_in(&app, "ana@example.com", PASSWORD).await.refused(401, "wrong_credentials");

    confirm(&app, &link_to(&app, "ana@example.com").await).await.expect(204);

    let ana = Person::log_in(&app.url, "ana@example.com", PASSWORD).await;
    eventually("it is shown", || is_confirmed(&ana)).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
}

#[tokio::test]
async fn a_stranger_does_not_learn_whether_an_address_has_an_account_and_its_owner_is_told() {
    let app = strict().await;
    confirmed(&app, "ana@example.com").await;
    let (mut took, mut said) = (Vec::new(), Vec::new());
    for email in ["ana@example.com", "nobody@example.com"] {
        let begun = std::time::Instant::now();
        let answer = register(&app, email, "eve's umbrella kettle").await;
        took.push(begun.elapsed());
        let names: std::collections::BTreeSet<_> = answer.headers.keys().map(ToString::to_string).collect();
        said.push((names, answer.expect(202)));
        log_in(&app, email, "eve's umbrella kettle").await.refused(401, "wrong_credentials");
    }
    assert_eq!(said[0], said[1]);
    assert!(took.iter().all(|took| *took >= Duration::from_millis(300)), "as long as the longest: {took:?}");
    eventually("she is told", || async { mails_about(&app, "You have an account already").len() == 1 }).await;
    log_in(&app, "ana@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_idempotency_key_tells_a_stranger_nothing_either() {
    let app = strict().await;
    confirmed(&app, "ana@example.com").await;
    for email in ["ana@example.com", "nobody@example.com"] {
        for password in ["eve's umbrella kettle", "eve's other umbrella"] {
            let request = app.visitor().request(reqwest::Method::POST, "/users").json(&person(email, password));
            let again = Answer::of(request.header("Idempotency-Key", email)).await;
            assert_eq!(again.header("content-length"), "0");
            again.expect(202);
        }
    }
}

#[tokio::test]
async fn a_link_proves_the_mailbox_that_it_was_sent_to_not_one_that_looks_like_it() {
    let app = strict().await;
    let eve = confirmed(&app, "eve@example.com").await;
    let lookalike = "ana@ex\u{430}mple.com";
    eve.put_profile("/users/me", &profile(lookalike)).await.expect(202);
    eventually("the link is mailed", || async { mailed_tokens(&app, "confirm").len() == 2 }).await;
    let tokens = mailed_tokens(&app, "confirm");
    eve.put_profile("/users/me", &profile("ana@example.com")).await.expect(202);
    for token in tokens {
        let _ = confirm(&app, &token).await;
    }
    assert_eq!(eve.get("/users/me").await.expect(200)["email"], "eve@example.com");
}

#[tokio::test]
async fn mail_to_one_address_is_limited_however_it_is_asked_for() {
    let wishes = Wishes { email_confirmation: Requirement::Required, rate_limits: "invitation=2", ..Wishes::default() };
    let app = TestApp::start_with(wishes).await;
    let eve = confirmed(&app, "eve@example.com").await;
    for _ in 0..2 {
        eve.put_profile("/users/me", &profile("ana@example.com")).await.expect(202);
    }
    eve.put_profile("/users/me", &profile("ana@example.com")).await.refused(429, "too_many_attempts");
    // That keeps nobody from registering; but strangers who do so again and again have nothing mailed, and are not told.
    for _ in 0..4 {
        register(&app, "ana@example.com", PASSWORD).await.expect(202);
    }
    eventually("she is told once", || async { (app.events("UserRegistrationRepeated").await, 1) }).await;
    eventually("all three are welcomed", || async { (mails_about(&app, "Welcome to Ludoteca").len(), 3) }).await;
}

#[tokio::test]
async fn whoever_registers_with_the_address_of_others_does_not_keep_them_out() {
    let app = strict().await;
    register(&app, "ana@example.com", "eve's umbrella kettle").await.expect(202);
    link_to(&app, "ana@example.com").await;
    register(&app, "ana@example.com", PASSWORD).await.expect(202);
    eventually("she is told", || async { mails_about(&app, "You have an account already").len() == 1 }).await;

    app.visitor().post("/login/forgotten", &json!({ "email": "ana@example.com" })).await.expect(202);
    let token = mailed_token(&app, "reset", &[]).await;
    app.visitor().post("/login/reset", &json!({ "token": token, "password": PASSWORD })).await.expect(204);

    log_in(&app, "ana@example.com", "eve's umbrella kettle").await.refused(401, "wrong_credentials");
    let ana = Person::log_in(&app.url, "ana@example.com", PASSWORD).await;
    eventually("her address is confirmed", || is_confirmed(&ana)).await;
}

#[tokio::test]
async fn another_address_counts_once_it_is_confirmed_and_the_one_before_is_told() {
    let app = strict().await;
    let ana = confirmed(&app, "ana@example.com").await;

    ana.put_profile("/users/me", &profile("ana@elsewhere.example")).await.expect(202);

    log_in(&app, "ana@elsewhere.example", PASSWORD).await.refused(401, "wrong_credentials");
    eventually("it is shown what waits", || async {
        let ana = ana.get("/users/me").await.expect(200);
        (ana["email"].clone(), ana["pending_email"].clone())
            == (json!("ana@example.com"), json!("ana@elsewhere.example"))
    })
    .await;
    let token = link_to(&app, "ana@elsewhere.example").await;
    assert!(mails_about(&app, "Your e-mail address was changed").is_empty());
    eventually("she is told that it was asked for", || async {
        mails_about(&app, "Another e-mail address for your account")
            .iter()
            .any(|mail| mail.contains("<ana@example.com>"))
    })
    .await;
    confirm(&app, &token).await.expect(204);
    log_in(&app, "ana@example.com", PASSWORD).await.refused(401, "wrong_credentials");
    log_in(&app, "ana@elsewhere.example", PASSWORD).await.expect(200);
    eventually("it is told before", || async { mails_about(&app, "Your e-mail address was changed").len() == 1 }).await;
    let told = mails_about(&app, "Your e-mail address was changed").remove(0);
    assert!(told.contains("<ana@example.com>"), "{told}");
    // Whoever follows it again finds the same.
    confirm(&app, &token).await.expect(204);
}

#[tokio::test]
async fn an_address_that_was_asked_for_is_given_up_by_saving_another_profile_a_new_password_or_a_logout_everywhere() {
    let app = strict().await;
    let mut ana = confirmed(&app, "ana@example.com").await;
    for given_up in 0..3 {
        let address = format!("eve{given_up}@example.com");
        ana.put_profile("/users/me", &profile(&address)).await.expect(202);
        let token = link_to(&app, &address).await;
        match given_up {
            0 => ana.put_profile("/users/me", &profile("ana@example.com")).await.expect(204),
            1 => ana.delete("/users/me/sessions").await.expect(204),
            _ => {
                let change = json!({ "current_password": PASSWORD, "password": "fourteen kettles of rain" });
                ana.put("/users/me/password", &change).await.expect(204)
            }
        };
        confirm(&app, &token).await.refused(409, "confirmation_over");
        if given_up == 1 {
            ana = Person::log_in(&app.url, "ana@example.com", PASSWORD).await;
        }
    }
}

#[tokio::test]
async fn an_address_that_another_account_has_is_asked_for_like_any_and_confirmed_by_nobody_else() {
    let app = strict().await;
    let ana = confirmed(&app, "ana@example.com").await;
    confirmed(&app, "ben@example.com").await;
    ana.put_profile("/users/me", &profile("ben@example.com")).await.expect(202);
    eventually("the link is mailed", || async { !mails_about(&app, "Confirm your e-mail address").is_empty() }).await;
    let token = token_in(&mails_about(&app, "Confirm your e-mail address")[0], "confirm").unwrap();
    confirm(&app, &token).await.refused(409, "email_taken");
    log_in(&app, "ben@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_link_is_good_for_a_day_and_for_the_address_that_it_was_sent_to() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let first = link_to(&app, &ana.email).await;
    ana.put_profile("/users/me", &profile("ana@elsewhere.example")).await.expect(204);
    confirm(&app, &first).await.refused(409, "confirmation_over");
    let second = link_to(&app, "ana@elsewhere.example").await;
    let mut forged: Vec<char> = second.chars().collect();
    forged[3] = if forged[3] == 'A' { 'B' } else { 'A' };
    for made_up in ["", "made up", &second[..40], &forged.into_iter().collect::<String>()] {
        confirm(&app, made_up).await.refused(409, "confirmation_over");
    }
    app.pass(Duration::from_hours(24));
    confirm(&app, &second).await.refused(409, "confirmation_over");
    let ana = Person::log_in(&app.url, "ana@elsewhere.example", &ana.password).await;
    assert!(!is_confirmed(&ana).await);
}

#[tokio::test]
async fn whoever_got_in_without_confirms_their_address_before_they_buy() {
    let app = strict().await;
    let game = app.admin.create_game("Ark", 5_990, 10).await;
    app.admin.try_buy(&[&game], "pm_card_visa").await.refused(409, "email_not_confirmed");

    app.admin.post("/users/me/email/confirmation", &json!({})).await.expect(202);
    confirm(&app, &link_to(&app, &app.admin.email).await).await.expect(204);

    app.admin.try_buy(&[&game], "pm_card_visa").await.expect(202);
    // It is confirmed: nothing is left to ask for.
    app.admin.post("/users/me/email/confirmation", &json!({})).await.expect(202);
    assert_eq!(app.events("UserEmailConfirmationRequested").await, 1);
}
