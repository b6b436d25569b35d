//! What is broken: any process, any server, any wire, and the PSP's manners; then mended. A part that is broken already
//! is left alone; different parts are broken at the same time.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use super::stage::{PSP, Stage, Way};
use crate::local::{Line, SERVERS};

/// One fault, and for how long it lasts.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    kind: Kind,
    pub(super) lasting: Duration,
}

#[derive(Debug, Clone)]
enum Kind {
    Kill(String),
    Stop(String),
    KillServer(usize),
    StopServer(usize),
    KillLeader(&'static str),
    CrashPostgres,
    FailOver,
    Break(Way, Line),
    PspBehaves(Value),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Kill(process) => write!(f, "kill {process}"),
            Kind::Stop(process) => write!(f, "stop {process}"),
            Kind::KillServer(index) => write!(f, "kill nats-{index}"),
            Kind::StopServer(index) => write!(f, "stop nats-{index}"),
            Kind::KillLeader(stream) => write!(f, "kill the leader of {stream}"),
            Kind::CrashPostgres => write!(f, "crash Postgres"),
            Kind::FailOver => write!(f, "lose the Postgres primary, promote its standby"),
            Kind::Break(way, line) => write!(f, "{line} the wire to {way}"),
            Kind::PspBehaves(behaviour) => write!(f, "the PSP misbehaves: {behaviour}"),
        }?;
        write!(f, ", for {:.1} s", self.lasting.as_secs_f64())
    }
}

impl Fault {
    /// The next fault; the same for the same seed.
    pub(super) fn choose(rng: &mut StdRng, processes: &[String]) -> Self {
        let process = |rng: &mut StdRng| processes.choose(rng).cloned().unwrap_or_default();
        let line = if rng.gen_bool(0.5) { Line::Cut } else { Line::Silent };
        let kind = match rng.gen_range(0..100) {
            0..28 => Kind::Kill(process(rng)),
            28..44 => Kind::Stop(process(rng)),
            44..50 => Kind::KillServer(rng.gen_range(0..SERVERS)),
            50..54 => Kind::StopServer(rng.gen_range(0..SERVERS)),
            54..60 => Kind::KillLeader([nats::EVENTS, nats::PAYMENTS].choose(rng).copied().unwrap_or(nats::EVENTS)),
            60..64 => Kind::CrashPostgres,
            64..68 => Kind::FailOver,
            68..73 => Kind::Break(Way::Postgres, line),
            73..78 => Kind::Break(Way::Psp, line),
            78..85 => Kind::Break(Way::Nats(rng.gen_range(0..SERVERS)), line),
            _ => Kind::PspBehaves(misbehaviour(rng)),
        };
        // Most are short, so that much happens; some outlast every patience.
        let longest = if rng.gen_bool(0.12) { 30_000 } else { 6_000 };
        Self { kind, lasting: Duration::from_millis(rng.gen_range(300..longest)) }
    }

    /// What it breaks. Servers are one part: two of three must live.
    pub(super) fn part(&self) -> String {
        match &self.kind {
            Kind::Kill(process) | Kind::Stop(process) => process.clone(),
            Kind::KillServer(_) | Kind::StopServer(_) | Kind::KillLeader(_) => "a NATS server".to_owned(),
            Kind::CrashPostgres | Kind::FailOver => "Postgres".to_owned(),
            Kind::Break(way, _) => format!("the wire to {way}"),
            // It could not be told how to behave while it is down.
            Kind::PspBehaves(_) => PSP.to_owned(),
        }
    }

    /// What kind of fault it is, for counting.
    pub(super) fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Kill(_) => "processes killed",
            Kind::Stop(_) => "processes stopped",
            Kind::KillServer(_) | Kind::KillLeader(_) => "NATS servers killed",
            Kind::StopServer(_) => "NATS servers stopped",
            Kind::CrashPostgres => "crashes of Postgres",
            Kind::FailOver => "failovers of Postgres",
            Kind::Break(_, Line::Silent) => "wires black-holed",
            Kind::Break(..) => "wires cut",
            Kind::PspBehaves(_) => "misdemeanours of the PSP",
        }
    }

    /// Breaks it.
    pub(super) async fn strike(&mut self, stage: &mut Stage) -> Result<()> {
        if let Kind::KillLeader(stream) = self.kind {
            self.kind = Kind::KillServer(stage.cluster.leader(stream).await.unwrap_or_default());
        }
        match &self.kind {
            Kind::Kill(process) => {
                stage.signal(process, Signal::SIGKILL);
            }
            Kind::Stop(process) => {
                stage.signal(process, Signal::SIGSTOP);
            }
            Kind::KillServer(index) => stage.cluster.signal(*index, Signal::SIGKILL)?,
            Kind::StopServer(index) => stage.cluster.signal(*index, Signal::SIGSTOP)?,
            Kind::KillLeader(_) => (),
            Kind::CrashPostgres => stage.postgres.crash().await?,
            Kind::FailOver => stage.fail_over().await?,
            Kind::Break(way, line) => stage.wire(*way).set(*line),
            Kind::PspBehaves(behaviour) => stage.psp_behaves(behaviour).await?,
        }
        Ok(())
    }

    /// Mends it.
    pub(super) async fn mend(&self, stage: &mut Stage) -> Result<()> {
        match &self.kind {
            // Its supervisor has started it again.
            Kind::Kill(_) | Kind::KillLeader(_) => (),
            Kind::Stop(process) => {
                stage.signal(process, Signal::SIGCONT);
            }
            Kind::KillServer(index) => stage.cluster.restart(*index).await?,
            Kind::StopServer(index) => stage.cluster.signal(*index, Signal::SIGCONT)?,
            Kind::CrashPostgres => stage.postgres.restart().await?,
            Kind::FailOver => stage.postgres.rejoin().await?,
            Kind::Break(way, _) => stage.wire(*way).set(Line::Whole),
            Kind::PspBehaves(_) => stage.psp_behaves(&json!({})).await?,
        }
        Ok(())
    }
}

fn misbehaviour(rng: &mut StdRng) -> Value {
    let faults = ["drop_before", "drop_after", "conflict", "limited", "error", "unauthorised"];
    match rng.gen_range(0..4) {
        0 => json!({ "webhooks": { "copies": rng.gen_range(0..4), "delay_ms": rng.gen_range(0..3_000) } }),
        1 => json!({ "webhooks": { "copies": 2, "hold": true } }),
        2 => json!({ "latency_ms": rng.gen_range(100..1_500) }),
        _ => json!({ "fault": faults.choose(rng), "after": rng.gen_range(0..5), "times": rng.gen_range(1..20) }),
    }
}
