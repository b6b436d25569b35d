use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use journal::connect;
use tokio::process::Command;

use super::append::plain_inserts;
use crate::load::{Figures, Load, Store};
use crate::local::{free_port, new_secret};
use crate::table::Output;

/// How many purchases an idle store is asked for, one after another.
const ALONE: u64 = 60;
/// How long a client waits for a game to arrive.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the store idles before its memory is measured.
const IDLE: Duration = Duration::from_secs(3);

/// `ludoteca bench purchase`
#[derive(Debug, Args)]
pub struct PurchaseArgs {
    /// How many purchases are made at once and as fast as possible
    #[arg(long, default_value_t = 3_000)]
    purchases: u64,
    /// By how many clients
    #[arg(long, default_value_t = 64)]
    clients: u64,
    /// The program to measure, where it is another than this one
    #[arg(long)]
    program: Option<PathBuf>,
    /// Print the figures of an earlier run beside these: a file that --json wrote
    #[arg(long)]
    compare: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Starts a whole store with the demo catalogue, buys alone, then with many clients, then at half of what these reached;
/// beside plain inserts into the same Postgres.
///
/// # Errors
/// When the store does not start, or a game does not arrive.
pub async fn run(args: &PurchaseArgs) -> Result<()> {
    let earlier = args.compare.as_deref().map(Figures::read).transpose()?;
    let folder = std::env::temp_dir().join(new_secret("ludoteca-bench-"));
    let program = args.program.clone().map_or_else(std::env::current_exe, Ok)?;
    let store = Started { program, folder, port: free_port()? };
    let measured = async {
        store.up().await?;
        store.count_statements().await?;
        figures(args, &store).await
    };
    let measured = measured.await;
    let stopped = store.call(&["down"]).await;
    // Nothing is left of a store that did not start.
    let _ = std::fs::remove_dir_all(&store.folder);
    let measured = measured?;
    stopped?;
    measured.print(earlier.as_ref(), args.output);
    Ok(())
}

async fn figures(args: &PurchaseArgs, started: &Started) -> Result<Figures> {
    let url = format!("http://127.0.0.1:{}", started.port);
    let store = Store::of(&started.folder).context("the store does not run")?;
    let mut figures = Figures::default();

    eprintln!("Plain inserts, {} in flight", args.clients);
    let owner = connect(store.database(), u32::try_from(args.clients)?).await?;
    // Where Postgres does not count statements, `load` says so.
    let _ = sqlx::query("create extension if not exists pg_stat_statements schema public").execute(&owner).await;
    let plain = plain_inserts(&owner, u32::try_from(args.clients)?, Duration::from_secs(4)).await?;
    owner.close().await;
    figures.add("plain one-row inserts per second".to_owned(), plain);

    eprintln!("One client, {ALONE} purchases one after another");
    let alone = Load::prepare(&url, (ALONE, 1), PATIENCE).await?;
    tokio::time::sleep(IDLE).await;
    figures.add("resident memory, idle, MB".to_owned(), store.used().await?.resident);
    figures.add_all("alone", &Figures::of(&alone.run().await?));

    eprintln!("{} clients, {} purchases", args.clients, args.purchases);
    let load = Load::prepare(&url, (args.purchases, args.clients), PATIENCE).await?;
    let before = store.used().await?;
    let peak = load.run().await?;
    let mut crowd = Figures::of(&peak);
    crowd.add_cost(&peak, &before, &store.used().await?);
    let rate = crowd.get("purchases per second").context("no purchase")?;
    figures.add("purchases ÷ plain one-row inserts".to_owned(), rate / plain);
    figures.add_all("crowd", &crowd);

    eprintln!("{} clients, {:.0} purchases a second", args.clients, rate / 2.0);
    let half = Load::prepare(&url, (args.purchases.div_ceil(2), args.clients), PATIENCE).await?;
    figures.add_all("half the rate", &Figures::of(&half.at_rate(rate / 2.0).run().await?));
    Ok(figures)
}

/// A store of processes of its own.
struct Started {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Started {
    async fn up(&self) -> Result<()> {
        self.call(&["up", "--detach", "--port", &self.port.to_string()]).await
    }

    /// Has Postgres count statements from now on, where it can.
    async fn count_statements(&self) -> Result<()> {
        let settings = self.folder.join("postgres/data/postgresql.conf");
        let known = std::fs::read_to_string(&settings)?;
        std::fs::write(&settings, known.clone() + "\nshared_preload_libraries = 'pg_stat_statements'\n")?;
        self.call(&["down"]).await?;
        if let Err(error) = self.up().await {
            eprintln!("SKIPPED: statements are not counted ({error:#})");
            std::fs::write(&settings, known)?;
            self.up().await?;
        }
        Ok(())
    }

    async fn call(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("LUDOTECA_DATA", &self.folder).env("LUDOTECA_HOME", crate::local::home());
        let output = command.stdin(Stdio::null()).output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        let program = Path::new(&self.program).display();
        ensure!(output.status.success(), "{program} {} failed: {said}", arguments.join(" "));
        Ok(())
    }
}
