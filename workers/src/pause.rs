use std::time::Duration;

/// A pause that doubles with each attempt, from 1, with up to a quarter more, so that many do not come back at once.
pub(crate) fn doubled(pause: Duration, attempt: u64) -> Duration {
    let doubled = pause.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    let share = doubled.saturating_mul(rand::random::<u8>().into()).checked_div(1024).unwrap_or_default();
    doubled.saturating_add(share)
}
