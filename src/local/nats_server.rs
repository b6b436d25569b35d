use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::{ConnectOptions, jetstream};
use nats::Nats;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::{Process, find_program, private_folder};

pub(super) const CONFIG: &str = include_str!("../../nats/nats-server.conf");
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server with JetStream in a folder. It ends with its handle.
pub struct NatsServer {
    child: Child,
    port: u16,
    password: String,
    analyst_password: String,
}

impl NatsServer {
    /// Starts the server in `folder`; its streams are those of the last time.
    ///
    /// # Errors
    /// When nats-server is not installed or does not start.
    pub async fn start(folder: &Path, port: u16, password: &str, analyst_password: &str) -> Result<Self> {
        Self::start_with(folder, port, (password, analyst_password), None).await
    }

    /// The same, with a limit to what it may keep on disk, in bytes.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn start_with(
        folder: &Path,
        port: u16,
        (password, analyst_password): (&str, &str),
        disk: Option<u64>,
    ) -> Result<Self> {
        let limit = disk.map(|bytes| format!("jetstream {{ max_file: {bytes} }}"));
        let config = limit.map_or_else(|| CONFIG.to_owned(), |limit| CONFIG.replace("jetstream {}", &limit));
        let child = spawn(folder, port, (password, analyst_password), &config, &[]).await?;
        let (password, analyst_password) = (password.to_owned(), analyst_password.to_owned());
        let mut server = Self { child, port, password, analyst_password };
        server.until_ready(folder).await?;
        Ok(server)
    }

    /// The URL of the store's own user.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://ludoteca:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// The URL of the user who can read EVENTS and nothing else.
    #[must_use]
    pub fn analyst_url(&self) -> String {
        format!("nats://analyst:{}@127.0.0.1:{}", self.analyst_password, self.port)
    }

    /// JetStream itself, for tests and benchmarks that do what the store never does.
    ///
    /// # Errors
    /// When the server does not let us in.
    pub async fn jetstream(&self) -> Result<jetstream::Context> {
        let options = ConnectOptions::with_user_and_password("ludoteca".to_owned(), self.password.clone());
        Ok(jetstream::new(options.connect(format!("127.0.0.1:{}", self.port)).await?))
    }

    /// Ends the server and waits until it has.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(id) = self.child.id() {
            kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM)?;
        }
        self.child.wait().await?;
        Ok(())
    }

    async fn until_ready(&mut self, folder: &Path) -> Result<()> {
        let deadline = Instant::now().checked_add(PATIENCE);
        let url = self.url();
        let mut last = String::new();
        while deadline.is_some_and(|deadline| Instant::now() < deadline) {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("nats-server ended at once ({status}); see {}", folder.join("nats-server.log").display());
            }
            let ready = async { Nats::connect(&url).await?.ready().await };
            match ready.await {
                Ok(()) => return Ok(()),
                Err(error) => last = error.to_string(),
            }
            sleep(Duration::from_millis(20)).await;
        }
        anyhow::bail!("nats-server is not ready ({last}); see {}", folder.join("nats-server.log").display())
    }
}

/// Where the server of a folder writes its process id.
pub(crate) fn nats_pid_file(folder: &Path) -> PathBuf {
    folder.join("nats-server.pid")
}

/// Starts nats-server in a folder, with more arguments.
pub(super) async fn spawn(
    folder: &Path,
    port: u16,
    (password, analyst_password): (&str, &str),
    config: &str,
    more: &[String],
) -> Result<Child> {
    let program = find_program("nats-server", &[])?;
    private_folder(folder)?;
    let pid_file = nats_pid_file(folder);
    // A server whose starter was killed holds our streams.
    if let Some(stray) = Process::of(&pid_file, folder) {
        stray.end(Signal::SIGTERM).await?;
    }
    let config_file = folder.join("nats-server.conf");
    std::fs::write(&config_file, config)?;
    Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string()])
        .arg("-c")
        .arg(&config_file)
        .arg("-sd")
        .arg(folder.join("streams"))
        .arg("-P")
        .arg(&pid_file)
        .arg("-l")
        .arg(folder.join("nats-server.log"))
        .args(more)
        .env("NATS_PASSWORD", password)
        .env("NATS_ANALYST_PASSWORD", analyst_password)
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("cannot run nats-server")
}
