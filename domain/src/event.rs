//! Every event of the store as one type, and the one way back from its stored form.

use cqrs_es::Aggregate;

use crate::game::{Game, GameEvent};
use crate::order::{Order, OrderEvent};
use crate::payment::{Payment, PaymentEvent};
use crate::user::{User, UserEvent};
use crate::{GameId, InvalidId, OrderId, PaymentId, UserId};

/// The version that every event has today. A new stored form gets a new one, and an upcast beside [`StoreEvent::decode`].
pub(crate) const VERSION: &str = "1";

/// A fact about one of the four aggregates.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreEvent {
    /// About an account.
    User(UserId, UserEvent),
    /// About the catalogue.
    Game(GameId, GameEvent),
    /// About a purchase.
    Order(OrderId, OrderEvent),
    /// About a payment attempt.
    Payment(PaymentId, PaymentEvent),
}

/// A stored event that this version of the store cannot read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableEvent {
    /// No such aggregate.
    #[error("unknown aggregate type {0:?}")]
    Aggregate(String),
    /// A version newer than this program.
    #[error("unknown event version {0:?}")]
    Version(String),
    /// The aggregate's id is no UUID.
    #[error("aggregate id {0}")]
    Id(#[from] InvalidId),
    /// The payload has not the form of its type.
    #[error("payload: {0}")]
    Payload(#[from] serde_json::Error),
}

impl StoreEvent {
    /// Reads an event from its stored parts.
    ///
    /// # Errors
    /// [`UnreadableEvent`] says which part is foreign.
    pub fn decode(aggregate: &str, id: &str, version: &str, payload: &str) -> Result<Self, UnreadableEvent> {
        readable(version)?;
        Ok(match aggregate {
            User::TYPE => Self::User(UserId::parse(id)?, serde_json::from_str(payload)?),
            Game::TYPE => Self::Game(GameId::parse(id)?, serde_json::from_str(payload)?),
            Order::TYPE => Self::Order(OrderId::parse(id)?, serde_json::from_str(payload)?),
            Payment::TYPE => Self::Payment(PaymentId::parse(id)?, serde_json::from_str(payload)?),
            unknown => return Err(UnreadableEvent::Aggregate(unknown.to_owned())),
        })
    }
}

/// Passes the versions of stored events that this program reads.
///
/// # Errors
/// [`UnreadableEvent::Version`] for any other.
pub fn readable(version: &str) -> Result<(), UnreadableEvent> {
    if version == VERSION { Ok(()) } else { Err(UnreadableEvent::Version(version.to_owned())) }
}
