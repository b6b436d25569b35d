use std::time::Duration;

use domain::user::UserEvent;
use domain::{StoreEvent, UserId};

use crate::JournalError;
use crate::connect::once_more;
use crate::repository::Journal;
use crate::vault::interval;

impl Journal {
    /// Who was erased or given another role within the last while, in the order in which it happened. What this program
    /// cannot read is left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn authority_changes(&self, back: Duration) -> Result<Vec<(UserId, UserEvent)>, JournalError> {
        let query = "select aggregate_type, aggregate_id, event_type, event_version, payload::text from journal.events
                     where event_type in ('UserErased', 'UserRoleChanged') and recorded_at > clock_timestamp() - $1
                     order by epoch, tx_id, position";
        let rows: Vec<(String, String, String, String, String)> =
            once_more(|| sqlx::query_as(query).bind(interval(back)).fetch_all(self.pool())).await?;
        let changes = rows.iter().filter_map(|(aggregate, id, event_type, version, payload)| {
            match StoreEvent::read(aggregate, id, event_type, version, payload) {
                Ok(StoreEvent::User(user, event)) => Some((user, event)),
                Ok(_) | Err(_) => None,
            }
        });
        Ok(changes.collect())
    }
}
