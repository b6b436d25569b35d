use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use nix::unistd::{Uid, User};
use tokio::process::Command;

use super::{find_program, private_folder};

/// A running cluster in a folder. Stop it with [`Postgres::stop`]; it survives its handle.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<User>,
    port: u16,
}

impl Postgres {
    /// Starts the cluster in `folder`, made first where there is none. Its owner is `postgres` with `password`.
    /// With `durable` false it may lose data with the machine's power: for tests.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub async fn start(folder: &Path, port: u16, password: &str, durable: bool) -> Result<Self> {
        let programs = programs()?;
        // Postgres refuses to run as root.
        let user = if Uid::effective().is_root() {
            Some(User::from_name("postgres")?.context("there is no user postgres to run PostgreSQL as")?)
        } else {
            None
        };
        private_folder(folder)?;
        let folder = folder.canonicalize()?;
        if let Some(user) = &user {
            nix::unistd::chown(&folder, Some(user.uid), Some(user.gid))?;
        }
        let cluster = Self { programs, folder, user, port };
        cluster.reachable().await?;
        if !cluster.data().join("PG_VERSION").is_file() {
            cluster.init(password).await?;
        }
        // A cluster whose starter was killed is still there; it is stopped, so that the port is ours to choose.
        if cluster.control(&["status"]).await.is_ok() {
            cluster.stop().await?;
        }
        let options = format!(
            "-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200 \
             -c shared_buffers=128MB -c max_wal_size=2GB -c fsync={0} -c synchronous_commit={0}",
            if durable { "on" } else { "off" }
        );
        let log = cluster.folder.join("postgres.log");
        cluster
            .control(&["start", "-w", "-t", "30", "-l", &log.to_string_lossy(), "-o", &options])
            .await
            .with_context(|| format!("PostgreSQL did not start; see {}", log.display()))?;
        Ok(cluster)
    }

    /// The URL of a database for a role.
    #[must_use]
    pub fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Ends the cluster, after its transactions were rolled back.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&self) -> Result<()> {
        self.control(&["stop", "-m", "fast", "-t", "30"]).await
    }

    /// Ends the cluster as a crash would: it recovers at its next start.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn crash(&self) -> Result<()> {
        self.control(&["stop", "-m", "immediate", "-t", "30"]).await
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    async fn init(&self, password: &str) -> Result<()> {
        let file = self.folder.join("password");
        std::fs::write(&file, password)?;
        if let Some(user) = &self.user {
            nix::unistd::chown(&file, Some(user.uid), Some(user.gid))?;
        }
        let (data, file_arg) = (self.data(), format!("--pwfile={}", file.display()));
        let arguments =
            ["-U", "postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", &file_arg];
        let made = self.run("initdb", &data, &arguments).await;
        std::fs::remove_file(&file)?;
        made
    }

    async fn control(&self, arguments: &[&str]) -> Result<()> {
        self.run("pg_ctl", &self.data(), arguments).await
    }

    async fn run(&self, program: &str, data: &Path, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(data).args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        // The server that pg_ctl leaves behind must not hold our pipes open, so its output goes nowhere.
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).status().await;
        let status = status.with_context(|| format!("cannot run {program}"))?;
        ensure!(status.success(), "{program} {} failed ({status})", arguments.first().copied().unwrap_or_default());
        Ok(())
    }

    /// The server's user must be able to come here.
    async fn reachable(&self) -> Result<()> {
        let mut command = Command::new("test");
        command.arg("-w").arg(&self.folder).stdin(Stdio::null());
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let folder = self.folder.display();
        ensure!(
            command.status().await?.success(),
            "PostgreSQL runs as user postgres, which cannot reach {folder}; choose another folder with --data"
        );
        Ok(())
    }
}

/// Where the newest installed server's programs are.
fn programs() -> Result<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let mut versions: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    versions.sort();
    versions.reverse();
    let pg_ctl = find_program("pg_ctl", &versions)?;
    pg_ctl.parent().map(Path::to_path_buf).context("pg_ctl has no folder")
}
