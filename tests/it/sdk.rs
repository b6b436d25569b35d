//! The sandbox PSP's imitation of Stripe, checked by Stripe's own SDK (Python).

use std::path::PathBuf;
use std::time::Duration;

use ludoteca::config::SandboxArgs;
use ludoteca::local::free_port;
use ludoteca::roles::{bind, psp_sandbox};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::support::PSP_KEY;

#[tokio::test]
async fn the_official_sdk_understands_the_sandbox_and_believes_its_webhooks() {
    let Some(peers) = std::env::var_os("PEERS") else {
        println!("SKIPPED: Stripe's SDK (scripts/test installs it)");
        return;
    };
    let (port, hook) = (free_port().unwrap(), free_port().unwrap());
    let sandbox = SandboxArgs {
        sandbox_listen: ([127, 0, 0, 1], port).into(),
        psp_key: PSP_KEY.into(),
        sandbox_webhook_url: format!("http://127.0.0.1:{hook}/"),
        psp_webhook_secret: "whsec_sdk".into(),
        sandbox_pix: Duration::from_millis(200),
        sandbox_file: None,
    };
    let (acceptor, stop) = (bind(sandbox.sandbox_listen).await.unwrap(), CancellationToken::new());
    let stopped = stop.clone().drop_guard();
    tokio::spawn(async move { psp_sandbox(&sandbox, acceptor, stop).await.unwrap() });
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/sdk/conversation.py");
    let mut conversation = Command::new(PathBuf::from(peers).join("python"));
    conversation.arg(script).arg(format!("http://127.0.0.1:{port}")).args([PSP_KEY, &hook.to_string(), "whsec_sdk"]);
    let told = tokio::time::timeout(Duration::from_mins(1), conversation.kill_on_drop(true).output()).await;
    let told = told.unwrap().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    drop(stopped);
}
