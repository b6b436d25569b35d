use crate::support::{TestApp, eventually};

fn mails(app: &TestApp) -> Vec<String> {
    let files = std::fs::read_dir(&app.mail.mail_folder).into_iter().flatten().filter_map(Result::ok);
    let emls = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "eml"));
    emls.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect()
}

#[tokio::test]
async fn the_buyer_is_told_once_of_a_completed_order_and_of_a_failed_payment() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (first, second) = (app.game("Summit", 5_990).await, app.game("Saltglass", 9_990).await);
    let order = ana.buy(&[&first], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let failed = ana.buy(&[&second], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&failed, "payment_failed").await;

    eventually("two mails", || async { (mails(&app).len(), 2) }).await;
    let all = mails(&app).join("\n");
    assert!(all.contains("ana@example.com") && all.contains(&order) && all.contains(&failed), "{all}");
}

#[tokio::test]
async fn an_event_that_is_delivered_again_sends_no_second_mail() {
    let mut app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    eventually("the mail", || async { (mails(&app).len(), 1) }).await;

    // Without its consumer the notifier is given every event again.
    app.kill_role("notifier").await;
    let jetstream = app.nats.jetstream().await.unwrap();
    jetstream.delete_consumer_from_stream("notifier", nats::EVENTS).await.unwrap();
    app.start_role("notifier");
    let second = app.game("Saltglass", 9_990).await;
    let order = ana.buy(&[&second], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;

    eventually("the second order's mail", || async { mails(&app).iter().any(|mail| mail.contains(&order)) }).await;
    eventually("all is read", || async {
        app.foundation.shared.nats.waiting(nats::EVENTS, "notifier").await.unwrap() == 0
    })
    .await;
    assert_eq!(mails(&app).len(), 2);
}
