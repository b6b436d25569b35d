//! How often anybody may do what.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Person, TestApp, Wishes};

async fn store(rate_limits: &'static str) -> TestApp {
    TestApp::start_with(Wishes { rate_limits, ..Wishes::default() }).await
}

async fn search(person: &Person) -> Answer {
    person.get("/jogos/busca?q=x").await
}

#[tokio::test]
async fn an_answer_says_what_is_left_and_nobody_uses_up_what_is_anothers() {
    let app = store("search=3").await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    for left in [2, 1, 0] {
        let found = search(&ana).await;
        assert_eq!(found.header("ratelimit-policy"), "\"search\";q=3;w=60");
        assert_eq!(found.header("ratelimit"), format!("\"search\";r={left}"));
        found.expect(200);
    }
    let refused = search(&ana).await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=21).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit"), format!("\"search\";r=0;t={wait}"));
    refused.refused(429, "too_many_attempts");

    // Neither others nor other things of hers are affected.
    search(&ben).await.expect(200);
    search(&app.visitor()).await.expect(200);
    ana.get("/jogos").await.expect(200);
}

#[tokio::test]
async fn purchases_streams_and_exports_are_limited() {
    let app = store("purchase=1,stream=1,export=1").await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 100).await);
    let stream = || ana.request(Method::GET, "/notificacoes").send();
    ana.buy(&[&game], "pix").await;
    ana.try_buy(&[&game], "pix").await.refused(429, "too_many_attempts");
    assert_eq!(
        (stream().await.unwrap().status(), stream().await.unwrap().status()),
        (200.try_into().unwrap(), 429.try_into().unwrap())
    );
    ana.get("/users/me/export").await.expect(200);
    ana.get("/users/me/export").await.refused(429, "too_many_attempts");
}

#[tokio::test]
async fn addresses_of_one_ipv6_network_are_one_caller() {
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let app = TestApp::start_with(Wishes { rate_limits: "search=3", trusted_proxies, ..Wishes::default() }).await;
    let from = async |address: &str| {
        let request = app.visitor().request(Method::GET, "/jogos/busca?q=x").header("X-Forwarded-For", address);
        Answer::of(request).await
    };
    for (address, left) in [("2001:db8:1:2::7", 2), ("2001:db8:1:2:ffff::1", 1), ("2001:db8:1:2:3:4:5:6", 0)] {
        assert_eq!(from(address).await.header("ratelimit"), format!("\"search\";r={left}"), "{address}");
    }
    from("2001:db8:1:2::8").await.refused(429, "too_many_attempts");
    for another in ["2001:db8:1:3::7", "192.0.2.7", "192.0.2.8"] {
        assert_eq!(from(another).await.header("ratelimit"), "\"search\";r=2", "{another}");
    }
}

#[tokio::test]
async fn whoever_tries_token_after_token_is_told_to_wait() {
    let app = store("token=3").await;
    let forger = Person { token: Some("not.a.token".to_owned()), ..app.visitor() };
    for _ in 0..3 {
        forger.get("/jogos").await.refused(401, "unauthenticated");
    }
    forger.get("/jogos").await.refused(429, "too_many_attempts");
    app.visitor().get("/jogos").await.expect(200);
    app.admin.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn what_was_used_at_one_gateway_is_used_at_all() {
    let app = store("mailbox=20").await;
    let elsewhere = Person { url: app.second_gateway().await, ..app.visitor() };
    let forgotten =
        async |person: Person| person.post("/login/forgotten", &json!({ "email": "nobody@example.com" })).await.status;
    let here = futures::future::join_all((0..19).map(|_| forgotten(app.visitor()))).await;
    assert!(here.iter().all(|status| *status == 202), "{here:?}");
    let mut let_through = 0;
    while forgotten(elsewhere.clone()).await == 202 {
        let_through += 1;
    }
    assert!(let_through < 15, "{let_through} of 20");
}

#[tokio::test]
async fn strangers_who_guess_a_password_do_not_shut_its_owner_out() {
    let app = store("account=3").await;
    let ana = app.customer("ana").await;
    let log_in = async |password: &str, cookie: &str| {
        let body = json!({ "email": ana.email, "password": password });
        Answer::of(app.visitor().request(Method::POST, "/login/auth").header("Cookie", cookie).json(&body)).await
    };
    let first = log_in(&ana.password, "").await;
    let device = first.header("set-cookie").split(';').next().unwrap().to_owned();
    first.expect(200);
    log_in("a guess", "").await.refused(401, "wrong_credentials");

    log_in("a guess", "").await.refused(429, "too_many_attempts");
    log_in(&ana.password, "").await.refused(429, "too_many_attempts");

    log_in(&ana.password, &device).await.expect(200);
    // A device of another account, and one that was made up, are strange.
    let eve = app.customer("eve").await;
    let body = json!({ "email": eve.email, "password": eve.password });
    let theirs = app.visitor().post("/login/auth", &body).await.header("set-cookie");
    for strange in [theirs.split(';').next().unwrap(), &device[..device.len() - 4], "__Host-ludoteca-device=AAAA"] {
        log_in(&ana.password, strange).await.refused(429, "too_many_attempts");
    }
}

#[tokio::test]
async fn even_a_known_device_may_not_guess_without_end() {
    let app = store("device=2").await;
    let ana = app.customer("ana").await;
    let log_in = async |password: &str, cookie: &str| {
        let body = json!({ "email": ana.email, "password": password });
        Answer::of(app.visitor().request(Method::POST, "/login/auth").header("Cookie", cookie).json(&body)).await
    };
    let device = log_in(&ana.password, "").await.header("set-cookie").split(';').next().unwrap().to_owned();
    for _ in 0..2 {
        log_in("a guess", &device).await.refused(401, "wrong_credentials");
    }
    log_in("a guess", &device).await.refused(429, "too_many_attempts");
}

#[tokio::test]
async fn files_and_documents_are_limited_apart_from_the_api() {
    let app = store("page=2").await;
    app.visitor().get("/").await.expect(200);
    assert_eq!(app.visitor().get("/loja/main.js").await.header("ratelimit"), "\"page\";r=0");
    for path in ["/", "/loja/main.js", "/docs", "/openapi.json", "/asyncapi.json", "/schemas", "/.well-known/jwks.json"]
    {
        app.visitor().get(path).await.refused(429, "too_many_attempts");
    }
    for path in ["/jogos", "/health/ready"] {
        app.visitor().get(path).await.expect(200);
    }
}
