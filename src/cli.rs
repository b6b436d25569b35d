//! What can be typed: each role and each tool is a subcommand.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use ludoteca::bench;
use ludoteca::chaos::ChaosArgs;
use ludoteca::config::{
    ClientConfig, GatewayConfig, JournalConfig, MailConfig, MeiliOwnerConfig, NotaryConfig, OperationsConfig,
    OwnerConfig, PaymentConfig, PspReaderConfig, QueueConfig, ReconcileConfig, SandboxArgs, SearchConfig, StoreConfig,
    TradeConfig, WatcherConfig,
};
use ludoteca::dlq::DlqArgs;
use ludoteca::doctor::DoctorArgs;
use ludoteca::erasure::ErasureArgs;
use ludoteca::export::ExportArgs;
use ludoteca::keys::KeysArgs;
use ludoteca::load::LoadArgs;
use ludoteca::local::default_data;
use ludoteca::prove::ProveArgs;
use ludoteca::rebuild::RebuildArgs;
use ludoteca::replay::ReplayArgs;
use ludoteca::state::StateArgs;
use ludoteca::table::Output;
use ludoteca::up::UpArgs;
use ludoteca::verify::offline::OfflineArgs;
use secrecy::SecretString;

/// Ludoteca, an event-sourced online game store.
///
/// Settings come from flags, the environment, and the file that `ludoteca up` wrote into its folder
/// (`.local/ludoteca.env`, or `$LUDOTECA_DATA/ludoteca.env`), in that order. The help of each command names its own.
#[derive(Parser)]
#[command(version, after_help = ENVIRONMENT)]
pub(crate) struct Cli {
    /// Log filter: a level, or levels by module such as `info,workers=debug`
    #[arg(long, global = true, env = "RUST_LOG", default_value = "info,async_nats=warn,sqlx=warn")]
    pub(crate) log: String,
    /// Log format
    #[arg(long, global = true, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Variables that no option stands for.
const ENVIRONMENT: &str = "\
Environment:
  …_FILE            For every secret, a file that holds it, such as MASTER_KEY_FILE for MASTER_KEY
  LUDOTECA_DATA     The store's data folder [default: .local beside scripts/]
  LUDOTECA_HOME     Where the store is installed, with its tools [default: set by scripts/ludoteca]
  LUDOTECA_PROFILE  The profile that scripts/ludoteca builds, such as release [default: dev]
  CARGO_TARGET_DIR  Where scripts/ludoteca and scripts/test build [default: target beside scripts/]";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the whole store on this machine, with servers of its own
    Up(UpArgs),
    /// Stop what `up --detach` started, or what a killed `up` left running
    Down {
        /// The folder that was given to `up`
        #[arg(long, env = "LUDOTECA_DATA", default_value_os_t = default_data())]
        data: PathBuf,
    },
    /// Look at the machine, the folder and the running store, and say what is wrong and what to do
    Doctor(DoctorArgs),
    /// Buy by card and by Pix through the gateway, have a card declined, and print each event as it happens
    Demo(ClientConfig),
    /// Role: serve HTTP
    Gateway {
        #[command(flatten)]
        store: StoreConfig,
        #[command(flatten)]
        gateway: Box<GatewayConfig>,
        #[command(flatten)]
        search: SearchConfig,
    },
    /// Role: mirror the journal to JetStream
    Relay(Carrier),
    /// Role: project the read models
    Projector(Keyholder),
    /// Role: keep the search index like the catalogue
    Indexer {
        #[command(flatten)]
        carrier: Carrier,
        #[command(flatten)]
        search: SearchConfig,
    },
    /// Role: turn events into the commands that follow from them
    Checkout(Trader),
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
        trader: Trader,
        #[command(flatten)]
        watcher: WatcherConfig,
    },
    /// Role: send mail
    Notifier {
        #[command(flatten)]
        keyholder: Keyholder,
        #[command(flatten)]
        mail: MailConfig,
    },
    /// Role: sign what the mirror holds, so that nobody can change it unseen
    Notary {
        #[command(flatten)]
        trader: Trader,
        #[command(flatten)]
        notary: NotaryConfig,
    },
    /// Role: a PSP to try the store with; moves no money
    PspSandbox(SandboxArgs),
    /// Make the secrets that nobody has to choose, in the file of settings; those that are there stay
    Setup {
        /// The folder of the settings
        #[arg(long, env = "LUDOTECA_DATA", default_value_os_t = default_data())]
        data: PathBuf,
    },
    /// Bring the database's schema up to date
    Migrate(OwnerConfig),
    /// Create and change streams and consumers as this program wants them, and Meilisearch's index, settings and keys where there is a Meilisearch
    Provision {
        #[command(flatten)]
        journal: JournalConfig,
        #[command(flatten)]
        queue: QueueConfig,
        #[command(flatten)]
        meili: MeiliOwnerConfig,
        /// The analysts' password at NATS, which only its server uses: one that everybody knows is refused here
        #[arg(long, env = "NATS_ANALYST_PASSWORD", hide_env_values = true)]
        nats_analyst_password: Option<SecretString>,
        /// Print the keys that the gateway and the indexer need; they are secrets
        #[arg(long)]
        print_keys: bool,
        /// Keep these keys in the file of settings, where roles find them
        #[arg(long)]
        keep_keys: bool,
        /// The folder of the settings
        #[arg(long, env = "LUDOTECA_DATA", default_value_os_t = default_data())]
        data: PathBuf,
    },
    /// Make an account an admin's with a password, whether it exists or not
    CreateAdmin {
        #[command(flatten)]
        store: StoreConfig,
        /// Their address
        #[arg(long, env = "ADMIN_EMAIL")]
        admin_email: String,
        /// Their password
        #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true)]
        admin_password: SecretString,
        /// Leave an account that there is as it is
        #[arg(long)]
        if_missing: bool,
    },
    /// Import a catalogue (CSV)
    Import {
        #[command(flatten)]
        trade: TradeConfig,
        /// The file; the demo catalogue without one
        file: Option<PathBuf>,
        /// Import the demo catalogue, unless there are games already
        #[arg(long, conflicts_with = "file")]
        if_empty: bool,
    },
    /// Rebuild read models, or the claims, from the journal; also retries parked events once the cause is fixed
    Rebuild(Box<RebuildArgs>),
    /// Build the search index anew beside the live one, and swap it in
    Reindex {
        #[command(flatten)]
        journal: JournalConfig,
        #[command(flatten)]
        search: SearchConfig,
    },
    /// List the events that projections could not apply; fails where there are any
    Parked {
        #[command(flatten)]
        journal: JournalConfig,
        #[command(flatten)]
        output: Output,
    },
    /// Compare journal, mirror, claims, read models, search index and the PSP's lists; fails on any difference. With
    /// --offline: prove that a copy of the events is what the store has signed
    Verify {
        // Before `offline`: clap takes arguments out as it reads them, and this one looks for `--offline`.
        #[command(flatten)]
        store: Box<StoreUnlessOffline>,
        #[command(flatten)]
        offline: OfflineArgs,
        #[command(flatten)]
        search: SearchConfig,
        #[command(flatten)]
        psp: PspReaderConfig,
        /// Compare as well what `duckdb` makes of the export in this folder, which must be of just now
        #[arg(long)]
        export: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Look at dead letters, put their work back, or forget it
    Dlq(DlqArgs),
    /// Exchange the keys of access tokens, the secrets of webhooks and the master key while the store runs
    Keys(KeysArgs),
    /// Print events as NDJSON
    Replay(ReplayArgs),
    /// Print a proof that an event is among those that the store has signed
    Prove(ProveArgs),
    /// Search every place for what was known of somebody who was erased, and print a signed certificate that nothing is left
    CertifyErasure(ErasureArgs),
    /// Print an aggregate as it is, or was at a version or time
    State(StateArgs),
    /// Write the event stream as Parquet, a typed table for each type of event, for DuckDB and the like
    Export(ExportArgs),
    /// Make many purchases at once through the gateway, and print throughput and latencies
    Load(LoadArgs),
    /// Break a store of its own under load, let it settle, and prove the ten invariants
    Chaos(ChaosArgs),
    /// Print the description of the API (OpenAPI), for linters and for programs that make clients of it
    Openapi,
    /// Print the document of the event streams (AsyncAPI)
    Asyncapi,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Run benchmarks against a baseline
    #[command(subcommand)]
    Bench(Bench),
    /// Maintain the journal
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Run a private Postgres for tests until it is told to stop; prints its URL
    LocalPostgres {
        /// Its folder
        #[arg(long)]
        data: PathBuf,
    },
}

/// The store that `verify` looks at; none where it is asked to look at a copy.
pub(crate) struct StoreUnlessOffline(pub(crate) Option<StoreConfig>);

impl Args for StoreUnlessOffline {
    fn augment_args(command: clap::Command) -> clap::Command {
        let unless_offline = |argument: Arg| {
            if argument.is_required_set() {
                argument.required(false).required_unless_present("offline")
            } else {
                argument
            }
        };
        StoreConfig::augment_args(command).mut_args(unless_offline)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for StoreUnlessOffline {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        if matches.contains_id("offline") {
            return Ok(Self(None));
        }
        StoreConfig::from_arg_matches(matches).map(Some).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[derive(clap::Args)]
pub(crate) struct Keyholder {
    #[command(flatten)]
    pub(crate) store: StoreConfig,
    #[command(flatten)]
    pub(crate) operations: OperationsConfig,
}

#[derive(clap::Args)]
pub(crate) struct Trader {
    #[command(flatten)]
    pub(crate) trade: TradeConfig,
    #[command(flatten)]
    pub(crate) operations: OperationsConfig,
}

#[derive(clap::Args)]
pub(crate) struct Carrier {
    #[command(flatten)]
    pub(crate) journal: JournalConfig,
    #[command(flatten)]
    pub(crate) operations: OperationsConfig,
}

#[derive(clap::Args)]
pub(crate) struct Payer {
    #[command(flatten)]
    pub(crate) trader: Trader,
    #[command(flatten)]
    pub(crate) payment: PaymentConfig,
}

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Round trips to Postgres until an order is accepted
    Accept(bench::AcceptArgs),
    /// Appends through the command layer, beside plain inserts
    Append(bench::AppendArgs),
    /// The relay, beside a raw pipelined publish
    Mirror(bench::MirrorArgs),
    /// Appends through the command layer, beside other event stores
    Peers(bench::PeersArgs),
    /// Purchases through a whole store, beside plain inserts
    Purchase(bench::PurchaseArgs),
    /// Searches through the gateway, beside the same asked of Meilisearch itself
    Search(bench::SearchArgs),
}

#[derive(Subcommand)]
pub(crate) enum JournalCommand {
    /// Begin a new epoch after the database was restored into another cluster
    Rebase(OwnerConfig),
}
