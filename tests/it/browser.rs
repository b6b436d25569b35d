//! The storefront, used as a person uses it, in a real Chromium. Screenshots of every page land in
//! `target/screenshots/`, and axe-core reads every page. Skipped, loudly, where there is no Chromium.

mod driver;
mod pages;
mod trips;

use std::time::Duration;

use domain::GameId;
use serde_json::json;

use self::driver::Browser;
use crate::second_factor;
use crate::support::{Person, TestApp, eventually, mailed_token, mailed_tokens};

/// A store with the demo catalogue.
async fn shop() -> TestApp {
    let app = TestApp::start().await;
    let commands = &app.foundation.shared.commands;
    let imported = ludoteca::catalog::import(commands, None).await.unwrap();
    eventually("the catalogue can be searched", || async {
        let found = app.visitor().get("/jogos/busca").await.expect(200);
        (found["total"].as_u64(), Some(imported.new as u64))
    })
    .await;
    app
}

async fn id_of(app: &TestApp, words: &str) -> String {
    let found = app.visitor().get(&format!("/jogos/busca?q={words}")).await.expect(200);
    found["items"][0]["id"].as_str().unwrap().to_owned()
}

async fn register(browser: &Browser, name: &str) {
    browser.open("#/register").await;
    browser.fill("name", name).await;
    browser.fill("email", &format!("{name}@ludoteca.example")).await;
    browser.fill("password", "correct horse battery").await;
    browser.fill("birth_date", "1990-05-17").await;
    browser.click("main form button").await;
    browser.see("a[href='#/account']").await;
}

async fn log_in(browser: &Browser, person: &Person) {
    browser.open("#/login").await;
    browser.fill("email", &person.email).await;
    browser.fill("password", &person.password).await;
    browser.click("main form button").await;
    browser.see("a[href='#/account']").await;
}

async fn put_into_the_basket(browser: &Browser, game: &str) {
    browser.open(&format!("#/game/{game}")).await;
    browser.click("#add").await;
    browser.see("main a[href='#/basket']").await;
}

#[tokio::test]
async fn a_person_finds_buys_and_owns_games_and_pays_a_declined_order_again_by_pix() {
    let Some(browser) = Browser::start().await else { return };
    let app = shop().await;
    browser.visit(&app.url).await;
    browser.see(".game").await;
    let moved = browser.layout_shift().await;
    assert!(moved < 0.05, "the page moved by {moved} while it was loaded");
    register(&browser, "ana").await;

    // A typo finds what was meant; a filter narrows it down.
    browser.open("#/").await;
    browser.type_into("#q", "lantren").await;
    browser.see(".game mark").await;
    browser.click("input[name=genre]").await;
    eventually("the filter is part of the address", || async { browser.address().await.contains("genre=") }).await;
    let asked = browser.address().await.split_once('?').unwrap().1.to_owned();
    let found = app.visitor().get(&format!("/jogos/busca?{asked}")).await.expect(200)["total"].as_u64();
    eventually("what is shown is what is left", || async { (browser.count(".game").await as u64, found.unwrap()) })
        .await;

    put_into_the_basket(&browser, &id_of(&app, "lantern").await).await;
    put_into_the_basket(&browser, &id_of(&app, "harbor").await).await;
    browser.open("#/basket").await;
    eventually("both are in the basket", || async { (browser.count(".lines li").await, 2) }).await;
    browser.click("main form button").await;
    // The page is not loaded again: what happens is told to it.
    browser.mark_page().await;
    browser.see("ol[data-status=completed]").await;
    assert!(browser.is_marked_page().await, "the order changed without a reload");
    browser.open("#/library").await;
    eventually("both are in the library", || async { (browser.count("ul.grid .game").await, 2) }).await;

    put_into_the_basket(&browser, &id_of(&app, "static").await).await;
    browser.open("#/basket").await;
    browser.fill("token", "pm_card_chargeCustomerFail").await;
    browser.click("main form button").await;
    browser.see("ol[data-status=payment_failed]").await;
    browser.click("input[value=pix]").await;
    browser.click("main form button").await;
    browser.see("ol[data-status=completed]").await;
    let order_page = format!("#{}", browser.address().await.split_once('#').unwrap().1);
    browser.open("#/library").await;
    eventually("the third is there too", || async { (browser.count("ul.grid .game").await, 3) }).await;

    browser.open(&order_page).await;
    browser.click("details summary").await;
    browser.click("details form button").await;
    browser.click("dialog form button").await;
    browser.see("ol[data-status=refunded]").await;
    browser.open("#/library").await;
    eventually("it went back", || async { (browser.count("ul.grid .game").await, 2) }).await;
    browser.has_no_complaints().await;
    app.verify().await;
}

#[tokio::test]
async fn an_admin_is_shown_a_conflict_redrives_a_dead_letter_and_watches_the_events() {
    let Some(browser) = Browser::start().await else { return };
    let app = shop().await;
    let ben = app.customer("ben").await;
    let game = id_of(&app, "lantern").await;
    ben.buy(&[&game], "pm_card_timeout").await;
    eventually("a dead letter", || async {
        (app.admin.get("/dlq").await.expect(200)["items"].as_array().unwrap().len(), 1)
    })
    .await;
    browser.visit(&app.url).await;
    log_in(&browser, &app.admin).await;

    browser.open(&format!("#/admin/game/{game}")).await;
    browser.see("#f-price").await;
    // Another admin is quicker.
    let shown = app.admin.get(&format!("/jogos/{game}")).await.expect(200);
    let mut theirs = crate::support::game(shown["title"].as_str().unwrap(), 1_000, 0);
    theirs["genres"] = shown["genres"].clone();
    app.admin.put_matching(&format!("/jogos/{game}"), &theirs).await.expect(200);
    browser.fill("price", "20.00").await;
    browser.click("main form button").await;
    browser.see("#conflict").await;
    browser.click("#conflict .button").await;
    browser.see("main .note.ok").await;
    let id = GameId::parse(&game).unwrap();
    eventually("the price is ours", || async {
        let game = projections::games::find(app.pool(), id).await.unwrap().unwrap();
        (game.price, 2_000)
    })
    .await;

    browser.open("#/admin/dlq").await;
    browser.see("td .button").await;
    browser.click("td .button").await;
    browser.see("main .note.ok").await;
    eventually("the letter is gone", || async { (browser.count("td .button").await, 0) }).await;

    browser.open("#/admin/events").await;
    browser.see(".stream li").await;
    app.game("Fresh From The Press", 100).await;
    eventually("it is told", || async { browser.text(".stream").await.contains("GameCreated") }).await;
    browser.open("#/admin/health").await;
    browser.see(".chart").await;
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn a_person_forgets_a_password_changes_it_with_address_and_birth_date_and_logs_another_device_out() {
    let Some(browser) = Browser::start().await else { return };
    let app = shop().await;
    let ana = app.customer("ana").await;
    browser.visit(&app.url).await;

    // The link comes by mail.
    browser.open("#/login").await;
    browser.click("main a[href='#/forgotten']").await;
    browser.fill("email", &ana.email).await;
    browser.click("main form button").await;
    browser.see("main .note.ok").await;
    browser.open(&format!("#/reset?token={}", mailed_token(&app, "reset", &[]).await)).await;
    browser.fill("password", "passwordpassword").await;
    eventually("it says what that is worth", || async { browser.text(".strength").await.contains("Guessed") }).await;
    browser.fill("password", "fourteen kettles of rain").await;
    browser.click("main form button").await;
    browser.see("main .note.ok a[href='#/login']").await;

    // Another device is logged in as well; it is shown, and logged out.
    let forgetful = Person { password: "fourteen kettles of rain".to_owned(), ..ana };
    let elsewhere = Person::log_in(&app.url, &forgetful.email, &forgetful.password).await;
    log_in(&browser, &forgetful).await;
    browser.open("#/account").await;
    eventually("both sessions are shown", || async { (browser.count("#sessions li").await, 2) }).await;
    let places = browser.text("#sessions").await;
    for place in ["from here, network 127.0.0.0/24", "from the same network as this one"] {
        assert!(places.contains(place), "{places}");
    }
    browser.click("#sessions li button").await;
    eventually("one is left", || async { (browser.count("#sessions li").await, 1) }).await;
    eventually("the other is out", || async { (elsewhere.get("/users/me").await.status, 401) }).await;

    browser.fill("current_password", "fourteen kettles of rain").await;
    browser.fill("password", "seven umbrellas of cheese").await;
    browser.click("main section:nth-of-type(2) form button").await;
    browser.see("main section:nth-of-type(2) .good").await;

    // What opens an account is asked for again after a while, and the wish is not lost.
    app.pass(Duration::from_mins(6));
    browser.open("#/orders").await;
    browser.open("#/account").await;
    browser.fill("email", "ana.maria@example.com").await;
    browser.fill("birth_date", "2001-05-18").await;
    let before = mailed_tokens(&app, "confirm");
    browser.click("main section:nth-of-type(1) form button").await;
    browser.fill("proof", "seven umbrellas of cheese").await;
    browser.click("dialog form button").await;
    browser.see("main section:nth-of-type(1) .good").await;
    browser.see("#f-birth_date:disabled").await;

    // The new address is confirmed by what is mailed there.
    let token = mailed_token(&app, "confirm", &before).await;
    browser.see("#confirm").await;
    browser.open(&format!("#/confirm?token={token}")).await;
    browser.click("main form button").await;
    browser.see("main .note.ok").await;
    browser.open("#/account").await;
    browser.see("#f-birth_date:disabled").await;
    assert_eq!(browser.count("#confirm").await, 0);
    browser.click("#leave-all").await;
    browser.see("a[href='#/login']").await;
    let moved = Person { email: "ana.maria@example.com".to_owned(), ..forgetful };
    log_in(&browser, &Person { password: "seven umbrellas of cheese".to_owned(), ..moved }).await;
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn a_person_adds_a_passkey_logs_in_with_it_and_gets_back_in_without_it() {
    let Some(browser) = Browser::start().await else { return };
    let app = shop().await;
    let ana = app.customer("ana").await;
    // Passkeys are bound to a name.
    browser.visit(app.store.store_url.as_str().trim_end_matches('/')).await;
    browser.have_a_passkey_device().await;
    log_in(&browser, &ana).await;
    app.pass(Duration::from_mins(6));
    browser.open("#/account").await;
    browser.fill_into("#f-passkey-name", "my laptop").await;
    browser.click("#authenticators form button").await;
    browser.fill("proof", &ana.password).await;
    browser.click("dialog form button").await;

    // Whoever has only one thing to log in with gets codes for the day when it is lost.
    browser.see("#recovery li").await;
    assert_eq!(browser.count("#recovery li").await, 10);
    let code = browser.text("#recovery li").await;
    browser.inspect("account-recovery-codes", "#/account").await;
    assert!(browser.text("#authenticators").await.contains("my laptop"));

    // By the passkey alone.
    browser.click("#leave").await;
    browser.see("a[href='#/login']").await;
    browser.open("#/login").await;
    browser.click("#passkey").await;
    browser.see("a[href='#/account']").await;
    // And where a login of just now is needed.
    app.pass(Duration::from_mins(6));
    browser.open("#/account").await;
    browser.see("#codes").await;
    browser.click("#codes").await;
    browser.click("dialog #passkey").await;
    browser.see("#recovery li").await;
    let newer = browser.text("#recovery li").await;
    assert_ne!(code, newer);

    // The password alone no longer opens the account; with a recovery code it does.
    browser.click("#leave").await;
    browser.see("a[href='#/login']").await;
    browser.open("#/login").await;
    browser.fill("email", &ana.email).await;
    browser.fill("password", &ana.password).await;
    browser.click("main form button").await;
    browser.fill("code", &newer).await;
    browser.click("main form button").await;
    browser.see("a[href='#/account']").await;

    // The passkey goes, and an app comes.
    browser.open("#/account").await;
    browser.click("#authenticators li button").await;
    browser.click("dialog form button.danger").await;
    eventually("it is gone", || async { browser.count("#authenticators .lines li").await == 0 }).await;
    browser.click("#add-app").await;
    browser.see("dialog img.qr").await;
    let secret = browser.text("#secret").await;
    browser.inspect("account-app", "#/account").await;
    browser.fill_into("dialog [name=code]", &second_factor::shown(&app, &secret)).await;
    browser.click("dialog form button").await;
    browser.see("#recovery li").await;
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn an_analyst_makes_a_key_for_a_program_sees_its_use_and_ends_it() {
    let Some(browser) = Browser::start().await else { return };
    let app = shop().await;
    let dora = app.customer("dora").await;
    app.admin.put(&format!("/users/{}/role", dora.id), &json!({ "role": "analyst" })).await.expect(204);
    browser.visit(&app.url).await;
    log_in(&browser, &dora).await;
    browser.open("#/account").await;
    browser.click("#api-keys summary").await;
    browser.fill_into("#f-key-name", "nightly report").await;
    // What only admins may do is not offered.
    assert_eq!(browser.count("#api-keys [name=scopes]").await, 2);
    browser.click("#api-keys [value=read_events]").await;
    browser.click("#api-keys form button").await;
    browser.see("#key").await;
    let program = Person { token: Some(browser.text("#key").await), ..app.visitor() };
    program.get("/eventos").await.expect(200);
    program.get("/users/me").await.refused(403, "insufficient_scope");
    browser.inspect("account-api-key", "#/account").await;
    browser.open("#/orders").await;
    browser.open("#/account").await;
    eventually("its use is shown", || async { browser.text("#api-keys .lines").await.contains("last used") }).await;
    browser.click("#api-keys .lines button").await;
    eventually("it is gone", || async { browser.count("#api-keys .lines li").await == 0 }).await;
    program.get("/eventos").await.refused(401, "unauthenticated");
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn every_page_is_readable_by_all_on_phone_and_desktop_by_day_and_night() {
    let Some(browser) = Browser::start().await else { return };
    let app = shop().await;
    let ana = app.customer("ana").await;
    let game = id_of(&app, "lantern").await;
    let (paid, failed) = (id_of(&app, "harbor").await, id_of(&app, "static").await);
    let completed = ana.buy(&[&paid], "pm_card_visa").await;
    ana.sees_order(&completed, "completed").await;
    let declined = ana.buy(&[&failed], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&declined, "payment_failed").await;
    browser.visit(&app.url).await;
    for (name, place) in pages::visitor(&game) {
        browser.inspect(name, &place).await;
    }
    log_in(&browser, &ana).await;
    browser.run("localStorage.setItem('basket', arguments[0])", json!([json!([game]).to_string()])).await;
    browser.visit(&app.url).await;
    for (name, place) in pages::customer(&completed, &declined) {
        browser.inspect(name, &place).await;
    }
    browser.open("#/account").await;
    browser.click("#leave").await;
    browser.see("a[href='#/login']").await;
    log_in(&browser, &app.admin).await;
    for (name, place) in pages::admin(&game) {
        browser.inspect(name, &place).await;
    }
    browser.click("header button[lang]").await;
    eventually("it speaks Portuguese", || async { browser.text("header").await.contains("Biblioteca") }).await;
    browser.inspect("home-portuguese", "#/").await;
    browser.has_no_complaints().await;
}
