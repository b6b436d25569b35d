//! Sending games back: asked for, then done or failed once the money's way is certain.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{Line, Order, OrderError, OrderEvent, total_of};
use crate::money::Money;
use crate::text::Text;
use crate::{GameId, UserId};

/// Why staff pays something back.
pub type RefundReason = Text<1, 200>;

/// What entitles to a refund.
#[derive(Debug, Clone, PartialEq)]
pub enum RefundGround {
    /// The buyer thinks again, which a law gives some days for (in Brazil seven: CDC, art. 49).
    Withdrawal {
        /// For how long the games have been the buyer's.
        since: TimeDelta,
        /// For how long that is possible.
        window: TimeDelta,
    },
    /// An admin decides, at any time.
    Goodwill {
        /// Why.
        reason: RefundReason,
    },
    /// The money is back already: somebody refunded all that was left of the payment at the PSP itself.
    MadeAtPsp,
}

/// Games on their way back: their money is not certain to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenRefund {
    /// Its number within the order, from 1.
    pub number: u32,
    /// Which games.
    pub games: Vec<GameId>,
    /// What they had cost together.
    pub amount: Money,
}

impl Order {
    pub(super) fn request_refund(
        &self,
        games: Vec<GameId>,
        ground: RefundGround,
    ) -> Result<Vec<OrderEvent>, OrderError> {
        let Self::Completed { buyer, lines, payment, refunds_asked, open_refunds, .. } = self else {
            return Err(OrderError::OrderNotCompleted);
        };
        let is_back = ground == RefundGround::MadeAtPsp;
        let reason = match ground {
            RefundGround::Goodwill { reason } => Some(reason),
            RefundGround::Withdrawal { since, window } if since <= window => None,
            RefundGround::MadeAtPsp => None,
            RefundGround::Withdrawal { window, .. } => return Err(OrderError::RefundWindowClosed(window.num_days())),
        };
        let asked: Vec<GameId> = open_refunds.iter().flat_map(|refund| refund.games.clone()).collect();
        let games = if games.is_empty() {
            lines.iter().map(|line| line.game).filter(|game| !asked.contains(game)).collect()
        } else {
            games
        };
        if games.is_empty() || games.iter().any(|game| asked.contains(game)) {
            return Err(OrderError::RefundInProgress);
        }
        let mut returned: Vec<Line> = Vec::with_capacity(games.len());
        for game in games {
            if returned.iter().any(|line| line.game == game) {
                return Err(OrderError::DuplicateGame(game));
            }
            let line = lines.iter().find(|line| line.game == game).ok_or(OrderError::GameNotInOrder(game))?;
            returned.push(line.clone());
        }
        let (buyer, payment, number) = (*buyer, *payment, refunds_asked.saturating_add(1));
        let amount = total_of(&returned)?;
        let games: Vec<GameId> = returned.iter().map(|line| line.game).collect();
        let whole = games.len() == lines.len();
        let mut events =
            vec![OrderEvent::OrderRefundRequested { buyer, payment, number, games: games.clone(), amount, reason }];
        // What was free has no money that would have to go back first.
        if amount.is_zero() || is_back {
            events.push(OrderEvent::OrderRefunded { buyer, number, games, whole });
        }
        Ok(events)
    }
}

/// What an open refund takes back; nothing where it is known already.
pub(super) fn refund(buyer: UserId, lines: &[Line], open: &[OpenRefund], number: u32) -> Vec<OrderEvent> {
    let games = open.iter().find(|refund| refund.number == number).map(|refund| refund.games.clone());
    games.map_or_else(Vec::new, |games| {
        let whole = games.len() == lines.len();
        vec![OrderEvent::OrderRefunded { buyer, number, games, whole }]
    })
}
