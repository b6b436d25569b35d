use chrono_tz::Tz;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Person, TestApp, Wishes, eventually, payment_method};

#[tokio::test]
async fn buying_a_game_puts_it_in_the_library() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (summit, comet) = (app.game("Summit", 5_990).await, app.game("Quiet Comet", 4_990).await);

    let accepted = ana.try_buy(&[&summit, &comet], "pm_card_visa").await;
    let location = accepted.header("location");
    let accepted = accepted.expect(202);
    assert_eq!(accepted["total"], json!({ "amount": 10_980, "currency": "BRL" }));
    assert_eq!(accepted["status"], "awaiting_payment");
    let order = accepted["order_id"].as_str().unwrap();
    assert_eq!(location, format!("/pedidos/{order}"));

    ana.sees_order(order, "completed").await;
    ana.owns(&["Quiet Comet", "Summit"]).await;
    let shown = ana.order(order).await.unwrap();
    assert_eq!(
        shown["games"][0],
        json!({ "id": summit, "title": "Summit", "price": { "amount": 5_990, "currency": "BRL" } })
    );
    assert_eq!(shown["payment_id"], accepted["payment_id"]);
    app.queue_is_empty().await;
    app.verify().await;
}

#[tokio::test]
async fn a_free_order_completes_at_once_without_a_payment() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Pocket Tides", 0).await;
    let accepted = ana.try_buy(&[&game], "pm_card_visa").await.expect(202);
    assert_eq!((&accepted["status"], &accepted["payment_id"]), (&json!("completed"), &json!(null)));
    ana.owns(&["Pocket Tides"]).await;
    assert_eq!(app.events("PaymentInitiated").await, 0);
    assert!(app.charges().await.is_empty());
}

#[tokio::test]
async fn a_declined_card_leaves_the_order_open_and_the_buyer_pays_again() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&order, "payment_failed").await;
    assert_eq!(ana.library().await, Vec::<String>::new());

    let pay = json!({ "order_id": order, "payment_method": payment_method("pix") });
    let again = ana.post("/pagamento", &pay).await.expect(202);
    ana.sees_order(&order, "completed").await;
    ana.owns(&["Summit"]).await;
    let payment = ana.get(&format!("/pagamento/{}", again["payment_id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&payment["status"], &payment["order_id"]), (&json!("succeeded"), &json!(order)));
    ana.post("/pagamento", &pay).await.refused(409, "nothing_to_pay");
    app.verify().await;
}

#[tokio::test]
async fn a_repeated_purchase_meets_the_same_order() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (game, other) = (app.game("Summit", 5_990).await, app.game("Other", 100).await);
    let buy = |person: &Person, game: &str| {
        let body = json!({ "games": [game], "payment_method": payment_method("pm_card_visa") });
        Answer::of(person.request(Method::POST, "/jogos/compra").header("Idempotency-Key", "basket-1").json(&body))
    };
    let answers = futures::future::join_all((0..8).map(|_| buy(&ana, &game))).await;
    let orders: Vec<_> = answers.into_iter().map(|answer| answer.expect(202)["order_id"].clone()).collect();
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
    buy(&ana, &other).await.refused(422, "idempotency_key_reused");
    // Another person's key is another key.
    let ben = app.customer("ben").await;
    assert_ne!(buy(&ben, &game).await.expect(202)["order_id"], orders[0]);
    // After it is paid it is still the same request.
    ana.sees_order(orders[0].as_str().unwrap(), "completed").await;
    assert_eq!(buy(&ana, &game).await.expect(202)["order_id"], orders[0]);
    eventually("both are charged once", || async {
        (app.charges().await.into_values().collect::<Vec<_>>(), vec![1, 1])
    })
    .await;
}

#[tokio::test]
async fn a_game_that_is_owned_or_pending_cannot_be_ordered_again() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&order, "payment_failed").await;
    ana.try_buy(&[&game], "pm_card_visa").await.refused(409, "game_owned_or_pending");

    ana.delete(&format!("/pedidos/{order}")).await.expect(204);
    ana.sees_order(&order, "cancelled").await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    ana.try_buy(&[&game], "pm_card_visa").await.refused(409, "game_owned_or_pending");
    ana.delete(&format!("/pedidos/{order}")).await.refused(409, "order_completed");
}

#[tokio::test]
async fn cancelling_an_order_gives_a_payment_under_way_up() {
    let mut app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    app.kill_role("payments").await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    eventually("its payment waits in the queue", || async {
        app.foundation.shared.nats.extent(nats::PAYMENTS).await.unwrap().0 == 1
    })
    .await;
    ana.delete(&format!("/pedidos/{order}")).await.expect(204);
    app.start_role("payments");
    eventually("the payment is cancelled", || async { (app.events("PaymentCancelled").await, 1) }).await;
    app.queue_is_empty().await;
    assert!(app.charges().await.is_empty(), "nothing was charged");
    assert_eq!(ana.library().await, Vec::<String>::new());
    app.verify().await;
}

#[tokio::test]
async fn an_order_begins_in_one_commit_with_its_payment_and_is_completed_in_one_with_its_success() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let followed = "select cause.event_type, effect.event_type from journal.events cause
                    join journal.events effect on effect.metadata ->> 'causation_id' = cause.event_id::text
                     and effect.tx_id = cause.tx_id and effect.position > cause.position
                    where effect.event_type in ('PaymentInitiated', 'OrderCompleted') order by effect.position";
    let followed: Vec<(String, String)> = sqlx::query_as(followed).fetch_all(app.pool()).await.unwrap();
    let named: Vec<_> = followed.iter().map(|(cause, effect)| (cause.as_str(), effect.as_str())).collect();
    assert_eq!(named, [("OrderCreated", "PaymentInitiated"), ("PaymentSucceeded", "OrderCompleted")]);
}

#[tokio::test]
async fn a_buyer_lists_their_own_orders_and_an_admin_all() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let count = |list: serde_json::Value| list["items"].as_array().unwrap().len();
    assert_eq!(count(ana.get("/pedidos").await.expect(200)), 1);
    assert_eq!(count(ben.get("/pedidos").await.expect(200)), 0);
    assert_eq!(count(app.admin.get("/pedidos").await.expect(200)), 1);
    ben.get(&format!("/pedidos/{order}")).await.refused(404, "not_found");
    ben.delete(&format!("/pedidos/{order}")).await.refused(404, "not_found");
    app.admin.get(&format!("/pedidos/{order}")).await.expect(200);
}

#[tokio::test]
async fn how_old_a_buyer_is_goes_by_the_day_where_the_store_is() {
    // A day apart at least, at any hour: the first and the last place on Earth where a day begins.
    let (first, last) = (Tz::Pacific__Kiritimati, Tz::Etc__GMTPlus12);
    let today = journal::Clock::default().now().with_timezone(&first).date_naive();
    let eighteen_today = today.checked_sub_months(chrono::Months::new(18 * 12)).unwrap().to_string();
    for (time_zone, may_buy) in [(first, true), (last, false)] {
        let app = TestApp::start_with(Wishes { time_zone: Some(time_zone), ..Wishes::default() }).await;
        let game = app.admin.create_game("Static Bloom", 100, 18).await;
        let buyer = Person::register(&app.url, "ana", &eighteen_today).await;
        let bought = buyer.try_buy(&[&game], "pm_card_visa").await;
        if may_buy {
            bought.expect(202);
        } else {
            bought.refused(422, "buyer_too_young");
        }
    }
}

#[tokio::test]
async fn a_purchase_at_another_total_than_the_buyer_has_seen_is_refused_with_the_new_one() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let expecting = |amount: i64| {
        let method = json!({ "type": "card", "token": "pm_card_visa" });
        json!({ "games": [game], "payment_method": method, "expected_total": { "amount": amount, "currency": "BRL" } })
    };
    let refusal = ana.post("/jogos/compra", &expecting(4_990)).await;
    assert_eq!(refusal.body["total"], json!({ "amount": 5_990, "currency": "BRL" }));
    refusal.refused(409, "total_changed");
    assert_eq!(app.events("OrderCreated").await, 0);
    ana.post("/jogos/compra", &expecting(5_990)).await.expect(202);
}

#[tokio::test]
async fn orders_are_listed_by_status_and_by_buyer_for_admins() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let paid = ana.buy(&[&app.game("Summit", 5_990).await], "pm_card_visa").await;
    ana.sees_order(&paid, "completed").await;
    let declined = ben.buy(&[&app.game("Tetris", 100).await], "pm_card_chargeCustomerFail").await;
    ben.sees_order(&declined, "payment_failed").await;
    let ids = async |query: String| -> Vec<String> {
        let page = app.admin.get(&format!("/pedidos?{query}")).await.expect(200);
        page["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("status=completed".to_owned()).await, [paid]);
    assert_eq!(ids(format!("user={}", ben.id)).await, [declined]);
    assert_eq!(ids(format!("user={}&status=cancelled", ana.id)).await, [""; 0]);
    assert_eq!(ids("mine=true".to_owned()).await, [""; 0]);
    let own = app.admin.buy(&[&app.game("Chess", 100).await], "pm_card_visa").await;
    app.admin.sees_order(&own, "completed").await;
    assert_eq!(ids("mine=true".to_owned()).await, [own]);
    ana.get(&format!("/pedidos?user={}", ben.id)).await.refused(404, "not_found");
    let admins = app.admin.get("/users?role=admin").await.expect(200);
    assert_eq!(admins["items"].as_array().unwrap().len(), 1);
}
