//! The one typed configuration. Parsed in `main`, passed as values; nobody else reads the environment.

mod places;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use gateway::{Bounds, Edge, ProxyHeader, Quotas, Tls, TrustedProxies};
use nix::sys::resource::{Resource, getrlimit};
use psp::{PspClient, PspError};
use secrecy::SecretString;
use workers::Patience;

pub use self::places::{Networks, Origins};
use self::places::{networks, origins};
pub use self::store::{JournalConfig, StoreConfig, TradeConfig};

/// The database as its owner sees it: for migrations and for a new epoch.
#[derive(Debug, Clone, Args)]
pub struct OwnerConfig {
    /// The Postgres database, as the role that owns it
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    pub database_owner_url: SecretString,
    /// The Postgres database, as the store's own role; it is created where missing
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
}

/// The search engine: Meilisearch where its URL is given, Postgres otherwise.
#[derive(Debug, Clone, Default, Args)]
pub struct SearchConfig {
    /// The Meilisearch server; without one, Postgres searches
    #[arg(long, env = "MEILI_URL")]
    pub meili_url: Option<String>,
    /// The gateway's key, which may search
    #[arg(long, env = "MEILI_SEARCH_KEY", hide_env_values = true)]
    pub meili_search_key: Option<SecretString>,
    /// The indexer's key, which may write
    #[arg(long, env = "MEILI_INDEX_KEY", hide_env_values = true)]
    pub meili_index_key: Option<SecretString>,
    /// The name of the index in Meilisearch
    #[arg(long, env = "MEILI_INDEX", default_value = DEFAULT_INDEX)]
    pub meili_index: String,
    /// A JSON file with synonyms and stop words; the built-in ones without it
    #[arg(long, env = "SEARCH_WORDS")]
    pub search_words: Option<PathBuf>,
}

/// What the index is called where nobody says otherwise.
pub const DEFAULT_INDEX: &str = "games";

/// Meilisearch, as its owner sees it.
#[derive(Debug, Clone, Default, Args)]
pub struct MeiliOwnerConfig {
    /// The Meilisearch server; without one, Postgres searches
    #[arg(long, env = "MEILI_URL")]
    pub meili_url: Option<String>,
    /// Its master key, from which the roles' own keys are made
    #[arg(long, env = "MEILI_MASTER_KEY", hide_env_values = true)]
    pub meili_master_key: Option<SecretString>,
    /// The name of the index in Meilisearch
    #[arg(long, env = "MEILI_INDEX", default_value = DEFAULT_INDEX)]
    pub meili_index: String,
    /// A JSON file with synonyms and stop words; the built-in ones without it
    #[arg(long, env = "SEARCH_WORDS")]
    pub search_words: Option<PathBuf>,
}

/// What the gateway reads again whenever it changes; `ludoteca keys` changes it.
#[derive(Debug, Clone, Args)]
pub struct SecretsConfig {
    /// A file with the Ed25519 private keys of access tokens (PKCS #8 PEM); the first one signs
    #[arg(long, env = "JWT_KEY_FILE")]
    pub jwt_key_file: PathBuf,
    /// A file with the secrets that the PSP may sign webhooks with, one a line
    #[arg(long, env = "PSP_WEBHOOK_SECRETS_FILE")]
    pub psp_webhook_secrets_file: Option<PathBuf>,
    /// The secrets that the PSP may sign webhooks with, separated by commas, where there is no such file
    #[arg(long, env = "PSP_WEBHOOK_SECRET", hide_env_values = true, value_delimiter = ',')]
    pub psp_webhook_secret: Vec<SecretString>,
}

/// The gateway.
#[derive(Debug, Clone, Args)]
pub struct GatewayConfig {
    /// Where it listens
    #[arg(long, env = "GATEWAY_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Keys and secrets.
    #[command(flatten)]
    pub secrets: SecretsConfig,
    /// A file with the chain of certificates (PEM) to speak TLS with, the gateway's own first; read again when it changes
    #[arg(long, env = "TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// A file with its private key (PEM)
    #[arg(long, env = "TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// After how long an unsettled payment that somebody looks at is asked about anew, in milliseconds
    #[arg(long, env = "PAYMENT_STALE_MS", default_value = "10000", value_parser = millis)]
    pub payment_stale: Duration,
    /// How many requests of a class anybody may make in a minute, where it is not the usual number, such as
    /// search=1000,login=50; every=1000 holds for all others. Classes: login, registration, session, reset, search,
    /// purchase, stream, export, change, read, page, token (bad ones); account and device are logins to one account from strange
    /// and from known devices; mailbox are the links to another password, invitation all other mail (a welcome, links that
    /// confirm) to one address in an hour
    #[arg(long, env = "RATE_LIMITS", default_value = "", hide_default_value = true, value_parser = Quotas::from_str)]
    pub rate_limits: Quotas,
    /// How many connections there may be, and at most as many as there are descriptors for; where there are more, one that
    /// is idle or slow gives way
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 4_096)]
    pub max_connections: usize,
    /// How many connections there may be from one address, or one /64 of IPv6; more from a proxy and from this machine
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 256)]
    pub max_connections_per_address: usize,
    /// How long a client may take over a request's head, its body, the next request or reading an answer, in
    /// milliseconds; more than a proxy in front keeps its connections
    #[arg(long, env = "CLIENT_PATIENCE_MS", default_value = "30000", value_parser = millis)]
    pub client_patience: Duration,
    /// The networks of the proxies in front, such as 10.0.0.0/8, separated by commas; nobody else is believed about where a
    /// request comes from
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "", hide_default_value = true, value_parser = networks)]
    pub trusted_proxies: Networks,
    /// The origins of pages elsewhere that may use the API with access tokens, such as <https://partner.example>, separated
    /// by commas
    #[arg(long, env = "CORS_ORIGINS", default_value = "", hide_default_value = true, value_parser = origins)]
    pub cors_origins: Origins,
    /// Whom to tell of a hole in the store, such as <mailto:security@store.example>; shown at /.well-known/security.txt
    #[arg(long, env = "SECURITY_CONTACT")]
    pub security_contact: Option<reqwest::Url>,
    /// Where they write it: in the header x-forwarded-for (with x-forwarded-proto) or forwarded, or in front of each
    /// connection (proxy-protocol)
    #[arg(long, env = "PROXY_HEADER", default_value_t, value_parser = ProxyHeader::from_str)]
    pub proxy_header: ProxyHeader,
}

/// Descriptors that are not for connections: the database, NATS, files.
const OTHER_DESCRIPTORS: u64 = 128;

impl GatewayConfig {
    /// How it keeps its door; it takes no more connections than there are descriptors for.
    #[must_use]
    pub fn edge(&self, tls: Option<Tls>) -> Edge {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        let most = usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX).max(1);
        let bounds = Bounds {
            connections: self.max_connections.min(most),
            per_address: self.max_connections_per_address,
            patience: self.client_patience,
        };
        let proxies = TrustedProxies { networks: self.trusted_proxies.clone(), header: self.proxy_header };
        Edge { bounds, proxies, tls }
    }
}

/// The payment queue. A change of it needs `ludoteca provision`.
#[derive(Debug, Clone, Copy, Args)]
pub struct QueueConfig {
    /// How often payment work is tried before it becomes a dead letter
    #[arg(long, env = "PAYMENT_ATTEMPTS", default_value_t = 6)]
    pub payment_attempts: u16,
    /// The pause after the first try, in milliseconds; it doubles with each
    #[arg(long, env = "PAYMENT_PAUSE_MS", default_value = "1000", value_parser = millis)]
    pub payment_pause: Duration,
    /// After how long without a word from its worker payment work is given to another, in milliseconds
    #[arg(long, env = "PAYMENT_ACK_WAIT_MS", default_value = "15000", value_parser = millis)]
    pub payment_ack_wait: Duration,
    /// How many payments are worked on at once
    #[arg(long, env = "PAYMENT_SLOTS", default_value_t = 16)]
    pub payment_slots: u16,
}

impl QueueConfig {
    /// As the worker takes it.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience {
            attempts: self.payment_attempts,
            pause: self.payment_pause,
            ack_wait: self.payment_ack_wait,
            slots: self.payment_slots,
        }
    }
}

/// The workers that speak with the PSP.
#[derive(Debug, Clone, Args)]
pub struct PaymentConfig {
    /// The PSP's address
    #[arg(long, env = "PSP_URL")]
    pub psp_url: String,
    /// Our key at the PSP
    #[arg(long, env = "PSP_KEY", hide_env_values = true)]
    pub psp_key: SecretString,
    /// How long to wait for the PSP's answer, in milliseconds
    #[arg(long, env = "PSP_TIMEOUT_MS", default_value = "10000", value_parser = millis)]
    pub psp_timeout: Duration,
    /// How patient the payment queue is
    #[command(flatten)]
    pub queue: QueueConfig,
    /// The folder of the daily text log of payments
    #[arg(long, env = "TEXT_LOG_FOLDER", default_value = "logs")]
    pub text_log_folder: PathBuf,
}

/// The PSP, for a tool that only reads its lists.
#[derive(Debug, Clone, Args)]
pub struct PspReaderConfig {
    /// The PSP's address; without it, what the PSP lists is not looked at
    #[arg(long, env = "PSP_URL", requires = "psp_key")]
    pub psp_url: Option<String>,
    /// Our key at the PSP
    #[arg(long, env = "PSP_KEY", hide_env_values = true)]
    pub psp_key: Option<SecretString>,
}

impl PspReaderConfig {
    /// A client, where the PSP is configured.
    ///
    /// # Errors
    /// When no TLS can be had.
    pub fn client(&self) -> Result<Option<PspClient>, PspError> {
        let configured = self.psp_url.as_deref().zip(self.psp_key.clone());
        configured.map(|(url, key)| PspClient::new(url, key, PSP_PATIENCE)).transpose()
    }
}

/// How long a tool waits for the PSP's answer.
const PSP_PATIENCE: Duration = Duration::from_secs(10);

/// The reconciler.
#[derive(Debug, Clone, Args)]
pub struct ReconcileConfig {
    /// How long an order may be unpaid before it is given up, in milliseconds
    #[arg(long, env = "ORDER_EXPIRY_MS", default_value = "1800000", value_parser = millis)]
    pub order_expiry: Duration,
    /// How often to look for what is due, in milliseconds
    #[arg(long, env = "RECONCILE_EVERY_MS", default_value = "5000", value_parser = millis)]
    pub reconcile_every: Duration,
    /// How long a payment may be unsettled before the PSP is asked, in milliseconds; longer with each question
    #[arg(long, env = "RECONCILE_AFTER_MS", default_value = "60000", value_parser = millis)]
    pub reconcile_after: Duration,
    /// How often to go through the PSP's list of charges, in milliseconds
    #[arg(long, env = "RECONCILE_CHARGES_MS", default_value = "600000", value_parser = millis)]
    pub reconcile_charges: Duration,
}

/// The DLQ watcher.
#[derive(Debug, Clone, Args)]
pub struct WatcherConfig {
    /// How often to look for work that nobody will be given again, in milliseconds
    #[arg(long, env = "DLQ_SWEEP_MS", default_value = "30000", value_parser = millis)]
    pub sweep_every: Duration,
    /// The folder of the daily text log of payments
    #[arg(long, env = "TEXT_LOG_FOLDER", default_value = "logs")]
    pub text_log_folder: PathBuf,
}

/// The notifier.
#[derive(Debug, Clone, Args)]
pub struct MailConfig {
    /// The mail server, such as <smtps://user:password@host>; without one, mail goes into a folder
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// The folder for mail where there is no mail server
    #[arg(long, env = "MAIL_FOLDER", default_value = ".local/outbox")]
    pub mail_folder: PathBuf,
    /// How often a mail is tried before it becomes a dead letter
    #[arg(long, env = "MAIL_ATTEMPTS", default_value_t = 8)]
    pub mail_attempts: i32,
    /// The pause after the first try, in milliseconds; it doubles with each
    #[arg(long, env = "MAIL_PAUSE_MS", default_value = "5000", value_parser = millis)]
    pub mail_pause: Duration,
    /// Who mail comes from
    #[arg(long, env = "MAIL_FROM", default_value = "Ludoteca <store@ludoteca.example>")]
    pub mail_from: String,
}

/// The notary.
#[derive(Debug, Clone, Args)]
pub struct NotaryConfig {
    /// The Ed25519 key that tree heads are signed with, as `ludoteca setup` makes it: PRIVATE+KEY+ludoteca/journal+ID+BASE64
    #[arg(long, env = "TREE_HEAD_KEY", hide_env_values = true)]
    pub tree_head_key: SecretString,
    /// How often the tree of all events is signed, in milliseconds, where something has happened
    #[arg(long, env = "TREE_HEAD_EVERY_MS", default_value = "60000", value_parser = millis)]
    pub tree_head_every: Duration,
}

/// The sandbox PSP.
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// Where it listens
    #[arg(long, env = "SANDBOX_LISTEN", default_value = "127.0.0.1:8083")]
    pub sandbox_listen: SocketAddr,
    /// The key that clients must send
    #[arg(long, env = "PSP_KEY", hide_env_values = true)]
    pub psp_key: SecretString,
    /// Where webhooks are delivered
    #[arg(long, env = "SANDBOX_WEBHOOK_URL", default_value = "http://127.0.0.1:8080/webhooks/psp")]
    pub sandbox_webhook_url: String,
    /// What webhooks are signed with
    #[arg(long, env = "PSP_WEBHOOK_SECRET", hide_env_values = true)]
    pub psp_webhook_secret: SecretString,
    /// How long a Pix payment takes, in milliseconds
    #[arg(long, env = "SANDBOX_PIX_MS", default_value = "1500", value_parser = millis)]
    pub sandbox_pix: Duration,
    /// Where payment intents are kept over a restart
    #[arg(long, env = "SANDBOX_FILE")]
    pub sandbox_file: Option<PathBuf>,
}

/// What every role that has no routes of its own serves for operators.
#[derive(Debug, Clone, Args)]
pub struct OperationsConfig {
    /// Where health and metrics are served; nowhere without
    #[arg(long, env = "OPERATIONS_LISTEN")]
    pub operations_listen: Option<SocketAddr>,
}

/// How a tool reaches a running store.
#[derive(Debug, Clone, Args)]
pub struct ClientConfig {
    /// The store's address
    #[arg(long, env = "LUDOTECA_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// An admin's API key, made in the shop (Account); the tool logs in as nobody then
    #[arg(long, env = "LUDOTECA_API_KEY", hide_env_values = true)]
    pub api_key: Option<SecretString>,
    /// An admin's address, where there is no key
    #[arg(long, env = "ADMIN_EMAIL", required_unless_present = "api_key")]
    pub admin_email: Option<String>,
    /// That admin's password
    #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true, required_unless_present = "api_key")]
    pub admin_password: Option<SecretString>,
    /// A code of that admin's authenticator app, or a recovery code, where the account has one
    #[arg(long, env = "ADMIN_CODE", hide_env_values = true)]
    pub admin_code: Option<SecretString>,
}

fn millis(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}

/// A role's configuration from settings by the names of their variables; what they leave out comes from the
/// environment, and then from the defaults above.
///
/// # Errors
/// When a value is invalid, or one that has no default is missing.
pub fn from_settings<C: Args>(setting: impl Fn(&str) -> Option<String>) -> Result<C, clap::Error> {
    let command = C::augment_args(clap::Command::new("settings"));
    let flags: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| {
            let value = setting(argument.get_env()?.to_str()?)?;
            Some(format!("--{}={value}", argument.get_long()?))
        })
        .collect();
    let matches = command.no_binary_name(true).try_get_matches_from(flags)?;
    C::from_arg_matches(&matches)
}
