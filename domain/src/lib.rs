//! The rules of the store: five aggregates, each with its commands, events, refusals and decisions.
//!
//! Everything here is a pure function of its arguments. Time, ids and the buyer's age are passed in,
//! personal data arrives already sealed, and there is no I/O, so every rule is tested without a server.

mod aggregate;
pub mod checkout;
mod claim;
mod email;
mod event;
pub mod game;
mod id;
mod language;
mod money;
pub mod order;
pub mod payment;
mod person;
pub mod stored;
mod text;
pub mod tree_head;
pub mod user;
mod work;

pub use aggregate::StoreAggregate;
pub use claim::{Claim, ClaimChange, ClaimKind};
pub use email::Email;
pub use event::{StoreEvent, UnreadableEvent, event_names};
pub use game::Game;
pub use id::{
    ApiKeyId, AuthenticatorId, CommandId, CredentialId, EventId, GameId, InvalidId, OrderId, PaymentId, SessionId,
    TreeHeadId, UserId,
};
pub use language::Language;
pub use money::{Currency, InvalidMoney, Money, Price};
pub use order::Order;
pub use payment::Payment;
pub use person::{BirthDate, InvalidPerson, PersonName, Profile, Sealed, SealedEmail, SealedProfile};
pub use text::{Description, InvalidText, Label, Labels, Name, Text, Title};
pub use tree_head::TreeHead;
pub use user::{Role, User};
pub use work::PaymentWork;
