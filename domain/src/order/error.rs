use super::MAX_GAMES;
use crate::GameId;
use crate::money::InvalidMoney;

/// Why an order refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum OrderError {
    /// No game at all.
    #[error("an order needs at least one game")]
    EmptyOrder,
    /// Too many games.
    #[error("an order can hold at most {MAX_GAMES} games")]
    TooManyGames,
    /// The same game twice.
    #[error("game {0} is in the order twice")]
    DuplicateGame(GameId),
    /// Too young for a game.
    #[error("game {game} is for buyers of {rating} years and older")]
    BuyerTooYoung {
        /// Which game.
        game: GameId,
        /// In years.
        rating: u32,
    },
    /// The prices cannot be added up.
    #[error("the total cannot be charged: {0}")]
    TotalNotChargeable(InvalidMoney),
    /// The id is taken.
    #[error("this order was placed already")]
    AlreadyPlaced,
    /// No order has this id.
    #[error("there is no such order")]
    UnknownOrder,
    /// Paid orders stay paid.
    #[error("this order is completed")]
    OrderCompleted,
    /// Cancelled is final.
    #[error("this order was cancelled")]
    OrderCancelled,
    /// All of it went back.
    #[error("this order was refunded")]
    OrderRefunded,
    /// Nothing to take back.
    #[error("this order is not completed")]
    OrderNotCompleted,
    /// A game that is not, or no longer, in the order.
    #[error("game {0} is not in this order")]
    GameNotInOrder(GameId),
    /// The bank decides about the money.
    #[error("the payment of this order is disputed; the bank decides about the money")]
    OrderDisputed,
    /// Nothing left to ask for.
    #[error("a refund of this game is under way already")]
    RefundInProgress,
    /// Too late.
    #[error("games can be returned within {0} days; an admin can refund them with a reason")]
    RefundWindowClosed(i64),
    /// An admin refunds what is not theirs, and does not say why.
    #[error("an admin's refund needs a reason of 1 to 200 characters")]
    RefundReasonMissing,
}
