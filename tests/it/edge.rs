//! What the gateway's door does about clients that are slow, silent or many.

use std::time::Duration;

use gateway::ProxyHeader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::support::{TestApp, Wishes};

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap()
}

/// Everything that the gateway says until it closes the connection, long before a connection ends by itself.
async fn to_the_end(mut socket: TcpStream) -> String {
    let mut said = Vec::new();
    // A reset is an end as well.
    let ended = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "the connection is not closed; it said {said:?}");
    String::from_utf8_lossy(&said).into_owned()
}

/// Begins a request and goes on with it a byte at a time, far too slowly, until the gateway has had enough.
async fn drip(mut socket: TcpStream, begin: String) -> String {
    // It may have had to give way before it said anything.
    let _ = socket.write_all(begin.as_bytes()).await;
    let mut said = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut buffer = [0; 1_024];
    loop {
        tokio::select! {
            _ = tick.tick() => if socket.write_all(b"a").await.is_err() { break },
            read = socket.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(read) => said.extend_from_slice(&buffer[..read]),
            },
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

async fn impatient(connections: Option<usize>) -> TestApp {
    TestApp::start_with(Wishes { client_patience: Some(Duration::from_secs(1)), connections, ..Wishes::default() })
        .await
}

const HEAD: &str =
    "POST /login/auth HTTP/1.1\r\nHost: store\r\nContent-Type: application/json\r\nContent-Length: 500\r\n";

#[tokio::test]
async fn two_hundred_connections_that_drip_are_closed_and_others_are_served_meanwhile() {
    // Twice as many as there may be.
    let app = impatient(Some(100)).await;
    let mut slow = JoinSet::new();
    for _ in 0..100 {
        slow.spawn(drip(connect(&app).await, format!("{HEAD}\r\n")));
        slow.spawn(drip(connect(&app).await, "G".to_owned()));
    }
    for _ in 0..20 {
        let browsing = app.visitor();
        let page = tokio::time::timeout(Duration::from_secs(5), browsing.get("/jogos")).await;
        page.expect("an answer").expect(200);
    }
    let ended = tokio::time::timeout(Duration::from_secs(30), slow.join_all()).await;
    assert_eq!(ended.expect("each of them is closed").len(), 200);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let app = impatient(None).await;
    assert_eq!(to_the_end(connect(&app).await).await, "");
}

#[tokio::test]
async fn a_connection_that_was_answered_and_asks_no_more_is_closed() {
    let app = impatient(None).await;
    let mut socket = connect(&app).await;
    socket.write_all(b"GET /health/live HTTP/1.1\r\nHost: store\r\n\r\n").await.unwrap();
    let said = to_the_end(socket).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}

#[tokio::test]
async fn a_body_that_never_comes_is_waited_for_no_longer_than_patience() {
    let app = impatient(None).await;
    let said = drip(connect(&app).await, format!("{HEAD}\r\n")).await;
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("body_too_slow"), "{said}");
}

#[tokio::test]
async fn where_there_are_too_many_connections_the_oldest_idle_one_gives_way() {
    let app = TestApp::start_with(Wishes { connections: Some(20), ..Wishes::default() }).await;
    let oldest = connect(&app).await;
    let mut silent = Vec::new();
    for _ in 0..19 {
        silent.push(connect(&app).await);
    }
    let newest = silent.pop().unwrap();
    silent.push(connect(&app).await);
    assert_eq!(to_the_end(oldest).await, "");
    assert!(newest.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "it is open");
    app.visitor().get("/jogos").await.expect(200);
}

#[tokio::test]
async fn whoever_reads_nothing_of_a_long_answer_is_let_go() {
    let app = impatient(None).await;
    for n in 0..60 {
        app.game(&format!("Harbor {n}"), 100).await;
    }
    let mut socket = connect(&app).await;
    let ask = "GET /jogos?limit=100 HTTP/1.1\r\nHost: store\r\n\r\n".repeat(100);
    let asking = async { while socket.write_all(ask.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(30), asking).await.expect("it is not asked for ever");
}

const WHO: &str = "GET /metrics HTTP/1.1\r\nHost: store\r\nConnection: close\r\n\r\n";

/// What the gateway says to bytes that come from an address of this machine.
async fn said_to(app: &TestApp, from: &str, bytes: &[u8]) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let gateway = app.url.trim_start_matches("http://").parse().unwrap();
    let mut socket = socket.connect(gateway).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    to_the_end(socket).await
}

#[tokio::test]
async fn a_trusted_proxy_says_in_front_of_its_connection_whom_it_speaks_for_and_nobody_else_does() {
    const PROXY: &str = "127.0.0.2";
    const STRANGER: &str = "127.0.0.1";
    let app = TestApp::start_with(Wishes {
        proxy_header: ProxyHeader::ProxyProtocol,
        trusted_proxies: vec![format!("{PROXY}/32").parse().unwrap()],
        client_patience: Some(Duration::from_secs(1)),
        ..Wishes::default()
    })
    .await;
    let behind = |preamble: &[u8]| [preamble, WHO.as_bytes()].concat();
    let line = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n".as_slice();
    // The same in binary, and one in which a proxy speaks for itself.
    let signature = b"\r\n\r\n\0\r\nQUIT\n".as_slice();
    let binary = [signature, &[0x21, 0x11, 0, 12, 203, 0, 113, 7, 192, 0, 2, 1, 0x12, 0x67, 1, 0xbb]].concat();
    let own = [signature, &[0x20, 0, 0, 0]].concat();
    for (from, bytes, answer) in [
        (STRANGER, behind(b""), "HTTP/1.1 200"),
        (STRANGER, behind(line), "HTTP/1.1 400"),
        (PROXY, behind(line), "HTTP/1.1 403"),
        (PROXY, behind(&binary), "HTTP/1.1 403"),
        (PROXY, behind(&own), "HTTP/1.1 200"),
        (
            PROXY,
            [line, &WHO.replace("Host:", "X-Forwarded-For: 127.0.0.1\r\nHost:").into_bytes()].concat(),
            "HTTP/1.1 403",
        ),
        // Set up wrongly, it is not heard.
        (PROXY, behind(b""), ""),
        (PROXY, vec![], ""),
    ] {
        let said = said_to(&app, from, &bytes).await;
        assert!(said.starts_with(answer) && said.is_empty() == answer.is_empty(), "{from}, {bytes:?}: {said}");
    }
}
