//! What strangers do to a store while its customers browse, all from one address: connections that send a byte a second,
//! access tokens that are made up, and guesses at passwords.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::Rng;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Figures;
use crate::client::{Api, http};

/// How many connections are slow at once.
const SLOW: usize = 200;
/// How many tokens are forged, in each of a hundred moments of a second.
const FORGED: usize = 10;
const MOMENT: Duration = Duration::from_millis(10);
/// How often a password is guessed: 300 times a minute.
const GUESS: Duration = Duration::from_millis(200);
/// How many answers a stranger waits for at once.
const PATIENCE: usize = 500;

/// The strangers; they stop when this is dropped.
pub(super) struct Attack {
    strangers: JoinSet<()>,
    begun: Instant,
    seen: Arc<Seen>,
}

/// What the store answered them.
#[derive(Default)]
struct Seen {
    tokens_refused: AtomicU64,
    guesses_refused: AtomicU64,
    let_in: AtomicU64,
    connections_closed: AtomicU64,
}

impl Attack {
    /// Begins to attack a store.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub(super) async fn begin(base: &str) -> Result<Self> {
        let url = Url::parse(base)?;
        let host = url.host_str().context("a URL without a host")?;
        let address = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
        let keys = Api::visit(base)?.get("/.well-known/jwks.json").await?;
        let key = keys.pointer("/keys/0/kid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let (http, seen, mut strangers) = (http()?, Arc::new(Seen::default()), JoinSet::new());
        for _ in 0..SLOW {
            strangers.spawn(drip(address.clone(), seen.clone()));
        }
        strangers.spawn(forge(http.clone(), url.join("/users/me")?, key, seen.clone()));
        strangers.spawn(guess(http, url.join("/login/auth")?, seen.clone()));
        Ok(Self { strangers, begun: Instant::now(), seen })
    }

    /// Stops them, and says what they came to.
    pub(super) fn end(mut self, figures: &mut Figures) {
        self.strangers.abort_all();
        let took = self.begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts of some minutes fit a float")]
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        figures.add("strangers: forged tokens refused, per second".to_owned(), count(&self.seen.tokens_refused) / took);
        figures
            .add("strangers: guesses refused, per minute".to_owned(), count(&self.seen.guesses_refused) * 60.0 / took);
        figures.add("strangers: slow connections that were closed".to_owned(), count(&self.seen.connections_closed));
        figures.add("strangers: let in".to_owned(), count(&self.seen.let_in));
    }
}

/// A connection whose request never ends; another one where it is closed.
async fn drip(address: String, seen: Arc<Seen>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            let begin = b"GET /jogos HTTP/1.1\r\nHost: store\r\nX-Slow: ";
            let mut open = stream.write_all(begin).await.is_ok();
            while open {
                tokio::time::sleep(Duration::from_secs(1)).await;
                open = stream.write_all(b"a").await.is_ok();
            }
            seen.connections_closed.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Tokens that name the store's key and are signed by nobody.
async fn forge(http: Client, url: Url, key: String, seen: Arc<Seen>) {
    let part = |part: Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let header = part(json!({ "typ": "JWT", "alg": "EdDSA", "kid": key }));
    let claims =
        part(json!({ "sub": "01920b5e-7c3a-7a10-9d5e-3f2b1c0d9e8f", "role": "admin", "exp": 4_102_444_800_i64 }));
    let (waiting, mut moments) = (Arc::new(Semaphore::new(PATIENCE)), tokio::time::interval(MOMENT));
    loop {
        moments.tick().await;
        for _ in 0..FORGED {
            // Who is not answered for long asks less; that is no attack any more, and shows in the figures.
            let Ok(turn) = waiting.clone().try_acquire_owned() else { continue };
            let mut signature = [0; 64];
            rand::thread_rng().fill(&mut signature[..]);
            let token = format!("{header}.{claims}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
            let (request, seen) = (http.get(url.clone()).bearer_auth(token), seen.clone());
            tokio::spawn(async move {
                count(request, &seen, &seen.tokens_refused).await;
                drop(turn);
            });
        }
    }
}

/// Wrong passwords of accounts that there may be.
async fn guess(http: Client, url: Url, seen: Arc<Seen>) {
    let mut moments = tokio::time::interval(GUESS);
    loop {
        moments.tick().await;
        let email = format!("guess-{}@ludoteca.example", rand::thread_rng().gen_range(0..1_000));
        let credentials = json!({ "email": email, "password": "password password password" });
        let (request, seen) = (http.post(url.clone()).json(&credentials), seen.clone());
        tokio::spawn(async move { count(request, &seen, &seen.guesses_refused).await });
    }
}

async fn count(request: reqwest::RequestBuilder, seen: &Seen, refused: &AtomicU64) {
    if let Ok(answer) = request.send().await {
        let counter = if answer.status().is_success() { &seen.let_in } else { refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
