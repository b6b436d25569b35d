//! A store of one's own for each test.

mod answer;
mod contract;
mod database;
mod eventually;
mod mails;
mod person;
mod psp;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::psp::PspClient;
use chrono_tz::Tz;
use domain::Currency;
use domain::order::DisputePolicy;
use domain::user::Requirement;
use gateway::ProxyHeader;
use ipnet::IpNet;
use journal::HeadKey;
use ludoteca::config::{
    GatewayConfig, JournalConfig, MailConfig, NotaryConfig, PaymentConfig, QueueConfig, ReconcileConfig, SandboxArgs,
    SearchConfig, SecretsConfig, StoreConfig, TradeConfig, WatcherConfig,
};
use ludoteca::local::{NatsServer, free_port};
use ludoteca::roles::{Foundation, ROLES, bind, psp_sandbox};
use ludoteca::stock::create_admin;
use ludoteca::table::Output;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workers::Checkout;

pub use answer::Answer;
pub use database::{empty_database, new_database, new_store, server_url};
pub use eventually::eventually;
pub use mails::{all_mails, mailed_token, mailed_tokens, mails_about, token_in};
pub use person::{Person, game, payment_method};
pub use psp::PSP_KEY;

pub struct TestApp {
    pub foundation: Arc<Foundation>,
    pub store: StoreConfig,
    pub payment: PaymentConfig,
    pub reconcile: ReconcileConfig,
    pub mail: MailConfig,
    pub notary: NotaryConfig,
    pub url: String,
    pub nats: NatsServer,
    pub owner_url: SecretString,
    pub admin: Person,
    pub search: SearchConfig,
    gateway: GatewayConfig,
    folder: TempDir,
    nats_port: u16,
    stop: CancellationToken,
    roles: HashMap<&'static str, JoinHandle<()>>,
}

const QUEUE: QueueConfig = QueueConfig {
    payment_attempts: 4,
    payment_pause: Duration::from_millis(50),
    payment_ack_wait: Duration::from_secs(2),
    payment_slots: 8,
};

/// How long an order may be unpaid; shorter than an access token is good for.
pub const EXPIRY: Duration = Duration::from_mins(10);
/// How long a mail waits after it was refused the first time; twice as long after each.
pub const MAIL_PAUSE: Duration = Duration::from_mins(1);

/// What a test may want otherwise.
#[derive(Default)]
pub struct Wishes {
    /// How often anybody may do what, beside what no test comes to.
    pub rate_limits: &'static str,
    /// How many connections the gateway takes; 1 024 without it.
    pub connections: Option<usize>,
    /// How slow clients may be; half a minute without it.
    pub client_patience: Option<Duration>,
    /// Whose word on where a request comes from counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Where they write it.
    pub proxy_header: ProxyHeader,
    /// Pages of which origins may use the API.
    pub cors_origins: Vec<String>,
    /// A mail server; a folder without it.
    pub smtp_url: Option<SecretString>,
    /// The search engine.
    pub search: SearchConfig,
    /// For how long games may be returned; seven days without it.
    pub refund_window_days: Option<u16>,
    /// How long a payment may be unsettled; a minute without it.
    pub reconcile_after: Option<Duration>,
    /// How long to wait for the PSP; 400 ms without it.
    pub psp_timeout: Option<Duration>,
    /// How long a Pix payment takes; 200 ms without it.
    pub pix: Option<Duration>,
    /// What becomes of games whose payment is disputed; they are suspended without it.
    pub dispute_policy: Option<DisputePolicy>,
    /// How many bytes nats-server may keep until it is started again; all that there are without it.
    pub nats_disk: Option<u64>,
    /// Whether staff have to show a second factor; they need not without it.
    pub staff_second_factor: Requirement,
    /// Whether addresses have to be confirmed; they need not without it.
    pub email_confirmation: Requirement,
    /// Where the store is; in São Paulo without it.
    pub time_zone: Option<Tz>,
    /// Another PSP than the sandbox.
    pub psp_url: Option<String>,
    /// A store that there is already: its database as its owner and as the store reaches it, and its master key.
    pub store: Option<(SecretString, SecretString, SecretString)>,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with(Wishes::default()).await
    }

    pub async fn start_with(wishes: Wishes) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (owner_url, database_url, master_key) =
            if let Some(store) = wishes.store { store } else { new_store().await };
        let nats_port = free_port().unwrap();
        let nats = start_nats(&folder, nats_port, wishes.nats_disk).await;
        let stop = CancellationToken::new();
        let gateway_acceptor = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = address(&gateway_acceptor);
        let store = StoreConfig {
            trade: TradeConfig {
                journal: journal_at(database_url, &nats),
                currency: Currency::BRL,
                refund_window_days: wishes.refund_window_days.unwrap_or(7),
                dispute_policy: wishes.dispute_policy.unwrap_or(DisputePolicy::Suspend),
                time_zone: wishes.time_zone.unwrap_or(Tz::America__Sao_Paulo),
            },
            master_key,
            email_confirmation: wishes.email_confirmation,
            staff_second_factor: wishes.staff_second_factor,
            // A name, as passkeys want one.
            store_url: url.replace("127.0.0.1", "localhost").parse().unwrap(),
        };
        let foundation = Arc::new(Foundation::connect(&store, stop.clone()).await.unwrap());

        let gateway = GatewayConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            secrets: new_secrets(folder.path()),
            tls_cert: None,
            tls_key: None,
            payment_stale: Duration::ZERO,
            rate_limits: format!("every=1000000,{}", wishes.rate_limits).parse().unwrap(),
            max_connections: wishes.connections.unwrap_or(1_024),
            max_connections_per_address: 1_024,
            client_patience: wishes.client_patience.unwrap_or(Duration::from_secs(30)),
            trusted_proxies: wishes.trusted_proxies,
            proxy_header: wishes.proxy_header,
            cors_origins: wishes.cors_origins,
            security_contact: Some("mailto:security@store.example".parse().unwrap()),
        };
        let psp_acceptor = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let psp = SandboxArgs {
            sandbox_listen: address(&psp_acceptor).trim_start_matches("http://").parse().unwrap(),
            psp_key: PSP_KEY.into(),
            sandbox_webhook_url: format!("{url}/webhooks/psp"),
            psp_webhook_secret: "whsec_of_tests".into(),
            sandbox_pix: wishes.pix.unwrap_or(Duration::from_millis(200)),
            sandbox_file: None,
        };
        let payment = PaymentConfig {
            psp_url: wishes.psp_url.unwrap_or_else(|| format!("http://{}", psp.sandbox_listen)),
            psp_key: psp.psp_key.clone(),
            psp_timeout: wishes.psp_timeout.unwrap_or(Duration::from_millis(400)),
            queue: QUEUE,
            text_log_folder: folder.path().join("logs"),
        };
        ludoteca::provision::run(&foundation.carriers, &payment.queue).await.unwrap();
        let reconcile = ReconcileConfig {
            order_expiry: EXPIRY,
            reconcile_every: Duration::from_millis(100),
            reconcile_after: wishes.reconcile_after.unwrap_or(Duration::from_mins(1)),
            reconcile_charges: Duration::from_millis(500),
        };
        let mail = MailConfig {
            smtp_url: wishes.smtp_url,
            mail_attempts: 3,
            mail_pause: MAIL_PAUSE,
            mail_folder: folder.path().join("outbox"),
            mail_from: "Ludoteca <store@ludoteca.example>".to_owned(),
        };
        let (sandbox, sandbox_stop) = (psp.clone(), stop.clone());
        tokio::spawn(async move { psp_sandbox(&sandbox, psp_acceptor, sandbox_stop).await.unwrap() });

        let password: SecretString = "the admin's umbrella kettle".into();
        create_admin(&foundation, "admin@ludoteca.example", &password).await.unwrap();
        let admin = Person::nobody(&url);
        let mut app = Self {
            foundation,
            store,
            payment,
            reconcile,
            mail,
            notary: NotaryConfig { tree_head_key: HeadKey::generate(), tree_head_every: Duration::from_hours(1) },
            url,
            nats,
            owner_url,
            admin,
            search: wishes.search,
            gateway,
            folder,
            nats_port,
            stop,
            roles: HashMap::new(),
        };
        let (role, config, search) = (app.foundation.clone(), app.gateway.clone(), app.search.clone());
        let serving = tokio::spawn(async move { role.gateway(&config, &search, gateway_acceptor).await.unwrap() });
        app.roles.insert("gateway", serving);
        // What is signed is asked for by the tests that are about it: others count events.
        for role in ROLES.into_iter().filter(|role| !["gateway", "notary"].contains(role)) {
            app.start_role(role);
        }
        app.admin = Person::log_in(&app.url, "admin@ludoteca.example", password.expose_secret()).await;
        app
    }

    /// Starts a role that is not running.
    pub fn start_role(&mut self, name: &'static str) {
        let (role, payment, mail) = (self.foundation.clone(), self.payment.clone(), self.mail.clone());
        let text_log_folder = payment.text_log_folder.clone();
        let watcher = WatcherConfig { sweep_every: Duration::from_millis(200), text_log_folder };
        let (search, reconcile, notary) = (self.search.clone(), self.reconcile.clone(), self.notary.clone());
        let running = tokio::spawn(async move {
            match name {
                "relay" => role.carriers.relay().await,
                "projector" => role.projector().await,
                "indexer" => role.carriers.indexer(&search).await.unwrap(),
                "checkout" => role.checkout().await,
                "payments" => role.payments(&payment).await.unwrap(),
                "webhooks" => role.webhooks(&payment).await.unwrap(),
                "reconciler" => role.reconciler(&payment, &reconcile).await.unwrap(),
                "dlq-watcher" => role.dlq_watcher(&watcher).await,
                "notifier" => role.notifier(&mail).await.unwrap(),
                "notary" => role.notary(&notary).await.unwrap(),
                unknown => panic!("no role {unknown}"),
            }
        });
        self.roles.insert(name, running);
    }

    /// Another gateway of the same store; its address.
    pub async fn second_gateway(&self) -> String {
        let acceptor = bind(self.gateway.listen).await.unwrap();
        let url = address(&acceptor);
        let (role, config, search) = (self.foundation.clone(), self.gateway.clone(), self.search.clone());
        tokio::spawn(async move { role.gateway(&config, &search, acceptor).await.unwrap() });
        url
    }

    /// Ends a role wherever it stands, as a power cut would.
    pub async fn kill_role(&mut self, name: &'static str) {
        let running = self.roles.remove(name).unwrap();
        running.abort();
        let _ = running.await;
    }

    /// Ends the nats-server; its streams stay.
    pub async fn stop_nats(&mut self) {
        self.nats.stop().await.unwrap();
    }

    /// Starts the nats-server again where it was.
    pub async fn start_nats(&mut self) {
        self.nats = start_nats(&self.folder, self.nats_port, None).await;
    }

    /// Streams and consumers, as `ludoteca provision` makes them.
    pub async fn provision(&self) {
        ludoteca::provision::run(&self.foundation.carriers, &self.payment.queue).await.unwrap();
    }

    /// Has readers of the mirror begin again with the first event.
    pub async fn deliver_again(&self, readers: &[String]) {
        let jetstream = self.nats.jetstream().await.unwrap();
        for reader in readers {
            jetstream.delete_consumer_from_stream(reader, nats::EVENTS).await.unwrap();
        }
        let places = sqlx::query("update journal.consumers set sequence = 0 where name = any($1)");
        places.bind(readers).execute(self.pool()).await.unwrap();
        self.provision().await;
    }

    pub fn pool(&self) -> &PgPool {
        self.foundation.journal().pool()
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn visitor(&self) -> Person {
        Person::nobody(&self.url)
    }

    /// A new customer, born in 1990, logged in.
    pub async fn customer(&self, name: &str) -> Person {
        Person::register(&self.url, name, "1990-05-17").await
    }

    /// A game on sale, and projected.
    pub async fn game(&self, title: &str, amount: i64) -> String {
        self.admin.create_game(title, amount, 0).await
    }

    /// The environment of a role that runs as a process of its own.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LUDOTECA_DATA", self.folder.path().display().to_string()),
            ("DATABASE_URL", self.store.trade.journal.database_url.expose_secret().to_owned()),
            ("NATS_URL", self.store.trade.journal.nats_url.expose_secret().to_owned()),
            ("MASTER_KEY", self.store.master_key.expose_secret().to_owned()),
            ("PSP_URL", self.payment.psp_url.clone()),
            ("PAYMENT_ATTEMPTS", self.payment.queue.payment_attempts.to_string()),
            ("PAYMENT_ACK_WAIT_MS", self.payment.queue.payment_ack_wait.as_millis().to_string()),
            ("PAYMENT_SLOTS", self.payment.queue.payment_slots.to_string()),
            ("PSP_KEY", self.payment.psp_key.expose_secret().to_owned()),
            ("TEXT_LOG_FOLDER", self.payment.text_log_folder.display().to_string()),
        ]
    }

    /// What `ludoteca keys` prints.
    pub async fn keys(&self, arguments: &[&str]) -> String {
        let SecretsConfig { jwt_key_file, psp_webhook_secrets_file, .. } = &self.gateway.secrets;
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
        command.env("LUDOTECA_DATA", self.folder.path()).env("JWT_KEY_FILE", jwt_key_file);
        command.env("PSP_WEBHOOK_SECRETS_FILE", psp_webhook_secrets_file.as_ref().unwrap());
        let done = command.arg("keys").args(arguments).output().await.unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// No work is dead, of whichever class: a plain list leaves out what was declined.
    pub async fn has_no_dead_letters(&self) {
        for list in ["/dlq", "/dlq?class=declined"] {
            assert_eq!(self.admin.get(list).await.expect(200)["items"], serde_json::json!([]), "{list}");
        }
    }

    /// Proves the store whole, as `ludoteca verify` does.
    pub async fn verify(&self) {
        ludoteca::verify::run(&self.foundation, &self.search, None, None, Output::default()).await.unwrap();
        contract::hold_events(self).await;
        contract::hold_export(self).await;
    }

    /// Time passes for the store, and for nobody else.
    pub fn pass(&self, time: Duration) {
        self.foundation.shared.commands.clock().advance(time);
    }

    /// Proves as well that the PSP lists what is recorded.
    pub async fn verify_with_psp(&self) {
        let psp = PspClient::new(&self.payment.psp_url, self.payment.psp_key.clone(), Duration::from_secs(5)).unwrap();
        ludoteca::verify::run(&self.foundation, &self.search, Some(&psp), None, Output::default()).await.unwrap();
    }

    /// How many events of a name (or a pattern of one) the journal holds.
    pub async fn events(&self, kind: &str) -> i64 {
        let count = sqlx::query_scalar("select count(*) from journal.events where event_type like $1").bind(kind);
        count.fetch_one(self.pool()).await.unwrap()
    }

    /// The readers that checkout is.
    pub fn lanes() -> Vec<String> {
        Checkout::consumers().into_iter().map(|lane| lane.name).collect()
    }

    /// Waits until checkout has followed up everything that is mirrored.
    pub async fn lanes_are_empty(&self) {
        let nats = &self.foundation.shared.nats;
        eventually("checkout is through", || async {
            let mut waiting = 0;
            for lane in Self::lanes() {
                waiting += nats.waiting(nats::EVENTS, &lane).await.unwrap();
            }
            (waiting, 0)
        })
        .await;
    }

    /// Fails the test if work of the payment queue is left over.
    pub async fn queue_is_empty(&self) {
        let nats = &self.foundation.shared.nats;
        eventually("the payment queue is empty", || async { nats.extent(nats::PAYMENTS).await.unwrap().0 == 0 }).await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        self.roles.values().for_each(JoinHandle::abort);
    }
}

async fn start_nats(folder: &TempDir, port: u16, disk: Option<u64>) -> NatsServer {
    let folder = folder.path().join("nats");
    NatsServer::start_with(&folder, port, ("nsecret", "nanalyst"), disk).await.unwrap()
}

fn address(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().unwrap())
}

/// A gateway's key and the secrets of webhooks.
fn new_secrets(folder: &Path) -> SecretsConfig {
    let (jwt_key_file, secrets) = (folder.join("jwt.pem"), folder.join("webhook-secrets"));
    std::fs::write(&jwt_key_file, gateway::generate_key().unwrap().expose_secret()).unwrap();
    std::fs::write(&secrets, "whsec_of_tests\nwhsec_next\n").unwrap();
    SecretsConfig { jwt_key_file, psp_webhook_secrets_file: Some(secrets), psp_webhook_secret: vec![] }
}

fn journal_at(database_url: SecretString, nats: &NatsServer) -> JournalConfig {
    JournalConfig { database_url, database_connections: 10, nats_url: nats.url().into(), nats_replicas: 1 }
}
