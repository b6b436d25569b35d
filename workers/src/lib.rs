//! What runs beside the gateway. Every step here is safe to run twice.
//!
//! A worker that decides nothing (relay, projector, indexer, checkout, notifier) moves facts to where they are needed;
//! the two that speak with the PSP (payment worker, webhook function) settle payments through one door.

mod checkout;
mod indexer;
pub mod metrics;
mod mirrored;
mod notifier;
mod payments;
mod projector;
mod relay;
mod settlement;
mod text_log;
mod webhooks;

use commands::Commands;
use nats::Nats;
use psp::PspClient;

pub use checkout::Checkout;
pub use indexer::Indexer;
pub use mirrored::Mirrored;
pub use notifier::{MailPatience, Mailer, Notifier};
pub use payments::{Patience, PaymentWorker};
pub use projector::run as project;
pub use relay::{Relay, RelayError, Step};
pub use settlement::Settlement;
pub use text_log::TextLog;
pub use webhooks::WebhookFunction;

/// What the workers that carry out commands share.
#[derive(Clone)]
pub struct Shared {
    /// The use cases.
    pub commands: Commands,
    /// The server.
    pub nats: Nats,
}

/// What the workers that speak with the PSP share.
#[derive(Clone)]
pub struct PaymentDesk {
    /// The PSP.
    pub psp: PspClient,
    /// How outcomes are recorded.
    pub settlement: Settlement,
}
