//! The read models: each file owns one table, its writes and its reads.
//!
//! All of it can be dropped and folded from the journal again, so nothing here decides anything, and no rule that
//! must hold reads from here. Side effects never happen in a projection.

mod checkpoint;
pub mod consistency;
mod copy_format;
mod cursor;
mod date;
pub mod disputes;
mod fact;
mod fold;
pub mod games;
pub mod library;
pub mod orders;
mod park;
pub mod past;
pub mod payments;
mod projector;
mod rows;
pub mod search;
mod tables;
pub mod users;

use std::sync::Arc;

use journal::Vault;

pub use checkpoint::checkpoints;
pub use cursor::{Cursor, InvalidCursor, Page};
pub use fact::{ApplyError, Envelope, Fact, Projection};
pub use fold::{Comparison, FoldError, Folded, compare, rebuild};
pub use park::{ParkedEvent, park, parked, parked_count};
pub use projector::{AnyProjection, Projector, ProjectorError};
pub use rows::{Row, Rows};

/// Every projection of the store; `vault` opens personal data for the one that needs it.
#[must_use]
pub fn all(vault: &Vault) -> Vec<Arc<dyn AnyProjection>> {
    vec![
        Arc::new(users::Users::new(vault.clone())),
        Arc::new(games::Games),
        Arc::new(orders::Orders),
        Arc::new(payments::Payments),
        Arc::new(library::Library),
        Arc::new(disputes::Disputes),
    ]
}
