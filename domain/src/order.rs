//! A purchase: who buys what for how much, and how it ended.

use serde::{Deserialize, Serialize};

use crate::aggregate::aggregate;
use crate::game::AgeRating;
use crate::money::{Money, Price};
use crate::payment::{PaymentMethod, Terms};
use crate::text::Title;
use crate::user::AgeSignal;
use crate::{GameId, OrderId, PaymentId, UserId};

mod command;
mod dispute;
mod error;
mod event;
mod refund;
pub(crate) mod stored;
#[cfg(test)]
mod tests;

pub use command::OrderCommand;
pub use dispute::DisputePolicy;
pub use error::OrderError;
pub use event::OrderEvent;
use refund::refund;
pub use refund::{OpenRefund, RefundGround, RefundReason};

/// How many games one order may hold.
pub const MAX_GAMES: usize = 50;

/// A game as the catalogue offers it at the moment of purchase.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Which game.
    pub game: GameId,
    /// Its title today.
    pub title: Title,
    /// Its price today.
    pub price: Price,
    /// What it costs without the promotion of today, if there is one.
    pub price_before: Option<Price>,
    /// The least age of a buyer.
    pub age_rating: AgeRating,
}

/// A game in an order, at the price that was agreed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Line {
    /// Which game.
    pub game: GameId,
    /// Its title when it was ordered.
    pub title: Title,
    /// What it cost when it was ordered.
    pub price: Price,
    /// What it would have cost without a promotion, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_before: Option<Price>,
}

/// Why an order was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum CancelReason {
    /// The buyer or an admin asked for it.
    Requested,
    /// It was not paid in time.
    Expired,
    /// Its buyer's account was erased before it was paid.
    BuyerErased,
}

/// The order as its history left it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Not placed yet.
    #[default]
    New,
    /// Placed and not paid yet.
    Open {
        /// Who buys.
        buyer: UserId,
        /// What.
        lines: Vec<Line>,
        /// For how much.
        total: Money,
        /// How many payments have failed so far.
        failed_attempts: u32,
        /// How the first attempt pays.
        payment_method: PaymentMethod,
    },
    /// Paid (or free); the games are the buyer's.
    Completed {
        /// Who bought.
        buyer: UserId,
        /// What; refunded games are gone from it.
        lines: Vec<Line>,
        /// What paid; nothing for a free order.
        payment: Option<PaymentId>,
        /// How many refunds were asked for so far.
        refunds_asked: u32,
        /// Those of them whose end is not known.
        open_refunds: Vec<OpenRefund>,
        /// Whether the games are out of reach because their payment is disputed.
        suspended: bool,
        /// How many payments it may have had.
        attempts: u32,
    },
    /// Given up before it was paid.
    Cancelled {
        /// Who would have bought.
        buyer: UserId,
        /// How many payments it may have had.
        attempts: u32,
    },
    /// Every game was paid back.
    Refunded {
        /// Who had bought.
        buyer: UserId,
        /// How many payments it may have had.
        attempts: u32,
    },
}

impl Order {
    /// Who buys; nobody before the order is placed.
    #[must_use]
    pub fn buyer(&self) -> Option<UserId> {
        match self {
            Self::New => None,
            Self::Open { buyer, .. }
            | Self::Completed { buyer, .. }
            | Self::Cancelled { buyer, .. }
            | Self::Refunded { buyer, .. } => Some(*buyer),
        }
    }

    /// How many payments there may be: those that failed, and one that was begun or may be.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self {
            Self::New => 0,
            Self::Open { failed_attempts, .. } => failed_attempts.saturating_add(1),
            Self::Completed { attempts, .. } | Self::Cancelled { attempts, .. } | Self::Refunded { attempts, .. } => {
                *attempts
            }
        }
    }

    /// What is, or is to be, the buyer's.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        match self {
            Self::Open { lines, .. } | Self::Completed { lines, .. } => lines,
            Self::New | Self::Cancelled { .. } | Self::Refunded { .. } => &[],
        }
    }

    /// What its first payment is about; nothing where there is nothing to pay.
    #[must_use]
    pub fn first_terms(&self, order: OrderId) -> Option<Terms> {
        let Self::Open { buyer, total, failed_attempts: 0, payment_method, .. } = self else { return None };
        Some(Terms { order, buyer: *buyer, attempt: 1, amount: *total, method: payment_method.clone() })
    }

    /// What is on its way back.
    #[must_use]
    pub fn open_refunds(&self) -> &[OpenRefund] {
        match self {
            Self::Completed { open_refunds, .. } => open_refunds,
            Self::New | Self::Open { .. } | Self::Cancelled { .. } | Self::Refunded { .. } => &[],
        }
    }

    /// What happens if `command` reaches an order in this state.
    ///
    /// # Errors
    /// [`OrderError`] names the rule in the way.
    pub fn decide(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        match (self, command) {
            (Self::New, OrderCommand::Place { buyer, age, offers, payment_method }) => {
                place(buyer, age, offers, payment_method)
            }
            (_, OrderCommand::Place { .. }) => Err(OrderError::AlreadyPlaced),
            (Self::New, _) => Err(OrderError::UnknownOrder),

            (
                Self::Open { buyer, failed_attempts, .. },
                OrderCommand::RecordPaymentFailure { payment, attempt, failure },
            ) if attempt > *failed_attempts => {
                Ok(vec![OrderEvent::OrderPaymentFailed { buyer: *buyer, payment, attempt, failure }])
            }
            // Known already, or no longer of interest.
            (_, OrderCommand::RecordPaymentFailure { .. }) => Ok(vec![]),

            (Self::Open { buyer, lines, total, .. }, OrderCommand::Complete { payment }) => {
                Ok(complete(*buyer, lines, *total, Some(payment)))
            }
            // A success reported twice changes nothing.
            (Self::Completed { payment: Some(known), .. }, OrderCommand::Complete { payment }) if *known == payment => {
                Ok(vec![])
            }

            (Self::Open { buyer, failed_attempts, .. }, OrderCommand::Cancel { reason }) => {
                let open_attempt = failed_attempts.saturating_add(1);
                Ok(vec![OrderEvent::OrderCancelled { buyer: *buyer, open_attempt, reason }])
            }
            (Self::Cancelled { .. }, OrderCommand::Cancel { .. }) => Ok(vec![]),

            (_, OrderCommand::Dispute { payment, status, policy }) => Ok(self.dispute(payment, status, policy)),
            (Self::Completed { suspended: true, .. }, OrderCommand::RequestRefund { .. }) => {
                Err(OrderError::OrderDisputed)
            }
            (Self::Completed { .. }, OrderCommand::RequestRefund { games, ground }) => {
                self.request_refund(games, ground)
            }
            (Self::Completed { buyer, lines, open_refunds, .. }, OrderCommand::Refund { number }) => {
                Ok(refund(*buyer, lines, open_refunds, number))
            }
            (Self::Completed { buyer, open_refunds, .. }, OrderCommand::FailRefund { number, failure }) => {
                let open = open_refunds.iter().any(|refund| refund.number == number);
                let failed = OrderEvent::OrderRefundFailed { buyer: *buyer, number, failure };
                Ok(if open { vec![failed] } else { vec![] })
            }
            // The last refund took the last game; what is reported again is known.
            (Self::Refunded { .. }, OrderCommand::Refund { .. } | OrderCommand::FailRefund { .. }) => Ok(vec![]),
            (
                Self::Open { .. },
                OrderCommand::RequestRefund { .. } | OrderCommand::Refund { .. } | OrderCommand::FailRefund { .. },
            ) => Err(OrderError::OrderNotCompleted),

            (Self::Completed { .. }, _) => Err(OrderError::OrderCompleted),
            (Self::Cancelled { .. }, _) => Err(OrderError::OrderCancelled),
            (Self::Refunded { .. }, _) => Err(OrderError::OrderRefunded),
        }
    }

    /// The state after a fact.
    pub fn evolve(&mut self, event: OrderEvent) {
        let attempts = self.attempts();
        match (event, &mut *self) {
            (OrderEvent::OrderCreated { buyer, lines, total, payment_method, .. }, _) => {
                *self = Self::Open { buyer, lines, total, failed_attempts: 0, payment_method };
            }
            (OrderEvent::OrderPaymentFailed { attempt, .. }, Self::Open { failed_attempts, .. }) => {
                *failed_attempts = attempt;
            }
            (OrderEvent::OrderCompleted { buyer, payment, .. }, Self::Open { lines, .. }) => {
                let lines = std::mem::take(lines);
                let open_refunds = vec![];
                *self = Self::Completed {
                    buyer,
                    lines,
                    payment,
                    refunds_asked: 0,
                    open_refunds,
                    suspended: false,
                    attempts,
                };
            }
            (OrderEvent::OrderCancelled { buyer, .. }, _) => *self = Self::Cancelled { buyer, attempts },
            (OrderEvent::OrderRefunded { buyer, whole: true, .. }, _) => *self = Self::Refunded { buyer, attempts },
            (
                OrderEvent::OrderRefunded { number, games, whole: false, .. },
                Self::Completed { lines, open_refunds, .. },
            ) => {
                lines.retain(|line| !games.contains(&line.game));
                open_refunds.retain(|refund| refund.number != number);
            }
            (
                OrderEvent::OrderRefundRequested { number, games, amount, .. },
                Self::Completed { refunds_asked, open_refunds, .. },
            ) => {
                *refunds_asked = number;
                open_refunds.push(OpenRefund { number, games, amount });
            }
            (OrderEvent::OrderRefundFailed { number, .. }, Self::Completed { open_refunds, .. }) => {
                open_refunds.retain(|refund| refund.number != number);
            }
            (OrderEvent::OrderSuspended { .. }, Self::Completed { suspended, .. }) => *suspended = true,
            (OrderEvent::OrderReinstated { .. }, Self::Completed { suspended, .. }) => *suspended = false,
            // Nothing is left that could go back.
            (OrderEvent::OrderRevoked { .. }, Self::Completed { lines, open_refunds, suspended, .. }) => {
                lines.clear();
                open_refunds.clear();
                *suspended = false;
            }
            // The games are the library's; and facts that do not fit the state change nothing.
            (
                OrderEvent::PurchaseCompleted { .. }
                | OrderEvent::OrderPaymentFailed { .. }
                | OrderEvent::OrderCompleted { .. }
                | OrderEvent::OrderRefundRequested { .. }
                | OrderEvent::OrderRefundFailed { .. }
                | OrderEvent::OrderRefunded { .. }
                | OrderEvent::OrderSuspended { .. }
                | OrderEvent::OrderReinstated { .. }
                | OrderEvent::OrderRevoked { .. },
                _,
            ) => (),
        }
    }
}

fn place(
    buyer: UserId,
    age: AgeSignal,
    offers: Vec<Offer>,
    payment_method: PaymentMethod,
) -> Result<Vec<OrderEvent>, OrderError> {
    if offers.len() > MAX_GAMES {
        return Err(OrderError::TooManyGames);
    }
    let mut lines: Vec<Line> = Vec::with_capacity(offers.len());
    for Offer { game, title, price, price_before, age_rating } in offers {
        if lines.iter().any(|line| line.game == game) {
            return Err(OrderError::DuplicateGame(game));
        }
        if age.years < age_rating.years() {
            return Err(OrderError::BuyerTooYoung { game, rating: age_rating.years() });
        }
        lines.push(Line { game, title, price, price_before });
    }
    let total = total_of(&lines)?;
    let age_source = Some(age.source);
    let created = OrderEvent::OrderCreated { buyer, lines: lines.clone(), total, payment_method, age_source };
    let mut events = vec![created];
    if total.is_zero() {
        events.extend(complete(buyer, &lines, total, None));
    }
    Ok(events)
}

fn total_of(lines: &[Line]) -> Result<Money, OrderError> {
    let (first, rest) = lines.split_first().ok_or(OrderError::EmptyOrder)?;
    let total = rest
        .iter()
        .try_fold(first.price.money(), |sum, line| sum.plus(line.price.money()))
        .map_err(OrderError::TotalNotChargeable)?;
    match Price::parse(total, total.currency) {
        Ok(total) => Ok(total.money()),
        Err(reason) => Err(OrderError::TotalNotChargeable(reason)),
    }
}

fn complete(buyer: UserId, lines: &[Line], total: Money, payment: Option<PaymentId>) -> Vec<OrderEvent> {
    lines
        .iter()
        .map(|line| OrderEvent::PurchaseCompleted { buyer, line: line.clone() })
        .chain([OrderEvent::OrderCompleted { buyer, payment, total }])
        .collect()
}

aggregate!(Order, "order", OrderCommand, OrderEvent, OrderError, stored::Stored);
