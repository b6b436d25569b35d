//! When to ask the PSP about something again: later and later, and not about all at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use domain::PaymentId;
use tokio::time::Instant;

use crate::pause::doubled;

/// A payment that waits for its buyer or the bank is asked about this much later than one that nobody works on.
const WAITING: u32 = 5;
/// Somebody who keeps looking at a payment has it asked about this often.
const LOOKED_AT: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST: Duration = Duration::from_hours(1);

/// What was asked when. Kept in memory only: after a restart all are asked once.
pub(super) struct Schedule<K> {
    pause: Duration,
    asked: HashMap<K, (u64, Instant)>,
}

impl<K: Copy + Eq + Hash> Schedule<K> {
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, asked: HashMap::new() }
    }

    /// Those whose time has come, and notes that they are asked now; what is found no more is forgotten. What waits for
    /// somebody else is not asked at first sight.
    pub(super) fn due(&mut self, found: impl Iterator<Item = (K, Waits)>) -> Vec<K> {
        let now = Instant::now();
        let after = |pause| now.checked_add(pause).unwrap_or(now);
        let mut known = std::mem::take(&mut self.asked);
        let mut due = Vec::new();
        for (id, waits) in found {
            let first = if waits { self.pause.saturating_mul(WAITING.saturating_sub(1)) } else { Duration::ZERO };
            let (times, at) = known.remove(&id).unwrap_or_else(|| (0, after(first)));
            if at > now {
                self.asked.insert(id, (times, at));
                continue;
            }
            let times = times.saturating_add(1);
            self.asked.insert(id, (times, after(doubled(self.pause, times).min(LONGEST))));
            due.push(id);
        }
        due
    }
}

/// Whether a payment waits for its buyer or the bank.
type Waits = bool;

/// Payments that somebody looks at.
#[derive(Default)]
pub(super) struct Looks(HashMap<PaymentId, Instant>);

impl Looks {
    /// Whether to ask about one now.
    pub(super) fn look(&mut self, payment: PaymentId) -> bool {
        let now = Instant::now();
        self.0.retain(|_, until| *until > now);
        let recently = self.0.contains_key(&payment);
        if !recently {
            self.0.insert(payment, now.checked_add(LOOKED_AT).unwrap_or(now));
        }
        !recently
    }
}
