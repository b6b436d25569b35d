//! The store's one program; each role and each tool is a subcommand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use indicatif::ProgressBar;
use journal::{connect, migrate, rebase};
use ludoteca::chaos::ChaosArgs;
use ludoteca::config::{
    ClientConfig, GatewayConfig, MailConfig, MeiliOwnerConfig, OperationsConfig, OwnerConfig, PaymentConfig,
    ReconcileConfig, SandboxArgs, SearchConfig, StoreConfig, WatcherConfig,
};
use ludoteca::dlq::DlqArgs;
use ludoteca::keys::KeysArgs;
use ludoteca::load::LoadArgs;
use ludoteca::local::{Postgres, free_port, new_secret};
use ludoteca::replay::ReplayArgs;
use ludoteca::roles::{Foundation, bind, psp_sandbox};
use ludoteca::up::UpArgs;
use ludoteca::{bench, chaos, demo, dlq, keys, load, operations, progress, replay, search, up, verify};
use nats::Nats;
use projections::{Projection, rebuild};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ludoteca, an event-sourced online game store.
///
/// Settings come from flags, the environment, and the file that `ludoteca up` wrote into its folder
/// (`.local/ludoteca.env`, or `$LUDOTECA_DATA/ludoteca.env`), in that order.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
struct Worker {
    #[command(flatten)]
    store: StoreConfig,
    #[command(flatten)]
    operations: OperationsConfig,
}

#[derive(clap::Args)]
struct Payer {
    #[command(flatten)]
    worker: Worker,
    #[command(flatten)]
    payment: PaymentConfig,
}

#[derive(Subcommand)]
enum Bench {
    /// Appends through the command layer, beside plain inserts
    Append(bench::AppendArgs),
    /// The relay, beside a raw pipelined publish
    Mirror(bench::MirrorArgs),
    /// Searches through the gateway, beside the same asked of Meilisearch itself
    Search(bench::SearchArgs),
}

#[derive(Subcommand)]
enum JournalCommand {
    /// Begin a new epoch after the database was restored into another cluster
    Rebase(OwnerConfig),
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", told_once(&error));
            ExitCode::FAILURE
        }
    }
}

/// The chain of causes; many repeat what their own cause says.
fn told_once(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    causes.fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        known if known.contains(&cause) => told,
        known => format!("{known}: {cause}"),
    })
}

fn start() -> Result<()> {
    let data = std::env::var_os("LUDOTECA_DATA").map_or_else(|| PathBuf::from(".local"), PathBuf::from);
    // What is set already stays as it is; a missing file is no error.
    let _ = dotenvy::from_path(data.join("ludoteca.env"));
    let cli = Cli::parse();
    log_to(&cli.command)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(cli.command))
}

async fn run(command: Command) -> Result<()> {
    let stop = stop_on_signal()?;
    match command {
        Command::Up(args) => up::run(args, stop).await,
        Command::Down { data } => up::down(&data).await,
        Command::Demo(config) => demo::run(&config).await,
        Command::Gateway { store, gateway, search } => {
            let acceptor = bind(gateway.listen).await?;
            Foundation::connect(&store, stop).await?.gateway(&gateway, &search, acceptor).await
        }
        Command::Relay(worker) => {
            let _: () = worker.start(stop).await?.relay().await;
            Ok(())
        }
        Command::Projector(worker) => {
            let _: () = worker.start(stop).await?.projector().await;
            Ok(())
        }
        Command::Indexer { worker, search } => worker.start(stop).await?.indexer(&search).await,
        Command::Checkout(worker) => {
            let _: () = worker.start(stop).await?.checkout().await;
            Ok(())
        }
        Command::Payments(payer) => payer.worker.start(stop).await?.payments(&payer.payment).await,
        Command::Webhooks(payer) => payer.worker.start(stop).await?.webhooks(&payer.payment).await,
        Command::Reconciler { payer, reconcile } => {
            payer.worker.start(stop).await?.reconciler(&payer.payment, &reconcile).await
        }
        Command::DlqWatcher { worker, watcher } => {
            let _: () = worker.start(stop).await?.dlq_watcher(&watcher).await;
            Ok(())
        }
        Command::Notifier { worker, mail } => worker.start(stop).await?.notifier(&mail).await,
        Command::PspSandbox(args) => psp_sandbox(&args, bind(args.sandbox_listen).await?, stop).await,
        Command::Migrate(owner) => {
            migrate(&owner.database_owner_url, &owner.database_url).await?;
            println!("The schema is up to date. Next: ludoteca provision");
            Ok(())
        }
        Command::Provision { nats_url, nats_replicas, meili, print_keys } => {
            Nats::connect(nats_url.expose_secret()).await?.with_replicas(nats_replicas).provision().await?;
            println!("The streams are there.");
            provision_search(&meili, print_keys).await
        }
        Command::CreateAdmin { store, admin_email, admin_password } => {
            up::create_admin(&Foundation::connect(&store, stop).await?, &admin_email, &admin_password).await?;
            println!("{admin_email} is an admin");
            Ok(())
        }
        Command::Import { store, file } => up::import(&Foundation::connect(&store, stop).await?, file.as_deref()).await,
        Command::Rebuild { store, projection } => {
            rebuild_named(&Foundation::connect(&store, stop).await?, &projection).await
        }
        Command::Parked(store) => parked(&Foundation::connect(&store, stop).await?).await,
        Command::Reindex { store, search } => search::rebuild(&Foundation::connect(&store, stop).await?, &search).await,
        Command::Verify { store, search } => verify::run(&Foundation::connect(&store, stop).await?, &search).await,
        Command::Dlq(args) => dlq::run(&args).await,
        Command::Keys(args) => keys::run(&args).await,
        Command::Replay(args) => replay::run(&args).await,
        Command::Load(args) => load::run(&args).await,
        Command::Chaos(args) => chaos::run(&args, stop).await,
        Command::Bench(Bench::Append(args)) => bench::append(&args).await,
        Command::Bench(Bench::Mirror(args)) => bench::mirror(&args).await,
        Command::Bench(Bench::Search(args)) => bench::search(&args).await,
        Command::Journal(JournalCommand::Rebase(owner)) => {
            let epoch = rebase(&connect(&owner.database_owner_url, 1).await?).await?;
            println!("Epoch {epoch} has begun. Next: start the roles");
            Ok(())
        }
        Command::LocalPostgres { data } => local_postgres(&data, stop).await,
    }
}

impl Worker {
    async fn start(&self, stop: CancellationToken) -> Result<Foundation> {
        let foundation = Foundation::connect(&self.store, stop.clone()).await?;
        if let Some(address) = self.operations.operations_listen {
            let (pool, nats) = (foundation.journal().pool().clone(), foundation.shared.nats.clone());
            tokio::spawn(async move {
                if let Err(error) = operations::serve(address, pool, nats, stop).await {
                    tracing::error!(%error, "Health and metrics are not served");
                }
            });
        }
        Ok(foundation)
    }
}

async fn provision_search(meili: &MeiliOwnerConfig, print_keys: bool) -> Result<()> {
    let search = search::provision(meili).await?;
    if let (Some(url), Some(reading), Some(writing)) =
        (&search.meili_url, &search.meili_search_key, &search.meili_index_key)
    {
        println!("Meilisearch at {url} has its index, settings and keys.");
        if print_keys {
            println!("MEILI_SEARCH_KEY={}", reading.expose_secret());
            println!("MEILI_INDEX_KEY={}", writing.expose_secret());
        }
    }
    println!("Next: start the roles, see ludoteca --help");
    Ok(())
}

async fn rebuild_named(foundation: &Foundation, name: &str) -> Result<()> {
    let mut known = Vec::new();
    macro_rules! rebuild_one {
        ($projection:expr) => {
            known.push(name_of(&$projection));
            if name_of(&$projection) == name {
                let bar: ProgressBar = progress::count("events folded");
                let folded =
                    rebuild(foundation.journal(), &$projection, |events| bar.set_position(events.unsigned_abs()))
                        .await?;
                bar.finish_and_clear();
                println!("Rebuilt {name} from {} events; {} are parked", folded.events, folded.parked);
                return Ok(());
            }
        };
    }
    projections::for_each_projection!(foundation.vault, rebuild_one);
    bail!("there is no projection {name}; there are {}", known.join(", "))
}

fn name_of<P: Projection>(_: &P) -> &'static str {
    P::NAME
}

async fn parked(foundation: &Foundation) -> Result<()> {
    let parked = projections::parked(foundation.journal().pool()).await?;
    for event in &parked {
        println!("{event}");
    }
    println!("{} events are parked. Once the cause is mended: ludoteca rebuild PROJECTION", parked.len());
    Ok(())
}

async fn local_postgres(data: &Path, stop: CancellationToken) -> Result<()> {
    let password = new_secret("p");
    let postgres = Postgres::start(data, free_port(0)?, &password, false).await?;
    println!("{}", postgres.url("postgres", &password, "postgres"));
    stop.cancelled().await;
    postgres.stop().await
}

/// `up` logs into its folder, so that the terminal keeps its page; everything else logs to standard error.
fn log_to(command: &Command) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,async_nats=warn,sqlx=warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    let json = std::env::var("LOG_FORMAT").is_ok_and(|format| format == "json");
    match command {
        Command::Up(UpArgs { data, detach: false, .. }) => {
            std::fs::create_dir_all(data).with_context(|| format!("folder {}", data.display()))?;
            let file = std::fs::OpenOptions::new().create(true).append(true).open(data.join("ludoteca.log"))?;
            log.with_ansi(false).with_writer(file).init();
        }
        _ if json => log.json().with_writer(std::io::stderr).init(),
        _ => {
            use std::io::IsTerminal;
            log.with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init();
        }
    }
    Ok(())
}

/// Ctrl-C and SIGTERM stop everything in order; a closed terminal stops nothing that was detached.
fn stop_on_signal() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = hangup.recv() => (),
            }
        }
        token.cancel();
    });
    Ok(stop)
}
