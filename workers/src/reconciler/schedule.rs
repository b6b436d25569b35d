//! When to ask the PSP about a payment again: later and later, and not about all at once.

use std::collections::HashMap;
use std::time::Duration;

use domain::PaymentId;
use projections::payments::Unsettled;
use tokio::time::Instant;

use crate::pause::doubled;

/// A payment that waits for its buyer or the bank is asked about this much later than one that nobody works on.
const WAITING: u32 = 5;
/// Somebody who keeps looking at a payment has it asked about this often.
const LOOKED_AT: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST: Duration = Duration::from_hours(1);

/// What was asked when. Kept in memory only: after a restart all are asked once.
pub(super) struct Schedule {
    pause: Duration,
    asked: HashMap<PaymentId, (u64, Instant)>,
    looked_at: HashMap<PaymentId, Instant>,
}

impl Schedule {
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, asked: HashMap::new(), looked_at: HashMap::new() }
    }

    /// Those whose time has come, and notes that they are asked now; those that are settled are forgotten.
    pub(super) fn due(&mut self, unsettled: &[Unsettled]) -> Vec<PaymentId> {
        let now = Instant::now();
        self.looked_at.retain(|_, until| *until > now);
        let mut known = std::mem::take(&mut self.asked);
        let mut due = Vec::new();
        for payment in unsettled {
            let id = PaymentId::from_uuid(payment.payment_id);
            let (times, at) = known.remove(&id).unwrap_or_else(|| (0, self.first(payment, now)));
            if at > now {
                self.asked.insert(id, (times, at));
                continue;
            }
            let times = times.saturating_add(1);
            let pause = doubled(self.pause, times).min(LONGEST);
            self.asked.insert(id, (times, now.checked_add(pause).unwrap_or(now)));
            due.push(id);
        }
        due
    }

    /// Whether to ask about a payment that somebody looks at.
    pub(super) fn look(&mut self, payment: PaymentId) -> bool {
        let now = Instant::now();
        let recently = self.looked_at.get(&payment).is_some_and(|until| *until > now);
        if !recently {
            self.looked_at.insert(payment, now.checked_add(LOOKED_AT).unwrap_or(now));
        }
        !recently
    }

    fn first(&self, payment: &Unsettled, now: Instant) -> Instant {
        let pause = if payment.status == "pending" {
            self.pause.saturating_mul(WAITING.saturating_sub(1))
        } else {
            Duration::ZERO
        };
        now.checked_add(pause).unwrap_or(now)
    }
}
