//! Identities: one type per aggregate, so that an order can never be looked up by a payment's id.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that was to be an id and is no UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known to name one of these.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// Reads the hyphenated or plain form of a UUID.
            ///
            /// # Errors
            /// [`InvalidId`] for anything else.
            pub fn parse(raw: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(raw).map(Self).map_err(|_| InvalidId)
            }

            /// The bare UUID, for storage.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

id!(
    /// A person with an account.
    UserId
);
id!(
    /// A game of the catalogue.
    GameId
);
id!(
    /// A purchase of one or more games.
    OrderId
);
id!(
    /// One attempt at paying an order.
    PaymentId
);
id!(
    /// One request to change something; its events carry it.
    CommandId
);
id!(
    /// One recorded fact.
    EventId
);
id!(
    /// A password as the vault keeps it.
    CredentialId
);
id!(
    /// What begins with a login and ends with a logout.
    SessionId
);

id!(
    /// What somebody holds to open their account: a passkey, an app, recovery codes.
    AuthenticatorId
);

id!(
    /// A key that a program has.
    ApiKeyId
);

id!(
    /// What was signed of the first so many events.
    TreeHeadId
);

impl TreeHeadId {
    /// The head of the first so many events. Derived, so that there is one.
    #[must_use]
    pub fn of_size(size: u64) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("urn:ludoteca:treehead:{size}").as_bytes()))
    }
}

impl CredentialId {
    /// The password that an account was opened with.
    #[must_use]
    pub const fn first_of(user: UserId) -> Self {
        Self(user.0)
    }
}

impl PaymentId {
    /// The payment of an order's n-th attempt. Derived, so that a repeated request meets the same payment.
    #[must_use]
    pub fn for_attempt(order: OrderId, attempt: u32) -> Self {
        Self(Uuid::new_v5(&order.0, format!("payment-{attempt}").as_bytes()))
    }
}

impl EventId {
    /// The id of the event that a command causes at a place in an aggregate's history.
    /// Known before the command is decided, because sealed personal data is bound to it.
    #[must_use]
    pub fn of(command: CommandId, aggregate: Uuid, sequence: usize) -> Self {
        Self(Uuid::new_v5(&command.0, format!("{aggregate}-{sequence}").as_bytes()))
    }
}
