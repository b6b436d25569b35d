//! What is stored of a game, version by version in `domain/corpus`.

use serde::{Deserialize, Serialize};

use super::{GameDetails, GameEvent, Promotion};
use crate::money::Price;

/// The current form of each event; older ones are brought to it by `crate::stored`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
#[expect(clippy::enum_variant_names, reason = "the names are stored")]
pub(super) enum Stored {
    GameCreated { details: GameDetails, price: Price },
    GameUpdated { details: GameDetails },
    GamePriceChanged { price: Price },
    GamePromotionScheduled { promotion: Promotion },
    GamePromotionStarted { number: u32 },
    GamePromotionEnded { number: u32 },
    GamePromotionCancelled { number: u32 },
    GameRetired {},
}

impl From<GameEvent> for Stored {
    fn from(event: GameEvent) -> Self {
        match event {
            GameEvent::GameCreated { details, price } => Self::GameCreated { details, price },
            GameEvent::GameUpdated { details } => Self::GameUpdated { details },
            GameEvent::GamePriceChanged { price } => Self::GamePriceChanged { price },
            GameEvent::GamePromotionScheduled { promotion } => Self::GamePromotionScheduled { promotion },
            GameEvent::GamePromotionStarted { number } => Self::GamePromotionStarted { number },
            GameEvent::GamePromotionEnded { number } => Self::GamePromotionEnded { number },
            GameEvent::GamePromotionCancelled { number } => Self::GamePromotionCancelled { number },
            GameEvent::GameRetired {} => Self::GameRetired {},
        }
    }
}

impl From<Stored> for GameEvent {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::GameCreated { details, price } => Self::GameCreated { details, price },
            Stored::GameUpdated { details } => Self::GameUpdated { details },
            Stored::GamePriceChanged { price } => Self::GamePriceChanged { price },
            Stored::GamePromotionScheduled { promotion } => Self::GamePromotionScheduled { promotion },
            Stored::GamePromotionStarted { number } => Self::GamePromotionStarted { number },
            Stored::GamePromotionEnded { number } => Self::GamePromotionEnded { number },
            Stored::GamePromotionCancelled { number } => Self::GamePromotionCancelled { number },
            Stored::GameRetired {} => Self::GameRetired {},
        }
    }
}
