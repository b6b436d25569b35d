//! What goes on running when `up` itself was killed: its servers, and roles that have processes of their own.

use std::path::Path;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use super::supervise;
use crate::local::{Process, nats_pid_file, postgres_pid_file};
use crate::roles::ROLES;

/// The processes that run in a store's folder, in the order in which they should end.
fn processes(data: &Path) -> Vec<(&'static str, Process)> {
    let roles = ROLES.into_iter().map(|role| (role, supervise::pid_file(data, role), data.to_path_buf()));
    let (nats, postgres) = (data.join("nats"), data.join("postgres"));
    let servers = [("nats-server", nats_pid_file(&nats), nats), ("postgres", postgres_pid_file(&postgres), postgres)];
    let known = roles.chain(servers);
    known.filter_map(|(name, pid_file, folder)| Some((name, Process::of(&pid_file, &folder)?))).collect()
}

/// Their names. Only meaningful where nobody runs the store.
pub(crate) fn names(data: &Path) -> Vec<&'static str> {
    processes(data).into_iter().map(|(name, _)| name).collect()
}

/// Ends them, and says which.
///
/// # Errors
/// When one of them belongs to somebody else, or does not end.
pub(super) async fn end(data: &Path) -> Result<Vec<&'static str>> {
    let mut ended = Vec::new();
    for (name, process) in processes(data) {
        // SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for its clients.
        let politely = if name == "postgres" { Signal::SIGINT } else { Signal::SIGTERM };
        process.end(politely).await.with_context(|| format!("{name} of an earlier start"))?;
        ended.push(name);
    }
    Ok(ended)
}
