//! What a load costs the machine: processor time and memory of each process, statements and commits of Postgres.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use procfs::process::{Process, all_processes};
use procfs::{page_size, ticks_per_second};
use secrecy::SecretString;
use sqlx::{Connection, PgConnection};

use crate::local::{nats_pid_file, postgres_pid_file};
use crate::roles::ROLES;
use crate::up::supervise::pid_file;
use crate::up::{Settings, holder};

/// What runs a store on this machine.
pub(crate) struct Store {
    data: PathBuf,
    database: SecretString,
}

/// What was used up to a moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Used {
    /// Processor time in seconds, by process.
    pub(crate) cpu: Vec<(String, f64)>,
    /// Resident memory of the store's own processes, in MB.
    pub(crate) resident: f64,
    /// Transaction ids that were given out: to transactions and savepoints that wrote something.
    pub(crate) commits: i64,
    /// Statements in all, and those that read histories; nothing where Postgres does not count them.
    pub(crate) statements: Option<(i64, i64)>,
}

impl Store {
    /// The store that runs in a folder of this machine, if one does.
    pub(crate) fn of(data: &Path) -> Option<Self> {
        holder(data)?;
        let database = Settings::read(data).ok()?.secret("DATABASE_OWNER_URL").ok()?;
        Some(Self { data: data.to_path_buf(), database })
    }

    /// The database, as its owner sees it.
    pub(crate) fn database(&self) -> &SecretString {
        &self.database
    }

    /// What was used up to now.
    ///
    /// # Errors
    /// When a process ended, or the database does not answer.
    pub(crate) async fn used(&self) -> Result<Used> {
        let own = Process::myself()?;
        let mut cpu = vec![("this client".to_owned(), cpu_of(&own)?)];
        let mut resident = 0.0;
        let main = holder(&self.data).context("the store ended")?.as_raw();
        let roles = ROLES.map(|role| (role.to_owned(), pid_file(&self.data, role)));
        let roles = roles.into_iter().filter_map(|(role, file)| Some((role, read_pid(&file)?)));
        for (name, pid) in std::iter::once(("ludoteca".to_owned(), main)).chain(roles) {
            let process = Process::new(pid)?;
            resident += megabytes(process.stat()?.rss);
            cpu.push((name, cpu_of(&process)?));
        }
        let servers = [
            ("postgres", postgres_pid_file(&self.data.join("postgres"))),
            ("nats-server", nats_pid_file(&self.data.join("nats"))),
        ];
        for (name, file) in servers {
            let pid = read_pid(&file).with_context(|| format!("{name} left no pid in {}", file.display()))?;
            cpu.push((name.to_owned(), cpu_with_children(pid)?));
        }
        let mut database = PgConnection::connect(secrecy::ExposeSecret::expose_secret(&self.database)).await?;
        let commits = sqlx::query_scalar("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint");
        let commits = commits.fetch_one(&mut database).await?;
        let statements = statements(&mut database).await.ok();
        Ok(Used { cpu, resident, commits, statements })
    }
}

/// Statements so far, and those that read the histories of aggregates.
async fn statements(database: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    sqlx::query_as(
        "select coalesce(sum(calls), 0)::bigint,
                coalesce(sum(calls) filter (where query like 'select event_id, epoch%aggregate_id = %'), 0)::bigint
         from pg_stat_statements",
    )
    .fetch_one(database)
    .await
}

fn read_pid(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
}

fn cpu_of(process: &Process) -> Result<f64> {
    let stat = process.stat()?;
    let children = stat.cutime.saturating_add(stat.cstime).max(0).unsigned_abs();
    let ticks = stat.utime.saturating_add(stat.stime).saturating_add(children);
    #[expect(clippy::cast_precision_loss, reason = "the ticks of a run fit a float")]
    Ok(ticks as f64 / ticks_per_second() as f64)
}

fn cpu_with_children(pid: i32) -> Result<f64> {
    let mut sum = cpu_of(&Process::new(pid)?)?;
    for process in all_processes()?.flatten() {
        // Whoever ends meanwhile is counted by its parent.
        if process.stat().is_ok_and(|stat| stat.ppid == pid) {
            sum += cpu_of(&process).unwrap_or_default();
        }
    }
    Ok(sum)
}

fn megabytes(pages: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "the pages of a process fit a float")]
    let bytes = pages.saturating_mul(page_size()) as f64;
    bytes / 1_000_000.0
}
