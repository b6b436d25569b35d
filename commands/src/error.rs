use domain::game::GameError;
use domain::order::OrderError;
use domain::payment::PaymentError;
use domain::tree_head::TreeHeadError;
use domain::user::UserError;
use domain::{ClaimKind, GameId, InvalidMoney, Money, UnreadableEvent};
use journal::{ClaimKey, JournalError, LoadError};

use crate::password::InvalidPassword;

/// Why a use case did not do what was asked. Only the gateway knows what status that is.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An account refused.
    #[error(transparent)]
    User(#[from] UserError),
    /// A game refused.
    #[error(transparent)]
    Game(#[from] GameError),
    /// An order refused.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// A payment refused.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// A tree head refused.
    #[error(transparent)]
    TreeHead(#[from] TreeHeadError),
    /// A price that the store does not ask.
    #[error("price {0}")]
    Price(#[from] InvalidMoney),
    /// The address belongs to another account.
    #[error("this e-mail address has an account already")]
    EmailTaken,
    /// Nobody would be left to give roles.
    #[error("this is the last admin; make another one first")]
    LastAdmin,
    /// The buyer owns the game or has it in an open order.
    #[error("game {0} is yours already or in one of your open orders")]
    GameTaken(GameId),
    /// No game of that id is sold.
    #[error("game {0} is not in the catalogue")]
    UnknownGame(GameId),
    /// The game is no longer sold.
    #[error("game {0} is no longer sold")]
    GameNotSold(GameId),
    /// The games cost something else than the buyer has seen.
    #[error("these games cost {0} now")]
    TotalChanged(Money),
    /// There is nothing to pay, or a payment is under way.
    #[error("this order does not wait for another payment")]
    NothingToPay,
    /// The idempotency key was used for another request.
    #[error("this Idempotency-Key was used with another body")]
    KeyReused,
    /// The caller has seen an older version.
    #[error("version {current} is the current one")]
    Stale {
        /// What they should have seen.
        current: usize,
    },
    /// No such thing, or none that the caller may know of.
    #[error("there is no such thing")]
    NotFound,
    /// The caller's role does not allow it.
    #[error("your role does not allow this")]
    Forbidden,
    /// The caller's role counts only once they have shown a second factor.
    #[error(
        "your role counts once you have logged in with a second factor, and a key only if it was made in such a session"
    )]
    SecondFactorMissing,
    /// The store's address is none that a passkey can be bound to.
    #[error("passkeys need a store that is found by a name, not by a bare address")]
    PasskeysUnavailable,
    /// The passkey was not made as it was asked for, or another account has it.
    #[error("is not what was asked for, or came too late; begin again")]
    PasskeyNotMade,
    /// The code of the app is not the one that it shows now.
    #[error("is not the code that the app shows, or came too late")]
    WrongSetupCode,
    /// What was asked for needs a login of just now.
    #[error("log in again to do this, with your second factor if you have one; a login counts for five minutes")]
    ProofTooOld,
    /// The password that was typed is not the account's.
    #[error("is not your password")]
    WrongPassword,
    /// The new password breaks a rule.
    #[error(transparent)]
    Password(#[from] InvalidPassword),
    /// Others changed the same thing at the same time, again and again.
    #[error("too many changes at once; try again")]
    Conflict,
    /// The journal did not answer.
    #[error(transparent)]
    Unavailable(#[from] JournalError),
    /// The journal holds something that this program cannot read.
    #[error("unreadable event: {0}")]
    Unreadable(#[from] UnreadableEvent),
}

impl CommandError {
    /// Whether asking again may help: nothing was refused, something was in the way. What this program cannot
    /// read, a newer one may.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Conflict | Self::Unavailable(_) | Self::Unreadable(_))
    }

    /// The refusal where somebody else holds what was claimed.
    pub(crate) fn taken(claim: &ClaimKey) -> Self {
        match claim.kind {
            ClaimKind::Email => Self::EmailTaken,
            ClaimKind::Ownership => {
                let game = claim.key.split_once(':').and_then(|(_, game)| GameId::parse(game).ok());
                game.map_or(Self::Conflict, Self::GameTaken)
            }
        }
    }
}

impl From<LoadError> for CommandError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Journal(error) => error.into(),
            LoadError::Unreadable(error) => error.into(),
        }
    }
}
