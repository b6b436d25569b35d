//! The API against its own description: schemathesis makes requests of the OpenAPI document, right and wrong ones.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

use crate::support::{Person, TestApp};

#[tokio::test]
async fn the_api_is_what_its_openapi_document_says() {
    let Some(peers) = std::env::var_os("PEERS") else {
        println!("SKIPPED: schemathesis (scripts/test installs it)");
        return;
    };
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    ana.buy(&[&app.game("Tetris", 100).await], "pm_card_chargeCustomerFail").await;

    // Whoever erases the accounts that they find, logs them out or gives them other roles, does it to their own as well, and
    // may do nothing from then on: these come last.
    let last = ["changeRole", "endSession", "endSessions", "eraseUser"];
    let not_these: Vec<&str> = last.iter().flat_map(|operation| ["--exclude-operation-id", operation]).collect();
    asks(&peers, &app, &app.admin, &not_these).await;
    // It was an admin until the end.
    app.admin.get("/users").await.expect(200);
    let ben = app.customer("ben").await;
    for (person, operation) in [(&app.admin, last[0]), (&ben, last[1]), (&ben, last[2]), (&ana, last[3])] {
        asks(&peers, &app, person, &["--include-operation-id", operation]).await;
    }
}

/// Asks as somebody; fails the test with the report where an answer is not as described.
async fn asks(peers: &OsStr, app: &TestApp, person: &Person, what: &[&str]) {
    let mut schemathesis = Command::new(PathBuf::from(peers).join("schemathesis"));
    let config = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/schemathesis.toml");
    schemathesis.arg("--config-file").arg(config).arg("run").arg(format!("{}/openapi.json", app.url)).args(what);
    schemathesis.args(["-H", &format!("Authorization: Bearer {}", person.token.clone().unwrap())]);
    let run = schemathesis.kill_on_drop(true).current_dir(app.folder()).output();
    let done = tokio::time::timeout(Duration::from_mins(5), run).await.unwrap().unwrap();
    let report = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{report}{}", String::from_utf8_lossy(&done.stderr));
}
