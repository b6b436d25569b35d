//! `ludoteca up`: the whole store on one machine. Private servers, every role, the sandbox PSP and a catalogue;
//! what it finds in its folder, it goes on with.

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
use commands::{Actor, CommandError, Context, Password, Registration};
use domain::user::UserError;
use domain::{BirthDate, Email, Language, PersonName, Profile, Role, UserId};
use journal::{Journal, clock, connect, migrate};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use projections::search::reindex;
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::MeiliOwnerConfig;
use crate::local::{NatsServer, Postgres};
use crate::roles::{Foundation, ROLES, Roles, bind, psp_sandbox, start_all};
use crate::{catalog, local, search};

pub use settings::Settings;

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// How to start.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// The gateway's port; the servers take the next ones that are free
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// The folder for all data; several stores live side by side in several
    #[arg(long, env = "LUDOTECA_DATA", default_value = ".local")]
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
    /// Meilisearch, where it is to search
    #[command(flatten)]
    pub meili: MeiliOwnerConfig,
}

/// Starts the store and keeps it running until Ctrl-C, or until it is ready with `--detach`.
///
/// # Errors
/// When a server does not start, a port is taken, or a role fails.
pub async fn run(args: UpArgs, stop: CancellationToken) -> Result<()> {
    if let Some(file) = &args.catalog {
        ensure!(file.is_file(), "there is no catalogue {}", file.display());
    }
    if args.detach {
        return detach(&args).await;
    }
    let ready_file = ready_file(&args.data);
    let settings = Settings::prepare(&args).await?;
    let postgres =
        Postgres::start(&args.data.join("postgres"), settings.postgres_port, &settings.postgres_password, true).await?;
    let served = serve(&args, &settings, stop).await;
    let _ = std::fs::remove_file(&ready_file);
    let stopped = postgres.stop().await;
    served.and(stopped)
}

async fn serve(args: &UpArgs, settings: &Settings, stop: CancellationToken) -> Result<()> {
    create_database(settings).await?;
    let folder = args.data.join("nats");
    let (password, analyst) = (&settings.nats_password, &settings.nats_analyst_password);
    let mut nats = NatsServer::start(&folder, settings.nats_port, password, analyst).await?;

    let foundation = Arc::new(Foundation::connect(&settings.store(), stop.clone()).await?);
    let mut roles = Roles::new(stop.clone());
    let sandbox = settings.sandbox(&args.data);
    let acceptor = bind(sandbox.sandbox_listen).await?;
    let sandbox_stop = stop.clone();
    roles.start("psp-sandbox", async move { psp_sandbox(&sandbox, acceptor, sandbox_stop).await });
    if args.processes {
        supervise::start(&mut roles, ROLES, &args.data, &stop)?;
    } else {
        let gateway = settings.gateway(&args.data);
        let acceptor = bind(gateway.listen).await.context("choose another port with --port")?;
        start_all(
            &mut roles,
            &foundation,
            (gateway, acceptor),
            settings.search.clone(),
            (settings.payment(&args.data), Settings::reconcile()),
            settings.mail(&args.data),
        );
    }
    if let Err(error) = make_ready(args, settings, &foundation).await {
        stop.cancel();
        roles.finish().await?;
        return Err(error);
    }
    let finished = roles.finish().await;
    nats.stop().await?;
    finished
}

/// The admin, the catalogue, and the word that everything is there.
async fn make_ready(args: &UpArgs, settings: &Settings, foundation: &Foundation) -> Result<()> {
    create_admin(foundation, &settings.admin_email, &settings.admin_password).await?;
    index_where_empty(settings, foundation).await?;
    import_where_wanted(args, foundation).await?;
    answers(settings.port).await?;
    let ready_file = ready_file(&args.data);
    std::fs::write(&ready_file, std::process::id().to_string())?;
    print!("{}", settings.page(&args.data));
    println!("Ctrl-C stops it.");
    Ok(())
}

/// Starts this program again in the background, waits until it is ready, and imports where people can see it.
async fn detach(args: &UpArgs) -> Result<()> {
    let ready_file = ready_file(&args.data);
    if running(&args.data).is_some() {
        bail!("the store in {} is running already; `scripts/down` stops it", args.data.display());
    }
    std::fs::create_dir_all(args.data.join("run"))?;
    let _ = std::fs::remove_file(&ready_file);
    let mut command = Command::new(std::env::current_exe()?);
    let MeiliOwnerConfig { meili_url, meili_master_key, meili_index, search_words } = &args.meili;
    command.env("MEILI_INDEX", meili_index);
    command.envs(meili_url.as_ref().map(|url| ("MEILI_URL", url)));
    command.envs(meili_master_key.as_ref().map(|key| ("MEILI_MASTER_KEY", key.expose_secret())));
    command.envs(search_words.as_ref().map(|file| ("SEARCH_WORDS", file)));
    command.args(["up", "--no-import", "--port", &args.port.to_string(), "--data"]).arg(&args.data);
    if args.processes {
        command.arg("--processes");
    }
    let errors = args.data.join("up.log");
    // The page with the admin's password is printed there too.
    let output = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&errors)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    let mut child = command.spawn()?;
    let deadline = Instant::now().checked_add(PATIENCE);
    while !ready_file.is_file() {
        if let Some(status) = child.try_wait()? {
            bail!("the store did not start ({status}):\n{}", std::fs::read_to_string(&errors).unwrap_or_default());
        }
        ensure!(
            deadline.is_some_and(|deadline| Instant::now() < deadline),
            "the store is not ready; see {}",
            errors.display()
        );
        sleep(Duration::from_millis(20)).await;
    }
    let settings = Settings::read(&args.data)?;
    let foundation = Foundation::connect(&Settings::store_from_file(&args.data)?, CancellationToken::new()).await?;
    import_where_wanted(args, &foundation).await?;
    print!("{}", settings.page(&args.data));
    println!("{}scripts/down stops it.", settings::prefix(&args.data));
    Ok(())
}

/// Stops what `up --detach` started in a folder.
///
/// # Errors
/// When it does not end.
pub async fn down(data: &Path) -> Result<()> {
    let Some(pid) = running(data) else {
        println!("Nothing runs in {}", data.display());
        return Ok(());
    };
    kill(pid, Signal::SIGTERM)?;
    let deadline = Instant::now().checked_add(PATIENCE);
    while is_ours(pid) {
        ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "process {pid} does not end");
        sleep(Duration::from_millis(50)).await;
    }
    println!("Stopped; the data stays in {}", data.display());
    Ok(())
}

/// Creates an admin, unless they are there.
///
/// # Errors
/// When the address or the password is none, or the journal does not answer.
pub async fn create_admin(foundation: &Foundation, email: &str, password: &SecretString) -> Result<()> {
    let birth_date = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).context("date")?;
    let profile = Profile {
        name: PersonName::parse("Admin")?,
        email: Email::parse(email).context("ADMIN_EMAIL")?,
        birth_date: BirthDate::parse(birth_date, clock::now().date_naive())?,
    };
    let id = UserId::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("admin {email}").as_bytes()));
    let password = Password::parse(password.expose_secret()).context("ADMIN_PASSWORD")?;
    let registration = Registration { profile, password, language: Language::English };
    let context = Context::new(Actor::System("setup"));
    match foundation.shared.commands.register(&context, id, registration, Role::Admin).await {
        Ok(_) | Err(CommandError::User(UserError::AlreadyRegistered)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A catalogue that was asked for, or the demo one where there are no games at all.
async fn import_where_wanted(args: &UpArgs, foundation: &Foundation) -> Result<()> {
    let pool = foundation.journal().pool();
    let empty = projections::games::page(pool, 1, None).await?.items.is_empty();
    if !args.no_import && (empty || args.catalog.is_some()) {
        import(foundation, args.catalog.as_deref()).await?;
    }
    Ok(())
}

/// An engine that is new to a store with games gets its index.
async fn index_where_empty(settings: &Settings, foundation: &Foundation) -> Result<()> {
    let pool = foundation.journal().pool();
    let engine = search::writing(&settings.search, pool)?;
    let games = projections::games::page(pool, 1, None).await?.items;
    if !games.is_empty() && engine.documents(0, 1).await?.is_empty() {
        search::rebuild(foundation, &settings.search).await?;
    }
    Ok(())
}

/// Imports a catalogue and waits until it can be searched.
///
/// # Errors
/// When the file cannot be read or the journal does not answer.
pub async fn import(foundation: &Foundation, file: Option<&Path>) -> Result<()> {
    let begun = std::time::Instant::now();
    let imported = catalog::import(&foundation.shared.commands, file).await?;
    for refusal in imported.refused.iter().take(10) {
        eprintln!("    refused {refusal}");
    }
    projected(foundation.journal()).await?;
    let took = begun.elapsed().as_secs_f64();
    let (new, known, refused) = (imported.new, imported.known, imported.refused.len());
    println!("Imported {new} games in {took:.1} s ({known} were known, {refused} refused)");
    Ok(())
}

/// Waits until the catalogue has what the journal has.
async fn projected(journal: &Journal) -> Result<()> {
    let (_, last) = journal.extent().await?;
    let deadline = Instant::now().checked_add(PATIENCE);
    while !(projections::consistency::reached(journal.pool(), "games", last).await?
        && reindex::caught_up(journal.pool()).await?)
    {
        ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "the catalogue lags behind the journal");
    }
    Ok(())
}

async fn create_database(settings: &Settings) -> Result<()> {
    let server = connect(&settings.owner_url("postgres"), 1).await?;
    let known: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(settings::DATABASE)
        .fetch_one(&server)
        .await?;
    if !known {
        sqlx::query(&format!("create database {}", settings::DATABASE)).execute(&server).await?;
    }
    server.close().await;
    Ok(migrate(&settings.owner_url(settings::DATABASE), &settings.app_url()).await?)
}

async fn answers(port: u16) -> Result<()> {
    let deadline = Instant::now().checked_add(PATIENCE);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "the gateway does not answer");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn ready_file(data: &Path) -> PathBuf {
    data.join("run").join("ready")
}

/// The process of a store that is ready in a folder.
fn running(data: &Path) -> Option<Pid> {
    let pid = std::fs::read_to_string(ready_file(data)).ok()?.trim().parse().ok().map(Pid::from_raw)?;
    is_ours(pid).then_some(pid)
}

fn is_ours(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "ludoteca")
}

/// A fresh master key: 32 random bytes in base64.
#[must_use]
pub fn new_master_key() -> SecretString {
    let mut key = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut key);
    BASE64_STANDARD.encode(key).into()
}

/// A port beside the gateway's.
fn port_beside(port: u16, offset: u16) -> Result<u16> {
    local::free_port(port.saturating_add(offset))
}
