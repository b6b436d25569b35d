//! The one place where time and fresh ids come from; everybody else takes them as arguments or from here.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Now, in UTC.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A fresh `UUIDv7`: unique, and sorted by time of making.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
