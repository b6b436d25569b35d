//! NATS JetStream as the store uses it: streams and consumers as typed configuration, a pull loop that survives,
//! pipelined publishing in order, and replay without a consumer.
//!
//! It knows nothing of games. Losing the server delays the store's readers; it never loses a fact, because every
//! stream here can be rebuilt from the journal.

mod archive;
mod connect;
mod consume;
mod consumers;
mod dead_letter;
mod follow;
mod message;
mod mirror;
mod payment_queue;
mod replay;
mod streams;

pub use async_nats::HeaderMap;
pub use connect::{Nats, NatsError};
pub use consume::{Delivery, Verdict};
pub use consumers::ConsumerSpec;
pub use dead_letter::{DeadLetter, MAIL_QUEUE, PAYMENTS_QUEUE, REDRIVEN_BY};
pub use follow::Follower;
pub use message::{Outgoing, Stored, numbered};
pub use mirror::PublishError;
pub use replay::{InvalidFilter, Replay, events_of};
pub use streams::{
    ADVISORIES, DLQ, EVENTS, JOURNAL_WAKE, LIMITS_USED, PAYMENT_QUESTION, PAYMENT_WORKER, PAYMENTS, PROJECTED,
    PSP_HEALTH, RELAY_HEALTH, StreamName, WEBHOOK_WAKE,
};
