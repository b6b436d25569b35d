//! The roles: what each needs, and how it is run. A process runs one of them, or all.

use std::future::Future;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use commands::{Commands, Rules};
use gateway::{Authority, Progress, Store};
use journal::{Clock, HeadKey, Journal, Vault, connect, dedicated_pool};
use nats::{JOURNAL_WAKE, Nats};
use poem::listener::TcpAcceptor;
use projections::Projector;
use psp::PspClient;
use psp::sandbox::SandboxConfig;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use workers::{
    Checkout, DlqWatcher, Indexer, MailPatience, Mailer, Notifier, PaymentDesk, PaymentWorker, Reconciler, Relay,
    Settlement, Shared, TextLog, Vigilance, WebhookFunction,
};

use crate::beside::beside;
use crate::config::{
    GatewayConfig, JournalConfig, MailConfig, NotaryConfig, PaymentConfig, ReconcileConfig, SandboxArgs, SearchConfig,
    StoreConfig, TradeConfig, WatcherConfig,
};
use crate::{search, secrets};

/// What each role of the store is called, as a subcommand and in logs; the sandbox PSP is no part of the store.
pub const ROLES: [&str; 11] = [
    "gateway",
    "relay",
    "projector",
    "indexer",
    "checkout",
    "payments",
    "webhooks",
    "reconciler",
    "dlq-watcher",
    "notifier",
    "notary",
];

/// What the roles lean on that carry events without looking into anybody's data: they need no key.
#[derive(Clone)]
pub struct Carriers {
    journal: Journal,
    nats: Nats,
    stop: CancellationToken,
}

impl Carriers {
    /// Connects to Postgres; NATS may come later.
    ///
    /// # Errors
    /// When Postgres cannot be reached, or the journal refuses to be read.
    pub async fn connect_role(config: &JournalConfig, stop: CancellationToken) -> Result<Self> {
        let nats = Nats::connect_when_there(config.nats_url.expose_secret()).await?;
        Self::on(config, nats, stop).await
    }

    /// Connects to everything, for tools that need it at once.
    ///
    /// # Errors
    /// When Postgres or NATS cannot be reached, or the journal refuses to be read.
    pub async fn connect(config: &JournalConfig, stop: CancellationToken) -> Result<Self> {
        let nats = Nats::connect(config.nats_url.expose_secret()).await?;
        Self::on(config, nats, stop).await
    }

    async fn on(config: &JournalConfig, nats: Nats, stop: CancellationToken) -> Result<Self> {
        let pool = connect(&config.database_url, config.database_connections).await.context("Postgres")?;
        Ok(Self { journal: Journal::open(pool).await?, nats: nats.with_replicas(config.nats_replicas), stop })
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The server.
    #[must_use]
    pub fn nats(&self) -> &Nats {
        &self.nats
    }

    /// Mirrors the journal.
    pub async fn relay(&self) {
        // It reads again and again, and a slow search is not to keep it waiting.
        let journal = self.journal.over_dedicated(2);
        Relay::new(journal, self.nats.clone()).run(self.stop.clone()).await;
    }

    /// Keeps the search index.
    ///
    /// # Errors
    /// When the search configuration is invalid.
    pub async fn indexer(&self, search: &SearchConfig) -> Result<()> {
        let (pool, nats) = (self.journal.pool().clone(), self.nats.clone());
        Indexer { pool, nats, engine: search::writing(search, self.journal.pool())? }.run(self.stop.clone()).await;
        Ok(())
    }
}

/// What every other role leans on.
#[derive(Clone)]
pub struct Foundation {
    /// Use cases and server.
    pub shared: Shared,
    /// The vault.
    pub vault: Vault,
    /// For roles that need less.
    pub carriers: Carriers,
    store_url: String,
}

impl Foundation {
    /// Connects to everything, and tells the relay of each append from now on.
    ///
    /// # Errors
    /// When Postgres or NATS cannot be reached, or the journal refuses to be appended to.
    pub async fn connect(config: &StoreConfig, stop: CancellationToken) -> Result<Self> {
        let nats = Nats::connect(config.trade.journal.nats_url.expose_secret()).await?;
        Self::on(config, nats, stop).await
    }

    /// As [`Foundation::connect`], for roles that start whether NATS is there already or not.
    ///
    /// # Errors
    /// When Postgres cannot be reached, or the journal refuses to be appended to.
    pub async fn connect_role(config: &StoreConfig, stop: CancellationToken) -> Result<Self> {
        let nats = Nats::connect_when_there(config.trade.journal.nats_url.expose_secret()).await?;
        Self::on(config, nats, stop).await
    }

    /// For roles that open nobody's data: games, orders and payments hold none, and the store's rules about accounts do not
    /// concern them.
    #[must_use]
    pub fn without_key(carriers: Carriers, config: &TradeConfig) -> Self {
        let clock = Clock::default();
        let vault = Vault::closed(carriers.journal.pool().clone(), clock.clone());
        let commands = Commands::new(carriers.journal.clone(), vault.clone(), config.rules(), clock);
        Self::of(carriers, vault, commands, String::new())
    }

    async fn on(config: &StoreConfig, nats: Nats, stop: CancellationToken) -> Result<Self> {
        let carriers = Carriers::on(&config.trade.journal, nats, stop).await?;
        let clock = Clock::default();
        let vault = Vault::open(carriers.journal.pool().clone(), &config.master_key, clock.clone()).await?;
        let StoreConfig { email_confirmation, staff_second_factor, .. } = *config;
        let rules = Rules { email_confirmation, staff_second_factor, ..config.trade.rules() };
        let commands = Commands::new(carriers.journal.clone(), vault.clone(), rules, clock).found_at(&config.store_url);
        let store_url = config.store_url.as_str().trim_end_matches('/').to_owned();
        Ok(Self::of(carriers, vault, commands, store_url))
    }

    fn of(carriers: Carriers, vault: Vault, commands: Commands, store_url: String) -> Self {
        let Carriers { journal, nats, stop } = carriers.clone();
        beside(stop.clone(), wake_the_relay(journal, nats.clone(), stop));
        Self { shared: Shared { commands, nats }, vault, carriers, store_url }
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        self.shared.commands.journal()
    }

    /// Serves HTTP.
    ///
    /// # Errors
    /// When the key cannot be read or the listener fails.
    pub async fn gateway(&self, config: &GatewayConfig, search: &SearchConfig, listener: TcpListener) -> Result<()> {
        let store = Store {
            commands: self.shared.commands.clone(),
            nats: self.shared.nats.clone(),
            search: search::reading(search, self.journal().pool())?,
            secrets: secrets::follow(&config.secrets, self.carriers.stop.clone())?,
            payment_stale: config.payment_stale,
            authority: Authority::open(self.journal().clone(), self.shared.commands.staff_second_factor()).await?,
            progress: Progress::default(),
            quotas: config.rate_limits.clone(),
            cors_origins: config.cors_origins.clone(),
            security_contact: config.security_contact.as_ref().map(ToString::to_string),
        };
        let tls = secrets::follow_tls(config, self.carriers.stop.clone())?;
        gateway::serve(store, listener, config.edge(tls), self.carriers.stop.clone()).await;
        Ok(())
    }

    /// Projects every read model.
    pub async fn projector(&self) {
        let projector = Projector::new(dedicated_pool(self.journal().pool(), 1), projections::all(&self.vault));
        workers::project(projector, self.shared.nats.clone(), self.carriers.stop.clone()).await;
    }

    /// Turns events into commands.
    pub async fn checkout(&self) {
        Checkout(self.trading()).run(self.carriers.stop.clone()).await;
    }

    /// Works off the payment queue.
    ///
    /// # Errors
    /// When the PSP's client cannot be made.
    pub async fn payments(&self, config: &PaymentConfig) -> Result<()> {
        let patience = config.queue.patience();
        let (shared, desk) = self.with_desk(config)?;
        PaymentWorker::new(shared, desk, patience).run(self.carriers.stop.clone()).await;
        Ok(())
    }

    /// Works off the webhook inbox.
    ///
    /// # Errors
    /// When the PSP's client cannot be made.
    pub async fn webhooks(&self, config: &PaymentConfig) -> Result<()> {
        let (shared, desk) = self.with_desk(config)?;
        WebhookFunction { shared, desk }.run(self.carriers.stop.clone()).await;
        Ok(())
    }

    /// Asks the PSP about what stays unsettled, and gives up what is not paid.
    ///
    /// # Errors
    /// When the PSP's client cannot be made.
    pub async fn reconciler(&self, config: &PaymentConfig, when: &ReconcileConfig) -> Result<()> {
        let vigilance = Vigilance {
            every: when.reconcile_every,
            ask_after: when.reconcile_after,
            order_expiry: when.order_expiry,
            lists_every: when.reconcile_charges,
        };
        let (shared, desk) = self.with_desk(config)?;
        Reconciler { shared, desk, vigilance }.run(self.carriers.stop.clone()).await;
        Ok(())
    }

    /// Brings payment work that nobody will be given again to where people see it.
    pub async fn dlq_watcher(&self, config: &WatcherConfig) {
        let log = TextLog::new(config.text_log_folder.clone(), self.shared.commands.clock().clone());
        let shared = self.trading();
        let settlement = Settlement::new(shared.clone(), log);
        DlqWatcher { shared, settlement, every: config.sweep_every }.run(self.carriers.stop.clone()).await;
    }

    /// Sends mail.
    ///
    /// # Errors
    /// When the mail server's URL or the sender's address is invalid.
    pub async fn notifier(&self, config: &MailConfig) -> Result<()> {
        let smtp = config.smtp_url.as_ref().map(ExposeSecret::expose_secret).filter(|url| !url.is_empty());
        let mailer = Mailer::new(smtp, &config.mail_folder)?;
        let from = config.mail_from.parse().context("MAIL_FROM")?;
        let patience = MailPatience { attempts: config.mail_attempts, pause: config.mail_pause };
        let (shared, store_url, noted) = (self.shared.clone(), self.store_url.clone(), Arc::default());
        Notifier { shared, mailer, from, store_url, patience, noted }.run(self.carriers.stop.clone()).await
    }

    /// Signs what the mirror holds.
    ///
    /// # Errors
    /// When the key is invalid.
    pub async fn notary(&self, config: &NotaryConfig) -> Result<()> {
        let key = HeadKey::parse(&config.tree_head_key).context("TREE_HEAD_KEY")?;
        let Shared { commands, nats } = self.trading();
        workers::sign_heads(commands, nats, key, config.tree_head_every, self.carriers.stop.clone()).await;
        Ok(())
    }

    /// What carries orders and payments on: it opens nobody's data, also where the process could.
    fn trading(&self) -> Shared {
        let commands = self.shared.commands.clone().over(self.vault.close());
        Shared { commands, nats: self.shared.nats.clone() }
    }

    /// The same, with what speaks with the PSP.
    fn with_desk(&self, config: &PaymentConfig) -> Result<(Shared, PaymentDesk)> {
        let shared = self.trading();
        let psp = PspClient::new(&config.psp_url, config.psp_key.clone(), config.psp_timeout)?;
        let log = TextLog::new(config.text_log_folder.clone(), self.shared.commands.clock().clone());
        let settlement = Settlement::new(shared.clone(), log);
        Ok((shared, PaymentDesk { psp, settlement }))
    }
}

/// Serves the sandbox PSP.
///
/// # Errors
/// When its file or its listener fails.
pub async fn psp_sandbox(config: &SandboxArgs, listener: TcpListener, stop: CancellationToken) -> Result<()> {
    let config = SandboxConfig {
        key: config.psp_key.clone(),
        webhook_url: config.sandbox_webhook_url.clone(),
        webhook_secret: config.psp_webhook_secret.clone(),
        pix_delay: config.sandbox_pix,
        file: config.sandbox_file.clone(),
    };
    Ok(psp::sandbox::serve(config, TcpAcceptor::from_tokio(listener)?, stop).await?)
}

/// A bound listener, so that nothing is announced before it answers.
///
/// # Errors
/// When the address is taken.
pub async fn bind(address: std::net::SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Runs roles side by side until the first fails or `stop`; when one ends, all do.
pub struct Roles {
    running: tokio::task::JoinSet<(&'static str, Result<()>)>,
    stop: CancellationToken,
}

impl Roles {
    /// None yet.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { running: tokio::task::JoinSet::new(), stop }
    }

    /// Starts one.
    pub fn start(&mut self, name: &'static str, role: impl Future<Output = Result<()>> + Send + 'static) {
        self.running.spawn(async move { (name, role.await) });
    }

    /// Waits for all to end; the first failure ends the others.
    ///
    /// # Errors
    /// The first failure.
    pub async fn finish(mut self) -> Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.running.join_next().await {
            let failure = match ended {
                Ok((name, Ok(()))) => {
                    tracing::debug!(role = name, "Role {name} ended");
                    continue;
                }
                Ok((name, Err(error))) => error.context(format!("role {name} failed")),
                Err(error) => anyhow::Error::new(error).context("a role panicked"),
            };
            tracing::error!(error = format!("{failure:#}"), "A role failed; the others stop");
            self.stop.cancel();
            outcome = outcome.and(Err(failure));
        }
        outcome
    }
}

/// Starts every role of the store but the sandbox PSP.
pub fn start_all(
    roles: &mut Roles,
    foundation: &Arc<Foundation>,
    gateway: (GatewayConfig, TcpListener),
    search: SearchConfig,
    (payment, reconcile, watcher): (PaymentConfig, ReconcileConfig, WatcherConfig),
    (mail, notary): (MailConfig, NotaryConfig),
) {
    let base = || foundation.clone();
    let (config, listener) = gateway;
    let (role, reading) = (base(), search.clone());
    roles.start("gateway", async move { role.gateway(&config, &reading, listener).await });
    let role = base();
    roles.start("indexer", async move { role.carriers.indexer(&search).await });
    let role = base();
    roles.start("relay", async move {
        let _: () = role.carriers.relay().await;
        Ok(())
    });
    let role = base();
    roles.start("projector", async move {
        role.projector().await;
        Ok(())
    });
    let role = base();
    roles.start("checkout", async move {
        let _: () = role.checkout().await;
        Ok(())
    });
    let (role, config) = (base(), payment.clone());
    roles.start("payments", async move { role.payments(&config).await });
    let role = base();
    roles.start("dlq-watcher", async move {
        let _: () = role.dlq_watcher(&watcher).await;
        Ok(())
    });
    let (role, config) = (base(), payment.clone());
    roles.start("reconciler", async move { role.reconciler(&config, &reconcile).await });
    let (role, config) = (base(), payment);
    roles.start("webhooks", async move { role.webhooks(&config).await });
    let role = base();
    roles.start("notifier", async move { role.notifier(&mail).await });
    let role = base();
    roles.start("notary", async move { role.notary(&notary).await });
}

async fn wake_the_relay(journal: Journal, nats: Nats, stop: CancellationToken) {
    let mut appended = journal.appended();
    while let Some(Ok(())) = stop.run_until_cancelled(appended.changed()).await {
        let furthest = appended.borrow_and_update().to_string();
        if let Err(error) = nats.question(JOURNAL_WAKE, furthest).await {
            tracing::debug!(%error, "The relay was not woken and will look by itself");
        }
    }
}
