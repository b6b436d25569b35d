//! A minute of what `ludoteca chaos` does for longer: the command itself must not rot.

use std::time::Duration;

use tokio::process::Command;

#[tokio::test]
async fn a_store_whose_parts_are_killed_at_random_keeps_the_ten_invariants() {
    let folder = tempfile::tempdir().unwrap();
    // Postgres runs as another user where we are root.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    chaos.args(["chaos", "--seed", "7", "--minutes", "0.3", "--buyers", "6", "--data"]).arg(folder.path());
    let run = chaos.env("LUDOTECA_DATA", folder.path()).kill_on_drop(true).output();
    let done = tokio::time::timeout(Duration::from_mins(6), run).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{told}{}", String::from_utf8_lossy(&done.stderr));
    for invariant in 1..=10 {
        let line = told.lines().find(|line| line.trim_start().starts_with(&format!("{invariant}  ")));
        assert!(line.is_some_and(|line| line.contains(" 0 violations ")), "invariant {invariant}: {told}");
    }
}
