//! Discounts for a time. What a game costs at a moment follows from the windows themselves; that one began or ended is
//! an event as well, so that catalogue and index show it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{GameError, GameEvent};
use crate::money::{Money, Price};

/// How many promotions of a game may lie ahead.
pub const MAX_PROMOTIONS: usize = 20;
/// How far ahead a promotion may begin, in days.
const MAX_DAYS_AHEAD: i64 = 3_660;
/// The longest promotion, in days.
pub const MAX_DAYS: i64 = 366;

/// How much less a game costs, in percent: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Percent(u8);

/// A number that is no discount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 100 percent")]
pub struct InvalidPercent;

impl TryFrom<i32> for Percent {
    type Error = InvalidPercent;

    fn try_from(percent: i32) -> Result<Self, InvalidPercent> {
        u8::try_from(percent).ok().filter(|percent| (1..=100).contains(percent)).map(Self).ok_or(InvalidPercent)
    }
}

impl From<Percent> for i32 {
    fn from(percent: Percent) -> Self {
        Self::from(percent.0)
    }
}

/// What a promotion does to a price.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Discount {
    /// Takes so much off; what is left is rounded down to whole minor units.
    Percent(Percent),
    /// Sets another price, unless the game costs less already.
    Price(Price),
}

impl Discount {
    /// What a game of a price costs with it.
    #[must_use]
    pub fn of(self, price: Price) -> Price {
        match self {
            Self::Price(promoted) if promoted.money().amount < price.money().amount => promoted,
            Self::Price(_) => price,
            Self::Percent(Percent(percent)) => {
                let Money { amount, currency } = price.money();
                let left = 100_i64.saturating_sub(percent.into());
                let amount = amount.saturating_mul(left).checked_div(100).unwrap_or(amount);
                Price::parse(Money { amount, currency }, currency).unwrap_or(price)
            }
        }
    }
}

/// A discount for a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Promotion {
    /// Its number within the game, from 1.
    pub number: u32,
    /// What it does to the price.
    pub discount: Discount,
    /// From this moment on.
    pub starts_at: DateTime<Utc>,
    /// Until just before this one.
    pub ends_at: DateTime<Utc>,
}

impl Promotion {
    /// Whether it holds at a moment.
    #[must_use]
    pub fn holds_at(&self, at: DateTime<Utc>) -> bool {
        self.starts_at <= at && at < self.ends_at
    }
}

/// The promotions of a game that are not over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Promotions {
    ahead: Vec<Promotion>,
    running: Option<u32>,
    last: u32,
}

impl Promotions {
    /// What holds at a moment.
    #[must_use]
    pub fn at(&self, at: DateTime<Utc>) -> Option<&Promotion> {
        self.ahead.iter().find(|promotion| promotion.holds_at(at))
    }

    pub(super) fn last(&self) -> u32 {
        self.last
    }

    pub(super) fn schedule(
        &self,
        price: Price,
        discount: Discount,
        (starts_at, ends_at): (DateTime<Utc>, DateTime<Utc>),
        now: DateTime<Utc>,
    ) -> Result<Vec<GameEvent>, GameError> {
        if ends_at <= starts_at
            || ends_at <= now
            || ends_at.signed_duration_since(starts_at) > TimeDelta::days(MAX_DAYS)
            || now.signed_duration_since(starts_at).abs() > TimeDelta::days(MAX_DAYS_AHEAD)
        {
            return Err(GameError::PromotionWindow);
        }
        if discount.of(price) == price {
            return Err(GameError::PromotionWithoutDiscount);
        }
        if self.ahead.len() >= MAX_PROMOTIONS {
            return Err(GameError::TooManyPromotions);
        }
        if let Some(other) = self.ahead.iter().find(|other| starts_at < other.ends_at && other.starts_at < ends_at) {
            return Err(GameError::PromotionsOverlap(other.number));
        }
        let number = self.last.saturating_add(1);
        let promotion = Promotion { number, discount, starts_at, ends_at };
        let begins = promotion.holds_at(now);
        let mut events = vec![GameEvent::GamePromotionScheduled { promotion }];
        if begins {
            events.push(GameEvent::GamePromotionStarted { number });
        }
        Ok(events)
    }

    pub(super) fn cancel(&self, number: u32) -> Result<Vec<GameEvent>, GameError> {
        if self.ahead.iter().any(|promotion| promotion.number == number) {
            Ok(vec![GameEvent::GamePromotionCancelled { number }])
        } else {
            Err(GameError::UnknownPromotion)
        }
    }

    /// What began and what ended since it was last looked at.
    pub(super) fn turn(&self, now: DateTime<Utc>) -> Vec<GameEvent> {
        let over = self.ahead.iter().filter(|promotion| promotion.ends_at <= now);
        let ended = over.map(|promotion| GameEvent::GamePromotionEnded { number: promotion.number });
        let begun = self.at(now).filter(|promotion| self.running != Some(promotion.number));
        let started = begun.map(|promotion| GameEvent::GamePromotionStarted { number: promotion.number });
        ended.chain(started).collect()
    }

    pub(super) fn evolve(&mut self, event: GameEvent) {
        match event {
            GameEvent::GamePromotionScheduled { promotion } => {
                self.last = promotion.number;
                self.ahead.push(promotion);
            }
            GameEvent::GamePromotionStarted { number } => self.running = Some(number),
            GameEvent::GamePromotionCancelled { number } | GameEvent::GamePromotionEnded { number } => {
                self.ahead.retain(|promotion| promotion.number != number);
                self.running = self.running.filter(|running| *running != number);
            }
            GameEvent::GameCreated { .. }
            | GameEvent::GameUpdated { .. }
            | GameEvent::GamePriceChanged { .. }
            | GameEvent::GameRetired {} => (),
        }
    }
}
