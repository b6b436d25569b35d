//! The ten invariants of the store, one test each, by name.

use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::Row;
use tokio::process::{Child, Command};

use crate::support::{Answer, Person, TestApp, eventually, payment_method};
use crate::{api_keys, second_factor};

/// A role as a process of its own, which can be killed for real.
fn process(app: &TestApp, role: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    command.arg(role).envs(app.environment()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

/// The roles that are killed in the middle of their work.
const KILLED: [&str; 3] = ["relay", "projector", "payments"];

async fn games(app: &TestApp, count: usize) -> Vec<String> {
    let mut games = Vec::new();
    for n in 0..count {
        games.push(app.game(&format!("Game {n:02}"), 100).await);
    }
    games
}

#[tokio::test]
async fn invariant_01_journal_order_is_mirror_order_whatever_is_killed_when() {
    let mut app = TestApp::start().await;
    for role in KILLED {
        app.kill_role(role).await;
    }
    let mut running = KILLED.map(|role| process(&app, role));
    let games = games(&app, 12).await;
    let ana = app.customer("ana").await;
    let mut orders = Vec::new();
    for (n, game) in games.iter().enumerate() {
        orders.push(ana.buy(&[game], "pm_card_visa").await);
        if n % 3 == 2 {
            // SIGKILL, in the middle of the work that the purchases cause.
            let victim = n / 3 % KILLED.len();
            running[victim].kill().await.unwrap();
            running[victim] = process(&app, KILLED[victim]);
        }
    }
    for order in &orders {
        ana.sees_order(order, "completed").await;
    }
    assert!(app.charges().await.into_values().all(|charges| charges == 1));
    app.verify().await;
}

#[tokio::test]
async fn invariant_02_every_read_model_equals_the_fold_of_the_journal() {
    let app = TestApp::start().await;
    let games = games(&app, 3).await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let paid = ana.buy(&[&games[0]], "pm_card_visa").await;
    let declined = ana.buy(&[&games[1]], "pm_card_chargeCustomerFail").await;
    let pix = ben.buy(&[&games[2]], "pix").await;
    ana.sees_order(&paid, "completed").await;
    ana.sees_order(&declined, "payment_failed").await;
    ana.delete(&format!("/pedidos/{declined}")).await.expect(204);
    ben.sees_order(&pix, "completed").await;
    ben.delete("/users/me").await.expect(204);
    app.verify().await;
}

#[tokio::test]
async fn invariant_03_one_charge_per_payment_and_one_library_entry_per_game_however_often_repeated() {
    let mut app = TestApp::start().await;
    let game = app.game("Summit", 5_990).await;
    let ana = app.customer("ana").await;
    let body = json!({ "games": [game], "payment_method": payment_method("pm_card_flaky") });
    for _ in 0..3 {
        let repeat = ana.request(Method::POST, "/jogos/compra").header("Idempotency-Key", "k").json(&body);
        Answer::of(repeat).await.expect(202);
    }
    ana.owns(&["Summit"]).await;
    // Every event is delivered to checkout again, and the payment's work is put into the queue again.
    app.kill_role("checkout").await;
    app.deliver_again(&TestApp::lanes()).await;
    let (payment, _) = app.charges().await.into_iter().next().unwrap();
    let work = json!({ "payment_id": payment, "order_id": ana.get("/pedidos").await.body["items"][0]["id"] });
    for n in 0..5 {
        let again = nats::Outgoing {
            subject: format!("payments.process.{payment}"),
            id: Some(format!("again-{n}")),
            headers: vec![],
            payload: work.to_string().into(),
        };
        app.foundation.shared.nats.publish(again, false).await.unwrap();
    }
    app.start_role("checkout");
    app.queue_is_empty().await;
    app.lanes_are_empty().await;
    assert_eq!(app.charges().await.into_values().collect::<Vec<_>>(), [1]);
    assert_eq!((app.events("PurchaseCompleted").await, app.events("PaymentSucceeded").await), (1, 1));
    ana.owns(&["Summit"]).await;
    app.verify().await;
}

#[tokio::test]
async fn invariant_04_no_paid_order_without_its_games_and_no_games_without_a_paid_order() {
    let app = TestApp::start().await;
    let games = games(&app, 8).await;
    let ana = app.customer("ana").await;
    let methods = ["pm_card_visa", "pm_card_chargeCustomerFail", "pix", "pm_card_flaky"];
    for (game, method) in games.iter().zip(methods.into_iter().cycle()) {
        let order = ana.buy(&[game], method).await;
        let end = if method == "pm_card_chargeCustomerFail" { "payment_failed" } else { "completed" };
        ana.sees_order(&order, end).await;
    }
    ana.owns(&["Game 00", "Game 02", "Game 03", "Game 04", "Game 06", "Game 07"]).await;
    assert_eq!(app.charges().await.len(), 6, "what was not handed over was not charged");
    app.verify().await;
}

#[tokio::test]
async fn invariant_05_failed_payment_work_is_in_exactly_one_place() {
    let app = TestApp::start().await;
    let games = games(&app, 3).await;
    let ana = app.customer("ana").await;
    for (game, method) in games.iter().zip(["pm_card_timeout", "pm_card_chargeCustomerFail", "pm_card_visa"]) {
        ana.buy(&[game], method).await;
    }
    let settled = "select count(*) from read.payments where status in ('succeeded', 'failed', 'cancelled')";
    eventually("every payment is settled", || async {
        (sqlx::query_scalar::<_, i64>(settled).fetch_one(app.pool()).await.unwrap(), 3)
    })
    .await;
    app.queue_is_empty().await;
    for class in ["declined", "exhausted"] {
        let letters = app.admin.get(&format!("/dlq?class={class}")).await.expect(200);
        assert_eq!(letters["items"].as_array().unwrap().len(), 1, "one dead letter each, and none for what was paid");
    }
}

/// Every text that the journal and the mirror hold.
async fn facts(app: &TestApp) -> String {
    let rows =
        sqlx::query("select e::text as text from journal.events e union all select c::text from journal.claims c");
    let rows = rows.fetch_all(app.pool()).await.unwrap();
    let mut all: String = rows.iter().map(|row| row.get::<String, _>("text")).collect();
    let mut replay = app.foundation.shared.nats.replay(nats::EVENTS, ">", 1);
    loop {
        let batch = replay.next_batch().await.unwrap();
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.iter().map(|stored| format!("{:?}{:?}", stored.headers, stored.payload)));
    }
}

#[tokio::test]
async fn invariant_06_no_personal_data_in_clear_outside_the_vault_the_read_models_and_the_mail() {
    let app = TestApp::start().await;
    let ana = Person::register(&app.url, "zenobia", "1987-03-29").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let change = json!({ "name": "Zenobia of Palmyra", "email": "queen@palmyra.example", "birth_date": "1987-03-30" });
    ana.put_profile("/users/me", &change).await.expect(204);
    eventually("it is projected", || async { ana.get("/users/me").await.body["name"] == "Zenobia of Palmyra" }).await;
    let secret = second_factor::set_up(&app, &ana).await;
    app.pass(Duration::from_secs(30));
    let queen = Person { email: "queen@palmyra.example".into(), ..ana.clone() };
    let strong = second_factor::log_in_with(&app, &queen, &secret).await;
    let key = api_keys::program(&app, &strong, &["read_catalogue"]).await.token.unwrap();
    app.visitor().post("/login/forgotten", &json!({ "email": "queen@palmyra.example" })).await.expect(202);
    eventually("it is all recorded", || async {
        (app.events("UserApiKeyMade").await, app.events("UserPasswordResetRequested").await) == (1, 1)
    })
    .await;
    let all = facts(&app).await.to_lowercase();
    assert!(all.contains("userprofilechanged") && all.contains("userapikeymade"), "the control: the events are there");
    let typed = [ana.password.to_lowercase(), secret.to_lowercase(), key.to_lowercase()];
    let named = ["zenobia", "palmyra", "1987-03", "argon2", "my phone", "a script"].map(str::to_owned);
    for secret in typed.iter().chain(&named) {
        assert!(!all.contains(secret), "{secret} stands in journal, claims or mirror");
    }
    let logs = std::fs::read_dir(app.folder().join("logs")).unwrap().filter_map(Result::ok);
    for log in logs {
        let text = std::fs::read_to_string(log.path()).unwrap().to_lowercase();
        assert!(!text.contains("zenobia") && !text.contains("palmyra"));
    }
}

#[tokio::test]
async fn invariant_07_after_erasure_nothing_of_the_person_can_be_read_anywhere() {
    let app = TestApp::start().await;
    let ana = Person::register(&app.url, "zenobia", "1987-03-29").await;
    ana.delete("/users/me").await.expect(204);

    let path = format!("/users/{}", ana.id);
    eventually("the read model forgets", || async { app.admin.get(&path).await.body["erased"] == true }).await;
    let shown = app.admin.get(&path).await.expect(200);
    assert_eq!(
        (&shown["name"], &shown["email"], &shown["birth_date"]),
        (&json!("erased"), &json!("erased"), &json!(null))
    );
    let id = domain::UserId::parse(&ana.id).unwrap();
    assert!(app.foundation.vault.subject(id).await.unwrap().is_none(), "the key is destroyed");
    assert!(app.foundation.shared.commands.profile(id).await.unwrap().is_none());
    for table in ["read.users", "vault.credentials", "vault.sessions", "journal.claims", "journal.events"] {
        let rows: Vec<String> =
            sqlx::query_scalar(&format!("select t::text from {table} t")).fetch_all(app.pool()).await.unwrap();
        assert!(!rows.concat().to_lowercase().contains("zenobia"), "{table}");
    }
    let login = json!({ "email": ana.email, "password": ana.password });
    app.visitor().post("/login/auth", &login).await.refused(401, "wrong_credentials");
    app.visitor()
        .post("/login/refresh", &json!({ "refresh_token": ana.refresh_token }))
        .await
        .refused(401, "invalid_refresh_token");
    let game = app.game("Summit", 5_990).await;
    ana.try_buy(&[&game], "pm_card_visa").await.refused(401, "unauthenticated");
    ana.get("/biblioteca").await.refused(401, "unauthenticated");

    // A read model that is folded anew does not bring them back, and their address is free.
    projections::rebuild(
        app.foundation.journal(),
        &[std::sync::Arc::new(projections::users::Users::new(app.foundation.vault.clone()))],
        |_| (),
    )
    .await
    .unwrap();
    assert_eq!(app.admin.get(&path).await.expect(200)["name"], "erased");
    Person::register(&app.url, "zenobia", "1990-01-01").await;
    app.verify().await;
}

#[tokio::test]
async fn invariant_08_projections_can_be_dropped_and_rebuilt_to_the_same_content() {
    let app = TestApp::start().await;
    let games = games(&app, 3).await;
    let ana = app.customer("ana").await;
    for game in &games {
        let order = ana.buy(&[game], "pm_card_visa").await;
        ana.sees_order(&order, "completed").await;
    }
    ana.owns(&["Game 00", "Game 01", "Game 02"]).await;
    app.verify().await;
    for projection in ["users", "games", "orders", "payments", "library"] {
        sqlx::query(&format!("delete from read.{projection}")).execute(app.pool()).await.unwrap();
        let mut rebuild = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
        let done = rebuild.args(["rebuild", projection]).envs(app.environment()).output().await.unwrap();
        assert!(done.status.success(), "{done:?}");
    }
    app.verify().await;
    ana.owns(&["Game 00", "Game 01", "Game 02"]).await;
}

#[tokio::test]
async fn invariant_09_losing_nats_or_the_psp_delays_and_never_loses_and_commands_go_on() {
    let mut app = TestApp::start().await;
    let games = games(&app, 2).await;
    let ana = app.customer("ana").await;
    app.stop_nats().await;
    let first = ana.try_buy(&[&games[0]], "pm_card_visa").await.expect(202)["order_id"].as_str().unwrap().to_owned();
    app.start_nats().await;
    ana.sees_order(&first, "completed").await;

    app.kill_role("payments").await;
    let psp = std::mem::replace(&mut app.payment.psp_url, "http://127.0.0.1:1".to_owned());
    app.start_role("payments");
    let second = ana.buy(&[&games[1]], "pm_card_visa").await;
    eventually("the work waits", || async { app.foundation.shared.nats.extent(nats::PAYMENTS).await.unwrap().0 == 1 })
        .await;
    app.kill_role("payments").await;
    app.payment.psp_url = psp;
    app.start_role("payments");
    ana.sees_order(&second, "completed").await;
    app.verify().await;
}

#[tokio::test]
async fn invariant_10_nobody_reads_or_changes_what_is_anothers_and_no_role_is_claimed_by_its_bearer() {
    let app = TestApp::start().await;
    let (ana, eve) = (app.customer("ana").await, app.customer("eve").await);
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&order, "payment_failed").await;
    let payment = ana.order(&order).await.unwrap()["payment_id"].as_str().unwrap().to_owned();
    for path in [format!("/users/{}", ana.id), format!("/pedidos/{order}"), format!("/pagamento/{payment}")] {
        eve.get(&path).await.refused(404, "not_found");
        app.visitor().get(&path).await.refused(401, "unauthenticated");
        app.admin.get(&path).await.expect(200);
    }
    eve.delete(&format!("/users/{}", ana.id)).await.refused(404, "not_found");
    eve.delete(&format!("/pedidos/{order}")).await.refused(404, "not_found");
    let pay = json!({ "order_id": order, "payment_method": payment_method("pix") });
    eve.post("/pagamento", &pay).await.refused(404, "not_found");
    for path in ["/users", "/dlq", "/eventos"] {
        eve.get(path).await.refused(403, "forbidden");
    }
    let role = json!({ "role": "admin" });
    eve.put("/users/me/role", &role).await.refused(403, "forbidden");
    let claim = json!({ "name": "Eve", "email": "e@example.com", "password": "eve's umbrella kettle", "birth_date": "1990-01-01", "role": "admin" });
    app.visitor().post("/users", &claim).await.refused(400, "invalid_request");
    assert_eq!(eve.get("/users/me").await.expect(200)["role"], "customer");
}
