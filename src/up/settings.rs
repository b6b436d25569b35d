//! What a local store is set up with: made once, kept in `ludoteca.env`, read by scripts and people.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::Currency;
use domain::order::DisputePolicy;
use secrecy::{ExposeSecret, SecretString};

use super::{UpArgs, new_master_key, port_beside};
use crate::config::{
    GatewayConfig, MailConfig, MeiliOwnerConfig, PaymentConfig, ReconcileConfig, SandboxArgs, SearchConfig,
    SecretsConfig, StoreConfig,
};
use crate::local::{new_secret, write_private};
use crate::search;

pub(super) const DATABASE: &str = "ludoteca";
const FILE: &str = "ludoteca.env";

/// A local store's ports and secrets.
pub struct Settings {
    pub(super) port: u16,
    pub(super) postgres_port: u16,
    pub(super) nats_port: u16,
    psp_port: u16,
    pub(super) postgres_password: String,
    app_password: String,
    pub(super) nats_password: String,
    pub(super) nats_analyst_password: String,
    psp_key: String,
    psp_webhook_secret: String,
    master_key: SecretString,
    pub(super) admin_email: String,
    pub(super) admin_password: SecretString,
    pub(super) search: SearchConfig,
}

impl Settings {
    /// Reads what an earlier start left, or makes everything new; chooses the ports anew, and writes it all down.
    pub(super) async fn prepare(args: &UpArgs) -> Result<Self> {
        let mut settings = Self::load_or_create(args)?;
        settings.search = match known_search(args) {
            Some(known) => known,
            None => search::provision(&args.meili).await?,
        };
        settings.write(&args.data)?;
        Ok(settings)
    }

    fn load_or_create(args: &UpArgs) -> Result<Self> {
        let data = &args.data;
        std::fs::create_dir_all(data.join("run")).with_context(|| format!("folder {}", data.display()))?;
        let known = known(data);
        let keep = |name: &str, new: &dyn Fn() -> String| known.get(name).cloned().unwrap_or_else(new);
        let port = args.port;
        let key_file = data.join("jwt-key.pem");
        if !key_file.is_file() {
            write_private(&key_file, gateway::generate_key()?.expose_secret())?;
        }
        let psp_webhook_secret = keep("PSP_WEBHOOK_SECRET", &|| new_secret("whsec_"));
        if !webhook_secrets(data).is_file() {
            write_private(&webhook_secrets(data), &format!("{psp_webhook_secret}\n"))?;
        }
        Ok(Self {
            port,
            postgres_port: port_beside(port, 1)?,
            nats_port: port_beside(port, 2)?,
            psp_port: port_beside(port, 3)?,
            postgres_password: keep("POSTGRES_PASSWORD", &|| new_secret("p")),
            app_password: keep("POSTGRES_APP_PASSWORD", &|| new_secret("p")),
            nats_password: keep("NATS_PASSWORD", &|| new_secret("n")),
            nats_analyst_password: keep("NATS_ANALYST_PASSWORD", &|| new_secret("n")),
            psp_key: keep("PSP_KEY", &|| new_secret("sk_test_")),
            psp_webhook_secret,
            master_key: keep("MASTER_KEY", &|| new_master_key().expose_secret().to_owned()).into(),
            admin_email: keep("ADMIN_EMAIL", &|| "admin@ludoteca.example".to_owned()),
            admin_password: keep("ADMIN_PASSWORD", &|| new_secret("")).into(),
            search: SearchConfig::default(),
        })
    }

    /// Reads what a running store was set up with.
    pub(super) fn read(data: &Path) -> Result<Self> {
        let known = known(data);
        let url = known.get("LUDOTECA_URL").context("the store has not been started yet")?;
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).context("LUDOTECA_URL")?;
        let data = data.to_path_buf();
        let args = UpArgs {
            port,
            data,
            catalog: None,
            detach: false,
            processes: false,
            no_import: true,
            meili: MeiliOwnerConfig::default(),
        };
        Self::load_or_create(&args)
    }

    /// How to reach the database and the server of a running store.
    pub(super) fn store_from_file(data: &Path) -> Result<StoreConfig> {
        let known = known(data);
        let get = |name: &str| known.get(name).cloned().with_context(|| format!("{name} is not in {FILE}"));
        Ok(StoreConfig {
            database_url: get("DATABASE_URL")?.into(),
            database_connections: 24,
            nats_url: get("NATS_URL")?.into(),
            nats_replicas: 1,
            master_key: get("MASTER_KEY")?.into(),
            currency: Currency::BRL,
            refund_window_days: 7,
            dispute_policy: DisputePolicy::Suspend,
        })
    }

    /// Writes the file that scripts and people read; for its owner only.
    fn write(&self, data: &Path) -> Result<()> {
        let path = |path: PathBuf| path.display().to_string();
        let lines = [
            ("LUDOTECA_URL", self.url()),
            ("ADMIN_EMAIL", self.admin_email.clone()),
            ("ADMIN_PASSWORD", self.admin_password.expose_secret().to_owned()),
            ("DATABASE_URL", self.app_url().expose_secret().to_owned()),
            ("DATABASE_OWNER_URL", self.owner_url(DATABASE).expose_secret().to_owned()),
            ("NATS_URL", self.nats_url("ludoteca", &self.nats_password)),
            ("NATS_ANALYST_URL", self.nats_url("analyst", &self.nats_analyst_password)),
            ("PSP_URL", self.psp_url()),
            ("PSP_KEY", self.psp_key.clone()),
            ("PSP_WEBHOOK_SECRET", self.psp_webhook_secret.clone()),
            ("MASTER_KEY", self.master_key.expose_secret().to_owned()),
            ("GATEWAY_LISTEN", Self::listen(self.port).to_string()),
            ("JWT_KEY_FILE", path(data.join("jwt-key.pem"))),
            ("PSP_WEBHOOK_SECRETS_FILE", path(webhook_secrets(data))),
            ("TEXT_LOG_FOLDER", path(text_logs(data))),
            ("MAIL_FOLDER", path(data.join("outbox"))),
            ("STORE_URL", self.url()),
            ("POSTGRES_PASSWORD", self.postgres_password.clone()),
            ("POSTGRES_APP_PASSWORD", self.app_password.clone()),
            ("NATS_PASSWORD", self.nats_password.clone()),
            ("NATS_ANALYST_PASSWORD", self.nats_analyst_password.clone()),
        ];
        let SearchConfig { meili_url, meili_search_key, meili_index_key, meili_index, search_words } = &self.search;
        let secret = |key: &Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
        let search = [
            ("MEILI_URL", meili_url.clone()),
            ("MEILI_SEARCH_KEY", secret(meili_search_key)),
            ("MEILI_INDEX_KEY", secret(meili_index_key)),
            ("MEILI_INDEX", meili_url.as_ref().map(|_| meili_index.clone())),
            ("SEARCH_WORDS", search_words.clone().map(path)),
        ];
        let search = search.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let mut text = String::from("# Written by `ludoteca up`. Secrets of this machine; kept from start to start.\n");
        for (name, value) in lines.into_iter().chain(search) {
            writeln!(text, "{name}={value}")?;
        }
        write_private(&data.join(FILE), &text)
    }

    /// A database as the store's own role sees it.
    pub(super) fn app_url(&self) -> SecretString {
        self.postgres_url("ludoteca", &self.app_password, DATABASE)
    }

    /// A database as its owner sees it.
    pub(super) fn owner_url(&self, database: &str) -> SecretString {
        self.postgres_url("postgres", &self.postgres_password, database)
    }

    fn postgres_url(&self, role: &str, password: &str, database: &str) -> SecretString {
        format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", self.postgres_port).into()
    }

    fn nats_url(&self, user: &str, password: &str) -> String {
        format!("nats://{user}:{password}@127.0.0.1:{}", self.nats_port)
    }

    pub(super) fn store(&self) -> StoreConfig {
        StoreConfig {
            database_url: self.app_url(),
            database_connections: 48,
            nats_url: self.nats_url("ludoteca", &self.nats_password).into(),
            nats_replicas: 1,
            master_key: self.master_key.clone(),
            currency: Currency::BRL,
            refund_window_days: 7,
            dispute_policy: DisputePolicy::Suspend,
        }
    }

    pub(super) fn gateway(&self, data: &Path) -> GatewayConfig {
        GatewayConfig {
            listen: Self::listen(self.port),
            secrets: SecretsConfig {
                jwt_key_file: data.join("jwt-key.pem"),
                psp_webhook_secrets_file: Some(webhook_secrets(data)),
                psp_webhook_secret: vec![],
            },
            payment_stale: Duration::from_secs(10),
            login_per_account: std::num::NonZeroU32::MIN.saturating_add(9),
            login_per_address: std::num::NonZeroU32::MIN.saturating_add(299),
        }
    }

    pub(super) fn payment(&self, data: &Path) -> PaymentConfig {
        PaymentConfig {
            psp_url: self.psp_url(),
            psp_key: self.psp_key.as_str().into(),
            psp_timeout: Duration::from_secs(10),
            payment_attempts: 6,
            payment_pause: Duration::from_secs(1),
            payment_ack_wait: Duration::from_secs(15),
            payment_slots: 16,
            text_log_folder: text_logs(data),
        }
    }

    pub(super) fn reconcile() -> ReconcileConfig {
        ReconcileConfig {
            order_expiry: Duration::from_mins(30),
            reconcile_every: Duration::from_secs(5),
            reconcile_after: Duration::from_mins(1),
            reconcile_charges: Duration::from_mins(10),
        }
    }

    pub(super) fn mail(&self, data: &Path) -> MailConfig {
        MailConfig {
            smtp_url: None,
            store_url: self.url(),
            mail_attempts: 8,
            mail_pause: Duration::from_secs(5),
            mail_folder: data.join("outbox"),
            mail_from: "Ludoteca <store@ludoteca.example>".to_owned(),
        }
    }

    pub(super) fn sandbox(&self, data: &Path) -> SandboxArgs {
        SandboxArgs {
            sandbox_listen: Self::listen(self.psp_port),
            psp_key: self.psp_key.as_str().into(),
            sandbox_webhook_url: format!("{}/webhooks/psp", self.url()),
            psp_webhook_secret: self.psp_webhook_secret.as_str().into(),
            sandbox_pix: Duration::from_millis(1_500),
            sandbox_file: Some(data.join("psp-sandbox.jsonl")),
        }
    }

    /// The short page that a start ends with.
    pub(super) fn page(&self, data: &Path) -> String {
        let (url, prefix) = (self.url(), prefix(data));
        let line = |name: &str, value: &str| format!("  {name:<12} {value}\n");
        let tip = |command: &str, what: &str| format!("  {prefix}{command:<46} {what}\n");
        [
            "\nLudoteca is ready.\n\n".to_owned(),
            line("Shop", &format!("{url}/")),
            line("Try it out", &format!("{url}/docs")),
            line("Health", &format!("{url}/health/ready")),
            line("Metrics", &format!("{url}/metrics")),
            line("Admin", &format!("{}  password {}", self.admin_email, self.admin_password.expose_secret())),
            line("Settings", &data.join(FILE).display().to_string()),
            line("Mail", &data.join("outbox").display().to_string()),
            line("Payment log", &text_logs(data).display().to_string()),
            "\nTry next:\n".to_owned(),
            tip("scripts/demo", "buys by card and Pix and shows each event"),
            tip("scripts/ludoteca replay --type OrderCompleted", "replays events"),
            tip("scripts/ludoteca verify", "proves that nothing was lost or doubled"),
            format!("  curl '{url}/jogos/busca?q=lantern'\n\n"),
        ]
        .concat()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn psp_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.psp_port)
    }

    fn listen(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }
}

/// What commands need before them to mean a store in another folder.
pub(super) fn prefix(data: &Path) -> String {
    if data == Path::new(".local") { String::new() } else { format!("LUDOTECA_DATA={} ", data.display()) }
}

/// The default folder's log is where people look for it; other stores keep theirs with their data.
fn text_logs(data: &Path) -> PathBuf {
    if data == Path::new(".local") { PathBuf::from("logs") } else { data.join("logs") }
}

/// The secrets that webhooks may be signed with, one a line.
fn webhook_secrets(data: &Path) -> PathBuf {
    data.join("webhook-secrets")
}

/// The keys that an earlier start made, where the master key is not given again.
fn known_search(args: &UpArgs) -> Option<SearchConfig> {
    let (MeiliOwnerConfig { meili_url, meili_master_key, meili_index, search_words }, known) =
        (args.meili.clone(), known(&args.data));
    if meili_master_key.is_some() || meili_url.as_ref() != known.get("MEILI_URL") {
        return None;
    }
    let key = |name: &str| Some(SecretString::from(known.get(name)?.clone()));
    Some(SearchConfig {
        meili_search_key: Some(key("MEILI_SEARCH_KEY")?),
        meili_index_key: Some(key("MEILI_INDEX_KEY")?),
        meili_url,
        meili_index,
        search_words,
    })
}

pub(super) fn known(data: &Path) -> HashMap<String, String> {
    let lines = dotenvy::from_path_iter(data.join(FILE)).into_iter().flatten();
    lines.filter_map(Result::ok).collect()
}
