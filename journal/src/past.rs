//! An aggregate as it was.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::{Game, Order, Payment, StoreAggregate, TreeHead, User};
use serde_json::Value;

use crate::JournalError;
use crate::history::{AggregateKey, LoadError, fold};
use crate::read::Recorded;
use crate::repository::Journal;

/// When an aggregate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// With all that has happened.
    Now,
    /// With so many events.
    Version(usize),
    /// With what was recorded until then.
    Time(DateTime<Utc>),
}

/// An aggregate as some of its events left it.
#[derive(Debug)]
pub struct Past {
    /// Its state, as the domain has it.
    pub state: Value,
    /// The events that led there, from the first on.
    pub events: Vec<Recorded>,
}

impl Journal {
    /// How an aggregate stood; nothing where it had not begun, or has not come so far.
    ///
    /// # Errors
    /// When the database does not answer, or holds what this program cannot read.
    pub async fn past(&self, key: AggregateKey, as_of: AsOf) -> Result<Option<Past>, LoadError> {
        let mut events = self.history(key).await?;
        match as_of {
            AsOf::Now => (),
            AsOf::Version(version) if version > events.len() => return Ok(None),
            AsOf::Version(version) => events.truncate(version),
            // A history has one order, also where a clock was put back.
            AsOf::Time(time) => {
                let until = events.iter().take_while(|event| event.recorded_at <= time).count();
                events.truncate(until);
            }
        }
        if events.is_empty() {
            return Ok(None);
        }
        let state = match key.kind {
            User::TYPE => state::<User>(&events)?,
            Game::TYPE => state::<Game>(&events)?,
            Order::TYPE => state::<Order>(&events)?,
            Payment::TYPE => state::<Payment>(&events)?,
            _ => state::<TreeHead>(&events)?,
        };
        Ok(Some(Past { state, events }))
    }
}

fn state<A: StoreAggregate>(events: &[Recorded]) -> Result<Value, LoadError> {
    Ok(serde_json::to_value(fold::<A>(events)?).map_err(JournalError::from)?)
}
