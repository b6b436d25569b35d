//! What is stored of a game, version by version in `domain/corpus`.

use serde::{Deserialize, Serialize};

use super::{GameDetails, GameEvent, Promotion};
use crate::money::Price;

/// The current form of each event; older ones are brought to it by `crate::stored`. That both have the same fields, the
/// compiler holds them to; where they no longer should, the conversion belongs here.
#[derive(Serialize, Deserialize)]
#[serde(remote = "GameEvent", tag = "type")]
#[expect(clippy::enum_variant_names, reason = "the names are stored")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Stored {
    GameCreated { details: GameDetails, price: Price },
    GameUpdated { details: GameDetails },
    GamePriceChanged { price: Price },
    GamePromotionScheduled { promotion: Promotion },
    GamePromotionStarted { number: u32 },
    GamePromotionEnded { number: u32 },
    GamePromotionCancelled { number: u32 },
    GameRetired {},
}
