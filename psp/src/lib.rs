//! The payment service provider (PSP): a client for Stripe's wire, webhook signatures, and a sandbox PSP.
//!
//! The client classifies every answer by what is known afterwards, because money hangs on the difference between
//! "no" and "no answer". It decides nothing; the payment worker does.
//! There is one adapter and so no trait: a PSP that speaks Stripe's wire is reached by its address.

mod client;
mod dispute;
mod error;
mod intent;
mod list;
mod refund;
pub mod sandbox;
pub mod signature;

pub use client::{NewIntent, PspClient, RefundRequest};
pub use dispute::{Dispute, DisputeStatus};
pub use error::PspError;
pub use intent::{Intent, IntentStatus, Method, NextAction};
pub use list::Listed;
pub use refund::{REFUND_NAME, Refund, RefundStatus};
