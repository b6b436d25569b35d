//! Ages: nobody walks through an age gate by another birth date.

use serde_json::{Value, json};

use crate::support::{Person, TestApp, eventually};

fn born(person: &Person, birth_date: &str) -> Value {
    json!({ "name": "Ana", "email": person.email, "birth_date": birth_date })
}

async fn confirm(app: &TestApp, person: &Person, birth_date: &str) {
    let seen = json!({ "birth_date": birth_date, "evidence": "identity_document" });
    app.admin.put(&format!("/users/{}/birth-date", person.id), &seen).await.expect(204);
}

#[tokio::test]
async fn an_older_birth_date_opens_no_age_gate_until_the_staff_have_seen_proof() {
    let app = TestApp::start().await;
    let game = app.admin.create_game("Grown-ups only", 5_990, 18).await;
    let ana = Person::register(&app.url, "ana", "2015-05-17").await;

    ana.put_profile("/users/me", &born(&ana, "1990-05-17")).await.expect(204);

    ana.try_buy(&[&game], "pm_card_visa").await.refused(422, "buyer_too_young");
    eventually("it is shown which counts", || async {
        ana.get("/users/me").await.expect(200)["counted_birth_date"] == "2015-05-17"
    })
    .await;
    confirm(&app, &ana, "1990-05-17").await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    assert_eq!(ana.order(&order).await.unwrap()["age_source"], "staff_confirmed");
    app.verify().await;
}

#[tokio::test]
async fn a_younger_birth_date_counts_at_once() {
    let app = TestApp::start().await;
    let game = app.admin.create_game("Grown-ups only", 5_990, 18).await;
    let ana = Person::register(&app.url, "ana", "1990-05-17").await;
    ana.put_profile("/users/me", &born(&ana, "2015-05-17")).await.expect(204);
    ana.try_buy(&[&game], "pm_card_visa").await.refused(422, "buyer_too_young");
}

#[tokio::test]
async fn a_birth_date_is_corrected_once_by_its_owner_then_by_the_staff() {
    let app = TestApp::start().await;
    let ana = Person::register(&app.url, "ana", "1990-05-17").await;
    ana.put_profile("/users/me", &born(&ana, "1990-05-18")).await.expect(204);
    eventually("it is shown", || async { ana.get("/users/me").await.expect(200)["birth_date_corrected"] == true })
        .await;

    ana.put_profile("/users/me", &born(&ana, "1990-05-19")).await.refused(409, "birth_date_corrected");
    // All else may be changed still.
    let renamed = json!({ "name": "Ana Maria", "email": ana.email, "birth_date": "1990-05-18" });
    ana.put_profile("/users/me", &renamed).await.expect(204);

    confirm(&app, &ana, "1990-05-20").await;
    eventually("it is shown", || async { ana.get("/users/me").await.expect(200)["birth_date"] == "1990-05-20" }).await;
}

#[tokio::test]
async fn only_admins_confirm_birth_dates_and_not_their_own() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let seen = json!({ "birth_date": "1980-05-17", "evidence": "guardian" });
    ana.put("/users/me/birth-date", &seen).await.refused(403, "forbidden");
    app.admin.put("/users/me/birth-date", &seen).await.refused(403, "forbidden");
    // Nor do they correct those of others in passing.
    app.admin.put_profile(&format!("/users/{}", ana.id), &born(&ana, "1980-05-17")).await.refused(403, "forbidden");
    let guessed = json!({ "birth_date": "1980-05-17", "evidence": "he looks old" });
    app.admin.put(&format!("/users/{}/birth-date", ana.id), &guessed).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn an_order_keeps_how_the_buyers_age_was_known() {
    let app = TestApp::start().await;
    let game = app.admin.create_game("Grown-ups only", 5_990, 18).await;
    let ana = Person::register(&app.url, "ana", "1990-05-17").await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    assert_eq!(ana.order(&order).await.unwrap()["age_source"], "self_declared");
}
