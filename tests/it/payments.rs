use serde_json::{Value, json};

use crate::support::{Person, TestApp, eventually};

async fn payment_of(person: &Person, order: &str) -> Value {
    let payment = person.order(order).await.unwrap()["payment_id"].as_str().unwrap().to_owned();
    person.get(&format!("/pagamento/{payment}")).await.expect(200)
}

#[tokio::test]
async fn a_flaky_psp_is_asked_again_and_charges_once() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_flaky").await;
    ana.sees_order(&order, "completed").await;
    assert_eq!(app.charges().await.into_values().collect::<Vec<_>>(), [1]);
    app.queue_is_empty().await;
}

#[tokio::test]
async fn what_the_psp_answers_settles_a_payment_without_any_webhook() {
    let mut app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    app.kill_role("webhooks").await;
    app.kill_role("reconciler").await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
}

#[tokio::test]
async fn a_psp_that_never_answers_ends_in_a_dead_letter_and_charges_nothing() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_timeout").await;
    ana.sees_order(&order, "payment_failed").await;
    let payment = payment_of(&ana, &order).await;
    assert_eq!((&payment["status"], &payment["failure"]["code"]), (&json!("failed"), &json!("exhausted")));
    let letters = || async { app.admin.get("/dlq?class=exhausted").await.expect(200)["items"].clone() };
    eventually("the dead letter", || async { letters().await.as_array().unwrap().len() == 1 }).await;
    let letter = letters().await[0].clone();
    assert_eq!(
        (&letter["payment_id"], &letter["order_id"], &letter["attempts"]),
        (&payment["id"], &json!(order), &json!(4))
    );
    assert!(letter["failed_at"].as_str() > letter["first_at"].as_str());
    app.queue_is_empty().await;
    assert!(app.charges().await.is_empty());
}

#[tokio::test]
async fn pix_shows_its_code_and_succeeds_by_webhook() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pix").await;
    eventually("the code is shown", || async {
        ana.order(&order).await.is_some() && {
            let id = ana.order(&order).await.unwrap()["payment_id"].as_str().unwrap().to_owned();
            let payment = ana.get(&format!("/pagamento/{id}")).await.body;
            payment["next_action"]["type"] == "pix_display_qr_code" || payment["status"] == "succeeded"
        }
    })
    .await;
    ana.sees_order(&order, "completed").await;
    assert_eq!(payment_of(&ana, &order).await["next_action"], json!(null));
    assert_eq!(app.events("PaymentPending").await, 1);
}

#[tokio::test]
async fn a_card_that_the_psp_does_not_know_fails_the_payment() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "tok_unknown").await;
    ana.sees_order(&order, "payment_failed").await;
    assert_eq!(payment_of(&ana, &order).await["failure"]["code"], "refused_by_psp");
}

#[tokio::test]
async fn while_the_psp_refuses_our_key_payments_wait_and_burn_no_delivery() {
    let mut app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    app.kill_role("payments").await;
    let good = std::mem::replace(&mut app.payment.psp_key, "sk_wrong".into());
    app.start_role("payments");
    let order = ana.buy(&[&game], "pm_card_visa").await;
    eventually("the worker says so", || async {
        let metrics = app.visitor().get("/metrics").await.body;
        metrics.as_str().unwrap().lines().any(|line| line == "ludoteca_psp_blocked 1")
    })
    .await;
    app.has_no_dead_letters().await;

    app.kill_role("payments").await;
    app.payment.psp_key = good;
    app.start_role("payments");
    ana.sees_order(&order, "completed").await;
}

#[tokio::test]
async fn another_persons_payment_looks_like_none() {
    let app = TestApp::start().await;
    let (ana, eve) = (app.customer("ana").await, app.customer("eve").await);
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&order, "payment_failed").await;
    let payment = payment_of(&ana, &order).await["id"].as_str().unwrap().to_owned();
    let path = format!("/pagamento/{payment}");
    eve.get(&path).await.refused(404, "not_found");
    eve.post(&path, &json!({})).await.refused(404, "not_found");
    let pay = json!({ "order_id": order, "payment_method": { "type": "pix" } });
    eve.post("/pagamento", &pay).await.refused(404, "not_found");
    ana.post(&path, &json!({})).await.expect(200);
}

#[tokio::test]
async fn the_text_log_tells_the_story_of_a_payment_without_personal_data() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&order, "payment_failed").await;
    let payment = payment_of(&ana, &order).await["id"].as_str().unwrap().to_owned();
    let today = journal::Clock::default().now().format("%Y-%m-%d");
    let file = app.folder().join("logs").join(format!("payments-{today}.txt"));
    eventually("the dead letter is logged", || async {
        std::fs::read_to_string(&file)
            .is_ok_and(|log| log.contains("outcome=\"failed") || log.contains("outcome=\"declined"))
    })
    .await;
    let log = std::fs::read_to_string(&file).unwrap();
    let story: Vec<&str> = log.lines().filter(|line| line.contains(&payment)).collect();
    assert_eq!(story.len(), 2, "the dead letter and one outcome, whoever heard it first: {log}");
    let dead_letters = story.iter().filter(|line| line.contains("dead letter: declined after 1 attempt"));
    assert_eq!(dead_letters.filter(|line| line.contains(" payment-worker ")).count(), 1, "{log}");
    assert!(
        story.iter().all(|line| line.contains(&format!("order={order}")) && line.contains("correlation=")),
        "{log}"
    );
    assert!(!log.contains("example.com") && !log.contains("sk_test"), "{log}");
}

#[tokio::test]
async fn whoever_is_erased_while_a_payment_is_under_way_pays_for_nothing() {
    let app = TestApp::start().await;
    let game = app.game("Summit", 5_990).await;
    let mut orders = Vec::new();
    for n in 0..8 {
        let buyer = app.customer(&format!("ana{n}")).await;
        // Some payments wait for their buyer, the others are at all stages when the account goes.
        let order = buyer.buy(&[&game], if n % 4 == 0 { "pix" } else { "pm_card_visa" }).await;
        buyer.delete("/users/me").await.expect(204);
        orders.push(order);
    }
    let settled = |order: String| async move {
        let history = "select event_type, epoch, tx_id::text, position from journal.events where event_type in
             ('UserErased', 'OrderCompleted', 'OrderCancelled', 'PaymentSucceeded', 'PaymentRefunded')
             and (aggregate_id = $1 or metadata->>'partition_key' = $1)";
        sqlx::query_as::<_, (String, i32, String, i64)>(history).bind(order)
    };
    eventually("every order is over", || async {
        let mut open = 0;
        for order in &orders {
            let facts = settled(order.clone()).await.fetch_all(app.pool()).await.unwrap();
            let count = |kind: &str| facts.iter().filter(|fact| fact.0 == kind).count();
            let cancelled = count("OrderCancelled") == 1 && count("PaymentSucceeded") == count("PaymentRefunded");
            open += usize::from(!cancelled && count("OrderCompleted") == 0);
        }
        (open, 0)
    })
    .await;
    // What was completed before the account went is a purchase like any other; what was completed since goes back.
    let kept = "select count(*) from journal.events done join journal.events erased
         on erased.event_type = 'UserErased' and erased.aggregate_id = done.payload->>'buyer'
         where done.event_type = 'OrderCompleted'
           and (done.epoch, done.tx_id, done.position) > (erased.epoch, erased.tx_id, erased.position)
           and not exists (select from journal.events back
                           where back.event_type = 'OrderRefunded' and back.aggregate_id = done.aggregate_id)";
    eventually("nobody pays for what nobody can reach", || async {
        (sqlx::query_scalar::<_, i64>(kept).fetch_one(app.pool()).await.unwrap(), 0)
    })
    .await;
    app.queue_is_empty().await;
    app.verify().await;
}
