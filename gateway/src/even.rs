//! Answers that take the same time whatever they find, so that the time tells nobody what there is.

use std::time::Duration;

use tokio::time::Instant;

/// How long they take; or a multiple of that, where the store is busy.
const STEP: Duration = Duration::from_millis(300);

/// Waits until an answer that was begun then may be given.
pub(crate) async fn until_even(begun: Instant) {
    let steps = begun.elapsed().as_millis().checked_div(STEP.as_millis()).unwrap_or_default().saturating_add(1);
    let whole = STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
    if let Some(even) = begun.checked_add(whole) {
        tokio::time::sleep_until(even).await;
    }
}
