//! `ludoteca up`: the whole store on one machine. Private servers, every role, the sandbox PSP and a catalogue;
//! It resumes from what its folder holds.

pub mod env_file;
mod leftovers;
mod lock;
mod settings;
pub(crate) mod supervise;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use journal::{connect, migrate};
use nix::sys::signal::{Signal, kill};
use rand::RngCore;
use secrecy::SecretString;
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::{
    GatewayConfig, MailConfig, MeiliOwnerConfig, NotaryConfig, PaymentConfig, ReconcileConfig, SandboxArgs,
    WatcherConfig,
};
use crate::local::{NatsServer, Postgres, default_data};
use crate::roles::{Foundation, ROLES, Roles, bind, psp_sandbox, start_all};
use crate::{doctor, provision, search, stock};

pub(crate) use leftovers::names as left_over;
use lock::Lock;
pub use lock::holder;
pub use settings::Settings;

/// How long a start or a stop may take.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// How to start. The roles' own settings (`ludoteca gateway --help` and so on) are taken from the environment.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// The gateway's port; the servers take the next ones that are free
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// The folder for all data; several stores live side by side in several
    #[arg(long, env = "LUDOTECA_DATA", default_value_os_t = default_data())]
    pub data: PathBuf,
    /// Import this catalogue; without one, a store that has no games gets the demo catalogue
    #[arg(long)]
    pub catalog: Option<PathBuf>,
    /// Return once everything is ready; `ludoteca down` stops it
    #[arg(long)]
    pub detach: bool,
    /// Run each role as a process of its own, started again when it ends; their ids are in DATA/run/
    #[arg(long)]
    pub processes: bool,
    /// Import nothing
    #[arg(long)]
    pub no_import: bool,
    /// Meilisearch, if it is the search engine
    #[command(flatten)]
    pub meili: MeiliOwnerConfig,
}

/// Starts the store and keeps it running until Ctrl-C, or until it is ready with `--detach`.
///
/// # Errors
/// When something is in the way (see `ludoteca doctor`), a server does not start, or a role fails.
pub async fn run(args: UpArgs, stop: CancellationToken) -> Result<()> {
    let args = UpArgs { data: std::path::absolute(&args.data)?, ..args };
    if let Some(file) = &args.catalog {
        ensure!(file.is_file(), "there is no catalogue {}", std::path::absolute(file)?.display());
    }
    if args.detach {
        return detach(&args).await;
    }
    doctor::may_use(&args.data)?;
    std::fs::create_dir_all(args.data.join("run")).with_context(|| format!("folder {}", args.data.display()))?;
    let _lock = Lock::take(&args.data)?;
    let ended = leftovers::end(&args.data).await?;
    if !ended.is_empty() {
        println!("Ended what a killed start had left running: {}", ended.join(", "));
    }
    doctor::may_listen(args.port)?;
    let settings = Settings::prepare(&args).await?;
    let (port, password) = (settings.port("POSTGRES_PORT")?, settings.get("POSTGRES_PASSWORD")?);
    let postgres = Postgres::start(&args.data.join("postgres"), port, password, true).await?;
    let served = serve(&args, &settings, stop).await;
    let _ = std::fs::remove_file(ready_file(&args.data));
    let stopped = postgres.stop().await;
    served.and(stopped)
}

async fn serve(args: &UpArgs, settings: &Settings, stop: CancellationToken) -> Result<()> {
    create_database(settings).await?;
    let (password, analyst) = (settings.get("NATS_PASSWORD")?, settings.get("NATS_ANALYST_PASSWORD")?);
    let mut nats = NatsServer::start(&args.data.join("nats"), settings.port("NATS_PORT")?, password, analyst).await?;
    let foundation = Arc::new(Foundation::connect(&settings.shared()?, stop.clone()).await?);
    provision::run(&foundation.carriers, &settings.config()?).await?;
    let mut roles = Roles::new(stop.clone());
    let started = async {
        start_roles(&mut roles, args, settings, &foundation, &stop).await?;
        make_ready(args, settings, &foundation).await
    };
    let started = started.await;
    if started.is_err() {
        stop.cancel();
    }
    let finished = roles.finish().await;
    nats.stop().await?;
    started.and(finished)
}

async fn start_roles(
    roles: &mut Roles,
    args: &UpArgs,
    settings: &Settings,
    foundation: &Arc<Foundation>,
    stop: &CancellationToken,
) -> Result<()> {
    if settings.has_own_psp()? {
        let sandbox: SandboxArgs = settings.config()?;
        let acceptor = bind(sandbox.sandbox_listen).await?;
        let sandbox_stop = stop.clone();
        roles.start("psp-sandbox", async move { psp_sandbox(&sandbox, acceptor, sandbox_stop).await });
    }
    if args.processes {
        return supervise::start(roles, ROLES.map(supervise::Instance::only), &args.data, stop);
    }
    let gateway: GatewayConfig = settings.config()?;
    let acceptor = bind(gateway.listen).await.context("choose another port with --port")?;
    let (payment, reconcile): (PaymentConfig, ReconcileConfig) = (settings.config()?, settings.config()?);
    let (watcher, mail): (WatcherConfig, MailConfig) = (settings.config()?, settings.config()?);
    let notary: NotaryConfig = settings.config()?;
    let (search, payments) = (settings.search()?, (payment, reconcile, watcher));
    start_all(roles, foundation, (gateway, acceptor), search, payments, (mail, notary));
    Ok(())
}

/// Creates the admin, imports the catalogue, and reports that the store is ready.
async fn make_ready(args: &UpArgs, settings: &Settings, foundation: &Foundation) -> Result<()> {
    let admin = settings.get("ADMIN_EMAIL")?;
    if !stock::has_account(foundation, admin).await? {
        stock::create_admin(foundation, admin, &settings.secret("ADMIN_PASSWORD")?).await?;
    }
    index_where_empty(settings, foundation).await?;
    import_where_wanted(args, foundation).await?;
    answers(args.port).await?;
    std::fs::write(ready_file(&args.data), std::process::id().to_string())?;
    print!("{}", settings.page()?);
    println!("Ctrl-C stops it.");
    Ok(())
}

/// Starts this program again in the background, waits until it is ready, and imports where people can see it.
async fn detach(args: &UpArgs) -> Result<()> {
    let ready_file = ready_file(&args.data);
    if holder(&args.data).is_some() {
        bail!(lock::already_runs(&args.data));
    }
    doctor::may_use(&args.data)?;
    std::fs::create_dir_all(args.data.join("run")).with_context(|| format!("folder {}", args.data.display()))?;
    let _ = std::fs::remove_file(&ready_file);
    let mut command = Command::new(std::env::current_exe()?);
    // The same options, the environment and the working directory make the same start; later ones win.
    command
        .args(std::env::args_os().skip(1).filter(|argument| argument != "--detach" && argument != "--no-import"))
        .arg("--no-import");
    let errors = args.data.join("up.log");
    // The page with the admin's password is printed there too.
    let output = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&errors)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    let mut child = command.spawn()?;
    let deadline = Instant::now().checked_add(START_TIMEOUT);
    while !ready_file.is_file() {
        if child.try_wait()?.is_some() {
            let said = std::fs::read_to_string(&errors).unwrap_or_default();
            bail!("{}", said.rsplit("error: ").next().unwrap_or_default().trim());
        }
        ensure!(
            deadline.is_some_and(|deadline| Instant::now() < deadline),
            "the store is not ready; see {}",
            errors.display()
        );
        sleep(Duration::from_millis(20)).await;
    }
    let settings = Settings::read(&args.data)?;
    let foundation = Foundation::connect(&settings.config()?, CancellationToken::new()).await?;
    import_where_wanted(args, &foundation).await?;
    print!("{}", settings.page()?);
    println!("{}scripts/down stops it.", settings::prefix(&args.data));
    Ok(())
}

/// Stops the store of a folder, or what a killed start left of it.
///
/// # Errors
/// When it does not end.
pub async fn down(data: &Path) -> Result<()> {
    let data = std::path::absolute(data)?;
    let Some(pid) = holder(&data) else {
        let ended = leftovers::end(&data).await?;
        if ended.is_empty() {
            println!("Nothing runs in {}", data.display());
        } else {
            println!("Stopped what a killed start had left running in {}: {}", data.display(), ended.join(", "));
        }
        return Ok(());
    };
    kill(pid, Signal::SIGTERM).with_context(|| format!("process {pid}"))?;
    let deadline = Instant::now().checked_add(START_TIMEOUT);
    while holder(&data).is_some() {
        ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "process {pid} does not end");
        sleep(Duration::from_millis(50)).await;
    }
    println!("Stopped; the data stays in {}", data.display());
    Ok(())
}

/// A catalogue that was asked for, or the demo one where there are no games at all.
async fn import_where_wanted(args: &UpArgs, foundation: &Foundation) -> Result<()> {
    if args.no_import {
        return Ok(());
    }
    match &args.catalog {
        Some(file) => stock::import(foundation, Some(file)).await,
        None => stock::import_where_empty(foundation).await,
    }
}

/// An engine that is new to a store with games gets its index.
async fn index_where_empty(settings: &Settings, foundation: &Foundation) -> Result<()> {
    let pool = foundation.journal().pool();
    let config = settings.search()?;
    let engine = search::writing(&config, pool)?;
    let games = projections::games::page(pool, false, 1, None).await?.items;
    if !games.is_empty() && engine.documents(0, 1).await?.is_empty() {
        search::rebuild(foundation.journal(), &config).await?;
    }
    Ok(())
}

async fn create_database(settings: &Settings) -> Result<()> {
    let server = connect(&settings.server_url()?, 1).await?;
    let known: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(settings::DATABASE)
        .fetch_one(&server)
        .await?;
    if !known {
        sqlx::query(&format!("create database {}", settings::DATABASE)).execute(&server).await?;
    }
    server.close().await;
    Ok(migrate(&settings.secret("DATABASE_OWNER_URL")?, &settings.secret("DATABASE_URL")?).await?)
}

async fn answers(port: u16) -> Result<()> {
    let deadline = Instant::now().checked_add(START_TIMEOUT);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "the gateway does not answer");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn ready_file(data: &Path) -> PathBuf {
    data.join("run").join("ready")
}

/// A fresh master key: 32 random bytes in base64.
#[must_use]
pub fn new_master_key() -> SecretString {
    let mut key = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut key);
    BASE64_STANDARD.encode(key).into()
}
