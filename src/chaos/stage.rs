//! A store of separate processes: a Postgres primary and its standby, three NATS servers, two processes of every role,
//! and the sandbox PSP, with wires between them that can be broken.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chrono_tz::Tz;
use domain::Currency;
use domain::order::DisputePolicy;
use domain::user::Requirement;
use journal::{HeadKey, migrate};
use nix::sys::signal::Signal;
use psp::PspClient;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::client::{Api, http};
use crate::config::{self, JournalConfig, QueueConfig, StoreConfig, TradeConfig};
use crate::local::{NatsCluster, PostgresPair, Process, Wire, free_port, new_secret, write_private};
use crate::roles::{Foundation, ROLES, Roles};
use crate::up::env_file::{self, Values};
use crate::up::new_master_key;
use crate::up::supervise::{self, Instance};
use crate::{provision, stock};

/// The sandbox PSP is no role of the store, but dies like one.
pub(super) const PSP: &str = "psp-sandbox";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_mins(1);
const ADMIN: &str = "admin@ludoteca.example";
pub(super) const PSP_KEY: &str = "sk_test_chaos";

/// Where a wire leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Postgres,
    Psp,
    Nats(usize),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres => f.write_str("Postgres"),
            Self::Psp => f.write_str("the PSP"),
            Self::Nats(index) => write!(f, "nats-{index}"),
        }
    }
}

pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) postgres: PostgresPair,
    pub(super) cluster: NatsCluster,
    pub(super) foundation: Foundation,
    /// Where each gateway is.
    pub(super) urls: [String; 2],
    pub(super) psp_url: String,
    /// What can be killed.
    pub(super) processes: Vec<String>,
    to_postgres: Wire,
    to_psp: Wire,
    to_nats: Vec<Wire>,
    store: StoreConfig,
    app_password: String,
    admin_password: SecretString,
    stop: CancellationToken,
}

impl Stage {
    /// Starts everything in `folder`, and imports the demo catalogue.
    pub(super) async fn start(folder: &Path, stop: &CancellationToken) -> Result<(Self, Roles)> {
        std::fs::create_dir_all(folder.join("run"))?;
        let folder = folder.canonicalize()?;
        // Postgres outlives whoever fails after it was started.
        let cluster = NatsCluster::start(&folder, &new_secret("n")).await?;
        let postgres_password = new_secret("p");
        let postgres = PostgresPair::start(&folder, &postgres_password).await?;
        let owner: SecretString = postgres.url("postgres", &postgres_password, "postgres").into();
        let app_password = new_secret("p");
        migrate(&owner, &postgres.url("ludoteca", &app_password, "postgres").into()).await?;
        let psp_port = free_port()?;
        let (to_postgres, to_psp) = (Wire::to(postgres.port()).await?, Wire::to(psp_port).await?);
        let mut to_nats = Vec::new();
        for port in cluster.ports() {
            to_nats.push(Wire::to(port).await?);
        }
        let gateways = [free_port()?, free_port()?].map(|port| format!("127.0.0.1:{port}"));
        let store = StoreConfig {
            // Past the wires: what is looked at in the end is looked at whatever was broken.
            trade: TradeConfig {
                journal: JournalConfig {
                    database_url: postgres.url("ludoteca", &app_password, "postgres").into(),
                    database_connections: 12,
                    nats_url: cluster.url().into(),
                    nats_replicas: crate::local::SERVERS,
                },
                currency: Currency::BRL,
                refund_window_days: 7,
                dispute_policy: DisputePolicy::Suspend,
                time_zone: Tz::America__Sao_Paulo,
            },
            master_key: new_master_key(),
            email_confirmation: Requirement::Optional,
            staff_second_factor: Requirement::Optional,
            store_url: format!("http://{}", gateways[0]).parse()?,
        };
        let key_file = folder.join("jwt-key.pem");
        write_private(&key_file, gateway::generate_key()?.expose_secret())?;
        let wired = [
            ("DATABASE_URL", format!("postgres://ludoteca:{app_password}@127.0.0.1:{}/postgres", to_postgres.port)),
            ("NATS_URL", cluster.url_at(to_nats.iter().map(|wire| wire.port))),
            ("PSP_URL", format!("http://127.0.0.1:{}", to_psp.port)),
            ("JWT_KEY_FILE", key_file.display().to_string()),
            ("SANDBOX_LISTEN", format!("127.0.0.1:{psp_port}")),
        ];
        let mut settings = settings(&folder, &store, &gateways);
        settings.extend(wired.map(|(name, value)| (name.to_owned(), value)));
        env_file::write(&folder, &settings)?;

        let foundation = Foundation::connect(&store, stop.clone()).await?;
        let queue: QueueConfig = config::from_settings(|name| settings.get(name).cloned())?;
        provision::run(&foundation.carriers, &queue).await?;
        let admin_password: SecretString = new_secret("").into();
        stock::create_admin(&foundation, ADMIN, &admin_password).await?;
        let mut roles = Roles::new(stop.clone());
        let instances = instances(&gateways);
        let processes = instances.iter().map(|instance| instance.name.clone()).collect();
        supervise::start(&mut roles, instances, &folder, stop)?;
        stock::import(&foundation, None).await?;
        let stage = Self {
            folder,
            postgres,
            cluster,
            foundation,
            urls: gateways.map(|gateway| format!("http://{gateway}")),
            psp_url: format!("http://127.0.0.1:{psp_port}"),
            processes,
            to_postgres,
            to_psp,
            to_nats,
            store,
            app_password,
            admin_password,
            stop: stop.clone(),
        };
        stage.answers().await?;
        Ok((stage, roles))
    }

    async fn answers(&self) -> Result<()> {
        let deadline = Instant::now().checked_add(PATIENCE);
        for url in &self.urls {
            while http()?.get(format!("{url}/health/live")).send().await.is_err() {
                ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "a gateway does not answer");
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Sends a signal to a process, if it runs at this moment; whether it did.
    pub(super) fn signal(&self, name: &str, signal: Signal) -> bool {
        let process = Process::of(&supervise::pid_file(&self.folder, name), &self.folder);
        process.is_some_and(|process| process.signal(signal))
    }

    /// A wire that can be broken.
    pub(super) fn wire(&self, way: Way) -> &Wire {
        match way {
            Way::Postgres => &self.to_postgres,
            Way::Psp => &self.to_psp,
            Way::Nats(index) => self.to_nats.get(index).unwrap_or(&self.to_postgres),
        }
    }

    /// The primary is lost; its standby takes its place, and the wire leads there.
    pub(super) async fn fail_over(&mut self) -> Result<()> {
        self.postgres.fail_over().await?;
        self.to_postgres.lead_to(self.postgres.port());
        self.store.trade.journal.database_url = self.postgres.url("ludoteca", &self.app_password, "postgres").into();
        Ok(())
    }

    /// Connections of our own that nothing has broken.
    pub(super) async fn reconnect(&mut self) -> Result<()> {
        self.foundation = Foundation::connect(&self.store, self.stop.clone()).await?;
        Ok(())
    }

    /// Past the wires that are cut.
    pub(super) fn nats_url(&self) -> SecretString {
        self.cluster.url().into()
    }

    /// The PSP itself, past the wire.
    pub(super) fn psp(&self) -> Result<PspClient> {
        Ok(PspClient::new(&self.psp_url, PSP_KEY.to_owned().into(), PATIENCE)?)
    }

    /// Makes the PSP behave like this from now on; as soon as it answers, where it is down.
    pub(super) async fn psp_behaves(&self, behaviour: &Value) -> Result<()> {
        let url = format!("{}/control", self.psp_url);
        let deadline = Instant::now().checked_add(PATIENCE);
        loop {
            let told = http()?.put(&url).bearer_auth(PSP_KEY).timeout(Duration::from_secs(2)).json(behaviour).send();
            if told.await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "the PSP does not answer");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// All of a list of the PSP's.
    pub(super) async fn psp_list(&self, path: &str) -> Result<Vec<Value>> {
        let (http, mut listed) = (http()?, Vec::<Value>::new());
        loop {
            let last = listed.last().and_then(|last| last.get("id")).and_then(Value::as_str);
            let after = last.map_or_else(String::new, |id| format!("&starting_after={id}"));
            let url = format!("{}{path}{after}", self.psp_url);
            let page: Value = http.get(url).bearer_auth(PSP_KEY).send().await?.error_for_status()?.json().await?;
            let data = page.get("data").and_then(Value::as_array).context("no list")?;
            listed.extend(data.iter().cloned());
            if page.get("has_more") != Some(&json!(true)) {
                return Ok(listed);
            }
        }
    }

    pub(super) async fn admin(&self) -> Result<Api> {
        let [gateway, _] = &self.urls;
        Api::visit(gateway)?.log_in(ADMIN, &self.admin_password).await
    }

    /// Ends everything; what was kept stays in the folder.
    pub(super) async fn end(self, roles: Roles) -> Result<()> {
        self.stop.cancel();
        roles.finish().await?;
        self.postgres.stop().await
    }
}

/// Two processes of every role and one of the PSP.
fn instances([_, second]: &[String; 2]) -> Vec<Instance> {
    let twins = ROLES.into_iter().map(|role| Instance {
        role,
        name: format!("{role}-2"),
        settings: Values::from([("GATEWAY_LISTEN".to_owned(), second.clone())]),
    });
    ROLES.into_iter().chain([PSP]).map(Instance::only).chain(twins).collect()
}

/// What every process is told: impatient, so that a minute holds what a day would.
fn settings(folder: &Path, store: &StoreConfig, [gateway, _]: &[String; 2]) -> Values {
    let path = |name: &str| folder.join(name).display().to_string();
    let settings = [
        ("DATABASE_CONNECTIONS", "6".to_owned()),
        ("NATS_REPLICAS", store.trade.journal.nats_replicas.to_string()),
        ("MASTER_KEY", store.master_key.expose_secret().to_owned()),
        ("GATEWAY_LISTEN", gateway.clone()),
        ("STORE_URL", format!("http://{gateway}")),
        ("RATE_LIMITS", "every=1000000".to_owned()),
        ("TREE_HEAD_KEY", HeadKey::generate().expose_secret().to_owned()),
        ("TREE_HEAD_EVERY_MS", "2000".to_owned()),
        ("PSP_KEY", PSP_KEY.to_owned()),
        ("PSP_WEBHOOK_SECRET", new_secret("whsec_")),
        ("PSP_TIMEOUT_MS", "2000".to_owned()),
        // Longer together than any fault lasts: what is dead all the same died wrongly.
        ("PAYMENT_ATTEMPTS", "9".to_owned()),
        ("PAYMENT_PAUSE_MS", "200".to_owned()),
        ("PAYMENT_ACK_WAIT_MS", "4000".to_owned()),
        ("ORDER_EXPIRY_MS", "45000".to_owned()),
        ("RECONCILE_EVERY_MS", "500".to_owned()),
        ("RECONCILE_AFTER_MS", "3000".to_owned()),
        ("RECONCILE_CHARGES_MS", "10000".to_owned()),
        ("DLQ_SWEEP_MS", "2000".to_owned()),
        ("TEXT_LOG_FOLDER", path("logs")),
        ("MAIL_FOLDER", path("outbox")),
        ("MAIL_ATTEMPTS", "30".to_owned()),
        ("MAIL_PAUSE_MS", "200".to_owned()),
        ("SANDBOX_FILE", path("psp-sandbox.jsonl")),
        ("SANDBOX_WEBHOOK_URL", format!("http://{gateway}/webhooks/psp")),
        ("SANDBOX_PIX_MS", "1000".to_owned()),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
