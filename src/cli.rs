//! What can be typed: each role and each tool is a subcommand.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use ludoteca::bench;
use ludoteca::chaos::ChaosArgs;
use ludoteca::config::{
    ClientConfig, GatewayConfig, MailConfig, MeiliOwnerConfig, OperationsConfig, OwnerConfig, PaymentConfig,
    ReconcileConfig, SandboxArgs, SearchConfig, StoreConfig, WatcherConfig,
};
use ludoteca::dlq::DlqArgs;
use ludoteca::keys::KeysArgs;
use ludoteca::load::LoadArgs;
use ludoteca::replay::ReplayArgs;
use ludoteca::up::UpArgs;
use secrecy::SecretString;

/// Ludoteca, an event-sourced online game store.
///
/// Settings come from flags, the environment, and the file that `ludoteca up` wrote into its folder
/// (`.local/ludoteca.env`, or `$LUDOTECA_DATA/ludoteca.env`), in that order.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the whole store on this machine, with servers of its own
    Up(UpArgs),
    /// Stop what `up --detach` started
    Down {
        /// The folder that was given to `up`
        #[arg(long, env = "LUDOTECA_DATA", default_value = ".local")]
        data: PathBuf,
    },
    /// Buy by card and by Pix through the gateway, have a card declined, and print each event as it happens
    Demo(ClientConfig),
    /// Role: serve HTTP
    Gateway {
        #[command(flatten)]
        store: StoreConfig,
        #[command(flatten)]
        gateway: GatewayConfig,
        #[command(flatten)]
        search: SearchConfig,
    },
    /// Role: mirror the journal to JetStream
    Relay(Worker),
    /// Role: project the read models
    Projector(Worker),
    /// Role: keep the search index like the catalogue
    Indexer {
        #[command(flatten)]
        worker: Worker,
        #[command(flatten)]
        search: SearchConfig,
    },
    /// Role: turn events into the commands that follow from them
    Checkout(Worker),
    /// Role: work off the payment queue
    Payments(Payer),
    /// Role: work off what the PSP delivered
    Webhooks(Payer),
    /// Role: ask the PSP about what stays unsettled, and give up what is not paid
    Reconciler {
        #[command(flatten)]
        payer: Payer,
        #[command(flatten)]
        reconcile: ReconcileConfig,
    },
    /// Role: bring payment work whose worker died at every delivery to the dead letters
    DlqWatcher {
        #[command(flatten)]
        worker: Worker,
        #[command(flatten)]
        watcher: WatcherConfig,
    },
    /// Role: send mail
    Notifier {
        #[command(flatten)]
        worker: Worker,
        #[command(flatten)]
        mail: MailConfig,
    },
    /// Role: a PSP to try the store with; moves no money
    PspSandbox(SandboxArgs),
    /// Bring the database's schema up to date
    Migrate(OwnerConfig),
    /// Create the streams that are missing, and Meilisearch's index, settings and keys where there is a Meilisearch
    Provision {
        /// The NATS server, with user and password
        #[arg(long, env = "NATS_URL", hide_env_values = true)]
        nats_url: SecretString,
        /// On how many servers of a NATS cluster each stream is kept
        #[arg(long, env = "NATS_REPLICAS", default_value_t = 1)]
        nats_replicas: usize,
        #[command(flatten)]
        meili: MeiliOwnerConfig,
        /// Print the keys that the gateway and the indexer need; they are secrets
        #[arg(long)]
        print_keys: bool,
    },
    /// Create an admin, unless they are there
    CreateAdmin {
        #[command(flatten)]
        store: StoreConfig,
        /// Their address
        #[arg(long, env = "ADMIN_EMAIL")]
        admin_email: String,
        /// Their password
        #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true)]
        admin_password: SecretString,
    },
    /// Import a catalogue (CSV)
    Import {
        #[command(flatten)]
        store: StoreConfig,
        /// The file; the demo catalogue without one
        file: Option<PathBuf>,
    },
    /// Fold a read model anew from the journal; also empties its park once the cause is mended
    Rebuild {
        #[command(flatten)]
        store: StoreConfig,
        /// users, games, orders, payments, library or disputes
        projection: String,
    },
    /// Build the search index anew beside the live one, and swap it in
    Reindex {
        #[command(flatten)]
        store: StoreConfig,
        #[command(flatten)]
        search: SearchConfig,
    },
    /// List the events that projections could not apply
    Parked(StoreConfig),
    /// Compare journal, mirror, read models and search index; fails on any difference
    Verify {
        #[command(flatten)]
        store: StoreConfig,
        #[command(flatten)]
        search: SearchConfig,
    },
    /// Look at dead letters, put their work back, or forget it
    Dlq(DlqArgs),
    /// Exchange the keys of access tokens and the secrets of webhooks while the gateways run
    Keys(KeysArgs),
    /// Print events as NDJSON
    Replay(ReplayArgs),
    /// Buy much at once through the gateway and print throughput and latencies
    Load(LoadArgs),
    /// Break a store of its own under load, let it settle, and prove the ten invariants
    Chaos(ChaosArgs),
    /// Measure, beside what it is measured against
    #[command(subcommand)]
    Bench(Bench),
    /// Care for the journal
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Run a private Postgres for tests until it is told to stop; prints its URL
    LocalPostgres {
        /// Its folder
        #[arg(long)]
        data: PathBuf,
    },
}

#[derive(clap::Args)]
pub(crate) struct Worker {
    #[command(flatten)]
    pub(crate) store: StoreConfig,
    #[command(flatten)]
    pub(crate) operations: OperationsConfig,
}

#[derive(clap::Args)]
pub(crate) struct Payer {
    #[command(flatten)]
    pub(crate) worker: Worker,
    #[command(flatten)]
    pub(crate) payment: PaymentConfig,
}

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Appends through the command layer, beside plain inserts
    Append(bench::AppendArgs),
    /// The relay, beside a raw pipelined publish
    Mirror(bench::MirrorArgs),
    /// Searches through the gateway, beside the same asked of Meilisearch itself
    Search(bench::SearchArgs),
}

#[derive(Subcommand)]
pub(crate) enum JournalCommand {
    /// Begin a new epoch after the database was restored into another cluster
    Rebase(OwnerConfig),
}
