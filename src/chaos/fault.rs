//! What is broken: any role, any server, any wire, and the PSP's manners; then mended.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::stage::{PSP, Stage};
use crate::local::SERVERS;
use crate::roles::ROLES;

/// One fault, and for how long it lasts.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    kind: Kind,
    lasting: Duration,
}

#[derive(Debug, Clone)]
enum Kind {
    Kill(&'static str),
    Stop(&'static str),
    KillServer(usize),
    StopServer(usize),
    KillLeader(&'static str),
    CrashPostgres,
    CutPostgres,
    CutPsp,
    PspBehaves(Value),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Kill(role) => write!(f, "kill {role}"),
            Kind::Stop(role) => write!(f, "stop {role}"),
            Kind::KillServer(index) => write!(f, "kill nats-{index}"),
            Kind::StopServer(index) => write!(f, "stop nats-{index}"),
            Kind::KillLeader(stream) => write!(f, "kill the leader of {stream}"),
            Kind::CrashPostgres => write!(f, "crash Postgres"),
            Kind::CutPostgres => write!(f, "cut Postgres off"),
            Kind::CutPsp => write!(f, "cut the PSP off"),
            Kind::PspBehaves(behaviour) => write!(f, "the PSP misbehaves: {behaviour}"),
        }?;
        write!(f, ", for {:.1} s", self.lasting.as_secs_f64())
    }
}

impl Fault {
    /// The next fault; the same for the same seed.
    pub(super) fn choose(rng: &mut StdRng) -> Self {
        let role = |rng: &mut StdRng| {
            let index = rng.gen_range(0..=ROLES.len());
            ROLES.get(index).copied().unwrap_or(PSP)
        };
        let kind = match rng.gen_range(0..100) {
            0..30 => Kind::Kill(role(rng)),
            30..45 => Kind::Stop(role(rng)),
            45..53 => Kind::KillServer(rng.gen_range(0..SERVERS)),
            53..58 => Kind::StopServer(rng.gen_range(0..SERVERS)),
            58..66 => Kind::KillLeader([nats::EVENTS, nats::PAYMENTS].choose(rng).copied().unwrap_or(nats::EVENTS)),
            66..72 => Kind::CrashPostgres,
            72..78 => Kind::CutPostgres,
            78..84 => Kind::CutPsp,
            _ => Kind::PspBehaves(misbehaviour(rng)),
        };
        Self { kind, lasting: Duration::from_millis(rng.gen_range(300..6_000)) }
    }

    /// Breaks something, waits, and mends it.
    pub(super) async fn happen(&self, stage: &mut Stage) -> Result<()> {
        match &self.kind {
            // Its supervisor starts it again.
            Kind::Kill(role) => {
                stage.signal(role, Signal::SIGKILL);
                sleep(self.lasting).await;
            }
            Kind::Stop(role) => {
                stage.signal(role, Signal::SIGSTOP);
                sleep(self.lasting).await;
                stage.signal(role, Signal::SIGCONT);
            }
            Kind::KillServer(index) => self.kill_server(stage, *index).await?,
            Kind::KillLeader(stream) => {
                let leader = stage.cluster.leader(stream).await.unwrap_or_default();
                self.kill_server(stage, leader).await?;
            }
            Kind::StopServer(index) => {
                stage.cluster.signal(*index, Signal::SIGSTOP)?;
                sleep(self.lasting).await;
                stage.cluster.signal(*index, Signal::SIGCONT)?;
            }
            Kind::CrashPostgres => {
                stage.postgres.crash().await?;
                sleep(self.lasting).await;
                stage.restart_postgres().await?;
            }
            Kind::CutPostgres => {
                stage.to_postgres.cut();
                sleep(self.lasting).await;
                stage.to_postgres.mend();
            }
            Kind::CutPsp => {
                stage.to_psp.cut();
                sleep(self.lasting).await;
                stage.to_psp.mend();
            }
            Kind::PspBehaves(behaviour) => {
                stage.psp_behaves(behaviour).await?;
                sleep(self.lasting).await;
                stage.psp_behaves(&json!({})).await?;
            }
        }
        Ok(())
    }

    async fn kill_server(&self, stage: &mut Stage, index: usize) -> Result<()> {
        stage.cluster.signal(index, Signal::SIGKILL)?;
        sleep(self.lasting).await;
        stage.cluster.restart(index).await
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
