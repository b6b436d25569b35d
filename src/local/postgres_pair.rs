use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep};

use super::{Postgres, free_port};

/// How long a standby may take to have what its primary has.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// A primary and its synchronous standby: a commit is answered when both have it, so that either can be lost.
pub(crate) struct PostgresPair {
    folder: PathBuf,
    password: String,
    primary: Node,
    standby: Option<Postgres>,
}

struct Node {
    /// Its folder's number, 0 or 1.
    number: u8,
    cluster: Postgres,
}

impl PostgresPair {
    /// Starts both in `folder`. The superuser is `postgres` with `password`.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub(crate) async fn start(folder: &Path, password: &str) -> Result<Self> {
        let cluster = Postgres::start(&place(folder, 0), free_port()?, password, true).await?;
        let (folder, password, primary) = (folder.to_owned(), password.to_owned(), Node { number: 0, cluster });
        let mut pair = Self { folder, password, primary, standby: None };
        pair.order(&["alter system set wal_retrieve_retry_interval = '200ms'"]).await?;
        pair.rejoin().await?;
        Ok(pair)
    }

    /// The URL of a database of the primary for a role.
    pub(crate) fn url(&self, role: &str, password: &str, database: &str) -> String {
        self.primary.cluster.url(role, password, database)
    }

    /// The primary's port on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.primary.cluster.port()
    }

    /// Ends the primary as a crash would.
    ///
    /// # Errors
    /// When it does not end.
    pub(crate) async fn crash(&self) -> Result<()> {
        self.primary.cluster.crash().await
    }

    /// Starts the primary again where it was.
    ///
    /// # Errors
    /// When it does not start, or its standby does not follow.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        let Node { number, cluster } = &self.primary;
        let started = Postgres::start(&place(&self.folder, *number), cluster.port(), &self.password, true).await?;
        self.primary.cluster = started;
        self.until_followed().await
    }

    /// The primary is lost and its standby takes its place, alone.
    ///
    /// # Errors
    /// When there is no standby, or it does not take over.
    pub(crate) async fn fail_over(&mut self) -> Result<()> {
        let Some(cluster) = self.standby.take() else { anyhow::bail!("there is no standby") };
        self.primary.cluster.crash().await?;
        cluster.promote().await?;
        self.primary = Node { number: 1_u8.saturating_sub(self.primary.number), cluster };
        // There is nobody to wait for.
        self.order(&["alter system set synchronous_standby_names = ''", "select pg_reload_conf()"]).await
    }

    /// What was lost follows the primary again, as a copy of it.
    ///
    /// # Errors
    /// When it cannot be copied or does not follow.
    pub(crate) async fn rejoin(&mut self) -> Result<()> {
        let lost = place(&self.folder, 1_u8.saturating_sub(self.primary.number));
        self.standby = Some(Postgres::follow(&lost, free_port()?, &self.superuser()).await?);
        self.order(&["alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"]).await?;
        self.until_followed().await
    }

    /// Ends both.
    ///
    /// # Errors
    /// When one does not end.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.primary.cluster.stop().await?;
        match &self.standby {
            Some(standby) => standby.stop().await,
            None => Ok(()),
        }
    }

    fn superuser(&self) -> String {
        self.url("postgres", &self.password, "postgres")
    }

    async fn order(&self, statements: &[&str]) -> Result<()> {
        let mut superuser = PgConnection::connect(&self.superuser()).await?;
        for statement in statements {
            sqlx::query(statement).execute(&mut superuser).await?;
        }
        Ok(())
    }

    async fn until_followed(&self) -> Result<()> {
        let mut superuser = PgConnection::connect(&self.superuser()).await?;
        let deadline = Instant::now().checked_add(PATIENCE);
        let followed = "select exists (select from pg_stat_replication where state = 'streaming'
                                       and sync_state in ('sync', 'quorum') and flush_lsn >= pg_current_wal_flush_lsn())";
        while !sqlx::query_scalar::<_, bool>(followed).fetch_one(&mut superuser).await? {
            ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "the standby does not follow");
            sleep(POLL).await;
        }
        Ok(())
    }
}

fn place(folder: &Path, number: u8) -> PathBuf {
    folder.join(format!("postgres-{number}"))
}
