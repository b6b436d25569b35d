//! A game of the catalogue: what it is, what it costs, and whether it is still sold.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::aggregate::aggregate;
use crate::money::Price;
use crate::text::{Description, Labels, Name, Title};

mod promotion;
pub(crate) mod stored;
#[cfg(test)]
mod tests;

pub use promotion::{Discount, InvalidPercent, MAX_DAYS, MAX_PROMOTIONS, Percent, Promotion, Promotions};

/// The least age of a buyer, by Brazil's classification: 0 (all), 10, 12, 14, 16 or 18 years.
/// <https://www.gov.br/mj/pt-br/assuntos/seus-direitos/classificacao-1>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AgeRating(u8);

/// A number that is no rating.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of 0, 10, 12, 14, 16, 18")]
pub struct InvalidAgeRating;

impl AgeRating {
    /// Accepts one of the six ratings.
    ///
    /// # Errors
    /// [`InvalidAgeRating`] for any other number.
    pub fn parse(years: i32) -> Result<Self, InvalidAgeRating> {
        match years {
            0 | 10 | 12 | 14 | 16 | 18 => u8::try_from(years).map(Self).map_err(|_| InvalidAgeRating),
            _ => Err(InvalidAgeRating),
        }
    }

    /// In years.
    #[must_use]
    pub fn years(self) -> u32 {
        u32::from(self.0)
    }
}

impl From<AgeRating> for i32 {
    fn from(rating: AgeRating) -> Self {
        Self::from(rating.0)
    }
}

/// Everything about a game but its price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GameDetails {
    /// As shown in the catalogue.
    pub title: Title,
    /// May be empty.
    pub description: Description,
    /// May be empty.
    pub developer: Name,
    /// May be empty.
    pub publisher: Name,
    /// Such as `RPG`.
    pub genres: Labels,
    /// Such as `Story Rich`.
    pub tags: Labels,
    /// Such as `linux`.
    pub platforms: Labels,
    /// When it came or will come out, where known.
    pub release_date: Option<ReleaseDate>,
    /// The least age of a buyer.
    pub age_rating: AgeRating,
}

/// The day on which a game came or will come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReleaseDate(NaiveDate);

/// Before there were games, or too far ahead to be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be between 1950 and 2100")]
pub struct InvalidReleaseDate;

impl ReleaseDate {
    /// Accepts a day between 1950 and 2100.
    ///
    /// # Errors
    /// [`InvalidReleaseDate`].
    pub fn parse(day: NaiveDate) -> Result<Self, InvalidReleaseDate> {
        if (1950..=2100).contains(&day.year()) { Ok(Self(day)) } else { Err(InvalidReleaseDate) }
    }

    /// The day itself.
    #[must_use]
    pub const fn day(self) -> NaiveDate {
        self.0
    }
}

/// The game as its history left it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Game {
    /// Not in the catalogue yet.
    #[default]
    New,
    /// On sale.
    Listed {
        /// What it is.
        details: Box<GameDetails>,
        /// What it costs where no promotion holds.
        price: Price,
        /// When it costs less.
        promotions: Promotions,
    },
    /// No longer sold; those who own it keep it.
    Retired,
}

/// What can be asked of a game.
#[derive(Debug, Clone)]
pub enum GameCommand {
    /// Put it into the catalogue.
    Create {
        /// What it is.
        details: GameDetails,
        /// What it costs.
        price: Price,
    },
    /// Describe it anew.
    Update {
        /// All of it.
        details: GameDetails,
    },
    /// Ask another price.
    ChangePrice {
        /// The new one.
        price: Price,
    },
    /// Ask less for a time.
    SchedulePromotion {
        /// How much less.
        discount: Discount,
        /// From this moment on.
        starts_at: DateTime<Utc>,
        /// Until just before this one.
        ends_at: DateTime<Utc>,
        /// What time it is.
        now: DateTime<Utc>,
    },
    /// Do so no longer, or not at all.
    CancelPromotion {
        /// Which.
        number: u32,
    },
    /// Note which promotions began and which ended.
    TurnPromotions {
        /// What time it is.
        now: DateTime<Utc>,
    },
    /// Stop selling it.
    Retire,
}

/// What happened to a game.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr, strum::VariantNames)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum GameEvent {
    /// It came into the catalogue.
    GameCreated {
        /// What it is.
        details: GameDetails,
        /// What it costs.
        price: Price,
    },
    /// It was described anew.
    GameUpdated {
        /// All of it.
        details: GameDetails,
    },
    /// It has another price.
    GamePriceChanged {
        /// The new one.
        price: Price,
    },
    /// It is to cost less for a time.
    GamePromotionScheduled {
        /// How much less, and when.
        promotion: Promotion,
    },
    /// It costs less from now on.
    GamePromotionStarted {
        /// By which promotion.
        number: u32,
    },
    /// A promotion ran out; the game has its price again.
    GamePromotionEnded {
        /// Which.
        number: u32,
    },
    /// A promotion was taken back, whether it had begun or not.
    GamePromotionCancelled {
        /// Which.
        number: u32,
    },
    /// It is no longer sold.
    GameRetired {},
}

/// Why a game refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum GameError {
    /// The id is taken.
    #[error("this game exists already")]
    AlreadyCreated,
    /// No game has this id.
    #[error("there is no such game")]
    UnknownGame,
    /// Not a time that lies ahead.
    #[error(
        "a promotion must begin within ten years, and end after it starts, later than now, and within {MAX_DAYS} days"
    )]
    PromotionWindow,
    /// Nothing would be cheaper.
    #[error("a promotion must make the game cheaper")]
    PromotionWithoutDiscount,
    /// Two at once.
    #[error("promotion {0} holds at the same time")]
    PromotionsOverlap(u32),
    /// Too many.
    #[error("a game can have at most {MAX_PROMOTIONS} promotions ahead")]
    TooManyPromotions,
    /// Over, taken back, or never there.
    #[error("the game has no such promotion ahead")]
    UnknownPromotion,
    /// Retired is final.
    #[error("a retired game cannot be changed")]
    GameRetired,
}

impl Game {
    /// The number of the promotion that was scheduled last; 0 where none was.
    #[must_use]
    pub fn last_promotion(&self) -> u32 {
        match self {
            Self::Listed { promotions, .. } => promotions.last(),
            Self::New | Self::Retired => 0,
        }
    }

    /// What happens if `command` reaches a game in this state.
    ///
    /// # Errors
    /// [`GameError`] names the rule in the way.
    pub fn decide(&self, command: GameCommand) -> Result<Vec<GameEvent>, GameError> {
        match (self, command) {
            (Self::New, GameCommand::Create { details, price }) => Ok(vec![GameEvent::GameCreated { details, price }]),
            (_, GameCommand::Create { .. }) => Err(GameError::AlreadyCreated),
            (Self::New, _) => Err(GameError::UnknownGame),
            (Self::Retired, GameCommand::Retire) => Ok(vec![]),
            (Self::Retired, _) => Err(GameError::GameRetired),
            // Saying again what is already so is no event.
            (Self::Listed { details: known, .. }, GameCommand::Update { details }) if **known == details => Ok(vec![]),
            (Self::Listed { price: known, .. }, GameCommand::ChangePrice { price }) if *known == price => Ok(vec![]),
            (Self::Listed { .. }, GameCommand::Update { details }) => Ok(vec![GameEvent::GameUpdated { details }]),
            (Self::Listed { .. }, GameCommand::ChangePrice { price }) => {
                Ok(vec![GameEvent::GamePriceChanged { price }])
            }
            (
                Self::Listed { price, promotions, .. },
                GameCommand::SchedulePromotion { discount, starts_at, ends_at, now },
            ) => promotions.schedule(*price, discount, (starts_at, ends_at), now),
            (Self::Listed { promotions, .. }, GameCommand::CancelPromotion { number }) => promotions.cancel(number),
            (Self::Listed { promotions, .. }, GameCommand::TurnPromotions { now }) => Ok(promotions.turn(now)),
            (Self::Listed { .. }, GameCommand::Retire) => Ok(vec![GameEvent::GameRetired {}]),
        }
    }

    /// The state after a fact.
    pub fn evolve(&mut self, event: GameEvent) {
        match (event, &mut *self) {
            (GameEvent::GameCreated { details, price }, _) => {
                *self = Self::Listed { details: Box::new(details), price, promotions: Promotions::default() };
            }
            (GameEvent::GameUpdated { details: new }, Self::Listed { details, .. }) => **details = new,
            (GameEvent::GamePriceChanged { price: new }, Self::Listed { price, .. }) => *price = new,
            (GameEvent::GameRetired {}, _) => *self = Self::Retired,
            (event, Self::Listed { promotions, .. }) => promotions.evolve(event),
            (
                GameEvent::GameUpdated { .. }
                | GameEvent::GamePriceChanged { .. }
                | GameEvent::GamePromotionScheduled { .. }
                | GameEvent::GamePromotionStarted { .. }
                | GameEvent::GamePromotionEnded { .. }
                | GameEvent::GamePromotionCancelled { .. },
                Self::New | Self::Retired,
            ) => (),
        }
    }
}

aggregate!(Game, "game", GameCommand, GameEvent, GameError, stored::Stored);
