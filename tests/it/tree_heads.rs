//! What the store has signed of its events, and what proves it to somebody who trusts nobody.

mod mutations;

use std::path::{Path, PathBuf};
use std::process::Output;

use journal::{CloudEvent, Hash, HeadKey, HeadKeys, jsonb_text, leaf};
use nats::EVENTS;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::process::Command;
use workers::{Notary, NotaryError};

use crate::support::{TestApp, eventually, new_database};

/// A copy of the stream, with what an auditor has beside it.
struct Copy {
    export: PathBuf,
    lines: PathBuf,
    keys: PathBuf,
    head: PathBuf,
    /// How many events were signed.
    size: u64,
}

/// The bodies of the mirror, once it has everything that happened.
async fn mirrored(app: &TestApp) -> Vec<Vec<u8>> {
    let nats = &app.foundation.shared.nats;
    let wanted = u64::try_from(app.events("%").await).unwrap();
    eventually("everything is mirrored", || async { (nats.extent(EVENTS).await.unwrap().1, wanted) }).await;
    let (mut replay, mut bodies) = (nats.replay(EVENTS, ">", 1), vec![]);
    loop {
        let batch = replay.next_batch().await.unwrap();
        if batch.is_empty() {
            return bodies;
        }
        bodies.extend(batch.iter().map(|stored| stored.payload.to_vec()));
    }
}

/// A notary that has read everything that happened.
async fn notary(app: &TestApp) -> Result<Notary, NotaryError> {
    let events = mirrored(app).await.len();
    let key = HeadKey::parse(&app.notary.tree_head_key).unwrap();
    let shared = &app.foundation.shared;
    let mut notary = Notary::open(shared.commands.clone(), &shared.nats, key).await?;
    assert_eq!(notary.read().await?, u64::try_from(events).unwrap());
    Ok(notary)
}

/// Purchases, signed, and some that are not.
async fn signed_store() -> TestApp {
    let app = TestApp::start().await;
    let (ana, summit) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&summit], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    notary(&app).await.unwrap().sign().await.unwrap().unwrap();
    app.game("Tetris", 1_000).await;
    notary(&app).await.unwrap().sign().await.unwrap().unwrap();
    mirrored(&app).await;
    app
}

/// Where Node.js is found: what `scripts/test` installs for other tests, or the machine's own.
async fn path_with_node() -> Option<String> {
    let own = std::env::var("CLIENTS").map(|clients| format!("{clients}/bin:")).unwrap_or_default();
    let path = format!("{own}{}", std::env::var("PATH").unwrap());
    let node = Command::new("node").arg("--version").env("PATH", &path).output().await;
    if node.is_ok_and(|node| node.status.success()) {
        return Some(path);
    }
    println!("SKIPPED: scripts/check-proof (there is no Node.js)");
    None
}

async fn ludoteca(arguments: &[&str], environment: &[(&str, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    command.env_clear().args(arguments).envs(environment.iter().cloned()).output().await.unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

/// What an auditor takes away: an export and a replay by the analysts' login, the public keys, and a tree head.
async fn copy(app: &TestApp) -> Copy {
    crate::archive::caught_up(app).await;
    let path = |name: &str| app.folder().join(name);
    let copy = Copy {
        export: path("copy"),
        lines: path("copy.ndjson"),
        keys: path("jwks.json"),
        head: path("head"),
        size: u64::try_from(mirrored(app).await.len()).unwrap() - 1,
    };
    let text = |path: &Path| path.display().to_string();
    let login = [("NATS_URL", app.nats.analyst_url())];
    for arguments in [["export", "--to", &text(&copy.export)], ["replay", "--output", &text(&copy.lines)]] {
        let done = ludoteca(&arguments, &login).await;
        assert!(done.status.success(), "{}", said(&done));
    }
    let heads = ludoteca(&["replay", "--type", "TreeHeadSigned"], &login).await;
    let heads = String::from_utf8(heads.stdout).unwrap();
    let head: Value = serde_json::from_str(heads.lines().last().unwrap()).unwrap();
    std::fs::write(&copy.head, head["data"]["checkpoint"].as_str().unwrap()).unwrap();
    let keys = app.visitor().get("/.well-known/jwks.json").await.expect(200);
    std::fs::write(&copy.keys, keys.to_string()).unwrap();
    copy
}

impl Copy {
    /// What `verify --offline` says of some files, on a machine that has no store.
    async fn verify(&self, files: &Path, more: &[&str]) -> Output {
        let (files, keys) = (files.display().to_string(), self.keys.display().to_string());
        ludoteca(&[&["verify", "--offline", &files, "--key", &keys], more].concat(), &[]).await
    }
}

#[tokio::test]
async fn each_mirrored_event_carries_the_hash_of_the_one_before_also_after_the_relay_was_killed() {
    let mut app = TestApp::start().await;
    app.game("Summit", 100).await;
    mirrored(&app).await;
    app.kill_role("relay").await;
    app.start_role("relay");
    app.game("Tetris", 100).await;

    let bodies = mirrored(&app).await;
    let mut before: Option<Hash> = None;
    for body in &bodies {
        let event: CloudEvent<'_> = serde_json::from_slice(body).unwrap();
        assert_eq!(event.previoushash.as_deref(), before.map(|hash| hash.to_string()).as_deref());
        before = Some(leaf(body));
    }
    assert!(bodies.len() > 2);
    app.verify().await;
}

#[tokio::test]
async fn an_auditor_without_a_store_proves_that_a_copy_is_what_was_signed() {
    let app = signed_store().await;
    let copy = copy(&app).await;
    for files in [&copy.export, &copy.lines] {
        let proved = copy.verify(files, &["--json"]).await;
        assert!(proved.status.success(), "{}", said(&proved));
        let proved: Value = serde_json::from_slice(&proved.stdout).unwrap();
        assert_eq!((&proved["proved"], &proved["events"]), (&json!(copy.size), &json!(copy.size + 1)));
        let with_head = copy.verify(files, &["--head", copy.head.to_str().unwrap()]).await;
        assert!(with_head.status.success(), "{}", said(&with_head));
    }
    app.verify().await;
}

#[tokio::test]
async fn what_no_tree_head_covers_is_not_proved_and_said_so() {
    let app = signed_store().await;
    app.game("Hades", 100).await;
    mirrored(&app).await;
    let copy = copy(&app).await;
    let signed = copy.size - 1;
    for files in [&copy.export, &copy.lines] {
        let whole = copy.verify(files, &[]).await;
        assert!(!whole.status.success() && said(&whole).contains(&format!("--to {signed}")), "{}", said(&whole));
        let part = copy.verify(files, &["--to", &signed.to_string()]).await;
        assert!(part.status.success() && said(&part).contains("WARNING  event"), "{}", said(&part));
        // A head from elsewhere asks for more, never for less.
        let head = ["--head", copy.head.to_str().unwrap()];
        let whole = copy.verify(files, &head).await;
        assert!(!whole.status.success() && said(&whole).contains("UNPROVED"), "{}", said(&whole));
        let part = copy.verify(files, &[head.as_slice(), &["--to", "1"]].concat()).await;
        assert!(part.status.success(), "{}", said(&part));
    }
}

#[tokio::test]
async fn the_keys_of_another_store_prove_nothing() {
    let app = signed_store().await;
    let copy = copy(&app).await;
    let other = HeadKey::parse(&HeadKey::generate()).unwrap();
    std::fs::write(&copy.keys, other.public()).unwrap();
    for files in [&copy.export, &copy.lines] {
        let doubted = copy.verify(files, &[]).await;
        assert!(!doubted.status.success() && said(&doubted).contains("not believed"), "{}", said(&doubted));
    }
}

#[tokio::test]
async fn the_public_keys_of_tree_heads_are_told_apart_from_those_of_tokens() {
    let app = signed_store().await;
    let jwks = app.visitor().get("/.well-known/jwks.json").await.expect(200);
    let of = |purpose: &str| jwks["keys"].as_array().unwrap().iter().filter(|key| key["use"] == purpose).count();
    assert_eq!((of("sig"), of("treehead")), (1, 1));
    assert_eq!(jwks["keys"][0]["use"], "sig", "clients that take the first are right");
    let newest = app.foundation.journal().newest_head().await.unwrap().unwrap();
    HeadKeys::parse(&jwks.to_string()).unwrap().open(newest.checkpoint()).unwrap();
}

#[tokio::test]
async fn the_notary_signs_where_something_happened_and_only_then() {
    let mut app = TestApp::start().await;
    app.notary.tree_head_every = std::time::Duration::from_millis(50);
    app.start_role("notary");
    app.game("Summit", 100).await;
    let everything_is_signed = || async {
        let newest = app.foundation.journal().newest_head().await.unwrap();
        let others =
            sqlx::query_scalar::<_, i64>("select count(*) from journal.events where aggregate_type <> 'treehead'");
        let others = others.fetch_one(app.pool()).await.unwrap();
        let heads = app.events("TreeHeadSigned").await;
        newest.is_some_and(|head| i64::try_from(head.size()).unwrap() >= others) && heads < others + 1
    };
    eventually("the purchase is signed", everything_is_signed).await;

    let heads = app.events("TreeHeadSigned").await;
    let mut second = notary(&app).await.unwrap();
    assert_eq!(second.sign().await.unwrap(), None, "nothing but a tree head has happened");
    assert_eq!(app.events("TreeHeadSigned").await, heads);
    app.verify().await;
}

#[tokio::test]
async fn two_notaries_sign_the_same_of_the_same_events() {
    let app = TestApp::start().await;
    app.game("Summit", 100).await;
    let (mut one, mut other) = (notary(&app).await.unwrap(), notary(&app).await.unwrap());
    let (one, other) = tokio::join!(one.sign(), other.sign());
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(app.events("TreeHeadSigned").await, 1);
}

#[tokio::test]
async fn nothing_is_signed_any_more_once_the_journal_was_changed_and_mirrored_anew() {
    let mut app = signed_store().await;
    for role in ["relay", "projector", "indexer"] {
        app.kill_role(role).await;
    }
    let owner = sqlx::PgPool::connect(secrecy::ExposeSecret::expose_secret(&app.owner_url)).await.unwrap();
    let forged = "update journal.events set payload = jsonb_set(payload, '{price,amount}', '1')
                  where event_type = 'GameCreated' and payload->'price'->>'amount' = '5990'";
    let mut connection = owner.acquire().await.unwrap();
    sqlx::query("set session_replication_role = replica").execute(&mut *connection).await.unwrap();
    assert_eq!(sqlx::query(forged).execute(&mut *connection).await.unwrap().rows_affected(), 1);
    app.foundation.shared.nats.replace_events().await.unwrap();
    app.provision().await;
    app.start_role("relay");

    match notary(&app).await {
        Err(NotaryError::Changed { signed, found, .. }) => assert_ne!(signed, found),
        other => panic!("{:?}", other.err()),
    }
}

#[tokio::test]
async fn nothing_is_signed_on_a_tree_head_that_nobody_has_signed() {
    let app = signed_store().await;
    let owner = sqlx::PgPool::connect(secrecy::ExposeSecret::expose_secret(&app.owner_url)).await.unwrap();
    let mut connection = owner.acquire().await.unwrap();
    sqlx::query("set session_replication_role = replica").execute(&mut *connection).await.unwrap();
    let forged = "update journal.events set payload = jsonb_set(payload, '{root}', '\"Zm9yZ2Vk\"') where aggregate_type = 'treehead'";
    sqlx::query(forged).execute(&mut *connection).await.unwrap();
    match notary(&app).await {
        Err(NotaryError::Forged(_)) => (),
        other => panic!("{:?}", other.err()),
    }
}

#[tokio::test]
async fn a_time_of_a_client_is_kept_as_every_column_can_hold_it() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    for expires_at in ["2027-01-01T00:00:00.123456789Z", "2026-12-31T23:59:60.5Z"] {
        let key = json!({ "name": "nightly import", "scopes": ["read_catalogue"], "expires_at": expires_at });
        ana.post("/users/me/api-keys", &key).await.expect(201);
    }
    // Among other things it reads an export back and compares it with the mirror.
    app.verify().await;
}

#[tokio::test]
async fn a_proof_of_an_event_is_checked_by_a_script_that_shares_no_code_with_the_store() {
    let app = signed_store().await;
    let copy = copy(&app).await;
    let bodies = mirrored(&app).await;
    let (body, jwks) = (app.folder().join("event.json"), copy.keys.to_str().unwrap());
    let Some(path) = path_with_node().await else { return };
    let check = async |proof: &Path, event: &Path, keys: &str| {
        let mut node = Command::new("scripts/check-proof");
        node.env("PATH", &path);
        node.args([proof.as_os_str(), event.as_os_str()]).arg(keys).output().await.unwrap()
    };
    for (number, known) in bodies.iter().take(usize::try_from(copy.size).unwrap()).enumerate() {
        let id = serde_json::from_slice::<Value>(known).unwrap()["id"].as_str().unwrap().to_owned();
        let login = [("NATS_URL", app.nats.analyst_url())];
        let made = ludoteca(&["prove", &id, "--body", body.to_str().unwrap()], &login).await;
        assert!(made.status.success() && made.stdout.len() <= 2_000, "{}", said(&made));
        assert_eq!(&std::fs::read(&body).unwrap(), known);
        let proof = app.folder().join("event.tlog-proof");
        std::fs::write(&proof, &made.stdout).unwrap();
        let checked = check(&proof, &body, jwks).await;
        assert!(
            checked.status.success() && said(&checked).contains(&format!("is event {} of", number + 1)),
            "{}",
            said(&checked)
        );

        // Another event, another proof, another key.
        let mut forged = known.clone();
        forged[10] ^= 1;
        std::fs::write(&body, forged).unwrap();
        assert!(!check(&proof, &body, jwks).await.status.success(), "another event");
    }
    std::fs::write(&body, &bodies[1]).unwrap();
    let proof = app.folder().join("event.tlog-proof");
    assert!(!check(&proof, &body, jwks).await.status.success(), "the proof of another event");
    let other = app.folder().join("other.json");
    std::fs::write(&other, r#"{"keys":[]}"#).unwrap();
    std::fs::write(&body, &bodies[usize::try_from(copy.size).unwrap() - 1]).unwrap();
    assert!(check(&proof, &body, jwks).await.status.success());
    assert!(!check(&proof, &body, other.to_str().unwrap()).await.status.success(), "no key");

    let last: Value = serde_json::from_slice(bodies.last().unwrap()).unwrap();
    let unsigned = ludoteca(&["prove", last["id"].as_str().unwrap()], &[("NATS_URL", app.nats.analyst_url())]).await;
    assert!(!unsigned.status.success() && said(&unsigned).contains("not signed yet"), "{}", said(&unsigned));
}

/// Any value, with names and texts that are hard to write.
fn anything(chance: &mut StdRng, depth: u8) -> Value {
    let text = |chance: &mut StdRng| -> String {
        let letters = ['a', 'B', '"', '\\', '\n', '\t', '\u{1}', '\u{7f}', '/', 'ç', '\u{2028}', '🎲', ' '];
        (0..chance.gen_range(0..6)).map(|_| letters[chance.gen_range(0..letters.len())]).collect()
    };
    match chance.gen_range(0..if depth == 0 { 4 } else { 6 }) {
        0 => text(chance).into(),
        1 => chance.r#gen::<i64>().into(),
        2 => chance.gen_range(0..100_u8).into(),
        3 => chance.r#gen::<bool>().into(),
        4 => (0..chance.gen_range(0..4)).map(|_| anything(chance, depth - 1)).collect(),
        _ => (0..chance.gen_range(0..5)).map(|_| (text(chance), anything(chance, depth - 1))).collect(),
    }
}

#[tokio::test]
async fn values_are_written_as_postgres_writes_them() {
    let (_, database) = new_database().await;
    let pool = journal::connect(&database, 1).await.unwrap();
    let mut chance = StdRng::seed_from_u64(7);
    for _ in 0..500 {
        let value = anything(&mut chance, 4);
        let written = sqlx::query_scalar::<_, String>("select ($1::jsonb)::text").bind(&value);
        assert_eq!(jsonb_text(&value), written.fetch_one(&pool).await.unwrap());
    }
}
