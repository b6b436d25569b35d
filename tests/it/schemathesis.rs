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

    // Whoever erases the accounts that they find, or logs them out, does it to their own, and is nobody from then on.
    let (erasure, logout) =
        ("DELETE /users/{id}", ["DELETE /users/{id}/sessions", "DELETE /users/{id}/sessions/{session}"]);
    let not_these = ["--exclude-name", erasure, "--exclude-name", logout[0], "--exclude-name", logout[1]];
    asks(&peers, &app, &app.admin, &not_these).await;
    // It was somebody until the end.
    app.admin.get("/users/me").await.expect(200);
    let ben = app.customer("ben").await;
    asks(&peers, &app, &ben, &["--include-name", logout[1]]).await;
    asks(&peers, &app, &ben, &["--include-name", logout[0]]).await;
    asks(&peers, &app, &ana, &["--include-name", erasure]).await;
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
