use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::sessions::{ends, stream};
use crate::support::{Answer, Person, TestApp, Wishes};

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_look_the_same() {
    let app = TestApp::start().await;
    app.customer("ana").await;
    let mut answers = Vec::new();
    for email in ["ana@example.com", "nobody@example.com", "no address"] {
        let login = json!({ "email": email, "password": "wrong password" });
        let answer = app.visitor().post("/login/auth", &login).await;
        let names = answer.headers.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
        answers.push((answer.status, without_request(&answer.body), names));
    }
    assert_eq!(answers[0].0, 401, "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

/// A problem without the id of its request.
fn without_request(problem: &Value) -> Value {
    let mut problem = problem.clone();
    problem.as_object_mut().unwrap().remove("request_id");
    problem
}

async fn refresh(app: &TestApp, token: &str) -> Answer {
    app.visitor().post("/login/refresh", &json!({ "refresh_token": token })).await
}

/// Lets the time pass in which a used token may come back because its answer got lost.
async fn grace_is_over(app: &TestApp) {
    let moved = sqlx::query("update vault.sessions set rotated_at = rotated_at - interval '11 seconds'");
    moved.execute(app.pool()).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_session() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let second = refresh(&app, &ana.refresh_token).await.expect(200);
    let third = refresh(&app, second["refresh_token"].as_str().unwrap()).await.expect(200);
    let token = third["refresh_token"].as_str().unwrap();
    // Two tokens ago is theft, however soon.
    refresh(&app, &ana.refresh_token).await.refused(401, "invalid_refresh_token");
    refresh(&app, token).await.refused(401, "invalid_refresh_token");
    for made_up in ["made up", "", ".", &format!("{}.AAAA", ana.id)] {
        refresh(&app, made_up).await.refused(401, "invalid_refresh_token");
    }
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_or_that_two_tabs_send_is_no_theft() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let tabs = futures::future::join_all((0..4).map(|_| refresh(&app, &ana.refresh_token))).await;
    let tokens: Vec<_> = tabs.into_iter().map(|tab| tab.expect(200)["refresh_token"].clone()).collect();
    assert!(tokens.iter().all(|token| token == &tokens[0]), "the same for all");
    grace_is_over(&app).await;
    refresh(&app, &ana.refresh_token).await.refused(401, "invalid_refresh_token");
    refresh(&app, tokens[0].as_str().unwrap()).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_stolen_token_ends_its_whole_session_whatever_happens_at_once() {
    let app = TestApp::start().await;
    for n in 0..10 {
        let ana = app.customer(&format!("ana{n}")).await;
        let second = refresh(&app, &ana.refresh_token).await.expect(200);
        let second = second["refresh_token"].as_str().unwrap();
        grace_is_over(&app).await;
        let (theft, last) = tokio::join!(refresh(&app, &ana.refresh_token), refresh(&app, second));
        theft.refused(401, "invalid_refresh_token");
        let last = last.body["refresh_token"].as_str().unwrap_or(second).to_owned();
        for token in [second, &last] {
            refresh(&app, token).await.refused(401, "invalid_refresh_token");
        }
    }
}

#[tokio::test]
async fn logging_out_ends_the_session() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let body = json!({ "refresh_token": ana.refresh_token });
    app.visitor().post("/login/logout", &body).await.expect(204);
    app.visitor().post("/login/refresh", &body).await.refused(401, "invalid_refresh_token");
}

#[tokio::test]
async fn logins_are_throttled_the_same_for_known_and_unknown_accounts() {
    let app = TestApp::start_with(Wishes { rate_limits: "account=3", ..Wishes::default() }).await;
    app.customer("ana").await;
    for (email, free) in [("ana@example.com", 2), ("nobody@example.com", 3)] {
        let login = json!({ "email": email, "password": "wrong password" });
        for _ in 0..free {
            app.visitor().post("/login/auth", &login).await.refused(401, "wrong_credentials");
        }
        let throttled = app.visitor().post("/login/auth", &login).await;
        assert!(throttled.header("retry-after").parse::<u64>().unwrap() > 0);
        throttled.refused(429, "too_many_attempts");
    }
}

/// A PKCS #8 key from its PEM.
fn signing_key(pem: &str) -> EncodingKey {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    EncodingKey::from_ed_der(&BASE64_STANDARD.decode(body).unwrap())
}

#[tokio::test]
async fn only_a_complete_token_of_our_own_key_is_believed() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let jwks = app.visitor().get("/.well-known/jwks.json").await.expect(200);
    let key = &jwks["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into()));
    let kid = key["kid"].as_str().unwrap();

    let now = journal::Clock::default().now().timestamp();
    let claims = || json!({ "iss": "ludoteca", "aud": "ludoteca-gateway", "sub": ana.id, "role": "admin", "sid": ana.id, "generation": 0, "acr": "aal1", "auth_time": now, "iat": now, "nbf": now, "exp": now + 600 });
    let foreign = gateway::generate_key().unwrap();
    let foreign = signing_key(secrecy::ExposeSecret::expose_secret(&foreign));
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
    let public = BASE64_URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let hs256 = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    let none = |claims: &Value| {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT", "kid": kid })), part(claims))
    };
    let tampered = {
        let own = ana.token.clone().unwrap();
        let mut parts: Vec<String> = own.split('.').map(str::to_owned).collect();
        let mut claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(&parts[1]).unwrap()).unwrap();
        claims["role"] = json!("admin");
        parts[1] = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        parts.join(".")
    };
    for (what, token) in [
        ("signed by another key", jsonwebtoken::encode(&header, &claims(), &foreign).unwrap()),
        (
            "HS256 with the public key",
            jsonwebtoken::encode(&hs256, &claims(), &EncodingKey::from_secret(&public)).unwrap(),
        ),
        ("alg none", none(&claims())),
        ("a role of its bearer's choice", tampered),
        ("malformed", "not.a.token".to_owned()),
        ("empty", String::new()),
    ] {
        let forger = Person { token: Some(token), ..app.visitor() };
        println!("a token that is {what}");
        forger.get("/users/me").await.refused(401, "unauthenticated");
        forger.get("/users").await.refused(401, "unauthenticated");
    }
    app.visitor().get("/users/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_token_without_its_claims_or_out_of_time_is_not_believed() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let own = signing_key(&std::fs::read_to_string(app.folder().join("jwt.pem")).unwrap());
    let jwks = app.visitor().get("/.well-known/jwks.json").await.expect(200);
    let kid = jwks["keys"][0]["kid"].as_str().unwrap().to_owned();
    let now = journal::Clock::default().now().timestamp();
    let good = || json!({ "iss": "ludoteca", "aud": "ludoteca-gateway", "sub": ana.id, "role": "customer", "sid": ana.id, "generation": 0, "acr": "aal1", "auth_time": now, "iat": now, "nbf": now, "exp": now + 600 });
    let status = |claims: Value, kid: &str| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let person = Person { token: Some(jsonwebtoken::encode(&header, &claims, &own).unwrap()), ..app.visitor() };
        async move {
            // What is public is not told to whoever shows a token that is not good.
            let (own, public) = (person.get("/users/me").await.status, person.get("/jogos").await.status);
            assert_eq!(own, public);
            own
        }
    };
    assert_eq!(status(good(), &kid).await, 200, "the control");
    assert_eq!(status(good(), "another").await, 401, "wrong kid");
    for missing in ["exp", "iss", "aud", "sub", "sid", "generation", "acr", "auth_time"] {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(missing);
        assert_eq!(status(claims, &kid).await, 401, "without {missing}");
    }
    for (claim, value) in [
        ("exp", json!(now - 60)),
        ("nbf", json!(now + 600)),
        ("iss", json!("another store")),
        ("aud", json!("another part")),
        ("sub", json!("nobody")),
        ("role", json!("king")),
        ("sid", json!("this one")),
        ("generation", json!(-1)),
        ("acr", json!("aal9")),
    ] {
        let mut claims = good();
        claims[claim] = value;
        assert_eq!(status(claims, &kid).await, 401, "{claim}");
    }
}

#[tokio::test]
async fn what_is_open_ends_with_the_life_of_its_token() {
    let app = TestApp::start().await;
    let own = signing_key(&std::fs::read_to_string(app.folder().join("jwt.pem")).unwrap());
    let jwks = app.visitor().get("/.well-known/jwks.json").await.expect(200);
    let header = Header { kid: jwks["keys"][0]["kid"].as_str().map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
    let now = journal::Clock::default().now().timestamp();
    let claims = json!({ "iss": "ludoteca", "aud": "ludoteca-gateway", "sub": app.admin.id, "role": "admin", "sid": app.admin.id, "generation": 0, "acr": "aal1", "auth_time": now, "iat": now, "nbf": now, "exp": now + 3 });
    let token = Some(jsonwebtoken::encode(&header, &claims, &own).unwrap());
    let admin = Person { token, ..app.admin.clone() };
    let notices = stream(&admin).await;
    let events = admin.request(reqwest::Method::GET, "/eventos?follow=true").send().await.unwrap();
    assert_eq!(events.status(), 200);
    ends(notices).await;
    ends(events).await;
}
