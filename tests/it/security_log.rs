//! What the gateway writes down for whoever looks for misuse.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, TestApp, eventually};

/// The lines of the security log, as far as they were written.
fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "security").collect()
}

/// A gateway of its own, and the file that it writes its log to.
async fn logging_gateway(app: &TestApp) -> (tokio::process::Child, Person, PathBuf) {
    let (port, log) = (ludoteca::local::free_port().unwrap(), app.folder().join("gateway.log"));
    let mut gateway = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    gateway.arg("gateway").envs(app.environment()).env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"));
    gateway.env("JWT_KEY_FILE", app.folder().join("jwt.pem")).env("LOG_FORMAT", "json");
    gateway.env("PSP_WEBHOOK_SECRETS_FILE", app.folder().join("webhook-secrets"));
    gateway.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
    let gateway = gateway.kill_on_drop(true).spawn().unwrap();
    let visitor = Person::nobody(&format!("http://127.0.0.1:{port}"));
    let is_there = || async { visitor.request(Method::GET, "/health/live").send().await.is_ok() };
    eventually("the gateway is there", is_there).await;
    (gateway, visitor, log)
}

#[tokio::test]
async fn logins_refusals_and_looks_at_others_are_logged_without_anybodys_data() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (_gateway, visitor, log) = logging_gateway(&app).await;
    let url = visitor.url.clone();

    let login = json!({ "email": ana.email, "password": "a wrong umbrella kettle" });
    visitor.post("/login/auth", &login).await.refused(401, "wrong_credentials");
    let ana = Person { token: Person::log_in(&url, &ana.email, &ana.password).await.token, url: url.clone(), ..ana };
    ana.get("/users?limit=1").await.refused(403, "forbidden");
    let forger = Person { token: Some("not.a.token".to_owned()), ..visitor };
    forger.get("/jogos").await.refused(401, "unauthenticated");
    let admin = Person { url, ..app.admin.clone() };
    admin.get(&format!("/users/{}", ana.id)).await.expect(200);
    admin.put(&format!("/users/{}/role", ana.id), &json!({ "role": "analyst" })).await.expect(204);

    let seen = || {
        let told = |line: &Value| {
            let field = |name: &str| line["fields"][name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", field("event"), field("outcome"), field("user"))
        };
        lines(&log).iter().map(told).collect::<Vec<_>>()
    };
    for expected in [
        "login failure ".to_owned(),
        format!("login success {}", ana.id),
        format!("refusal failure {}", ana.id),
        "token failure ".to_owned(),
        format!("staff_read success {}", admin.id),
        format!("role_change success {}", admin.id),
    ] {
        eventually(&format!("{expected:?} is logged"), || async { seen().contains(&expected) }).await;
    }
    assert!(lines(&log).iter().all(|line| line["span"]["request.id"].is_string()), "{:?}", lines(&log));
    let failed = lines(&log).into_iter().find(|line| line["fields"]["outcome"] == "failure").unwrap();
    assert_eq!(failed["fields"]["network"], "127.0.0.0/24");
    assert_eq!(failed["fields"]["account"].as_str().unwrap().len(), 16, "told, and not named");
    let text = std::fs::read_to_string(&log).unwrap();
    for secret in [ana.email.as_str(), &ana.password, "wrong umbrella", &ana.token.unwrap()] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_key_that_was_exchanged_and_a_token_that_came_back_are_logged() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let (_gateway, visitor, log) = logging_gateway(&app).await;
    let is_logged = |event: &'static str| {
        let log = log.clone();
        async move { lines(&log).iter().any(|line| line["fields"]["event"] == event) }
    };
    assert!(!is_logged("key_change").await && !is_logged("token_reuse").await);

    app.keys(&["rotate"]).await;
    eventually("the exchange is logged", || is_logged("key_change")).await;

    let refresh = async |token: &str| visitor.post("/login/refresh", &json!({ "refresh_token": token })).await;
    let mut newest = ana.refresh_token.clone();
    for _ in 0..2 {
        newest = refresh(&newest).await.expect(200)["refresh_token"].as_str().unwrap().to_owned();
    }
    refresh(&ana.refresh_token).await.refused(401, "invalid_refresh_token");
    eventually("the token is logged", || is_logged("token_reuse")).await;
    refresh(&newest).await.refused(401, "invalid_refresh_token");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains(&ana.refresh_token) && !text.contains(&newest));
}
