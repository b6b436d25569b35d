//! The use cases: one async method each, and the only writers of events.
//!
//! A use case loads an aggregate from the journal, lets it decide, and appends what it decided together with the
//! claims that must hold at once. Rules that must hold never read a projection.

mod actor;
mod admin;
mod age;
mod api_key;
mod authenticator;
mod catalog;
mod checkout;
mod credentials;
mod dead_letter;
mod device;
mod dispute;
mod error;
mod executor;
mod game;
mod link;
mod mailbox;
mod order;
mod passkey;
mod password;
mod payment;
mod promotion;
mod refund;
mod report;
mod session;
mod totp;
mod tree_head;
mod user;

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use domain::Currency;
use domain::order::DisputePolicy;
use domain::user::Requirement;
use journal::{Clock, FirstAnswer, Journal, Vault};
use url::Url;
use uuid::Uuid;

use self::passkey::Passkeys;

pub use actor::{Actor, Assurance, Context, PROVEN_FOR};
pub use admin::MadeAdmin;
pub use api_key::{KeyHolder, NewKey};
pub use authenticator::{AddedAuthenticator, Held};
pub use catalog::{Catalogue, Imported, NoCatalogue};
pub use dead_letter::LetterAction;
pub use error::CommandError;
pub use executor::Receipt;
pub use game::GameChange;
pub use order::{OrderState, PlacedOrder, Purchase};
pub use passkey::PasskeyRequest;
pub use password::{InvalidPassword, Password};
pub use payment::PaymentState;
pub use session::{Place, Session, SessionError};
pub use totp::NewTotp;
pub use user::{ChangedProfile, ProfileChange, Registration};

/// What a store may settle for itself.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The one currency that it trades in.
    pub currency: Currency,
    /// For how long a buyer may return games without a reason.
    pub refund_window: TimeDelta,
    /// What becomes of games whose payment is disputed.
    pub dispute_policy: DisputePolicy,
    /// Where it is, for the day that decides how old somebody is.
    pub time_zone: Tz,
    /// Whether an address counts only once its owner has followed a link that was sent there.
    pub email_confirmation: Requirement,
    /// Whether a role of the staff counts only in sessions that were opened with two factors.
    pub staff_second_factor: Requirement,
}

/// Everything that the store can be asked to do.
#[derive(Clone)]
pub struct Commands {
    journal: Journal,
    vault: Vault,
    rules: Rules,
    hasher: password::Hasher,
    passkeys: Passkeys,
    clock: Clock,
}

impl Commands {
    /// The use cases of a store.
    #[must_use]
    pub fn new(journal: Journal, vault: Vault, rules: Rules, clock: Clock) -> Self {
        Self { journal, vault, rules, hasher: password::Hasher::new(), passkeys: Passkeys::default(), clock }
    }

    /// The same over another vault.
    #[must_use]
    pub fn over(self, vault: Vault) -> Self {
        Self { vault, ..self }
    }

    /// The same for people who find the store at an address, as passkeys are bound to it.
    #[must_use]
    pub fn found_at(self, store: &Url) -> Self {
        Self { passkeys: Passkeys::of_store(store), ..self }
    }

    /// What a repeat of a request is known by: who asks, where, under which key, with which body. `who` tells callers
    /// apart who have no account; no secret may be in `body`.
    #[must_use]
    pub fn repeatable(&self, actor: Actor, who: &str, route: &str, key: &str, body: &str) -> FirstAnswer {
        let hash = |purpose, message: &str| self.vault.keyed_hash(purpose, message.as_bytes());
        let caller = actor.user();
        FirstAnswer {
            key: hash("idempotency key", &format!("{caller:?}\n{who}\n{route}\n{key}")),
            fingerprint: hash("request body", body),
            caller,
        }
    }

    /// The day that it is where the store is.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.clock.now().with_timezone(&self.rules.time_zone).date_naive()
    }

    /// The clock that the use cases go by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A fresh request.
    #[must_use]
    pub fn context(&self, actor: Actor) -> Context {
        Context::new(actor, self.clock.new_id())
    }

    /// A request by a part of the store, because of an event.
    #[must_use]
    pub fn because(&self, part: &'static str, event: Uuid, correlation: Uuid) -> Context {
        Context { causation: Some(event), correlation, ..self.context(Actor::System(part)) }
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

    /// Whether a role of the staff counts only in sessions that were opened with two factors.
    #[must_use]
    pub fn staff_second_factor(&self) -> Requirement {
        self.rules.staff_second_factor
    }

    /// The one currency that the store trades in.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.rules.currency
    }
}
