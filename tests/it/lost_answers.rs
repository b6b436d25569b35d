//! An answer of Postgres that gets lost: what was committed stays, and whoever asked hears of it.

use ludoteca::local::{Line, Wire};
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::{Answer, Person, TestApp, Wishes, eventually, new_store, payment_method};

/// A store that reaches its database over a wire.
async fn wired() -> (TestApp, Wire) {
    let (owner, app, key) = new_store().await;
    let url = url::Url::parse(app.expose_secret()).unwrap();
    let wire = Wire::to(url.port().unwrap()).await.unwrap();
    let mut wired = url.clone();
    wired.set_port(Some(wire.port)).unwrap();
    let store = Some((owner, SecretString::from(wired.to_string()), key));
    (TestApp::start_with(Wishes { store, ..Wishes::default() }).await, wire)
}

async fn count(owner: &mut PgConnection, query: &str) -> i64 {
    sqlx::query_scalar(query).fetch_one(owner).await.unwrap()
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_an_account_that_can_be_used() {
    for key in [Some("k"), None] {
        register_with_a_lost_answer(key).await;
    }
}

async fn register_with_a_lost_answer(key: Option<&str>) {
    let (app, wire) = wired().await;
    let ana = json!({ "name": "Ana", "email": "ana@example.com", "password": "ana's umbrella kettle", "birth_date": "1990-05-17" });
    let visitor = app.visitor();
    let mut request = visitor.request(Method::POST, "/users").json::<Value>(&ana);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let before = app.events("UserRegistered").await;
    with_a_lost_answer(&app, &wire, request).await.expect(201);
    assert_eq!(app.events("UserRegistered").await, before + 1);
    eventually("the store is whole again", || async { app.visitor().get("/health/ready").await.status == 200 }).await;
    Person::log_in(&app.url, "ana@example.com", "ana's umbrella kettle").await.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_purchase_whose_answer_was_lost_is_one_order_with_one_payment() {
    let (app, wire) = wired().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let wish = json!({ "games": [game], "payment_method": payment_method("pm_card_visa") });
    let request = ana.request(Method::POST, "/jogos/compra").json::<Value>(&wish);
    let order = with_a_lost_answer(&app, &wire, request).await.expect(202)["order_id"].clone();
    eventually("the store is whole again", || async { app.visitor().get("/health/ready").await.status == 200 }).await;
    ana.sees_order(order.as_str().unwrap(), "completed").await;
    assert_eq!((app.events("OrderCreated").await, app.events("PaymentInitiated").await), (1, 1));
    assert_eq!(app.charges().await.into_values().collect::<Vec<_>>(), [1]);
}

/// Sends a request, and loses what Postgres says of its append.
async fn with_a_lost_answer(app: &TestApp, wire: &Wire, request: RequestBuilder) -> Answer {
    let connect = || async { PgConnection::connect(app.owner_url.expose_secret()).await.unwrap() };
    let (mut holder, mut owner) = (connect().await, connect().await);
    let mut held = holder.begin().await.unwrap();
    sqlx::query("lock table journal.events in exclusive mode").execute(&mut *held).await.unwrap();
    let answer = tokio::spawn(Answer::of(request));
    loop {
        let waits = "select count(*) from pg_locks l join pg_stat_activity a using (pid)
                     where not l.granted and a.datname = current_database() and a.query like '%journal.append%'";
        if count(&mut owner, waits).await > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut probe = TcpStream::connect(("127.0.0.1", wire.port)).await.unwrap();
    wire.set(Line::Cut);
    assert!(matches!(probe.read(&mut [0]).await, Ok(0) | Err(_)), "what was open breaks off");
    wire.set(Line::Whole);
    held.commit().await.unwrap();
    answer.await.unwrap()
}

#[tokio::test]
async fn a_read_hears_nothing_of_connections_that_died() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.owns(&["Summit"]).await;
    let mut owner = PgConnection::connect(app.owner_url.expose_secret()).await.unwrap();
    let paths = ["/jogos", "/jogos/busca?q=summit", "/biblioteca", "/pedidos", "/users/me"];
    let paths = paths.map(str::to_owned).into_iter().chain([format!("/jogos/{game}"), format!("/pedidos/{order}")]);
    for path in paths {
        ana.get(&path).await.expect(200);
        let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()";
        assert!(count(&mut owner, kill).await > 0);
        assert_eq!(ana.get(&path).await.status, 200, "{path}");
    }
}
