//! Other event stores, each asked by its own client for the same: durable appends of one event.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::append::{appends, plain_inserts, use_cases};
use super::{Bench, wait_for_port};
use crate::local::{free_port, home};
use crate::table::{Output, Table};

/// How many appends are in flight in each round.
const IN_FLIGHT: [u32; 3] = [1, 8, 64];
const EVENTSOURCING: &str = include_str!("peers/eventsourcing.py");
const EMMETT: &str = include_str!("peers/emmett.mjs");
const UMADB: &str = include_str!("peers/umadb.py");

/// `ludoteca bench peers`
#[derive(Debug, Args)]
pub struct PeersArgs {
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    #[command(flatten)]
    output: Output,
}

/// Appends one event at a time through the command layer, and beside it by other event stores: those on Postgres on the
/// same cluster, the others on the same disk.
///
/// # Errors
/// When the servers do not start or an append fails.
pub async fn run(args: &PeersArgs) -> Result<()> {
    let bench = Bench::start(80).await?;
    let commands = use_cases(bench.journal.clone(), bench.vault.clone());
    let time = Duration::from_secs(args.seconds);
    let peers = Peers::start(&bench, args.seconds).await?;
    eprintln!("Durable appends of one event per second, {} s each", args.seconds);
    let mut table = Table::new(["in_flight", "ludoteca", "plain_insert", "eventsourcing", "emmett", "umadb", "lead"]);
    for in_flight in IN_FLIGHT {
        let ours = appends(&commands, in_flight, time).await?;
        let plain = plain_inserts(&bench.owner, in_flight, time).await?;
        let (eventsourcing, emmett) = (peers.eventsourcing(in_flight).await, peers.emmett(in_flight).await);
        let umadb = peers.umadb(in_flight).await;
        let best = eventsourcing.into_iter().chain(emmett).fold(f64::NAN, f64::max);
        let rounded = |rate: Option<f64>| rate.map_or(Value::Null, |rate| json!(rate.round()));
        let lead = if best.is_nan() { Value::Null } else { json!(ours / best) };
        let (eventsourcing, emmett, umadb) = (rounded(eventsourcing), rounded(emmett), rounded(umadb));
        table.row([json!(in_flight), json!(ours.round()), json!(plain.round()), eventsourcing, emmett, umadb, lead]);
    }
    table.print(args.output);
    eprintln!("lead: ludoteca over the faster one of those on Postgres");
    drop(peers);
    bench.stop().await
}

struct Peers {
    folder: PathBuf,
    settings: Vec<(&'static str, String)>,
    /// Killed when it is dropped.
    umadb: Option<Child>,
}

impl Peers {
    async fn start(bench: &Bench, seconds: u64) -> Result<Self> {
        let folder = home().join(".local/peers");
        let port = free_port()?;
        let payload = json!({ "title": "x".repeat(250) }).to_string();
        let settings = vec![
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", bench.postgres.port().to_string()),
            ("PGUSER", "postgres".to_owned()),
            ("PGPASSWORD", bench.password.clone()),
            ("PGDATABASE", "postgres".to_owned()),
            ("UMADB_URL", format!("http://127.0.0.1:{port}")),
            ("SECONDS", seconds.to_string()),
            ("PAYLOAD", payload),
        ];
        let program = folder.join("bin/umadb");
        let umadb = if program.is_file() {
            let mut server = Command::new(program);
            server.args(["--listen", &format!("127.0.0.1:{port}"), "--db-path"]).arg(bench.folder.join("umadb"));
            let server = server.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
            wait_for_port(port).await?;
            Some(server)
        } else {
            None
        };
        Ok(Self { folder, settings, umadb })
    }

    async fn eventsourcing(&self, in_flight: u32) -> Option<f64> {
        self.python("eventsourcing", EVENTSOURCING, in_flight).await
    }

    async fn umadb(&self, in_flight: u32) -> Option<f64> {
        self.umadb.as_ref()?;
        self.python("umadb", UMADB, in_flight).await
    }

    async fn python(&self, peer: &str, script: &str, in_flight: u32) -> Option<f64> {
        self.told(peer, &self.folder.join("bin/python"), &["-c", script], in_flight).await
    }

    async fn emmett(&self, in_flight: u32) -> Option<f64> {
        let node = Path::new("node");
        self.told("emmett", node, &["--input-type=module", "-e", EMMETT], in_flight).await
    }

    /// What a peer's client measured; nothing, loudly, where it is not there.
    async fn told(&self, peer: &str, program: &Path, arguments: &[&str], in_flight: u32) -> Option<f64> {
        match self.measure(program, arguments, in_flight).await {
            Ok(rate) => Some(rate),
            Err(error) => {
                eprintln!(
                    "SKIPPED: {peer} with {in_flight} in flight ({error:#}); scripts/install-bench-peers installs it"
                );
                None
            }
        }
    }

    async fn measure(&self, program: &Path, arguments: &[&str], in_flight: u32) -> Result<f64> {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.env("IN_FLIGHT", in_flight.to_string()).current_dir(&self.folder).stdin(Stdio::null());
        let output = command.output().await.with_context(|| program.display().to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", said.trim().lines().last().unwrap_or("it failed"));
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }
}
