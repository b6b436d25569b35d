//! Benchmarks that print what they measured beside what they measured it against, in one run.
//! They bring their own servers, in a folder that is removed afterwards. Run them in the release profile.

mod accept;
mod append;
mod fill;
mod mirror;
mod peers;
mod purchase;
mod search;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use journal::{Clock, Journal, Vault, connect, migrate};
use secrecy::SecretString;
use sqlx::PgPool;

use crate::local::{Postgres, free_port, new_secret};

pub use accept::{AcceptArgs, run as accept};
pub use append::{AppendArgs, run as append};
pub use mirror::{MirrorArgs, run as mirror};
pub use peers::{PeersArgs, run as peers};
pub use purchase::{PurchaseArgs, run as purchase};
pub use search::{SearchArgs, run as search};

/// A cluster for one run, with the store's schema.
struct Bench {
    folder: PathBuf,
    postgres: Postgres,
    /// The owner's.
    password: String,
    owner: PgPool,
    journal: Journal,
    vault: Vault,
    app_url: SecretString,
    master_key: SecretString,
}

impl Bench {
    async fn start(connections: u32) -> Result<Self> {
        let (folder, password) = (std::env::temp_dir().join(new_secret("ludoteca-bench-")), new_secret("p"));
        let postgres = Postgres::start(&folder.join("postgres"), free_port()?, &password, true).await?;
        Self::on(folder, password, postgres, connections).await
    }

    /// One whose Postgres counts statements.
    async fn start_counting(connections: u32) -> Result<Self> {
        let (folder, password) = (std::env::temp_dir().join(new_secret("ludoteca-bench-")), new_secret("p"));
        let (place, port) = (folder.join("postgres"), free_port()?);
        let first = Postgres::start(&place, port, &password, true).await?;
        let owner = connect(&first.url("postgres", &password, "postgres").into(), 1).await?;
        sqlx::query("alter system set shared_preload_libraries = 'pg_stat_statements'").execute(&owner).await?;
        owner.close().await;
        first.stop().await?;
        let bench =
            Self::on(folder, password.clone(), Postgres::start(&place, port, &password, true).await?, connections);
        let bench = bench.await?;
        sqlx::query("create extension pg_stat_statements").execute(&bench.owner).await?;
        Ok(bench)
    }

    async fn on(folder: PathBuf, password: String, postgres: Postgres, connections: u32) -> Result<Self> {
        let owner_url: SecretString = postgres.url("postgres", &password, "postgres").into();
        let app_url: SecretString = postgres.url("ludoteca", &password, "postgres").into();
        migrate(&owner_url, &app_url).await?;
        let owner = connect(&owner_url, connections).await?;
        let pool = connect(&app_url, connections).await?;
        let master_key = crate::up::new_master_key();
        let vault = Vault::open(pool.clone(), &master_key, Clock::default()).await?;
        Ok(Self { folder, postgres, password, owner, journal: Journal::open(pool).await?, vault, app_url, master_key })
    }

    async fn stop(self) -> Result<()> {
        self.owner.close().await;
        self.journal.pool().close().await;
        self.postgres.stop().await?;
        Ok(std::fs::remove_dir_all(self.folder)?)
    }
}

/// Waits until somebody listens on a port of loopback.
async fn wait_for_port(port: u16) -> Result<()> {
    let listens = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    Ok(tokio::time::timeout(Duration::from_secs(10), listens).await?)
}
