//! Answers that take the same time whatever they find, so that the time tells nobody what there is.

use std::time::Duration;

use tokio::time::Instant;

/// How long they take.
const EVEN: Duration = Duration::from_millis(300);

/// Waits until an answer that was begun then may be given.
pub(crate) async fn until_even(begun: Instant) {
    if let Some(even) = begun.checked_add(EVEN) {
        tokio::time::sleep_until(even).await;
    }
}
