use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Answer, MAIL_PAUSE, TestApp, Wishes, all_mails, eventually};

/// The mails about orders; everybody is also welcomed.
fn mails(app: &TestApp) -> Vec<String> {
    all_mails(app).into_iter().filter(|mail| !mail.contains("Welcome to Ludoteca")).collect()
}

/// A mail server that takes mail, or refuses all of it for the time being.
struct MailServer {
    port: u16,
    refuses: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
}

impl MailServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            refuses: Arc::new(AtomicBool::new(true)),
            taken: Arc::default(),
        };
        let (refuses, taken) = (server.refuses.clone(), server.taken.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, refuses.clone(), taken.clone()));
            }
        });
        server
    }
}

/// Speaks just enough SMTP (RFC 5321).
async fn converse(stream: TcpStream, refuses: Arc<AtomicBool>, taken: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let answer: &[u8] = match line.split_whitespace().next().unwrap_or_default().to_uppercase().as_str() {
            "EHLO" => b"250 mail\r\n",
            "RCPT" if refuses.load(Ordering::SeqCst) => {
                let refusal = format!("451 try again later, {}\r\n", line.trim_end());
                stream.write_all(refusal.as_bytes()).await?;
                b""
            }
            "DATA" => b"354 go on\r\n",
            "." => {
                taken.fetch_add(1, Ordering::SeqCst);
                b"250 taken\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            "MAIL" | "RCPT" | "RSET" | "NOOP" => b"250 ok\r\n",
            // A line of the mail itself.
            _ => b"",
        };
        stream.write_all(answer).await?;
        line.clear();
    }
    Ok(())
}

/// How many mails were refused so often, and wait for most of a pause at least: the next try is not under way.
async fn refused(app: &TestApp, tries: i32, pause: Duration) -> i64 {
    let refused = "select count(*) from vault.mail where attempts = $1 and last_error is not null and due_at > $2";
    let wait = app.foundation.shared.commands.clock().now() + pause * 3 / 4;
    sqlx::query_scalar(refused).bind(tries).bind(wait).fetch_one(app.pool()).await.unwrap()
}

#[tokio::test]
async fn a_mail_server_that_fails_delays_ends_in_a_dead_letter_and_can_be_redriven() {
    let server = MailServer::start().await;
    let smtp_url = Some(format!("smtp://127.0.0.1:{}", server.port).into());
    let app = TestApp::start_with(Wishes { smtp_url, ..Wishes::default() }).await;
    let ana = app.customer("ana").await;
    let letters = || async { app.admin.get("/dlq?class=undeliverable").await.expect(200)["items"].clone() };
    // One for the admin's welcome, one for Ana's. Each is tried again when its time has come, and no sooner.
    for (tries, pause) in [(1, MAIL_PAUSE), (2, MAIL_PAUSE * 2)] {
        eventually("both were refused again", || async { (refused(&app, tries, pause).await, 2) }).await;
        app.pass(pause);
    }
    eventually("both are given up", || async { (letters().await.as_array().unwrap().len(), 2) }).await;
    let letter = letters().await[0].clone();
    assert_eq!((&letter["attempts"], &letter["payment_id"]), (&json!(3), &json!(null)));
    assert!(letter["cause"].as_str().unwrap().contains("try again later"), "{letter}");

    let causes = letters().await.to_string();
    assert!(!causes.contains("ana@") && !causes.contains("admin@"), "an address outlives its owner in {causes}");

    // The store goes on meanwhile, and what is redriven is sent once the server takes mail again.
    server.refuses.store(false, Ordering::SeqCst);
    let game = app.game("Summit", 5_990).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    eventually("the receipt", || async { (server.taken.load(Ordering::SeqCst), 1) }).await;
    let path = format!("/dlq/{}/redrive", letter["sequence"]);
    app.admin.post(&path, &json!({})).await.expect(202);
    eventually("the welcome", || async { (server.taken.load(Ordering::SeqCst), 2) }).await;
    assert_eq!(letters().await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn people_are_spoken_to_in_their_language_in_text_and_html() {
    let app = TestApp::start().await;
    let rui = json!({ "name": "Rui", "email": "rui@example.com", "password": "correct horse battery", "birth_date": "1990-05-17" });
    let registered = app.visitor().request(reqwest::Method::POST, "/users").header("Accept-Language", "pt-BR,pt;q=0.9");
    Answer::of(registered.json(&rui)).await.expect(201);
    app.customer("ana").await;
    let of = |who: &'static str| all_mails(&app).into_iter().find(|mail| mail.contains(who)).unwrap_or_default();
    eventually("both are welcomed", || async { !of("rui@").is_empty() && !of("ana@").is_empty() }).await;
    assert!(of("rui@").contains("lang=3D\"pt-BR\"") || of("rui@").contains("lang=\"pt-BR\""), "{}", of("rui@"));
    assert!(of("ana@").contains("Welcome to Ludoteca"));
    for part in ["multipart/alternative", "text/plain", "text/html"] {
        assert!(of("ana@").contains(part), "{part} is missing");
    }
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

    app.kill_role("notifier").await;
    app.deliver_again(&["notifier".to_owned()]).await;
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
