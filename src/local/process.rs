use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// A process that works in a store's folder, known by its pid file.
///
/// The number alone proves nothing, since the system gives it to another process once its owner has ended: a process
/// is ours if it holds a file of the folder open.
#[derive(Debug, Clone)]
pub struct Process {
    pid: Pid,
    folder: PathBuf,
}

impl Process {
    /// The running process that a pid file in `folder` or below it names.
    #[must_use]
    pub fn of(pid_file: &Path, folder: &Path) -> Option<Self> {
        let pid: i32 = std::fs::read_to_string(pid_file).ok()?.split_whitespace().next()?.parse().ok()?;
        let process = Self { pid: Pid::from_raw(pid), folder: folder.canonicalize().ok()? };
        (pid > 1 && process.runs()).then_some(process)
    }

    /// Whether it still runs. A zombie has closed its files.
    #[must_use]
    pub fn runs(&self) -> bool {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().filter_map(Result::ok);
        let mut open = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        open.any(|path| path.starts_with(&self.folder))
    }

    /// Sends a signal; whether it arrived.
    #[must_use]
    pub fn signal(&self, signal: Signal) -> bool {
        self.runs() && kill(self.pid, signal).is_ok()
    }

    /// Asks it to end with a signal, and makes it end where it does not.
    ///
    /// # Errors
    /// When it belongs to somebody else.
    pub async fn end(&self, politely: Signal) -> Result<()> {
        for signal in [politely, Signal::SIGKILL] {
            if self.runs() {
                kill(self.pid, signal)?;
            }
            let deadline = Instant::now().checked_add(GRACE);
            while deadline.is_some_and(|deadline| Instant::now() < deadline) {
                if !self.runs() {
                    return Ok(());
                }
                sleep(POLL).await;
            }
        }
        anyhow::bail!("process {} does not end", self.pid)
    }
}
