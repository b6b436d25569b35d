//! Every event of the store as one type.

use cqrs_es::Aggregate;
use strum::VariantNames;

use crate::game::{Game, GameEvent};
use crate::order::{Order, OrderEvent};
use crate::payment::{Payment, PaymentEvent};
use crate::tree_head::{TreeHead, TreeHeadEvent};
use crate::user::{User, UserEvent};
use crate::{GameId, InvalidId, OrderId, PaymentId, TreeHeadId, UserId, stored};

/// A fact about one of the five aggregates.
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
    /// About what was signed of the journal.
    TreeHead(TreeHeadId, TreeHeadEvent),
}

/// The names of all events, by the kind of aggregate that they are of.
#[must_use]
pub fn event_names() -> [(&'static str, &'static [&'static str]); 5] {
    [
        (User::TYPE, UserEvent::VARIANTS),
        (Game::TYPE, GameEvent::VARIANTS),
        (Order::TYPE, OrderEvent::VARIANTS),
        (Payment::TYPE, PaymentEvent::VARIANTS),
        (TreeHead::TYPE, TreeHeadEvent::VARIANTS),
    ]
}

/// A stored event that this version of the store cannot read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableEvent {
    /// No such aggregate.
    #[error("unknown aggregate type {0:?}")]
    Aggregate(String),
    /// A version newer than this program.
    #[error("unknown version {version:?} of {event_type:?}")]
    Version {
        /// The event's name.
        event_type: String,
        /// The version of its stored form.
        version: String,
    },
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
    pub fn read(
        aggregate: &str,
        id: &str,
        event_type: &str,
        version: &str,
        payload: &str,
    ) -> Result<Self, UnreadableEvent> {
        Ok(match aggregate {
            User::TYPE => Self::User(UserId::parse(id)?, stored::read(event_type, version, payload)?),
            Game::TYPE => Self::Game(GameId::parse(id)?, stored::read(event_type, version, payload)?),
            Order::TYPE => Self::Order(OrderId::parse(id)?, stored::read(event_type, version, payload)?),
            Payment::TYPE => Self::Payment(PaymentId::parse(id)?, stored::read(event_type, version, payload)?),
            TreeHead::TYPE => Self::TreeHead(TreeHeadId::parse(id)?, stored::read(event_type, version, payload)?),
            unknown => return Err(UnreadableEvent::Aggregate(unknown.to_owned())),
        })
    }
}
