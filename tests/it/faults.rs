//! One fault at a time, made to happen at the worst moment; what `ludoteca chaos` does at random.
//!
//! The others have their tests where they belong: webhooks before the API's answer, doubled and reordered, and a clock
//! that is wrong (`psp_faults`); a hundred identical webhooks, and a failure after the success (`webhooks`); a lost
//! advisory (`dead_letters`); a lost queue (`reconciler`).

use std::time::Duration;

use domain::payment::PspReference;
use domain::{OrderId, PaymentId, PaymentWork};
use ludoteca::client::http;
use ludoteca::local::{Line, Wire};
use nats::{DeadLetter, PAYMENTS, PAYMENTS_QUEUE};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::Instant;

use crate::support::{Person, TestApp, Wishes, eventually, payment_method};

/// How soon the store must see that its connection to NATS carries nothing; a bound of the design, not of a machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);
/// How much nats-server may keep where its disk is full, in bytes.
const DISK: u64 = 64 << 10;

/// An order whose payment work waits, for there is no worker.
async fn waiting(app: &mut TestApp, method: &str) -> (Person, OrderId, PaymentId) {
    for role in ["payments", "reconciler", "webhooks"] {
        app.kill_role(role).await;
    }
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = OrderId::parse(&ana.buy(&[&game], method).await).unwrap();
    eventually("its work is queued", || async { app.foundation.shared.nats.extent(PAYMENTS).await.unwrap().0 == 1 })
        .await;
    (ana, order, PaymentId::for_attempt(order, 1))
}

async fn ends_with_one_charge(app: &TestApp, buyer: &Person, order: OrderId) {
    buyer.sees_order(&order.to_string(), "completed").await;
    app.queue_is_empty().await;
    assert_eq!(app.charges().await.into_values().collect::<Vec<_>>(), [1]);
    assert_eq!((app.events("PaymentSucceeded").await, app.events("PurchaseCompleted").await), (1, 1));
    app.verify().await;
}

/// What a worker does until it has the PSP's reference, and the journal too.
async fn submit(app: &TestApp, payment: PaymentId) -> String {
    submit_for(app, payment, ("5990", "brl")).await
}

async fn submit_for(app: &TestApp, payment: PaymentId, (amount, currency): (&str, &str)) -> String {
    let form = [
        ("amount", amount),
        ("currency", currency),
        ("payment_method", "pm_card_visa"),
        ("payment_method_types[]", "card"),
        ("metadata[payment_id]", &payment.to_string()),
    ];
    let intent = app.ask_psp("/v1/payment_intents", &form).await["id"].as_str().unwrap().to_owned();
    let reference = PspReference::parse(&intent).unwrap();
    let commands = &app.foundation.shared.commands;
    let context = commands.context(commands::Actor::System("test"));
    commands.submit_payment(&context, payment, reference).await.unwrap();
    intent
}

/// The dead letter of an order's first payment.
fn letter(order: OrderId, class: &str, cause: &str) -> DeadLetter {
    let payment = PaymentId::for_attempt(order, 1);
    DeadLetter {
        queue: PAYMENTS_QUEUE.to_owned(),
        class: class.to_owned(),
        key: payment.to_string(),
        cause: cause.to_owned(),
        attempts: 1,
        first_at: "2026-01-01T00:00:00+00:00".to_owned(),
        failed_at: "2026-01-01T00:00:00+00:00".to_owned(),
        work: PaymentWork { payment_id: payment, order_id: order }.to_json().into(),
    }
}

#[tokio::test]
async fn a_charge_begins_before_its_event_has_gone_round_and_is_made_once() {
    let mut app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    for role in ["relay", "checkout"] {
        app.kill_role(role).await;
    }
    let order = OrderId::parse(&ana.buy(&[&game], "pm_card_visa").await).unwrap();
    eventually("it is paid", || async { (app.events("OrderCompleted").await, 1) }).await;
    for role in ["relay", "checkout"] {
        app.start_role(role);
    }
    app.lanes_are_empty().await;
    ends_with_one_charge(&app, &ana, order).await;
}

#[tokio::test]
async fn a_worker_that_dies_between_the_charge_and_its_event_charges_once() {
    let mut app = TestApp::start().await;
    let (ana, order, payment) = waiting(&mut app, "pm_card_visa").await;
    let intent = submit(&app, payment).await;
    app.ask_psp(&format!("/v1/payment_intents/{intent}/confirm"), &[]).await;
    assert_eq!(
        (app.psp_status(&payment.to_string()).await, app.events("PaymentSucceeded").await),
        ("succeeded".into(), 0)
    );
    app.start_role("payments");
    ends_with_one_charge(&app, &ana, order).await;
}

#[tokio::test]
async fn other_money_than_was_asked_for_buys_nothing_and_is_brought_to_people() {
    for came in [("5989", "brl"), ("5990", "usd")] {
        let mut app = TestApp::start().await;
        let (ana, order, payment) = waiting(&mut app, "pm_card_visa").await;
        let intent = submit_for(&app, payment, came).await;
        app.ask_psp(&format!("/v1/payment_intents/{intent}/confirm"), &[]).await;
        app.start_role("payments");
        eventually("staff see it", || async {
            let letters = app.admin.get("/dlq").await.body["items"].clone();
            letters[0]["class"] == "difference" && letters[0]["cause"].as_str().unwrap().contains(came.0)
        })
        .await;
        app.queue_is_empty().await;
        app.lanes_are_empty().await;
        assert_eq!(app.events("PaymentSucceeded").await, 0);
        ana.sees_order(&order.to_string(), "awaiting_payment").await;
    }
}

#[tokio::test]
async fn a_worker_that_dies_between_the_event_and_its_answer_to_the_queue_charges_once() {
    let mut app = TestApp::start().await;
    let (ana, order, payment) = waiting(&mut app, "pm_card_visa").await;
    let intent = submit(&app, payment).await;
    app.ask_psp(&format!("/v1/payment_intents/{intent}/confirm"), &[]).await;
    let reference = PspReference::parse(&intent).unwrap();
    let commands = &app.foundation.shared.commands;
    let context = commands.context(commands::Actor::System("test"));
    commands.succeed_payment(&context, order, payment, reference).await.unwrap();
    assert_eq!(app.foundation.shared.nats.extent(PAYMENTS).await.unwrap().0, 1, "the work is still queued");
    app.start_role("payments");
    ends_with_one_charge(&app, &ana, order).await;
}

#[tokio::test]
async fn money_that_arrives_for_a_cancelled_order_goes_back() {
    let mut app = TestApp::start().await;
    let (ana, order, payment) = waiting(&mut app, "pm_card_visa").await;
    let intent = submit(&app, payment).await;
    app.ask_psp(&format!("/v1/payment_intents/{intent}/confirm"), &[]).await;
    // It was charged, and its buyer gives it up before anybody here has heard of that.
    ana.delete(&format!("/pedidos/{order}")).await.expect(204);
    app.start_role("payments");
    eventually("the money goes back", || async { (app.events("PaymentRefunded").await, 1) }).await;
    ana.sees_order(&order.to_string(), "cancelled").await;
    assert_eq!(ana.library().await, Vec::<String>::new());
    app.verify().await;
}

#[tokio::test]
async fn a_worker_that_dies_between_the_dead_letter_and_the_end_of_the_work_leaves_one_dead_letter() {
    let mut app = TestApp::start().await;
    let (ana, order, _) = waiting(&mut app, "pm_card_chargeCustomerFail").await;
    let letter = letter(order, "declined", "card_declined: by the worker that died");
    app.foundation.shared.nats.bury(letter).await.unwrap();
    app.start_role("payments");
    ana.sees_order(&order.to_string(), "payment_failed").await;
    app.queue_is_empty().await;
    let letters = app.admin.get("/dlq?class=declined").await.expect(200)["items"].as_array().unwrap().clone();
    assert_eq!((letters.len(), app.events("PaymentFailed").await), (1, 1));
    assert!(letters[0]["cause"].as_str().unwrap().ends_with("the worker that died"), "{letters:?}");
}

#[tokio::test]
async fn a_redrive_of_work_that_succeeded_meanwhile_changes_nothing() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = OrderId::parse(&ana.buy(&[&game], "pm_card_visa").await).unwrap();
    ana.sees_order(&order.to_string(), "completed").await;
    app.foundation.shared.nats.bury(letter(order, "exhausted", "no answer")).await.unwrap();
    let letters = app.admin.get("/dlq").await.expect(200)["items"].as_array().unwrap().clone();
    let redrive = format!("/dlq/{}/redrive", letters[0]["sequence"]);
    app.admin.post(&redrive, &json!({ "reason": "again" })).await.expect(202);
    let worked_off = "the worker has looked at it";
    eventually(worked_off, || async { app.foundation.shared.nats.extent(PAYMENTS).await.unwrap().1 == 2 }).await;
    ends_with_one_charge(&app, &ana, order).await;
}

#[tokio::test]
async fn a_full_disk_of_nats_delays_and_loses_nothing() {
    let mut app = TestApp::start_with(Wishes { nats_disk: Some(DISK), ..Wishes::default() }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    // Commands go on; the mirror cannot.
    for n in 0..100 {
        app.admin.post("/jogos", &crate::support::game(&format!("Game {n}"), 100, 0)).await.expect(201);
    }
    let mirrored = || async { app.foundation.shared.nats.extent(nats::EVENTS).await.unwrap().1 };
    let recorded = app.foundation.journal().extent().await.unwrap().0.unsigned_abs();
    let jetstream = app.nats.jetstream().await.unwrap();
    // The analysts' archive takes its share.
    let archive = async_nats::jetstream::with_prefix(jetstream.client(), "ARCHIVE.API");
    eventually("the disk is full", || async {
        let archived = archive.get_stream(nats::EVENTS).await.unwrap().cached_info().state.bytes;
        jetstream.query_account().await.unwrap().storage + archived + 2_000 > DISK
    })
    .await;
    assert!(mirrored().await < recorded);
    let order = ana.try_buy(&[&game], "pm_card_visa").await.expect(202)["order_id"].as_str().unwrap().to_owned();
    app.stop_nats().await;
    app.start_nats().await;
    ana.sees_order(&order, "completed").await;
    ends_with_one_charge(&app, &ana, OrderId::parse(&order).unwrap()).await;
}

#[tokio::test]
async fn a_postgres_that_takes_no_connections_delays_and_loses_nothing() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let first = ana.buy(&[&game], "pix").await;
    let mut owner = PgConnection::connect(&crate::support::server_url()).await.unwrap();
    let database: String = sqlx::query_scalar("select current_database()").fetch_one(app.pool()).await.unwrap();
    let refuse = format!("alter database {database} allow_connections false");
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
    owner.execute(refuse.as_str()).await.unwrap();
    sqlx::query(cut).bind(&database).execute(&mut owner).await.unwrap();
    let other = json!({ "games": [game], "payment_method": payment_method("pix") });
    eventually("the store says that it cannot", || async {
        let answer = ana.post("/jogos/compra", &other).await;
        let ready = app.visitor().get("/health/ready").await.status;
        (answer.status, ready) == (503, 503)
    })
    .await;
    owner.execute(format!("alter database {database} allow_connections true").as_str()).await.unwrap();
    eventually("the order is paid", || async {
        ana.order(&first).await.is_some_and(|order| order["status"] == "completed")
    })
    .await;
    ends_with_one_charge(&app, &ana, OrderId::parse(&first).unwrap()).await;
}

#[tokio::test]
async fn transactions_that_commit_out_of_order_under_load_are_mirrored_in_one_order() {
    let app = TestApp::start().await;
    let mut game_ids = Vec::new();
    for n in 0..20 {
        game_ids.push(app.game(&format!("Game {n}"), 0).await);
    }
    let people = futures::future::join_all((0..4).map(|n| app.customer(["ana", "ben", "eva", "ivo"][n]))).await;
    let mut slow = PgConnection::connect(secrecy::ExposeSecret::expose_secret(&app.owner_url)).await.unwrap();
    for game in &game_ids {
        // A transaction that has its number before all of these purchases and ends after them.
        let mut open = slow.begin().await.unwrap();
        open.execute("insert into read.search_words (word) values (md5(random()::text))").await.unwrap();
        futures::future::join_all(people.iter().map(|buyer| async move { buyer.buy(&[game], "pm_card_visa").await }))
            .await;
        open.rollback().await.unwrap();
    }
    for buyer in &people {
        eventually("every game has arrived", || async {
            (buyer.get("/biblioteca?limit=100").await.body["items"].as_array().unwrap().len(), game_ids.len())
        })
        .await;
    }
    app.verify().await;
}

#[tokio::test]
async fn a_gateway_starts_without_nats_and_becomes_ready() {
    let mut app = TestApp::start().await;
    let (mut ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    app.stop_nats().await;
    let port = ludoteca::local::free_port().unwrap();
    let mut gateway = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    gateway.arg("gateway").envs(app.environment()).env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"));
    gateway.env("JWT_KEY_FILE", app.folder().join("jwt.pem"));
    gateway.env("PSP_WEBHOOK_SECRETS_FILE", app.folder().join("webhook-secrets"));
    let _gateway = gateway.kill_on_drop(true).spawn().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let health = || async { http().unwrap().get(format!("{url}/health/ready")).send().await };
    eventually("it takes commands", || async { health().await.is_ok_and(|health| health.status() == 200) }).await;
    let ben = json!({ "name": "Ben", "email": "ben@example.com", "password": "ben's umbrella kettle", "birth_date": "2001-05-17" });
    Person::nobody(&url).post("/users", &ben).await.expect(201);
    ana.url.clone_from(&url);
    ana.try_buy(&[&game], "pm_card_visa").await.expect(202);

    app.start_nats().await;
    eventually("it is ready", || async {
        let health: Value = health().await.unwrap().json().await.unwrap();
        (health["nats"].clone(), json!("up"))
    })
    .await;
}

#[tokio::test]
async fn a_connection_to_nats_that_only_looks_open_is_noticed() {
    let app = TestApp::start().await;
    let url = app.nats.url();
    let far = url.rsplit(':').next().unwrap().parse().unwrap();
    let wire = Wire::to(far).await.unwrap();
    let nats = nats::Nats::connect(&url.replace(&far.to_string(), &wire.port.to_string())).await.unwrap();
    assert!(nats.is_connected());
    wire.set(Line::Silent);
    let silent = Instant::now();
    eventually("it is noticed", || async { !nats.is_connected() }).await;
    assert!(silent.elapsed() < NOTICED_WITHIN, "it took {:?}", silent.elapsed());
}
