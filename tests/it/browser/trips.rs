//! What a stranger used to trip over in the shop, in both languages.

use serde_json::json;

use super::driver::Browser;
use super::{id_of, log_in, shop};
use crate::support::{TestApp, eventually};

/// English, and Portuguese.
const LANGUAGES: [&str; 2] = ["en", "pt"];

async fn speak(browser: &Browser, app: &TestApp, language: &str) {
    browser.run("localStorage.setItem('language', arguments[0])", json!([language])).await;
    browser.visit(&app.url).await;
}

async fn says(browser: &Browser, language: &str, texts: [&str; 2]) {
    let [english, portuguese] = texts;
    let wanted = if language == "pt" { portuguese } else { english };
    eventually(wanted, || async { browser.text("body").await.contains(wanted) }).await;
}

#[tokio::test]
async fn a_visitor_is_led_to_the_login_and_back_and_no_address_breaks_the_shop() {
    let Some(browser) = Browser::start().await else { return };
    let app = shop().await;
    let ana = app.customer("ana").await;
    let game = id_of(&app, "lantern").await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    browser.visit(&app.url).await;
    for language in LANGUAGES {
        speak(&browser, &app, language).await;
        for nowhere in ["#/__proto__", "#/constructor", "#/nowhere"] {
            browser.open(nowhere).await;
            says(&browser, language, ["There is no such page", "Esta página não existe"]).await;
        }
        browser.open("#/search?sort=random").await;
        says(&browser, language, ["Check what you typed", "Confira o que digitou"]).await;
        assert!(!browser.text("main").await.contains("Dto"), "no word of ours is shown");
        // A link from a mail leads to its order, by way of the login.
        let place = format!("#/order/{order}");
        browser.run("location.hash = arguments[0]", json!([place])).await;
        says(&browser, language, ["Log in to continue.", "Entre para continuar."]).await;
        browser.fill("email", &ana.email).await;
        browser.fill("password", "wrong password").await;
        browser.click("main form button").await;
        says(&browser, language, ["E-mail or password is wrong.", "E-mail ou senha incorretos."]).await;
        browser.fill("password", &ana.password).await;
        browser.click("main form button").await;
        browser.see("ol[data-status=completed]").await;
        assert!(browser.address().await.ends_with(&place));
        // Another tab ends the session.
        let other_tab = "localStorage.removeItem('session');
            dispatchEvent(new StorageEvent('storage', { key: 'session', newValue: null }));";
        browser.run(other_tab, json!([])).await;
        browser.see("a[href='#/login']").await;
        for place in ["#/account", "#/orders", "#/library"] {
            browser.run("location.hash = arguments[0]", json!([place])).await;
            browser.see("main [name=password]").await;
        }
    }
    // A refusal of a field stands with the field.
    browser.open("#/register").await;
    for (name, value) in [("name", "Eve"), ("email", "eve@ludoteca.example"), ("password", "correct horse battery")] {
        browser.fill(name, value).await;
    }
    browser.fill("birth_date", "2199-01-01").await;
    browser.click("main form button").await;
    browser.see("[name=birth_date][aria-invalid][aria-describedby]").await;
    says(&browser, "pt", ["must be in the past", "precisa estar no passado"]).await;
    browser.run("location.href = '/foo'", json!([])).await;
    says(&browser, "pt", ["There is no such page", "Esta página não existe"]).await;
    browser.click("main a").await;
    browser.see(".game").await;
}

#[tokio::test]
async fn what_cannot_be_undone_asks_first_and_says_what_happened_where_one_looks() {
    let Some(browser) = Browser::start().await else { return };
    for language in LANGUAGES {
        undo_nothing_unasked(&browser, language).await;
    }
}

async fn undo_nothing_unasked(browser: &Browser, language: &str) {
    let app = shop().await;
    let ana = app.customer("ana").await;
    let (refunded, failed) = (id_of(&app, "lantern").await, id_of(&app, "static").await);
    let order = ana.buy(&[&refunded], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let open = ana.buy(&[&failed], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&open, "payment_failed").await;
    let free = app.game("Free As Rain", 0).await;
    browser.visit(&app.url).await;
    speak(browser, &app, language).await;
    log_in(browser, &ana).await;

    // A game that went back can be bought again without a reload.
    browser.open(&format!("#/game/{refunded}")).await;
    browser.see("main a[href='#/library']").await;
    ana.post(&format!("/pedidos/{order}/reembolso"), &json!({})).await.expect(202);
    browser.see("#add").await;
    browser.see(".toast").await;
    browser.click(".toast button").await;
    eventually("the toast is gone", || async { browser.count(".toast").await == 0 }).await;
    browser.click("#add").await;
    eventually("the focus goes on", || async { browser.has_focus("main a[href='#/basket']").await }).await;
    browser.run("localStorage.setItem('basket', '[]')", json!([])).await;

    // Nobody is asked for a card where nothing is charged.
    browser.visit(&app.url).await;
    browser.open(&format!("#/game/{free}")).await;
    browser.click("#add").await;
    browser.open("#/basket").await;
    browser.see("main form").await;
    says(browser, language, ["Get it for free", "Obter de graça"]).await;
    assert_eq!(browser.count("#f-token").await, 0);
    browser.click("main form button").await;
    browser.see("ol[data-status=completed]").await;

    browser.open(&format!("#/order/{open}")).await;
    browser.click("main .row .button.danger").await;
    browser.see("dialog").await;
    browser.click("dialog .close").await;
    eventually("the focus returns", || async { browser.has_focus("main .row .button.danger").await }).await;
    assert_eq!(ana.get(&format!("/pedidos/{open}")).await.body["status"], "payment_failed");

    browser.open("#/account").await;
    browser.click("main > section:last-child .button.danger, main section:last-of-type > .button.danger").await;
    eventually("it begins at the password", || async { browser.has_focus("dialog [name=proof]").await }).await;
    browser.fill("proof", "not the password").await;
    browser.click("dialog form button.danger").await;
    says(browser, language, ["E-mail or password is wrong.", "E-mail ou senha incorretos."]).await;
    ana.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_list_is_where_one_left_it_and_a_broken_line_can_be_tried_again() {
    let Some(browser) = Browser::start().await else { return };
    for language in LANGUAGES {
        leave_and_come_back(&browser, language).await;
    }
}

async fn leave_and_come_back(browser: &Browser, language: &str) {
    let app = shop().await;
    let long = "L".repeat(120);
    let mut body = crate::support::game(&long, 100, 0);
    body["developer"] = json!("D".repeat(100));
    let long = app.admin.post("/jogos", &body).await.expect(201)["id"].as_str().unwrap().to_owned();
    browser.visit(&app.url).await;
    speak(browser, &app, language).await;

    browser.open("#/search").await;
    browser.click("#more").await;
    eventually("more is shown", || async { (browser.count(".game").await, 48) }).await;
    let moved = browser.layout_shift().await;
    assert!(moved < 0.02, "the search moved by {moved}");
    browser.run("scrollTo(0, 1200)", json!([])).await;
    let scrolled = || async { browser.run("return history.state?.y", json!([])).await == 1_200 };
    eventually("the place is noted", scrolled).await;
    browser.run("document.querySelectorAll('.game a')[40].click()", json!([])).await;
    browser.see("#add").await;
    let top = || async { browser.run("return scrollY", json!([])).await == 0 };
    eventually("a page begins at its top", top).await;
    browser.back().await;
    let back = || async { (browser.run("return scrollY", json!([])).await, json!(1_200)) };
    eventually("the list is where it was", back).await;
    assert_eq!(browser.count(".game").await, 48);

    browser.visit(&app.url).await;
    browser.open(&format!("#/game/{}", id_of(&app, "lantern").await)).await;
    browser.see("#add").await;
    let moved = browser.layout_shift().await;
    assert!(moved < 0.04, "the page of a game moved by {moved}");
    for device in ["phone", "desktop"] {
        browser.hold(device).await;
        browser.open(&format!("#/game/{long}")).await;
        browser.see("#add").await;
        let wide = "return document.documentElement.scrollWidth <= innerWidth
            && document.querySelector('main .cover').clientWidth > 100";
        assert_eq!(browser.run(wide, json!([])).await, true, "a long title on a {device}");
    }

    // The line breaks, and comes back.
    browser
        .run("window.line = window.fetch; window.fetch = () => Promise.reject(new TypeError('broken'))", json!([]))
        .await;
    browser.open("#/").await;
    browser.see("main .note.error button").await;
    says(browser, language, ["The shop cannot be reached.", "A loja não pode ser alcançada."]).await;
    assert_eq!(browser.count(".waiting").await, 0, "nothing waits for ever");
    browser.run("window.fetch = window.line", json!([])).await;
    browser.click("main .note.error button").await;
    browser.see(".game").await;

    // A browser that keeps nothing still has a basket.
    browser
        .run("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }", json!([]))
        .await;
    browser.open(&format!("#/game/{long}")).await;
    browser.click("#add").await;
    eventually("it is in the basket", || async { browser.text(".count").await == "1" }).await;
}

#[tokio::test]
async fn staff_find_what_is_retired_and_see_what_a_conflict_is_about() {
    let Some(browser) = Browser::start().await else { return };
    for language in LANGUAGES {
        keep_the_catalogue(&browser, language).await;
    }
}

async fn keep_the_catalogue(browser: &Browser, language: &str) {
    let app = shop().await;
    let game = id_of(&app, "lantern").await;
    browser.visit(&app.url).await;
    speak(browser, &app, language).await;
    log_in(browser, &app.admin).await;
    browser.open(&format!("#/admin/game/{game}")).await;
    browser.see("#f-price").await;
    let shown = app.admin.get(&format!("/jogos/{game}")).await.expect(200);
    let mut theirs = crate::support::game(shown["title"].as_str().unwrap(), 1_000, 0);
    theirs["description"] = json!("Described by somebody else.");
    app.admin.put_matching(&format!("/jogos/{game}"), &theirs).await.expect(200);
    browser.fill("price", "20.00").await;
    browser.click("main form button").await;
    browser.see("#conflict").await;
    assert!(browser.text("#conflict").await.contains("Described by somebody else."));
    let in_view = "const box = document.querySelector(arguments[0]).getBoundingClientRect();
        return box.top >= 0 && box.bottom <= innerHeight";
    eventually("it is in view", || async { browser.run(in_view, json!(["#conflict"])).await == true }).await;
    browser.click("#conflict .button").await;
    browser.see("main .note.ok").await;
    eventually("it is in view", || async { browser.run(in_view, json!(["main .note.ok"])).await == true }).await;

    browser.click("main .row .button.danger").await;
    browser.click("dialog form button.danger").await;
    browser.see("#games").await;
    browser.run("document.querySelectorAll('[name=retired]')[1].click()", json!([])).await;
    let title = shown["title"].as_str().unwrap();
    eventually("it is among the retired", || async { browser.text("tbody").await.contains(title) }).await;
    // An admin's own orders are not everybody's.
    let ben = app.customer("ben").await;
    let order = ben.buy(&[&id_of(&app, "static").await], "pm_card_visa").await;
    ben.sees_order(&order, "completed").await;
    browser.open("#/orders").await;
    says(browser, language, ["You have no orders yet.", "Você ainda não tem pedidos."]).await;
    browser.open("#/admin/orders").await;
    eventually("all are there", || async { browser.count("tbody tr").await == 1 }).await;
}
