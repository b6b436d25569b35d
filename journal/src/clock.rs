use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// Where time and fresh ids come from: one for a whole process, handed to whoever needs it. Tests move it instead of
/// waiting.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// How far it was moved, in milliseconds.
    ahead: Arc<AtomicI64>,
}

impl Clock {
    /// Now, in UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn now(&self) -> DateTime<Utc> {
        let now = Utc::now();
        now.checked_add_signed(self.ahead()).unwrap_or(now)
    }

    /// A fresh `UUIDv7`: unique, and sorted by time of making.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    /// Moves it, for everybody who shares it.
    pub fn advance(&self, by: Duration) {
        self.ahead.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// How far it was moved: what the database's own clock lacks.
    #[must_use]
    pub fn ahead(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.ahead.load(Ordering::Relaxed))
    }
}
