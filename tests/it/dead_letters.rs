use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::{TestApp, eventually};

/// What waits for somebody.
async fn letters(app: &TestApp) -> Vec<Value> {
    app.admin.get("/dlq").await.expect(200)["items"].as_array().unwrap().clone()
}

/// What a bank refused, which waits for nobody.
async fn declined(app: &TestApp) -> Vec<Value> {
    app.admin.get("/dlq?class=declined").await.expect(200)["items"].as_array().unwrap().clone()
}

async fn with_a_declined_payment() -> (TestApp, Value) {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&order, "payment_failed").await;
    eventually("the dead letter", || async { declined(&app).await.len() == 1 }).await;
    let letter = declined(&app).await.remove(0);
    (app, letter)
}

#[tokio::test]
async fn a_declined_payment_leaves_one_dead_letter_with_its_cause() {
    let (app, letter) = with_a_declined_payment().await;
    assert_eq!((&letter["class"], &letter["attempts"]), (&json!("declined"), &json!(1)));
    assert!(letter["cause"].as_str().unwrap().contains("declined"), "{letter}");
    let path = format!("/dlq/{}", letter["sequence"]);
    assert_eq!(app.admin.get(&path).await.expect(200), letter);
    assert_eq!(app.admin.get("/dlq?class=exhausted").await.expect(200)["items"], json!([]));
    assert_eq!(letters(&app).await.len(), 0, "it is no work for anybody");
    assert_eq!(app.admin.get("/health/figures").await.expect(200)["dead_letters"], 0);
    let metrics = app.visitor().get("/metrics").await.body.as_str().unwrap().to_owned();
    assert!(metrics.contains("ludoteca_depth{of=\"dlq\"} 0"), "{metrics}");
    app.admin.get("/dlq/999").await.refused(404, "not_found");
}

#[tokio::test]
async fn dead_letters_are_for_admins() {
    let (app, letter) = with_a_declined_payment().await;
    let eve = app.customer("eve").await;
    let path = format!("/dlq/{}", letter["sequence"]);
    eve.get("/dlq").await.refused(403, "forbidden");
    eve.get(&path).await.refused(403, "forbidden");
    eve.delete(&path).await.refused(403, "forbidden");
    eve.post(&format!("{path}/redrive"), &json!({})).await.refused(403, "forbidden");
    assert_eq!(declined(&app).await.len(), 1);
}

#[tokio::test]
async fn redriven_work_that_was_settled_meanwhile_changes_nothing() {
    let (app, letter) = with_a_declined_payment().await;
    let path = format!("/dlq/{}", letter["sequence"]);
    app.admin.post(&format!("{path}/redrive"), &json!({})).await.expect(202);
    app.admin.post(&format!("{path}/redrive"), &json!({})).await.refused(404, "not_found");
    app.queue_is_empty().await;
    assert_eq!((app.events("PaymentFailed").await, declined(&app).await.len()), (1, 0));
    app.verify().await;
}

#[tokio::test]
async fn a_discarded_dead_letter_is_gone() {
    let (app, letter) = with_a_declined_payment().await;
    app.admin.delete(&format!("/dlq/{}", letter["sequence"])).await.expect(204);
    assert_eq!(declined(&app).await.len(), 0);
}

#[tokio::test]
async fn whoever_redrives_or_discards_a_dead_letter_is_named_with_their_reason() {
    let (app, letter) = with_a_declined_payment().await;
    let redrive = format!("/dlq/{}/redrive", letter["sequence"]);
    app.admin.post(&redrive, &json!({ "reason": "the bank called" })).await.expect(202);
    eventually("its worker has it", || async { text_log(&app).contains("redriven") }).await;
    app.queue_is_empty().await;
    assert!(text_log(&app).lines().any(|line| line.contains("redriven") && line.contains(&app.admin.id)));

    let ben = app.customer("ben").await;
    let order = ben.buy(&[&app.game("Tetris", 100).await], "pm_card_chargeCustomerFail").await;
    ben.sees_order(&order, "payment_failed").await;
    eventually("another dead letter", || async { declined(&app).await.len() == 1 }).await;
    let discard = format!("/dlq/{}/discard", declined(&app).await[0]["sequence"]);
    app.admin.post(&discard, &json!({ "reason": "a test" })).await.expect(204);
    for (kind, reason) in [("PaymentRedriven", "the bank called"), ("PaymentDiscarded", "a test")] {
        let query = "select payload ->> 'reason', metadata ->> 'actor' from journal.events where event_type = $1";
        let kept: (String, String) = sqlx::query_as(query).bind(kind).fetch_one(app.pool()).await.unwrap();
        assert_eq!(kept, (reason.to_owned(), format!("user:{}", app.admin.id)));
    }
    app.verify().await;
}

/// Work that each worker dies of, given out as often as the queue gives it out.
async fn kill_every_worker(app: &mut TestApp) -> String {
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    app.queue_is_empty().await;
    app.kill_role("payments").await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    let jetstream = app.nats.jetstream().await.unwrap();
    let queue = jetstream.get_stream(nats::PAYMENTS).await.unwrap();
    let consumer = queue.get_consumer::<async_nats::jetstream::consumer::pull::Config>(nats::PAYMENT_WORKER).await;
    let consumer = consumer.unwrap();
    let deliveries = consumer.cached_info().config.max_deliver;
    let mut messages = consumer.messages().await.unwrap();
    for _ in 0..deliveries {
        let message = messages.next().await.unwrap().unwrap();
        message.ack_with(async_nats::jetstream::AckKind::Nak(None)).await.unwrap();
    }
    order
}

#[tokio::test]
async fn work_whose_worker_died_at_every_delivery_becomes_a_dead_letter_and_can_be_redriven() {
    let mut app = TestApp::start().await;
    let order = kill_every_worker(&mut app).await;
    eventually("the dead letter", || async { letters(&app).await.len() == 1 }).await;
    app.queue_is_empty().await;
    let letter = letters(&app).await.remove(0);
    assert_eq!((&letter["class"], &letter["order_id"]), (&json!("exhausted"), &json!(order)));

    app.start_role("payments");
    app.admin.post(&format!("/dlq/{}/redrive", letter["sequence"]), &json!({})).await.expect(202);
    let order = format!("/pedidos/{order}");
    eventually("it is paid", || async { app.admin.get(&order).await.body["status"] == "completed" }).await;
    assert_eq!(app.charges().await.into_values().collect::<Vec<_>>(), [1]);
    app.verify().await;
}

#[tokio::test]
async fn work_without_a_worker_is_found_even_if_the_servers_word_of_it_was_lost() {
    let mut app = TestApp::start().await;
    app.kill_role("dlq-watcher").await;
    let jetstream = app.nats.jetstream().await.unwrap();
    jetstream.delete_stream(nats::ADVISORIES).await.unwrap();
    kill_every_worker(&mut app).await;
    app.start_role("dlq-watcher");
    eventually("the dead letter", || async { letters(&app).await.len() == 1 }).await;
    app.queue_is_empty().await;
}

#[tokio::test]
async fn many_dead_letters_are_redriven_by_one_command() {
    let (app, _) = with_a_declined_payment().await;
    let ben = app.customer("ben").await;
    let order = ben.buy(&[&app.game("Tetris", 100).await], "pm_card_chargeCustomerFail").await;
    ben.sees_order(&order, "payment_failed").await;
    eventually("another dead letter", || async { declined(&app).await.len() == 2 }).await;
    let dlq = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
        command.env("LUDOTECA_URL", &app.url).env("ADMIN_EMAIL", &app.admin.email);
        command.env("ADMIN_PASSWORD", &app.admin.password).arg("dlq").args(arguments);
        let run = move || command.output().unwrap();
        async move { tokio::task::spawn_blocking(run).await.unwrap() }
    };
    let listed = String::from_utf8(dlq(&["ls", "--class", "declined"]).await.stdout).unwrap();
    assert!(listed.contains(&order_payment(&app, &order).await) && listed.contains("2 dead letters"), "{listed}");
    let one =
        dlq(&["redrive", "--all", "--class", "declined", "--order", &order, "--reason", "again", "--rate", "50"]).await;
    assert!(one.status.success(), "{one:?}");
    assert_eq!(declined(&app).await.len(), 1);
    let none = dlq(&["redrive", "--reason", "again"]).await;
    assert!(!none.status.success(), "{none:?}");
    let rest = String::from_utf8(dlq(&["discard", "--all", "--class", "declined", "--reason", "enough"]).await.stdout)
        .unwrap();
    assert!(rest.contains("Discarded 1"), "{rest}");
    assert_eq!((declined(&app).await.len(), app.events("PaymentRedriven").await), (0, 1));
}

async fn order_payment(app: &TestApp, order: &str) -> String {
    let order = app.admin.get(&format!("/pedidos/{order}")).await.expect(200);
    order["payment_id"].as_str().unwrap().to_owned()
}

fn text_log(app: &TestApp) -> String {
    let Ok(files) = std::fs::read_dir(&app.payment.text_log_folder) else { return String::new() };
    files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}
