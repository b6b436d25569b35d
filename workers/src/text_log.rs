//! The text log: one line per payment outcome, in a file per day. For people with `grep`; no personal data, no secrets.

use std::fs::{OpenOptions, create_dir_all};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::SecondsFormat;
use domain::{OrderId, PaymentId};
use journal::clock;
use uuid::Uuid;

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
}

impl TextLog {
    /// Logs to `payments-YYYY-MM-DD.txt` in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder: Arc::new(folder), writing: Arc::new(Mutex::new(())) }
    }

    /// Writes a line. A full disk is reported, and stops no payment.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let now = clock::now();
        let Line { what, payment, order, psp, outcome, correlation } = line;
        let time = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        let psp = psp.unwrap_or("-");
        let text = format!(
            "{time} {what} payment={payment} order={order} psp={psp} outcome={outcome:?} correlation={correlation}\n"
        );
        let file = self.folder.join(format!("payments-{}.txt", now.format("%Y-%m-%d")));
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = create_dir_all(&*self.folder)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&file))
            .and_then(|mut file| file.write_all(text.as_bytes()));
        if let Err(error) = written {
            tracing::error!(%error, file = %file.display(), line = text, "The text log cannot be written");
        }
    }
}
