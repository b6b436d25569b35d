//! The circuit breaker towards the PSP. While it is open, payment work stays in the worker's hands: no delivery is
//! burnt, and because every slot waits, nothing more is pulled.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use psp::{PspClient, PspError};
use tokio::sync::Mutex;

use crate::metrics::PSP_BLOCKED;

/// As many failures in a row are no accident.
const TOO_MANY: u32 = 8;
/// The first pause between two probes; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST: Duration = Duration::from_secs(10);

/// Whether the PSP may be asked.
pub(crate) struct Breaker {
    psp: PspClient,
    failures: AtomicU32,
    open: AtomicBool,
    probing: Mutex<()>,
}

impl Breaker {
    pub(crate) fn new(psp: PspClient) -> Self {
        PSP_BLOCKED.set(0.0);
        Self { psp, failures: AtomicU32::new(0), open: AtomicBool::new(false), probing: Mutex::default() }
    }

    /// Asks once the PSP is well. What certainly did not happen is asked again: it did not reach the PSP, was turned
    /// away at its door, or came too fast.
    pub(crate) async fn ask<T, Fut>(&self, ask: impl Fn() -> Fut) -> Result<T, PspError>
    where
        Fut: Future<Output = Result<T, PspError>>,
    {
        loop {
            self.closed().await;
            match ask().await {
                Err(error @ (PspError::Unauthorised(_) | PspError::NotSent(_))) => self.trip(&error),
                Err(PspError::Limited(wait)) => tokio::time::sleep(wait).await,
                Err(error @ (PspError::Unknown(_) | PspError::Faulty { .. })) => {
                    if self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= TOO_MANY {
                        self.trip(&error);
                    }
                    return Err(error);
                }
                answer => {
                    self.failures.store(0, Ordering::Relaxed);
                    return answer;
                }
            }
        }
    }

    /// How it stands, in a word.
    pub(crate) fn word(&self) -> &'static str {
        if self.open.load(Ordering::Relaxed) { "blocked" } else { "up" }
    }

    fn trip(&self, error: &PspError) {
        if !self.open.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "The PSP cannot be used; payments wait");
            PSP_BLOCKED.set(1.0);
        }
    }

    /// Waits while the breaker is open. Whoever comes first probes, with a question that changes nothing.
    async fn closed(&self) {
        if !self.open.load(Ordering::Relaxed) {
            return;
        }
        let _turn = self.probing.lock().await;
        let mut pause = PAUSE;
        while self.open.load(Ordering::Relaxed) {
            tokio::time::sleep(pause).await;
            match self.psp.probe().await {
                Ok(()) => {
                    tracing::info!("The PSP is well again");
                    self.failures.store(0, Ordering::Relaxed);
                    PSP_BLOCKED.set(0.0);
                    self.open.store(false, Ordering::Relaxed);
                }
                Err(error) => {
                    tracing::warn!(%error, "The PSP cannot be used yet");
                    pause = pause.saturating_mul(2).min(LONGEST);
                }
            }
        }
    }
}
