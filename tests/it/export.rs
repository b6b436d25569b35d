//! The event stream as tables, and what analysts make of them.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{TestApp, eventually};

fn duckdb() -> Option<PathBuf> {
    let peers = std::env::var_os("PEERS").map(PathBuf::from);
    if peers.is_none() {
        println!("SKIPPED: DuckDB (scripts/test installs it)");
    }
    Some(peers?.join("duckdb"))
}

/// What DuckDB answers, a list of rows.
async fn ask(duckdb: &Path, folder: &Path, question: &str) -> Value {
    let mut asked = Command::new(duckdb);
    asked.current_dir(folder).args(["-json", "-init", "views.sql", "-c", question]);
    let answer = asked.output().await.unwrap();
    assert!(answer.status.success(), "{question}: {}", String::from_utf8_lossy(&answer.stderr));
    serde_json::from_slice(&answer.stdout).unwrap_or(json!([]))
}

async fn run(app: &TestApp, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    command.args(arguments).envs(app.environment()).output().await.unwrap()
}

async fn export_by(url: &str, folder: &Path) -> Output {
    let mut export = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    export.args(["export", "--to"]).arg(folder).env("NATS_URL", url).output().await.unwrap()
}

/// Exports by the analysts' login alone, until everything that has happened is there.
async fn export(app: &TestApp, folder: &Path) -> Value {
    let manifest =
        || -> Value { serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap() };
    eventually("everything is exported", || async {
        let done = export_by(&app.nats.analyst_url(), folder).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        (manifest()["last"].as_i64().unwrap(), app.events("%").await)
    })
    .await;
    manifest()
}

#[tokio::test]
async fn an_analyst_asks_duckdb_and_is_answered_as_the_store_would_answer() {
    let Some(duckdb) = duckdb() else { return };
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let (summit, tetris) = (app.game("Summit", 5_990).await, app.game("Tetris", 1_000).await);
    let order = ana.buy(&[&summit, &tetris], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    ana.post(&format!("/pedidos/{order}/reembolso"), &json!({ "games": [tetris] })).await.expect(202);
    ana.owns(&["Summit"]).await;
    let declined = ben.buy(&[&summit], "pm_card_chargeDeclined").await;
    ben.sees_order(&declined, "payment_failed").await;
    app.verify().await;

    let folder = app.folder().join("analyst");
    export(&app, &folder).await;
    let verified = run(&app, &["verify", "--export", folder.to_str().unwrap(), "--json"]).await;
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let findings: Value = serde_json::from_slice(&verified.stdout).unwrap();
    for (model, rows) in [("orders", 2), ("payments", 2), ("library", 1)] {
        let compared = format!("{rows} rows");
        let what = format!("{model} = DuckDB's {model}");
        let wanted = json!({ "comparison": what, "compared": compared, "differences": 0 });
        assert!(findings.as_array().unwrap().contains(&wanted), "{findings:#}");
    }

    let revenue = ask(&duckdb, &folder, "SELECT * EXCLUDE day FROM revenue_by_day").await;
    let day = json!({ "currency": "BRL", "payments": 1, "received": 6_990, "refunded": 1_000, "charged_back": 0,
                      "revenue": 5_990 });
    assert_eq!(revenue, json!([day]));
    let funnel = ask(&duckdb, &folder, "SELECT what, people FROM funnel").await;
    let steps = [("registered", 3), ("ordered", 2), ("bought", 1), ("bought again", 0)];
    assert_eq!(funnel, Value::Array(steps.map(|(what, people)| json!({ "what": what, "people": people })).to_vec()));
    let cohorts = ask(&duckdb, &folder, "SELECT people, months_later, buyers, orders, spent FROM cohorts").await;
    assert_eq!(cohorts, json!([{ "people": 3, "months_later": 0, "buyers": 1, "orders": 1, "spent": 6_990 }]));
    let games = ask(&duckdb, &folder, "SELECT title, price.amount AS price, retired FROM games ORDER BY title").await;
    let game = |title: &str, price: i64| json!({ "title": title, "price": price, "retired": false });
    assert_eq!(games, json!([game("Summit", 5_990), game("Tetris", 1_000)]));
}

#[tokio::test]
async fn an_export_that_is_not_as_the_store_is_told_from_it() {
    let Some(_) = duckdb() else { return };
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let folder = app.folder().join("analyst");
    export(&app, &folder).await;
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let verified = run(&app, &["verify", "--export", folder.to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(!verified.status.success() && told.contains("export again"), "{told}");
    export(&app, &folder).await;
    assert!(run(&app, &["verify", "--export", folder.to_str().unwrap()]).await.status.success());

    // And what is not as the store says is found.
    sqlx::query("update read.orders set status = 'cancelled'").execute(app.pool()).await.unwrap();
    let verified = run(&app, &["verify", "--export", folder.to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&verified.stdout);
    let line = told.lines().find(|line| line.contains("orders = DuckDB's orders")).unwrap();
    assert!(!verified.status.success() && line.trim_end().ends_with('2'), "{told}");
}

#[tokio::test]
async fn journal_and_mirror_export_to_the_same_bytes() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    app.verify().await;
    let (mirror, journal) = (app.folder().join("mirror"), app.folder().join("journal"));
    let exported = export(&app, &mirror).await;
    for _ in 0..2 {
        let done = run(&app, &["export", "--from", "journal", "--to", journal.to_str().unwrap()]).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let from_journal: Value = serde_json::from_slice(&std::fs::read(journal.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(from_journal, exported);
    // And one goes on where the other ended.
    app.game("Tetris", 1_000).await;
    let done = run(&app, &["export", "--from", "journal", "--to", mirror.to_str().unwrap()]).await;
    assert!(String::from_utf8_lossy(&done.stdout).contains("Exported 1 events"), "{done:?}");
}

#[tokio::test]
async fn an_export_takes_nothing_of_another_store() {
    let (app, other) = (TestApp::start().await, TestApp::start().await);
    let folder = app.folder().join("export");
    for app in [&app, &other] {
        app.game("Summit", 5_990).await;
    }
    let before = export(&app, &folder).await;
    let refused = export_by(&other.nats.url(), &folder).await;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("is another one than was exported"), "{told}");
    let after: Value = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn nobodys_data_is_in_an_export() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let folder = app.folder().join("export");
    export(&app, &folder).await;
    let mut folders = vec![folder.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
            assert!(!bytes.contains(&ana.email) && !bytes.contains("1990-"), "{}", entry.path().display());
            files += 1;
        }
    }
    assert!(files > 40, "{files} files");
    // Files are compressed; what is read from them is not.
    let Some(duckdb) = duckdb() else { return };
    let told = ask(&duckdb, &folder, "SELECT * FROM UserRegistered").await.to_string();
    assert!(told.contains("profile") && !told.contains(&ana.email) && !told.contains("1990-"), "{told}");
}

#[tokio::test]
async fn a_bucket_takes_an_export_as_a_folder_does() {
    let Some(duckdb) = duckdb() else { return };
    let app = TestApp::start().await;
    app.game("Summit", 5_990).await;
    let port = ludoteca::local::free_port().unwrap();
    let mut moto = Command::new(duckdb.with_file_name("moto_server"));
    let moto = moto.args(["-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let _moto = moto.kill_on_drop(true).spawn().unwrap();
    let (url, client) = (format!("http://127.0.0.1:{port}"), reqwest::Client::new());
    let make =
        || async { client.put(format!("{url}/a-bucket")).send().await.is_ok_and(|made| made.status().is_success()) };
    eventually("there is a bucket", make).await;
    let export = async || {
        let mut export = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
        export.args(["export", "--to", "s3://a-bucket/store"]).env("NATS_URL", app.nats.url());
        export.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", "any").env("AWS_REGION", "us-east-1");
        let done = export.env("AWS_ENDPOINT_URL", &url).env("AWS_ALLOW_HTTP", "true").output().await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    eventually("the game is exported", || async { export().await.contains("holds 2 events") }).await;
    app.game("Tetris", 1_000).await;
    eventually("and the next one after it", || async { export().await.contains("Exported 1 events") }).await;
    assert!(export().await.contains("holds 3 events"));
}

/// What stands between two marks.
fn blocks<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    text.split(begin).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[tokio::test]
async fn the_questions_of_the_guide_are_answered_and_every_event_is_explained_in_it() {
    let guide = std::fs::read_to_string("docs/analysts.md").unwrap();
    for (event_type, version) in journal::event_forms() {
        let schema = journal::event_schema(&event_type, &version).unwrap();
        let meaning = schema["description"].as_str().unwrap().replace('\n', " ");
        let row = format!("| `{event_type}` | {} |", meaning.trim_end_matches('.'));
        assert!(guide.contains(&row), "{row}");
    }
    let Some(duckdb) = duckdb() else { return };
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    let folder = app.folder().join("analyst");
    export(&app, &folder).await;
    let questions = blocks(&guide, "```sql\n");
    assert_eq!(questions.len(), 10);
    for question in questions {
        ask(&duckdb, &folder, question).await;
    }
}

#[tokio::test]
async fn an_analysts_first_question_is_answered_by_one_script() {
    let Some(_) = duckdb() else { return };
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    eventually("the chart shows it", || async {
        let mut script = Command::new("scripts/analyst");
        script.arg(app.folder().join("events")).env("NATS_ANALYST_URL", app.nats.analyst_url());
        let done = script.env("LUDOTECA", env!("CARGO_BIN_EXE_ludoteca")).output().await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        told.contains("59.90") && told.contains("████")
    })
    .await;
}
