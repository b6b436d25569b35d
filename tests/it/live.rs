//! Server-sent events: an order as it happens, and all of a person's.

use std::time::Duration;

use journal::Position;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, TestApp, Wishes, eventually};

/// A stream of notices that is being read.
struct Stream(reqwest::Response, String);

impl Stream {
    async fn open(person: &Person, path: &str, after: Option<Position>) -> Self {
        let mut request = person.request(Method::GET, path);
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after.to_string());
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(response, String::new())
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.1.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data:").map(str::to_owned));
                self.1 = String::from(rest);
                match data {
                    Some(data) => return serde_json::from_str(data.trim()).unwrap(),
                    None => continue,
                }
            }
            let more = tokio::time::timeout(Duration::from_secs(20), self.0.chunk()).await.expect("a notice in time");
            self.1.push_str(std::str::from_utf8(&more.unwrap().expect("the stream goes on")).unwrap());
        }
    }

    /// Reads up to a notice of a type.
    async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut read = Vec::new();
        loop {
            read.push(self.next().await);
            if read.last().unwrap()["type"] == kind {
                return read;
            }
        }
    }
}

fn place(notice: &Value) -> Position {
    notice["id"].as_str().unwrap().parse().unwrap()
}

fn kinds(notices: &[Value]) -> Vec<&str> {
    notices.iter().map(|notice| notice["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_order_is_told_from_its_beginning_to_its_end_and_resumes_where_it_was_left() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    eventually("the order is shown", || async { ana.order(&order).await.is_some() }).await;
    let path = format!("/pedidos/{order}/eventos");
    let told = Stream::open(&ana, &path, None).await.until("OrderCompleted").await;
    for kind in ["OrderCreated", "PaymentInitiated", "PaymentSucceeded", "PurchaseCompleted", "OrderCompleted"] {
        assert!(kinds(&told).contains(&kind), "{kind} was not told: {told:?}");
    }
    let places: Vec<Position> = told.iter().map(place).collect();
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "in order, each once: {places:?}");
    // The token of a notice makes the next read see what it tells of.
    let token = told.last().unwrap()["token"].as_str().unwrap().to_owned();
    let read = ana.request(Method::GET, &format!("/pedidos/{order}")).header("Consistency-Token", token);
    assert_eq!(crate::support::Answer::of(read).await.expect(200)["status"], "completed");

    let resumed = Stream::open(&ana, &path, Some(places[places.len() - 3])).await.until("OrderCompleted").await;
    assert_eq!(kinds(&resumed), kinds(&told[told.len() - 2..]));
}

#[tokio::test]
async fn everybody_hears_of_their_own_orders_only() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let (one, two) = (app.game("Summit", 5_990).await, app.game("Saltglass", 9_990).await);
    let mut anas = Stream::open(&ana, "/notificacoes", None).await;
    let bens = ben.buy(&[&two], "pm_card_visa").await;
    ben.sees_order(&bens, "completed").await;
    let order = ana.buy(&[&one], "pm_card_visa").await;
    let told = anas.until("OrderCompleted").await;
    assert_eq!(told[0]["type"], "listening");
    let told = &told[1..];
    assert!(told.iter().all(|notice| notice["order_id"] == order.as_str()), "{told:?}");
    // What was missed is told when somebody comes back.
    let first = place(&told[0]);
    let again = Stream::open(&ana, "/notificacoes", Some(first)).await.until("OrderCompleted").await;
    assert_eq!(kinds(&again[1..]), kinds(&told[1..]));
    ben.get(&format!("/pedidos/{order}/eventos")).await.refused(404, "not_found");
    app.visitor().get("/notificacoes").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_stream_that_one_gateway_began_another_goes_on_with() {
    let app = TestApp::start().await;
    let mut ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let mut here = Stream::open(&ana, "/notificacoes", None).await;
    let order = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    let failed = here.until("OrderPaymentFailed").await;
    let last = place(failed.last().unwrap());
    // What is bought at one gateway is told by the other, and nothing is told twice.
    let url = std::mem::replace(&mut ana.url, app.second_gateway().await);
    let mut there = Stream::open(&ana, "/notificacoes", Some(last)).await;
    ana.url = url;
    let again = serde_json::json!({ "order_id": order, "payment_method": { "type": "pix" } });
    ana.post("/pagamento", &again).await.expect(202);
    let told = there.until("OrderCompleted").await;
    assert!(told[1..].iter().all(|notice| place(notice) > last), "{told:?}");
    assert!(kinds(&told).contains(&"PaymentPending"), "{told:?}");
}

#[tokio::test]
async fn somebody_may_have_a_few_streams_open_and_no_more() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(Stream::open(&ana, "/notificacoes", None).await);
    }
    ana.get("/notificacoes").await.refused(429, "too_many_streams");
    drop(open);
    eventually("the seats are free again", || async {
        ana.request(Method::GET, "/notificacoes").send().await.unwrap().status() == 200
    })
    .await;
}

#[tokio::test]
async fn the_streams_of_somebody_who_is_erased_end() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let mut stream = Stream::open(&ana, "/notificacoes", None).await;
    assert_eq!(stream.next().await["type"], "listening");
    ana.delete("/users/me").await.expect(204);
    let end = async { while stream.0.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), end).await.expect("the stream ends");
}

#[tokio::test]
async fn a_stream_on_which_nothing_happens_stays_open() {
    let patience = Duration::from_secs(1);
    let app = TestApp::start_with(Wishes { client_patience: Some(patience), ..Wishes::default() }).await;
    let ana = app.customer("ana").await;
    let game = app.game("Summit", 5_990).await;
    let mut stream = Stream::open(&ana, "/notificacoes", None).await;
    stream.until("listening").await;
    // A silent connection that began later has been closed when this returns.
    let mut silent = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    let _ = tokio::io::AsyncReadExt::read(&mut silent, &mut [0]).await;
    ana.buy(&[&game], "pm_card_visa").await;
    stream.until("OrderCompleted").await;
}

#[tokio::test]
async fn whoever_is_no_admin_any_more_sees_no_more_of_others() {
    let app = TestApp::start().await;
    let (ana, eve) = (app.customer("ana").await, app.customer("eve").await);
    app.admin.put(&format!("/users/{}/role", eve.id), &json!({ "role": "admin" })).await.expect(204);
    let order = ana.buy(&[&app.game("Summit", 5_990).await], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let path = format!("/pedidos/{order}/eventos");
    let mut own = Stream::open(&ana, &path, None).await;
    let mut others = Stream::open(&eve, &path, None).await;
    others.until("OrderCompleted").await;
    app.admin.put(&format!("/users/{}/role", eve.id), &json!({ "role": "customer" })).await.expect(204);
    let to_the_end = async { while others.0.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), to_the_end).await.expect("the stream ends");
    eve.get(&path).await.refused(404, "not_found");
    // Her own goes on.
    own.until("OrderCompleted").await;
    ana.post(&format!("/pedidos/{order}/reembolso"), &json!({})).await.expect(202);
    own.until("OrderRefunded").await;
}
