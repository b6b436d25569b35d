use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

/// Where time and fresh ids come from: one for a whole process, handed to whoever needs it. Tests move it instead of
/// waiting.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// How far it was moved, in milliseconds.
    ahead: Arc<AtomicI64>,
}

impl Clock {
    /// Now, in UTC, to the microsecond: what columns and Postgres hold of a time, so that none is another once exported.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn now(&self) -> DateTime<Utc> {
        let now = Utc::now();
        now.checked_add_signed(self.ahead()).unwrap_or(now).trunc_subsecs(6)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_no_digit_that_a_column_would_lose() {
        let clock = Clock::default();
        for _ in 0..1_000 {
            let now = clock.now();
            assert_eq!(DateTime::from_timestamp_micros(now.timestamp_micros()), Some(now));
        }
    }
}
