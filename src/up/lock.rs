//! Who runs the store of a folder: one process at a time, and only while it lives.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Pid;

/// The right to run the store of a folder. The system takes it back when its holder ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never read")] Flock<File>);

/// How often the lock is asked for, and how long after each refusal: whoever only looks holds it for a moment.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

impl Lock {
    /// Takes the lock of a folder.
    ///
    /// # Errors
    /// When another process holds it, or the folder cannot be written.
    pub(crate) fn take(data: &Path) -> Result<Self> {
        let path = path(data);
        let name = || path.display().to_string();
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).with_context(name)?;
        for _ in 0..TRIES {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut file) => {
                    file.set_len(0).with_context(name)?;
                    write!(file, "{}", std::process::id()).with_context(name)?;
                    return Ok(Self(file));
                }
                Err((held, Errno::EWOULDBLOCK)) => file = held,
                Err((_, error)) => return Err(error).with_context(name),
            }
            std::thread::sleep(PAUSE);
        }
        bail!(already_runs(data))
    }
}

/// Why a second start is refused.
pub(crate) fn already_runs(data: &Path) -> String {
    let down = super::settings::prefix(data);
    format!("the store in {} is running already; `{down}scripts/down` stops it", data.display())
}

/// The process that runs the store of a folder; `None` if none does.
#[must_use]
pub fn holder(data: &Path) -> Option<Pid> {
    for _ in 0..TRIES {
        let file = File::open(path(data)).ok()?;
        let Err((_, Errno::EWOULDBLOCK)) = Flock::lock(file, FlockArg::LockSharedNonblock) else { return None };
        let pid = std::fs::read_to_string(path(data)).ok()?.trim().parse().ok().map(Pid::from_raw);
        if pid.is_some() {
            return pid;
        }
        // It has only just taken the lock, and writes its number next.
        std::thread::sleep(PAUSE);
    }
    None
}

fn path(data: &Path) -> PathBuf {
    data.join("run").join("lock")
}
