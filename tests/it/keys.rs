//! Keys and secrets that are exchanged while the store runs.

use std::sync::Arc;

use domain::{Email, UserId};
use journal::{Clock, JournalError, Vault};
use ludoteca::roles::{Foundation, ROLES};
use ludoteca::up::new_master_key;
use psp::sandbox::seconds_now;
use psp::signature::sign;
use reqwest::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Answer, Person, TestApp, eventually};

async fn published(app: &TestApp) -> Vec<String> {
    let jwks = app.visitor().get("/.well-known/jwks.json").await.expect(200);
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn access_keys_are_rotated_without_logging_anybody_out() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let old = published(&app).await;
    app.keys(&["rotate"]).await;
    eventually("the new key signs", || async {
        published(&app).await.last() == old.last() && published(&app).await.len() == 2
    })
    .await;
    ana.get("/users/me").await.expect(200);
    let again = Person::log_in(&app.url, &ana.email, &ana.password).await;

    app.keys(&["retire", &old[0]]).await;
    eventually("the old key is believed no more", || async { ana.get("/users/me").await.status == 401 }).await;
    again.get("/users/me").await.expect(200);
    assert!(!app.keys(&["ls"]).await.contains(&old[0]));
}

async fn deliver(app: &TestApp, secret: &str) -> u16 {
    let body = json!({ "id": format!("evt_{}", journal::Clock::default().new_id()), "type": "ping" }).to_string();
    let request = app.visitor().request(Method::POST, "/webhooks/psp");
    let request = request.header("Stripe-Signature", sign(body.as_bytes(), &secret.into(), seconds_now()));
    Answer::of(request.header("Content-Type", "application/json").body(body)).await.status
}

#[tokio::test]
async fn webhook_secrets_are_rotated_and_no_delivery_is_lost() {
    let app = TestApp::start().await;
    assert_eq!(deliver(&app, "whsec_fresh_and_long").await, 403);
    app.keys(&["add-secret", "--secret", "whsec_fresh_and_long"]).await;
    eventually("the fresh secret is believed", || async { (deliver(&app, "whsec_fresh_and_long").await, 200) }).await;
    assert_eq!(deliver(&app, "whsec_of_tests").await, 200, "and so is the old one");

    // The PSP signs with the fresh one from now on.
    app.psp_behaves(json!({ "webhook_secret": "whsec_fresh_and_long" })).await;
    let listed = app.keys(&["ls"]).await;
    let old = listed.lines().find(|line| line.starts_with("secret")).unwrap().split_whitespace().nth(1).unwrap();
    app.keys(&["retire-secret", old]).await;
    eventually("the old secret is believed no more", || async { (deliver(&app, "whsec_of_tests").await, 403) }).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pix").await;
    ana.sees_order(&order, "completed").await;
}

#[tokio::test]
async fn the_master_key_is_exchanged_under_load_and_no_event_is_rewritten() {
    let mut app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let events = async |app: &TestApp| -> String {
        let all = "select md5(string_agg(e::text, '' order by position)) from journal.events e
                   where recorded_at < (select max(recorded_at) from journal.events where event_type = 'GameCreated')";
        sqlx::query_scalar(all).fetch_one(app.pool()).await.unwrap()
    };
    app.game("Summit", 5_990).await;
    let before = events(&app).await;
    let owner = journal::connect(&app.owner_url, 2).await.unwrap();
    let vault = app.foundation.vault.clone();
    let (lost, new) = (new_master_key(), new_master_key());
    vault.add_master(&owner, &lost, false).await.unwrap();
    let again = vault.add_master(&owner, &new, false).await;
    assert!(matches!(again, Err(JournalError::HasSuccessor { .. })), "{again:?}");
    vault.add_master(&owner, &new, true).await.unwrap();

    // Whoever forgets to set the new key does not make the old one the only one again.
    let forgotten = vault.rewrap(&owner, |_| ()).await;
    assert!(matches!(forgotten, Err(JournalError::HasSuccessor { .. })), "{forgotten:?}");

    // Both are read by both, as long as not every role has the new one.
    let old = std::mem::replace(&mut app.store.master_key, new.clone());
    app.customer("bia").await;
    app.foundation = Arc::new(Foundation::connect(&app.store, CancellationToken::new()).await.unwrap());
    let commands = app.foundation.shared.commands.clone();
    let known = async |name: &str| {
        let email = Email::parse(&format!("{name}@example.com")).unwrap();
        let user = commands.journal().holder(&commands.vault().email_claim(&email)).await.unwrap().unwrap();
        commands.profile(UserId::from_uuid(user)).await.unwrap().unwrap().0.email
    };
    assert_eq!(known("bia").await.as_str(), "bia@example.com");
    ana.get("/users/me").await.expect(200);
    app.url = app.second_gateway().await;
    app.start_role("notary");
    for role in ROLES {
        app.kill_role(role).await;
        if role != "gateway" {
            app.start_role(role);
        }
    }

    let registering = async {
        for name in ["carla", "davi", "eva"] {
            app.customer(name).await;
        }
    };
    let (wrapped, ()) = tokio::join!(app.foundation.vault.rewrap(&owner, |_| ()), registering);
    assert!(wrapped.unwrap() >= 3);
    for name in ["ana", "bia", "carla", "davi", "eva"] {
        known(name).await;
    }
    let open = async |key| Vault::open(app.pool().clone(), key, Clock::default()).await;
    for gone in [&old, &lost] {
        assert!(matches!(open(gone).await, Err(JournalError::WrongMasterKey)));
    }
    open(&new).await.unwrap();
    assert_eq!(events(&app).await, before);
}

/// Whether `ludoteca verify` is content, and what it says, where its master key is given otherwise and more is set.
async fn verify(app: &TestApp, settings: &[(&str, &str)]) -> (bool, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    command.arg("verify").envs(app.environment()).env_remove("MASTER_KEY").envs(settings.iter().copied());
    let done = command.output().await.unwrap();
    (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

#[tokio::test]
async fn whoever_only_carries_events_has_no_key_to_anybodys_data() {
    let mut app = TestApp::start().await;
    let mut carriers = Vec::new();
    for role in ["relay", "indexer"] {
        app.kill_role(role).await;
        let mut carrier = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
        carrier.arg(role).envs(app.environment()).kill_on_drop(true);
        for secret in ["MASTER_KEY", "PSP_KEY", "PSP_WEBHOOK_SECRET", "JWT_KEY_FILE"] {
            carrier.env_remove(secret);
        }
        carriers.push(carrier.spawn().unwrap());
    }
    app.game("Summit", 5_990).await;
    eventually("the game is found", || async {
        let found = app.visitor().get("/jogos/busca?q=summit").await.expect(200);
        (found["total"].as_u64(), Some(1))
    })
    .await;
}

#[tokio::test]
async fn a_secret_may_stand_in_a_file() {
    let app = TestApp::start().await;
    app.game("Summit", 5_990).await;
    let (_, key) = app.environment().into_iter().find(|(name, _)| *name == "MASTER_KEY").unwrap();
    let closed = journal::Vault::closed(app.pool().clone(), journal::Clock::default());
    let refused = closed.subject(domain::UserId::parse(&app.admin.id).unwrap()).await.err();
    assert!(matches!(refused, Some(journal::JournalError::WrongMasterKey)), "without the key nothing opens");
    let file = app.folder().join("master-key");
    std::fs::write(&file, format!("{key}\n")).unwrap();
    let (is_whole, said) = verify(&app, &[("MASTER_KEY_FILE", file.to_str().unwrap())]).await;
    assert!(is_whole, "{said}");
    let (_, said) = verify(&app, &[("MASTER_KEY_FILE", "/nowhere")]).await;
    assert!(said.contains("MASTER_KEY_FILE: /nowhere: No such file"), "{said}");
    let (_, said) = verify(&app, &[("MASTER_KEY_FILE", "/nowhere"), ("MASTER_KEY", &key)]).await;
    assert!(said.contains("MASTER_KEY and MASTER_KEY_FILE are both set"), "{said}");
}

#[tokio::test]
async fn secrets_that_everybody_knows_are_refused() {
    let app = TestApp::start().await;
    let (_, key) = app.environment().into_iter().find(|(name, _)| *name == "MASTER_KEY").unwrap();
    let zeros = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, [0; 32]);
    for (name, value) in [
        ("DATABASE_URL", "postgres://ludoteca:change-me-too@localhost/ludoteca"),
        ("NATS_URL", "nats://ludoteca:change-me@localhost"),
        ("MASTER_KEY", zeros.as_str()),
        ("MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ] {
        let (is_taken, said) = verify(&app, &[("MASTER_KEY", &key), (name, value)]).await;
        assert!(!is_taken && said.contains(&format!("{name} is one that everybody knows")), "{said}");
        assert!(!said.contains(value), "{said}");
    }
}
