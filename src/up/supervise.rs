//! Each role as a process: started, and started again when it ends. What is killed comes back.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::env_file;
use crate::local::private_log;
use crate::roles::Roles;

/// How long a role may take to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before a role that ended is started again.
const PAUSE: Duration = Duration::from_millis(300);

/// One process of a role.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// The role.
    pub(crate) role: &'static str,
    /// What its log and its pid file are called.
    pub(crate) name: String,
    /// What it sets otherwise than the store's own file.
    pub(crate) settings: env_file::Values,
}

impl Instance {
    /// The only process of a role.
    pub(crate) fn only(role: &'static str) -> Self {
        Self { role, name: role.to_owned(), settings: env_file::Values::new() }
    }
}

/// Starts a supervisor for each process; the configuration comes from the store's own file.
pub(crate) fn start(
    roles: &mut Roles,
    instances: impl IntoIterator<Item = Instance>,
    data: &Path,
    stop: &CancellationToken,
) -> Result<()> {
    let program = std::env::current_exe()?;
    for instance in instances {
        let (program, data, stop) = (program.clone(), data.to_path_buf(), stop.clone());
        roles.start(instance.role, async move { supervise(&program, &instance, &data, &stop).await });
    }
    Ok(())
}

/// Where the id of a process stands.
pub(crate) fn pid_file(data: &Path, name: &str) -> PathBuf {
    data.join("run").join(format!("{name}.pid"))
}

async fn supervise(program: &PathBuf, instance: &Instance, data: &Path, stop: &CancellationToken) -> Result<()> {
    let Instance { role, name, settings } = instance;
    let log = private_log(&data.join(format!("{name}.log")))?;
    let pid_file = pid_file(data, name);
    while !stop.is_cancelled() {
        let mut child = Command::new(program)
            .arg(role)
            .envs(env_file::read(data)?)
            .envs(settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap_or_default())?);
        std::fs::write(&pid_file, pid.to_string())?;
        tokio::select! {
            status = child.wait() => tracing::warn!(role, name, status = %status?, "{name} ended and is started again"),
            () = stop.cancelled() => {
                kill(pid, Signal::SIGTERM)?;
                if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
                    child.kill().await?;
                }
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
    }
    let _ = std::fs::remove_file(pid_file);
    Ok(())
}
