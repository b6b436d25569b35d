//! The use cases: one async method each, and the only writers of events.
//!
//! A use case loads an aggregate from the journal, lets it decide, and appends what it decided together with the
//! claims that must hold at once. Rules that must hold never read a projection.

mod actor;
mod catalog;
mod error;
mod executor;
mod game;
mod order;
mod password;
mod payment;
mod session;
mod user;

use domain::Currency;
use journal::{Journal, Vault};
use uuid::Uuid;

pub use actor::{Actor, Context, Repeatable};
pub use catalog::{Catalogue, Imported};
pub use error::CommandError;
pub use executor::Receipt;
pub use game::GameChange;
pub use order::{OrderState, PlacedOrder};
pub use password::{InvalidPassword, Password};
pub use payment::PaymentState;
pub use session::{Session, SessionError};
pub use user::Registration;

/// Everything that the store can be asked to do.
#[derive(Clone)]
pub struct Commands {
    journal: Journal,
    vault: Vault,
    currency: Currency,
    hasher: password::Hasher,
}

impl Commands {
    /// The use cases of a store that trades in one currency.
    #[must_use]
    pub fn new(journal: Journal, vault: Vault, currency: Currency) -> Self {
        Self { journal, vault, currency, hasher: password::Hasher::new() }
    }

    /// What a repeat of a request is known by: who asks, where, under which key, with which body.
    #[must_use]
    pub fn repeatable(&self, actor: Actor, route: &str, key: &str, body: &str) -> Repeatable {
        let hash = |purpose, message: &str| self.vault.keyed_hash(purpose, message.as_bytes());
        let key = hash("idempotency key", &format!("{:?}\n{route}\n{key}", actor.user()));
        let fingerprint = hash("request body", body);
        Repeatable {
            key: Uuid::new_v5(&Uuid::NAMESPACE_OID, &key),
            fingerprint: fingerprint.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// The journal behind the use cases.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The vault behind the use cases.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The one currency that the store trades in.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }
}
