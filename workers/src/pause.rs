use std::time::Duration;

use journal::clock;

/// A pause that doubles with each attempt, from 1, with up to a quarter more, so that many do not come back at once.
pub(crate) fn doubled(pause: Duration, attempt: u64) -> Duration {
    let doubled = pause.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    let jitter = clock::new_id().as_u128() % 256;
    let share = doubled.saturating_mul(u32::try_from(jitter).unwrap_or(0)).checked_div(1024).unwrap_or_default();
    doubled.saturating_add(share)
}
