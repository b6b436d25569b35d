//! What the store does about payments and orders that nothing else would ever settle.

use std::time::Duration;

use commands::Actor;
use domain::{OrderId, PaymentId};
use secrecy::ExposeSecret;
use sqlx::{Connection, PgConnection};
use tokio::net::TcpListener;

use crate::support::{EXPIRY, TestApp, Wishes, eventually};

/// A moment that passes within a test.
const MOMENT: Duration = Duration::from_millis(300);
/// An order's first payment.
fn payment_of(order: &str) -> String {
    PaymentId::for_attempt(OrderId::parse(order).unwrap(), 1).to_string()
}

/// Longer than any test.
const NEVER: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_payment_whose_webhook_got_lost_is_asked_about_and_settled() {
    let mut app = TestApp::start_with(Wishes { reconcile_after: Some(MOMENT), ..Wishes::default() }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);
    app.kill_role("webhooks").await;

    let order = ana.buy(&[&game], "pix").await;
    ana.sees_order(&order, "completed").await;
    assert_eq!(app.charges().await.len(), 1);
}

#[tokio::test]
async fn a_payment_that_its_buyer_looks_at_is_asked_about_at_once() {
    let mut app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);
    app.kill_role("webhooks").await;

    let order = ana.buy(&[&game], "pix").await;
    let path = format!("/pagamento/{}", payment_of(&order));
    eventually("looking at it settles it", || async { ana.get(&path).await.body["status"] == "succeeded" }).await;
}

#[tokio::test]
async fn an_order_that_is_not_paid_in_time_is_cancelled_at_the_psp_first_and_its_game_can_be_bought_again() {
    let app = TestApp::start_with(Wishes { pix: Some(NEVER), ..Wishes::default() }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);

    let order = ana.buy(&[&game], "pix").await;
    eventually("it is pending", || async { (app.events("PaymentPending").await, 1) }).await;
    app.pass(EXPIRY + MOMENT);
    ana.sees_order(&order, "cancelled").await;
    let payment = &payment_of(&order);
    eventually("its payment is cancelled", || async {
        ana.get(&format!("/pagamento/{payment}")).await.expect(200)["status"] == "cancelled"
    })
    .await;
    assert_eq!(app.psp_status(payment).await, "canceled");
    let again = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&again, "completed").await;
}

#[tokio::test]
async fn an_order_whose_payment_was_declined_and_never_tried_again_expires_as_well() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);

    let order = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&order, "payment_failed").await;
    app.pass(EXPIRY + MOMENT);
    ana.sees_order(&order, "cancelled").await;
    assert_eq!(app.charges().await.len(), 0);
}

#[tokio::test]
async fn an_order_whose_money_came_unseen_completes_instead_of_expiring() {
    let mut app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);
    app.kill_role("reconciler").await;
    app.kill_role("webhooks").await;

    let order = ana.buy(&[&game], "pix").await;
    let payment = &payment_of(&order);
    eventually("the PSP has the money", || async { app.psp_status(payment).await == "succeeded" }).await;
    app.reconcile.reconcile_charges = NEVER;
    app.pass(EXPIRY + MOMENT);
    app.start_role("reconciler");
    ana.sees_order(&order, "completed").await;
    assert_eq!(app.events("OrderCancelled").await, 0);
}

#[tokio::test]
async fn a_charge_that_succeeded_for_a_cancelled_order_is_found_and_paid_back() {
    let mut app = TestApp::start_with(Wishes { pix: Some(MOMENT * 2), ..Wishes::default() }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);
    app.kill_role("webhooks").await;
    app.kill_role("reconciler").await;

    // The store gives the payment up without the PSP's knowledge: as if its answer to that had been lost.
    let order = ana.buy(&[&game], "pix").await;
    let payment = &payment_of(&order);
    eventually("the PSP waits", || async { app.psp_status(payment).await == "requires_action" }).await;
    let commands = &app.foundation.shared.commands;
    let context = commands.context(Actor::System("test"));
    eventually("it is pending", || async { app.events("PaymentPending").await == 1 }).await;
    commands.cancel_payment(&context, PaymentId::parse(payment).unwrap()).await.unwrap();
    ana.delete(&format!("/pedidos/{order}")).await.expect(204);
    eventually("the PSP has the money", || async { app.psp_status(payment).await == "succeeded" }).await;

    app.start_role("reconciler");
    eventually("the money goes back", || async { (app.events("PaymentRefunded").await, 1) }).await;
    app.verify().await;
}

#[tokio::test]
async fn work_that_its_queue_lost_is_rebuilt_from_the_journal() {
    let mut app = TestApp::start_with(Wishes { reconcile_after: Some(MOMENT), ..Wishes::default() }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);
    app.kill_role("payments").await;

    let order = ana.buy(&[&game], "pm_card_visa").await;
    let nats = &app.foundation.shared.nats;
    eventually("the work is queued", || async { nats.extent(nats::PAYMENTS).await.unwrap().0 == 1 }).await;
    app.nats.jetstream().await.unwrap().delete_stream(nats::PAYMENTS).await.unwrap();
    app.provision().await;
    app.start_role("payments");
    ana.sees_order(&order, "completed").await;
    app.queue_is_empty().await;
    assert_eq!(app.charges().await.len(), 1);
}

#[tokio::test]
async fn a_question_that_the_psp_does_not_answer_changes_nothing() {
    let mut app = TestApp::start_with(Wishes { pix: Some(NEVER), ..Wishes::default() }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);
    app.kill_role("reconciler").await;
    let order = ana.buy(&[&game], "pix").await;
    eventually("it is pending", || async { app.events("PaymentPending").await == 1 }).await;

    app.pass(EXPIRY + MOMENT);
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let psp_url = std::mem::replace(&mut app.payment.psp_url, format!("http://{}", deaf.local_addr().unwrap()));
    app.start_role("reconciler");
    // Whoever comes a second time has gone without an answer once.
    for _ in 0..2 {
        drop(deaf.accept().await.unwrap());
    }
    let status = ana.get(&format!("/pedidos/{order}")).await.expect(200);
    assert_eq!(status["status"], "awaiting_payment");

    app.kill_role("reconciler").await;
    app.payment.psp_url = psp_url;
    app.start_role("reconciler");
    ana.sees_order(&order, "cancelled").await;
}

#[tokio::test]
async fn what_only_grows_is_removed_once_it_is_old() {
    let mut app = TestApp::start().await;
    app.kill_role("reconciler").await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let counted = [
        ("vault.webhook_inbox", "handled_at", 1),
        // Two welcomes and a receipt.
        ("vault.mail", "sent_at", 3),
        ("vault.sessions", "expires_at", 1),
        ("journal.answers", "answered_at", 1),
    ];
    let owner = journal::connect(&app.owner_url, 1).await.unwrap();
    let count = async |table: &str| -> i64 {
        sqlx::query_scalar(&format!("select count(*) from {table}")).fetch_one(&owner).await.unwrap()
    };
    sqlx::query("insert into journal.answers (key, fingerprint, aggregate_id, version) values ('a', 'b', 'c', 1)")
        .execute(&owner)
        .await
        .unwrap();
    for (table, time, rows) in counted {
        eventually(&format!("{table} has something"), || async {
            sqlx::query_scalar::<_, bool>(&format!("select count({time}) >= {rows} from {table}"))
                .fetch_one(&owner)
                .await
                .unwrap()
        })
        .await;
    }
    app.pass(Duration::from_hours(24 * 91));
    app.start_role("reconciler");
    for (table, ..) in counted {
        eventually(&format!("{table} is empty"), || async { (count(table).await, 0) }).await;
    }
}

#[tokio::test]
async fn a_paid_order_that_checkout_never_heard_of_is_completed() {
    let mut app =
        TestApp::start_with(Wishes { reconcile_after: Some(MOMENT), pix: Some(NEVER), ..Wishes::default() }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Tetris", 100).await);
    let order = ana.buy(&[&game], "pix").await;
    eventually("it is pending", || async { (app.events("PaymentPending").await, 1) }).await;
    app.kill_role("checkout").await;
    // As a program recorded it that left it to checkout to tell the order.
    let mut owner = PgConnection::connect(app.owner_url.expose_secret()).await.unwrap();
    sqlx::query(
        "insert into journal.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         select aggregate_type, aggregate_id, sequence + 1, 'PaymentSucceeded', '1',
                jsonb_build_object('type', 'PaymentSucceeded', 'order', $2::text, 'reference', 'pi_elsewhere', 'late', false),
                metadata
         from journal.events where aggregate_id = $1 order by sequence desc limit 1",
    )
    .bind(payment_of(&order))
    .bind(&order)
    .execute(&mut owner)
    .await
    .unwrap();
    ana.sees_order(&order, "completed").await;
    ana.owns(&["Tetris"]).await;
}

#[tokio::test]
async fn what_is_refunded_in_the_dashboard_takes_the_games_back() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (summit, tetris) = (app.game("Summit", 5_990).await, app.game("Tetris", 1_000).await);
    let order = ana.buy(&[&summit, &tetris], "pm_card_visa").await;
    ana.owns(&["Summit", "Tetris"]).await;

    app.refund_in_the_dashboard(&payment_of(&order), 6_990).await;
    ana.sees_order(&order, "refunded").await;
    ana.owns(&[]).await;
    app.queue_is_empty().await;
    assert_eq!(app.refunded().await, 6_990);
    app.verify_with_psp().await;
}

#[tokio::test]
async fn a_part_refunded_in_the_dashboard_is_for_people_and_the_rest_ends_it() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (summit, tetris) = (app.game("Summit", 5_990).await, app.game("Tetris", 1_000).await);
    let order = ana.buy(&[&summit, &tetris], "pm_card_visa").await;
    ana.owns(&["Summit", "Tetris"]).await;

    app.refund_in_the_dashboard(&payment_of(&order), 500).await;
    eventually("people are told", || async {
        let letters = app.admin.get("/dlq?class=difference").await.expect(200);
        (letters["items"].as_array().unwrap().len(), 1)
    })
    .await;
    ana.sees_order(&order, "completed").await;
    ana.owns(&["Summit", "Tetris"]).await;

    app.refund_in_the_dashboard(&payment_of(&order), 6_490).await;
    ana.sees_order(&order, "refunded").await;
    ana.owns(&[]).await;
    app.verify_with_psp().await;
}
