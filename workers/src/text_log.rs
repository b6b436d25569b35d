//! The text log: one line per payment outcome, in a file per day. For people with `grep`; no personal data, no secrets.

use std::fs::{OpenOptions, create_dir_all, read_dir, remove_file};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{Days, SecondsFormat};
use domain::{OrderId, PaymentId};
use journal::Clock;
use uuid::Uuid;

/// For how many days lines are kept.
const KEPT_DAYS: u64 = 365;
/// Who may read them: their owner.
const PRIVATE: u32 = 0o600;

/// What a line tells.
#[derive(Debug, Clone)]
pub(crate) struct Line<'a> {
    /// Which part of the store writes, and of what kind of thing, such as `worker attempt`.
    pub what: &'a str,
    /// Which payment.
    pub payment: PaymentId,
    /// For which order.
    pub order: OrderId,
    /// The PSP's id.
    pub psp: Option<&'a str>,
    /// How it went.
    pub outcome: &'a str,
    /// What it belongs to.
    pub correlation: Uuid,
}

/// The log of a folder. Cheap to clone.
#[derive(Clone)]
pub struct TextLog {
    folder: Arc<PathBuf>,
    writing: Arc<Mutex<()>>,
    clock: Clock,
}

impl TextLog {
    /// Logs to `payments-YYYY-MM-DD.txt` in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf, clock: Clock) -> Self {
        Self { folder: Arc::new(folder), writing: Arc::new(Mutex::new(())), clock }
    }

    /// Writes a line. A full disk is reported, and stops no payment.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let now = self.clock.now();
        let Line { what, payment, order, psp, outcome, correlation } = line;
        let time = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        let psp = psp.unwrap_or("-");
        let text = format!(
            "{time} {what} payment={payment} order={order} psp={psp} outcome={outcome:?} correlation={correlation}\n"
        );
        let file = self.folder.join(format!("payments-{}.txt", now.format("%Y-%m-%d")));
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = create_dir_all(&*self.folder)
            .and_then(|()| OpenOptions::new().create(true).append(true).mode(PRIVATE).open(&file))
            .and_then(|mut file| file.write_all(text.as_bytes()));
        if let Err(error) = written {
            tracing::error!(%error, file = %file.display(), line = text, "The text log cannot be written");
        }
    }

    /// Removes the files of days that lie further back than is kept; returns how many.
    pub(crate) fn prune(&self) -> std::io::Result<usize> {
        let oldest = self.clock.now().checked_sub_days(Days::new(KEPT_DAYS)).unwrap_or_default();
        let oldest = format!("payments-{}.txt", oldest.format("%Y-%m-%d"));
        let mut gone = 0_usize;
        for entry in read_dir(&*self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Days sort as their names do.
            let is_ours =
                name.starts_with("payments-") && entry.path().extension().is_some_and(|ending| ending == "txt");
            if is_ours && name.len() == oldest.len() && name < oldest {
                remove_file(entry.path())?;
                gone = gone.saturating_add(1);
            }
        }
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_go_after_a_year_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::default();
        let today = format!("payments-{}.txt", clock.now().format("%Y-%m-%d"));
        for name in ["payments-2020-01-31.txt", &today, "payments-2020.txt", "notes-of-2020-01-31.txt"] {
            std::fs::write(folder.path().join(name), "a line").unwrap();
        }
        let log = TextLog::new(folder.path().to_owned(), clock);
        assert_eq!(log.prune().unwrap(), 1);
        assert!(!folder.path().join("payments-2020-01-31.txt").exists());
        assert!(folder.path().join(today).exists());
    }
}
