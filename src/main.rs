//! The store's one program; each role and each tool is a subcommand.

mod arguments;
mod cli;
mod pipe;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use commands::MadeAdmin;
use journal::{Journal, connect, migrate, rebase};
use ludoteca::beside::beside;
use ludoteca::config::{MeiliOwnerConfig, OperationsConfig};
use ludoteca::local::{Postgres, default_data, free_port, new_secret, private_log};
use ludoteca::roles::{Carriers, Foundation, bind, psp_sandbox};
use ludoteca::table::{Output, Table};
use ludoteca::up::UpArgs;
use ludoteca::up::env_file::{self, Values};
use ludoteca::{
    bench, chaos, demo, dlq, doctor, erasure, export, keys, load, operations, prove, provision, rebuild, replay,
    search, state, stock, up, verify,
};
use projections::ParkedEvent;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::arguments::subcommand;
use crate::cli::{Bench, Carrier, Cli, Command, JournalCommand, Keyholder, LogFormat, Trader};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pipe::exit_quietly_on_broken_pipe();
    keep_pages_small();
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", stopped_store().unwrap_or_else(|| told_once(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Huge pages that are hardly used are a fifth of a store's memory, and make nothing here faster. Processes that are
/// started from here have none either. Systems without this setting only use more memory.
fn keep_pages_small() {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_thp_disable(true);
}

/// Why a command fails that needs a store on this machine which does not run; `None` if it runs, or is elsewhere.
fn stopped_store() -> Option<String> {
    let data = std::path::absolute(data()).ok()?;
    let is_local = env_file::read(&data).is_ok_and(|settings| settings.contains_key("POSTGRES_PORT"));
    let needs_it = !matches!(subcommand()?.as_str(), "up" | "down" | "doctor" | "keys" | "setup" | "bench" | "chaos");
    let is_offline = std::env::args().any(|argument| argument.starts_with("--offline"));
    (needs_it && !is_offline && is_local && up::holder(&data).is_none())
        .then(|| format!("the store in {} is not running; start it with scripts/up", data.display()))
}

/// The folder of the store that is meant.
fn data() -> PathBuf {
    std::env::var_os("LUDOTECA_DATA").map_or_else(default_data, PathBuf::from)
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
    let data = data();
    let settings = env_file::path(&data);
    let secrets = arguments::secrets_in_files().map_err(anyhow::Error::msg)?;
    // `up` makes the settings. Everything else reads them: what is set already stays, a missing file is no error.
    if !matches!(subcommand().as_deref(), Some("up" | "down" | "doctor")) && settings.is_file() {
        env_file::read(&data)?;
        dotenvy::from_path(&settings)?;
    }
    let cli = arguments::parse(secrets).unwrap_or_else(|error| refuse(&error, &settings));
    log_to(&cli)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(cli.command))
}

/// Says what is wrong with the command line; and where settings would come from, where they are missing.
fn refuse(error: &clap::Error, settings: &Path) -> ! {
    // What is proved offline is of no store here.
    let is_offline = std::env::args().any(|argument| ["--offline", "--key", "--head"].contains(&argument.as_str()));
    let is_configured = is_offline || std::env::var_os("DATABASE_URL").is_some();
    if error.kind() == ErrorKind::MissingRequiredArgument && !settings.is_file() && !is_configured {
        eprintln!(
            "error: there is no store in {}; start one with scripts/up, or name its folder: LUDOTECA_DATA=FOLDER",
            settings.parent().unwrap_or(settings).display()
        );
        std::process::exit(2);
    }
    error.exit()
}

fn print_document(document: &serde_json::Value) -> Result<()> {
    writeln!(std::io::stdout(), "{document:#}")?;
    Ok(())
}

async fn run(command: Command) -> Result<()> {
    let stop = stop_on_signal()?;
    match command {
        Command::Up(args) => up::run(args, stop).await,
        Command::Down { data } => up::down(&data).await,
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "ludoteca", &mut std::io::stdout());
            Ok(())
        }
        Command::Openapi => print_document(gateway::openapi_document()),
        Command::Asyncapi => print_document(gateway::asyncapi_document()),
        Command::Demo(config) => demo::run(&config).await,
        Command::Gateway { store, gateway, search } => {
            let acceptor = bind(gateway.listen).await?;
            Foundation::connect_role(&store, stop).await?.gateway(&gateway, &search, acceptor).await
        }
        Command::Relay(carrier) => {
            let _: () = carrier.start(stop).await?.relay().await;
            Ok(())
        }
        Command::Projector(keyholder) => {
            keyholder.start(stop).await?.projector().await;
            Ok(())
        }
        Command::Indexer { carrier, search } => carrier.start(stop).await?.indexer(&search).await,
        Command::Checkout(trader) => {
            let _: () = trader.start(stop).await?.checkout().await;
            Ok(())
        }
        Command::Payments(payer) => payer.trader.start(stop).await?.payments(&payer.payment).await,
        Command::Webhooks(payer) => payer.trader.start(stop).await?.webhooks(&payer.payment).await,
        Command::Reconciler { payer, reconcile } => {
            payer.trader.start(stop).await?.reconciler(&payer.payment, &reconcile).await
        }
        Command::DlqWatcher { trader, watcher } => {
            let _: () = trader.start(stop).await?.dlq_watcher(&watcher).await;
            Ok(())
        }
        Command::Notifier { keyholder, mail } => keyholder.start(stop).await?.notifier(&mail).await,
        Command::Notary { trader, notary } => trader.start(stop).await?.notary(&notary).await,
        Command::PspSandbox(args) => psp_sandbox(&args, bind(args.sandbox_listen).await?, stop).await,
        Command::Migrate(owner) => {
            migrate(&owner.database_owner_url, &owner.database_url).await?;
            println!("The schema is up to date. Next: ludoteca provision");
            Ok(())
        }
        Command::Setup { data } => setup(&data),
        Command::Provision { journal, queue, meili, print_keys, keep_keys, data, .. } => {
            provision::run(&Carriers::connect(&journal, stop).await?, &queue).await?;
            println!("Streams and consumers are there.");
            provision_search(&meili, print_keys, keep_keys.then_some(data.as_path())).await
        }
        Command::CreateAdmin { store, admin_email, admin_password, if_missing } => {
            let foundation = Foundation::connect(&store, stop).await?;
            if if_missing && stock::has_account(&foundation, &admin_email).await? {
                println!("{admin_email} has an account already; it stays as it is.");
                return Ok(());
            }
            make_admin(&foundation, &admin_email, &admin_password).await
        }
        Command::Import { trade, file, if_empty } => {
            let store = Foundation::without_key(Carriers::connect(&trade.journal, stop).await?, &trade);
            import(&store, file.as_deref(), if_empty).await
        }
        Command::Rebuild(args) => rebuild::run(&Foundation::connect(&args.store, stop).await?, &args).await,
        Command::Parked { journal, output } => parked(Carriers::connect(&journal, stop).await?.journal(), output).await,
        Command::Reindex { journal, search } => {
            search::rebuild(Carriers::connect(&journal, stop).await?.journal(), &search).await
        }
        Command::Verify { offline, output, .. } if offline.offline.is_some() => verify::offline::run(&offline, output),
        Command::Verify { store, search, psp, export, output, .. } => {
            let psp = psp.client()?;
            let store = Foundation::connect(&store.0.context("--offline is missing")?, stop).await?;
            verify::run(&store, &search, psp.as_ref(), export.as_deref(), output).await
        }
        Command::Dlq(args) => dlq::run(&args).await,
        Command::Keys(args) => keys::run(&args).await,
        Command::CertifyErasure(args) => erasure::run(&args).await,
        Command::Prove(args) => prove::run(&args).await,
        Command::Replay(args) => replay::run(&args).await,
        Command::Export(args) => export::run(&args).await,
        Command::State(args) => state::run(&args).await,
        Command::Load(args) => load::run(&args).await,
        Command::Chaos(args) => chaos::run(&args, stop).await,
        Command::Bench(Bench::Accept(args)) => bench::accept(&args).await,
        Command::Bench(Bench::Append(args)) => bench::append(&args).await,
        Command::Bench(Bench::Mirror(args)) => bench::mirror(&args).await,
        Command::Bench(Bench::Peers(args)) => bench::peers(&args).await,
        Command::Bench(Bench::Purchase(args)) => Box::pin(bench::purchase(&args)).await,
        Command::Bench(Bench::Search(args)) => bench::search(&args).await,
        Command::Journal(JournalCommand::Rebase(owner)) => {
            let epoch = rebase(&connect(&owner.database_owner_url, 1).await?).await?;
            println!("Epoch {epoch} has begun. Next: start the roles");
            Ok(())
        }
        Command::LocalPostgres { data } => local_postgres(&data, stop).await,
    }
}

impl Keyholder {
    async fn start(&self, stop: CancellationToken) -> Result<Foundation> {
        let foundation = Foundation::connect_role(&self.store, stop.clone()).await?;
        serve_operations(&self.operations, &foundation.carriers, stop);
        Ok(foundation)
    }
}

impl Trader {
    async fn start(&self, stop: CancellationToken) -> Result<Foundation> {
        let foundation =
            Foundation::without_key(Carriers::connect_role(&self.trade.journal, stop.clone()).await?, &self.trade);
        serve_operations(&self.operations, &foundation.carriers, stop);
        Ok(foundation)
    }
}

impl Carrier {
    async fn start(&self, stop: CancellationToken) -> Result<Carriers> {
        let carriers = Carriers::connect_role(&self.journal, stop.clone()).await?;
        serve_operations(&self.operations, &carriers, stop);
        Ok(carriers)
    }
}

/// Says that a role has begun, and serves what operators ask for.
fn serve_operations(config: &OperationsConfig, carriers: &Carriers, stop: CancellationToken) {
    tracing::info!("Connected; at work until told to stop");
    let Some(address) = config.operations_listen else { return };
    let (pool, nats) = (carriers.journal().pool().clone(), carriers.nats().clone());
    beside(stop.clone(), async move {
        if let Err(error) = operations::serve(address, pool, nats, stop).await {
            tracing::error!(%error, "Health and metrics are not served");
        }
    });
}

async fn provision_search(meili: &MeiliOwnerConfig, print_keys: bool, keep_in: Option<&Path>) -> Result<()> {
    let search = search::provision(meili).await?;
    if let (Some(url), Some(reading), Some(writing)) =
        (&search.meili_url, &search.meili_search_key, &search.meili_index_key)
    {
        println!("Meilisearch at {url} has its index, settings and keys.");
        let keys = [("MEILI_SEARCH_KEY", reading), ("MEILI_INDEX_KEY", writing)];
        if print_keys {
            for (name, key) in &keys {
                println!("{name}={}", key.expose_secret());
            }
        }
        if let Some(data) = keep_in {
            let keys = Values::from(keys.map(|(name, key)| (name.to_owned(), key.expose_secret().to_owned())));
            env_file::lay_out(&keys)?;
            env_file::write(data, &env_file::read(data)?.into_iter().chain(keys).collect())?;
            println!("The keys are in {}.", env_file::path(data).display());
        }
    }
    println!("Next: start the roles, see ludoteca --help");
    Ok(())
}

async fn parked(journal: &Journal, output: Output) -> Result<()> {
    let parked = projections::parked(journal.pool()).await?;
    let mut table = Table::new(["projection", "sequence", "event_type", "aggregate_id", "error"]);
    for ParkedEvent { projection, sequence, event_type, aggregate_id, error } in &parked {
        table.row([json!(projection), json!(sequence), json!(event_type), json!(aggregate_id), json!(error)]);
    }
    table.print(output);
    match parked.len() {
        0 if output.json => Ok(()),
        0 => {
            println!("No events are parked.");
            Ok(())
        }
        events => bail!("{events} events are parked. Once the cause is mended: ludoteca rebuild PROJECTION"),
    }
}

fn setup(data: &Path) -> Result<()> {
    up::Settings::make_secrets(data)?;
    println!("The secrets are in {}. Keep a copy of them.", env_file::path(data).display());
    println!("Next: ludoteca migrate");
    Ok(())
}

async fn import(store: &Foundation, file: Option<&Path>, if_empty: bool) -> Result<()> {
    if if_empty { stock::import_where_empty(store).await } else { stock::import(store, file).await }
}

async fn local_postgres(data: &Path, stop: CancellationToken) -> Result<()> {
    let password = new_secret("p");
    let postgres = Postgres::start(data, free_port()?, &password, false).await?;
    println!("{}", postgres.url("postgres", &password, "postgres"));
    stop.cancelled().await;
    postgres.stop().await
}

/// `up` logs into its folder, so that the terminal keeps its page; everything else logs to standard error.
fn log_to(cli: &Cli) -> Result<()> {
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(&cli.log).context("--log")?);
    match &cli.command {
        Command::Up(UpArgs { data, detach: false, .. }) => {
            doctor::may_use(&std::path::absolute(data)?)?;
            std::fs::create_dir_all(data).with_context(|| format!("folder {}", data.display()))?;
            let file = private_log(&data.join("ludoteca.log"))?;
            log.with_ansi(false).with_writer(file).init();
        }
        _ if cli.log_format == LogFormat::Json => log.json().with_writer(std::io::stderr).init(),
        _ => {
            use std::io::IsTerminal;
            log.with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init();
        }
    }
    Ok(())
}

/// Says what it did.
async fn make_admin(foundation: &Foundation, email: &str, password: &secrecy::SecretString) -> Result<()> {
    let made = stock::create_admin(foundation, email, password).await?;
    if !matches!(made, MadeAdmin::Known) {
        tracing::info!(target: "security", event = "role_change", outcome = "success", "an admin's account was set up");
    }
    println!(
        "{}",
        match made {
            MadeAdmin::Created => format!("Created the account of {email}; it is an admin's."),
            MadeAdmin::Changed => format!("{email} is an admin with this password now; its sessions are over."),
            MadeAdmin::Known => format!("{email} is an admin with this password already."),
        }
    );
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
