//! What every answer carries, and what a request may say about itself.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Person, TestApp, Wishes};

async fn with(person: &Person, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let request = headers.iter().fold(person.request(method, path), |it, (name, value)| it.header(*name, *value));
    Answer::of(request).await
}

#[tokio::test]
async fn every_answer_says_that_it_is_kept_framed_and_taken_for_nothing_else() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    for path in
        ["/", "/docs", "/openapi.json", "/jogos", "/users/me", "/pedidos", "/health/live", "/metrics", "/nowhere"]
    {
        let answer = ana.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cache-control"), if path == "/" { "no-cache" } else { "no-store" }, "{path}");
        assert!(!answer.headers.contains_key("strict-transport-security"), "nothing of it was over TLS");
    }
}

#[tokio::test]
async fn nobody_on_the_way_keeps_what_opens_an_account() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let credentials = json!({ "email": ana.email, "password": ana.password });
    let expires_at = app.foundation.shared.commands.clock().now() + chrono::TimeDelta::days(7);
    let key = json!({ "name": "a script", "scopes": ["read_catalogue"], "expires_at": expires_at.to_rfc3339() });
    for (path, body) in [
        ("/login/auth", credentials),
        ("/login/refresh", json!({ "refresh_token": ana.refresh_token })),
        ("/users/me/api-keys", key),
    ] {
        let answer = ana.post(path, &body).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}: {}", answer.status);
        assert!(answer.status < 300, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn every_text_says_that_it_is_utf_8() {
    let app = TestApp::start().await;
    for path in ["/", "/docs", "/metrics", "/loja/main.js", "/loja/app.css", "/.well-known/security.txt"] {
        let kind = app.visitor().get(path).await.header("content-type");
        assert!(kind.starts_with("text/") && kind.ends_with("charset=utf-8"), "{path}: {kind}");
    }
}

#[tokio::test]
async fn what_is_public_is_not_sent_again_to_whoever_has_it() {
    let app = TestApp::start().await;
    let game = app.game("Summit", 5_990).await;
    let game = format!("/jogos/{game}");
    let documents = ["/openapi.json", "/asyncapi.json", "/schemas", "/schemas/OrderCreated/1"];
    for path in ["/jogos", game.as_str(), "/.well-known/jwks.json"].into_iter().chain(documents) {
        let first = app.visitor().get(path).await;
        assert_eq!((first.status, first.header("cache-control")), (200, "no-cache".to_owned()), "{path}");
        let tag = first.header("etag");
        assert!(tag.trim_start_matches("W/").starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        let again = with(&app.visitor(), Method::GET, path, &[("If-None-Match", &tag)]).await;
        assert_eq!((again.status, again.header("etag")), (304, tag), "{path}");
    }
    let tag = app.visitor().get("/loja/main.js").await.header("etag");
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let again = with(&app.visitor(), Method::GET, "/loja/main.js", &[("If-None-Match", &tag)]).await;
    assert_eq!((again.status, again.header("etag")), (304, tag));
    app.visitor().get("/loja/").await.refused(404, "no_such_route");
    let tag = app.visitor().get("/jogos").await.header("etag");
    app.game("Harbor", 100).await;
    let changed = with(&app.visitor(), Method::GET, "/jogos", &[("If-None-Match", &tag)]).await;
    assert_eq!(changed.status, 200, "another game is in it");
}

#[tokio::test]
async fn head_is_answered_wherever_get_is() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    for path in ["/", "/jogos", "/users/me", "/openapi.json", "/docs", "/health/ready", "/metrics", "/nowhere"] {
        let (head, get) = (with(&ana, Method::HEAD, path, &[]).await, ana.get(path).await);
        assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
    }
    // What stands behind the head of one answer is the next answer, not a body.
    let mut socket = TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    let asked =
        "HEAD /jogos HTTP/1.1\r\nHost: store\r\n\r\nGET /jogos HTTP/1.1\r\nHost: store\r\nConnection: close\r\n\r\n";
    socket.write_all(asked.as_bytes()).await.unwrap();
    let mut said = String::new();
    socket.read_to_string(&mut said).await.unwrap();
    let parts: Vec<_> = said.split("\r\n\r\n").collect();
    assert!(parts.len() == 3 && parts[1].starts_with("HTTP/1.1 200"), "{said}");
    let length = format!("content-length: {}", parts[2].len());
    assert!(parts[0].contains(&length) && parts[1].contains(&length), "{said}");
}

#[tokio::test]
async fn a_request_is_known_by_the_id_that_its_client_gave_or_by_a_new_one() {
    let app = TestApp::start().await;
    let given = with(&app.visitor(), Method::GET, "/users/me", &[("X-Request-Id", "from-the-client:1")]).await;
    assert_eq!(given.header("x-request-id"), "from-the-client:1");
    assert_eq!(given.body["request_id"], "from-the-client:1");
    for unfit in ["", "two words", &"x".repeat(129), "<script>"] {
        let made = with(&app.visitor(), Method::GET, "/jogos", &[("X-Request-Id", unfit)]).await;
        assert_eq!(made.header("x-request-id").len(), 36, "a UUID instead of {unfit:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_where_none_is_needed_as_well() {
    let app = TestApp::start().await;
    let forged = [("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")];
    for path in ["/jogos", "/jogos/busca?q=summit", "/users/me"] {
        with(&app.visitor(), Method::GET, path, &forged).await.refused(401, "unauthenticated");
    }
    // Somebody whose token has ended still gets in.
    let credentials = json!({ "email": app.admin.email, "password": app.admin.password });
    let login = app.visitor().request(Method::POST, "/login/auth").header(forged[0].0, forged[0].1);
    Answer::of(login.json(&credentials)).await.expect(200);
}

#[tokio::test]
async fn only_a_trusted_proxy_is_believed_about_where_a_request_comes_from() {
    let said = [("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "https")];
    let stranger = TestApp::start().await;
    let metrics = with(&stranger.visitor(), Method::GET, "/metrics", &said).await;
    assert_eq!(metrics.status, 200, "it comes from this machine, whatever it says");
    assert!(!metrics.headers.contains_key("strict-transport-security"));

    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let proxied = TestApp::start_with(Wishes { trusted_proxies, ..Wishes::default() }).await;
    let metrics = with(&proxied.visitor(), Method::GET, "/metrics", &said).await;
    assert!(metrics.headers.contains_key("strict-transport-security"), "the client spoke TLS");
    metrics.refused(403, "forbidden");
}

#[tokio::test]
async fn whoever_finds_a_hole_learns_whom_to_tell() {
    let app = TestApp::start().await;
    let said = app.visitor().get("/.well-known/security.txt").await.expect(200);
    let said = said.as_str().unwrap();
    assert!(said.contains("Contact: mailto:security@store.example\n"), "{said}");
    let expires = said.lines().find_map(|line| line.strip_prefix("Expires: ")).unwrap();
    let now = app.foundation.shared.commands.clock().now();
    assert!(chrono::DateTime::parse_from_rfc3339(expires).unwrap() > now, "{expires}");
}

#[tokio::test]
async fn pages_elsewhere_may_use_the_api_where_the_store_says_so_and_nowhere_else() {
    let cors_origins = vec!["https://partner.example".to_owned()];
    let app = TestApp::start_with(Wishes { cors_origins, ..Wishes::default() }).await;
    let asks = async |app: &TestApp, origin: &str, method: Method| {
        let request = app.visitor().request(method, "/jogos").header("Origin", origin);
        Answer::of(request.header("Access-Control-Request-Method", "POST")).await
    };
    let preflight = asks(&app, "https://partner.example", Method::OPTIONS).await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), "https://partner.example");
    assert!(preflight.header("access-control-allow-headers").contains("Idempotency-Key"));
    assert!(!preflight.headers.contains_key("access-control-allow-credentials"), "cookies stay at home");
    let read = asks(&app, "https://partner.example", Method::GET).await;
    assert_eq!(read.header("access-control-allow-origin"), "https://partner.example");
    assert!(read.headers.get_all("vary").iter().any(|vary| vary == "Origin"));
    for stranger in ["https://partner.example.evil.example", "http://partner.example", "null"] {
        assert!(!asks(&app, stranger, Method::GET).await.headers.contains_key("access-control-allow-origin"));
        assert_ne!(asks(&app, stranger, Method::OPTIONS).await.status, 204);
    }
    let closed = TestApp::start().await;
    let preflight = asks(&closed, "https://partner.example", Method::OPTIONS).await;
    assert!(!preflight.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn whoever_may_not_log_in_any_more_for_now_may_still_do_everything_else() {
    let app = TestApp::start_with(Wishes { rate_limits: "login=5", ..Wishes::default() }).await;
    let wrong = json!({ "email": "nobody@example.com", "password": "wrong password" });
    let mut last = app.visitor().post("/login/auth", &wrong).await;
    for _ in 0..5 {
        last = app.visitor().post("/login/auth", &wrong).await;
    }
    assert!(last.header("retry-after").parse::<u64>().unwrap() > 0);
    last.refused(429, "too_many_attempts");
    let refresh = json!({ "refresh_token": app.admin.refresh_token });
    app.visitor().post("/login/refresh", &refresh).await.expect(200);
    let ana = json!({ "name": "Ana", "email": "ana@example.com", "password": "a long umbrella kettle", "birth_date": "1990-05-17" });
    app.visitor().post("/users", &ana).await.expect(201);
}
