use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nats::Nats;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use super::free_port;
use super::nats_server::{CONFIG, spawn};

/// How many servers a cluster has, and on how many each stream is kept.
pub const SERVERS: usize = 3;
/// How long the servers may take to find each other and to elect leaders.
const PATIENCE: Duration = Duration::from_mins(1);

/// Three servers with JetStream on loopback, each of which can be killed or stopped. They end with their handle.
pub struct NatsCluster {
    nodes: Vec<Node>,
    password: String,
}

struct Node {
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    child: Child,
}

impl NatsCluster {
    /// Starts the servers in `folder`, and waits until they are one cluster.
    ///
    /// # Errors
    /// When nats-server is not installed, or the servers do not become a cluster.
    pub async fn start(folder: &Path, password: &str) -> Result<Self> {
        let ports = (0..SERVERS).map(|_| Ok((free_port()?, free_port()?))).collect::<Result<Vec<_>>>()?;
        let routes: Vec<String> = ports.iter().map(|(_, route)| format!("nats://127.0.0.1:{route}")).collect();
        let mut nodes = Vec::new();
        for (index, (port, route)) in ports.into_iter().enumerate() {
            let folder = folder.join(format!("nats-{index}"));
            let arguments = vec![
                "--name".to_owned(),
                format!("nats-{index}"),
                "--cluster_name".to_owned(),
                "ludoteca".to_owned(),
                "--cluster".to_owned(),
                format!("nats://127.0.0.1:{route}"),
                "--routes".to_owned(),
                routes.join(","),
                // Whoever came by a wire that can be broken is to stay on it.
                "--no_advertise".to_owned(),
            ];
            let child = spawn(&folder, port, (password, password), CONFIG, &arguments).await?;
            nodes.push(Node { folder, port, arguments, child });
        }
        let cluster = Self { nodes, password: password.to_owned() };
        cluster.until_ready().await?;
        Ok(cluster)
    }

    /// The URLs of the store's own user.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(self.ports())
    }

    /// The same at other ports, which lead to the servers.
    #[must_use]
    pub fn url_at(&self, ports: impl IntoIterator<Item = u16>) -> String {
        let url = |port| format!("nats://ludoteca:{}@127.0.0.1:{port}", self.password);
        ports.into_iter().map(url).collect::<Vec<_>>().join(",")
    }

    /// Where the servers listen.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.nodes.iter().map(|node| node.port)
    }

    /// Which server leads a stream, as far as the others know.
    pub async fn leader(&self, stream: &str) -> Option<usize> {
        let nats = Nats::connect(&self.url()).await.ok()?;
        nats.leader(stream).await.ok()??.strip_prefix("nats-")?.parse().ok()
    }

    /// Sends a signal to a server.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        let id = self.nodes.get(index).and_then(|node| node.child.id()).context("no such server")?;
        Ok(kill(Pid::from_raw(i32::try_from(id)?), signal)?)
    }

    /// Starts a server again that was killed, where it was.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self, index: usize) -> Result<()> {
        let node = self.nodes.get_mut(index).context("no such server")?;
        node.child.wait().await?;
        node.child = spawn(&node.folder, node.port, (&self.password, &self.password), CONFIG, &node.arguments).await?;
        Ok(())
    }

    async fn until_ready(&self) -> Result<()> {
        let deadline = Instant::now().checked_add(PATIENCE);
        loop {
            let ready = async { Nats::connect(&self.url()).await?.with_replicas(SERVERS).provision().await };
            let Err(error) = ready.await else { return Ok(()) };
            if deadline.is_none_or(|deadline| Instant::now() > deadline) {
                bail!("the NATS cluster is not ready: {error}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}
