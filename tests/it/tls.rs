//! TLS that the gateway ends itself.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{TestApp, eventually};

/// Writes a new certificate of this machine and its key where the gateway looks for them; whoever trusts it is returned.
fn certify(folder: &Path) -> Client {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.key"), signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("tls.pem"), cert.pem()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = Certificate::from_pem(cert.pem().as_bytes()).unwrap();
    Client::builder().tls_certs_only([trusted]).pool_max_idle_per_host(0).build().unwrap()
}

#[tokio::test]
async fn the_gateway_speaks_tls_with_a_certificate_that_may_be_exchanged() {
    let app = TestApp::start().await;
    let port = ludoteca::local::free_port().unwrap();
    let client = certify(app.folder());
    let mut gateway = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    gateway.arg("gateway").envs(app.environment()).env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"));
    gateway.env("JWT_KEY_FILE", app.folder().join("jwt.pem")).env("CLIENT_PATIENCE_MS", "1000");
    gateway.env("PSP_WEBHOOK_SECRETS_FILE", app.folder().join("webhook-secrets"));
    gateway.env("RATE_LIMITS", "every=1000000");
    gateway.env("TLS_CERT", app.folder().join("tls.pem")).env("TLS_KEY", app.folder().join("tls.key"));
    let _gateway = gateway.kill_on_drop(true).spawn().unwrap();
    let url = format!("https://localhost:{port}/jogos");
    let asks = async |client: &Client| client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200);

    eventually("it answers over TLS", || async { asks(&client).await }).await;

    let answer = client.get(&url).send().await.unwrap();
    assert!(answer.headers()["strict-transport-security"].to_str().unwrap().contains("max-age"), "{answer:?}");
    // Whoever speaks plain HTTP, or nothing at all, is sent away.
    for said in [b"GET /jogos HTTP/1.1\r\nHost: store\r\n\r\n".as_slice(), b""] {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        socket.write_all(said).await.unwrap();
        let mut answered = Vec::new();
        // A reset is an end as well.
        let ended = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answered)).await;
        assert!(ended.is_ok(), "the connection stays open");
        assert!(!String::from_utf8_lossy(&answered).contains("HTTP"), "it answers in plain text");
    }

    let renewed = certify(app.folder());
    eventually("it shows the new certificate", || async { asks(&renewed).await }).await;
    assert!(!asks(&client).await, "it still shows the old one");
    // One that cannot be read changes nothing.
    std::fs::write(app.folder().join("tls.pem"), "no certificate").unwrap();
    tokio::time::timeout(Duration::from_secs(3), async { while asks(&renewed).await {} }).await.unwrap_err();
}
