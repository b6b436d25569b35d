//! What each event takes for its aggregate alone, and what it gives up: the claims follow from the history.

use crate::order::OrderEvent;
use crate::person::SealedProfile;
use crate::user::UserEvent;
use crate::{GameId, StoreEvent, UserId};

/// What a claim is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum ClaimKind {
    /// An e-mail address, held by an account.
    Email,
    /// A game that a buyer owns or is about to own, held by the order.
    Ownership,
}

/// Something that only one aggregate may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The address in a person's sealed data.
    Email(UserId, SealedProfile),
    /// A buyer's ownership of a game.
    Ownership(UserId, GameId),
}

/// What an event does to the claims of its aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimChange {
    /// Takes one.
    Take(Claim),
    /// Gives one up.
    Release(Claim),
    /// Gives up all of a kind.
    ReleaseAll(ClaimKind),
}

impl StoreEvent {
    /// What the event does to its aggregate's claims, in order.
    #[must_use]
    pub fn claims(&self) -> Vec<ClaimChange> {
        match self {
            Self::User(user, event) => user_claims(*user, event),
            Self::Order(_, event) => order_claims(event),
            Self::Game(..) | Self::Payment(..) | Self::TreeHead(..) => vec![],
        }
    }
}

fn user_claims(user: UserId, event: &UserEvent) -> Vec<ClaimChange> {
    let take = |profile: &SealedProfile| ClaimChange::Take(Claim::Email(user, profile.clone()));
    match event {
        UserEvent::UserRegistered { profile, .. } => vec![take(profile)],
        UserEvent::UserProfileChanged { profile, address_changed: true, .. } => {
            vec![ClaimChange::ReleaseAll(ClaimKind::Email), take(profile)]
        }
        UserEvent::UserErased {} => vec![ClaimChange::ReleaseAll(ClaimKind::Email)],
        UserEvent::UserProfileChanged { address_changed: false, .. }
        | UserEvent::UserBirthDateConfirmed { .. }
        | UserEvent::UserRegistrationRepeated {}
        | UserEvent::UserEmailChangeRequested { .. }
        | UserEvent::UserEmailConfirmationRequested {}
        | UserEvent::UserEmailConfirmed {}
        | UserEvent::UserRoleChanged { .. }
        | UserEvent::UserPasswordChanged { .. }
        | UserEvent::UserPasswordResetRequested { .. }
        | UserEvent::UserAuthenticatorAdded { .. }
        | UserEvent::UserAuthenticatorRemoved { .. }
        | UserEvent::UserRecoveryCodeUsed {}
        | UserEvent::UserLoggedInOnNewDevice { .. }
        | UserEvent::UserApiKeyMade { .. }
        | UserEvent::UserApiKeyRevoked { .. }
        | UserEvent::UserSessionsEnded { .. } => vec![],
    }
}

fn order_claims(event: &OrderEvent) -> Vec<ClaimChange> {
    match event {
        OrderEvent::OrderCreated { buyer, lines, .. } => {
            lines.iter().map(|line| ClaimChange::Take(Claim::Ownership(*buyer, line.game))).collect()
        }
        OrderEvent::OrderCancelled { .. } => vec![ClaimChange::ReleaseAll(ClaimKind::Ownership)],
        OrderEvent::OrderRefunded { buyer, games, .. } | OrderEvent::OrderRevoked { buyer, games } => {
            games.iter().map(|game| ClaimChange::Release(Claim::Ownership(*buyer, *game))).collect()
        }
        OrderEvent::OrderPaymentFailed { .. }
        | OrderEvent::PurchaseCompleted { .. }
        | OrderEvent::OrderCompleted { .. }
        | OrderEvent::OrderSuspended { .. }
        | OrderEvent::OrderReinstated { .. }
        | OrderEvent::OrderRefundRequested { .. }
        | OrderEvent::OrderRefundFailed { .. } => vec![],
    }
}
