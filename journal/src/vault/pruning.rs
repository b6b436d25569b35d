//! What grows and is needed for a time only.

use std::time::Duration;

use super::{Vault, interval};
use crate::JournalError;

/// How many rows go at once, so that nobody waits for long.
const BATCH: i64 = 5_000;
const DAY: Duration = Duration::from_hours(24);

/// What goes, by which time, after how many days.
const AGES: [(&str, &str, u32); 8] = [
    // The PSP delivers again for three days: <https://docs.stripe.com/webhooks#retries>
    ("vault.webhook_inbox", "handled_at", 30),
    // A mail is not sent again while its row is there; an event is not delivered again after so long.
    ("vault.mail", "sent_at", 90),
    ("vault.mail", "dead_at", 90),
    ("vault.sessions", "expires_at", 0),
    ("vault.ceremonies", "expires_at", 0),
    // As long as a browser keeps the cookie that says the same.
    ("vault.devices", "used_at", 400),
    // Longer than an access token of it is good.
    ("vault.sessions", "ended_at", 1),
    // As long as a first answer is given again (decision 0021).
    ("journal.answers", "answered_at", 1),
];

impl Vault {
    /// Removes what is older than it is needed; returns how many rows went.
    ///
    /// # Errors
    /// When the database does not answer; what went is gone.
    pub async fn prune(&self) -> Result<u64, JournalError> {
        let mut gone = 0_u64;
        for (table, time, days) in AGES {
            let prune = format!(
                "delete from {table} where ctid = any(array(
                   select ctid from {table} where {time} < now() + $2 - $1 limit {BATCH} for update skip locked))"
            );
            loop {
                let age = interval(DAY.saturating_mul(days));
                let went = sqlx::query(&prune).bind(age).bind(self.ahead()).execute(self.pool()).await?.rows_affected();
                gone = gone.saturating_add(went);
                if went < BATCH.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(gone)
    }
}
