//! What is decided on a state holds only if the state does when it is recorded.

use std::collections::HashMap;
use std::time::Duration;

use commands::Actor;
use domain::checkout::{Errand, errands};
use domain::game::Game;
use domain::order::OrderEvent;
use domain::payment::PspReference;
use domain::user::User;
use domain::{GameId, OrderId, PaymentId, StoreEvent, UserId};
use futures::future::join_all;
use journal::{Journal, Position};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::support::{Person, TestApp, eventually, game};

/// How long something may take that takes no time; without an end it would take for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Walks the journal in its order, and holds each order against its buyer and games as they were just then.
async fn no_order_stands_on_a_state_that_had_ended(journal: &Journal) -> usize {
    let seen = || async {
        let (count, _) = journal.extent().await.unwrap();
        let read = journal.committed_after(Position::default(), 10_000).await.unwrap().len();
        (i64::try_from(read).unwrap() >= count, true)
    };
    eventually("the journal can be read to its end", seen).await;
    let (mut users, mut games) = (HashMap::<UserId, User>::new(), HashMap::<GameId, Game>::new());
    let mut orders = 0;
    for event in journal.committed_after(Position::default(), 10_000).await.unwrap() {
        let kind = (&event.aggregate_type, &event.aggregate_id, &event.event_type, &event.event_version);
        match StoreEvent::read(kind.0, kind.1, kind.2, kind.3, event.payload.get()).unwrap() {
            StoreEvent::User(id, event) => users.entry(id).or_default().evolve(event),
            StoreEvent::Game(id, event) => games.entry(id).or_default().evolve(event),
            StoreEvent::Order(id, OrderEvent::OrderCreated { buyer, lines, .. }) => {
                orders += 1;
                assert!(matches!(users[&buyer], User::Active { .. }), "order {id} is of an erased buyer");
                for line in lines {
                    match &games[&line.game] {
                        Game::Listed { price, .. } => assert_eq!(*price, line.price, "order {id} has an old price"),
                        other => panic!("order {id} has a game that is {other:?}"),
                    }
                }
            }
            StoreEvent::Order(..) | StoreEvent::Payment(..) | StoreEvent::TreeHead(..) => (),
        }
    }
    orders
}

async fn buyers(app: &TestApp, count: usize) -> Vec<Person> {
    join_all((0..count).map(|n| async move { app.customer(&format!("buyer{n}")).await })).await
}

#[tokio::test]
async fn no_order_is_placed_on_a_game_that_is_retired_or_priced_anew_meanwhile() {
    let app = TestApp::start().await;
    let buyers = buyers(&app, 6).await;
    for round in 0..12 {
        let title = format!("Game {round}");
        let id = app.game(&title, 5_990).await;
        let path = format!("/jogos/{id}");
        let buying = join_all(buyers.iter().map(|buyer| {
            let id = id.clone();
            async move { buyer.try_buy(&[&id], "pm_card_visa").await }
        }));
        let changing = async {
            app.admin.put_matching(&path, &game(&title, 4_990, 0)).await.expect(200);
            app.admin.request(reqwest::Method::DELETE, &path).header("If-Match", "*").send().await.unwrap()
        };
        let (bought, retired) = futures::join!(buying, changing);
        assert_eq!(retired.status(), 204);
        for answer in bought {
            assert!(matches!(answer.status, 202 | 409 | 422), "{} {}", answer.status, answer.body);
        }
    }
    assert!(no_order_stands_on_a_state_that_had_ended(app.foundation.journal()).await > 0);
}

#[tokio::test]
async fn no_order_is_placed_by_a_buyer_who_is_erased_meanwhile_and_another_role_hinders_nobody() {
    let app = TestApp::start().await;
    let game = app.game("Summit", 5_990).await;
    for round in 0..12 {
        let (gone, staying) =
            (app.customer(&format!("gone{round}")).await, app.customer(&format!("staying{round}")).await);
        let (promote, analyst, basket) =
            (format!("/users/{}/role", staying.id), json!({ "role": "analyst" }), [game.as_str()]);
        let (bought, erased, kept, promoted) = futures::join!(
            gone.try_buy(&basket, "pm_card_visa"),
            gone.delete("/users/me"),
            staying.try_buy(&basket, "pm_card_visa"),
            app.admin.put(&promote, &analyst),
        );
        assert!(matches!(bought.status, 202 | 401 | 403 | 404 | 409 | 422), "{} {}", bought.status, bought.body);
        assert_eq!((erased.status, kept.status, promoted.status), (204, 202, 204), "{}", kept.body);
    }
    assert!(no_order_stands_on_a_state_that_had_ended(app.foundation.journal()).await >= 12);
}

#[tokio::test]
async fn claims_follow_from_the_journal_and_are_restored_from_it() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let (summit, comet) = (app.game("Summit", 5_990).await, app.game("Quiet Comet", 4_990).await);
    let order = ana.buy(&[&summit, &comet], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    ana.post(&format!("/pedidos/{order}/reembolso"), &json!({ "games": [comet] })).await.expect(202);
    ana.owns(&["Summit"]).await;
    let moved = json!({ "name": "Ben", "email": "benjamin@example.com", "birth_date": "1990-05-17" });
    ben.put_profile("/users/me", &moved).await.expect(204);
    let gone = app.customer("gone").await;
    gone.delete("/users/me").await.expect(204);
    let (journal, vault) = (app.foundation.journal(), &app.foundation.vault);

    let compared = journal.fold_claims(vault, false, |_| ()).await.unwrap();
    // The admin's, Ana's and Ben's addresses, and the game that Ana kept.
    assert_eq!((compared.claims, compared.missing, compared.surplus), (4, 0, 0));

    sqlx::query("delete from journal.claims where kind = 'email'").execute(app.pool()).await.unwrap();
    sqlx::query("insert into journal.claims values ('ownership', 'somebody:something', gen_random_uuid())")
        .execute(app.pool())
        .await
        .unwrap();
    let compared = journal.fold_claims(vault, false, |_| ()).await.unwrap();
    assert_eq!((compared.claims, compared.missing, compared.surplus), (2, 3, 1));

    journal.fold_claims(vault, true, |_| ()).await.unwrap();
    let compared = journal.fold_claims(vault, false, |_| ()).await.unwrap();
    assert_eq!((compared.claims, compared.missing, compared.surplus), (4, 0, 0));
    app.verify().await;
}

#[tokio::test]
async fn an_order_that_is_given_up_while_its_money_comes_is_not_completed_and_the_money_goes_back() {
    let mut app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    for role in ["payments", "reconciler", "webhooks"] {
        app.kill_role(role).await;
    }
    let order = OrderId::parse(&ana.buy(&[&game], "pm_card_visa").await).unwrap();
    let payment = PaymentId::for_attempt(order, 1);
    let commands = app.foundation.shared.commands.clone();
    let context = commands.context(Actor::System("test"));
    let reference = PspReference::parse("pi_1").unwrap();
    commands.submit_payment(&context, payment, reference.clone()).await.unwrap();
    // This process knows the order as it was before it was given up.
    commands.order_with_payments(order).await.unwrap();
    let mut owner = PgConnection::connect(app.owner_url.expose_secret()).await.unwrap();
    let mut held = owner.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock(hashtextextended('order ' || $1, 0))";
    sqlx::query(lock).bind(order.to_string()).execute(&mut *held).await.unwrap();

    let paying = tokio::spawn(async move { commands.succeed_payment(&context, order, payment, reference).await });
    eventually("the money is about to be noted", || async {
        let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                       where not granted and locktype = 'advisory' and datname = current_database()";
        (sqlx::query_scalar::<_, i64>(waiting).fetch_one(app.pool()).await.unwrap(), 1)
    })
    .await;
    let cancel = "insert into journal.events
                    (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                  select 'order', aggregate_id, 2, 'OrderCancelled', '1', jsonb_build_object('type', 'OrderCancelled',
                    'buyer', payload -> 'buyer', 'open_attempt', 1, 'reason', 'requested'), metadata
                  from journal.events where aggregate_id = $1";
    sqlx::query(cancel).bind(order.to_string()).execute(&mut *held).await.unwrap();
    held.commit().await.unwrap();

    let noted = tokio::time::timeout(PATIENCE, paying).await.expect("it comes to an end").unwrap().unwrap();
    assert!(noted);
    assert_eq!((app.events("PaymentSucceeded").await, app.events("OrderCompleted").await), (1, 0));
    let (known, payments) = app.foundation.shared.commands.order_with_payments(order).await.unwrap();
    assert_eq!(errands(&known, payment, &payments[0]), [Errand::PayBack]);
}
