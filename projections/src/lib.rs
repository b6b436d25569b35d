//! The read models: each file owns one table, its writes and its reads.
//!
//! All of it can be dropped and folded from the journal again, so nothing here decides anything, and no rule that
//! must hold reads from here. Side effects never happen in a projection.

pub mod consistency;
mod cursor;
pub mod disputes;
mod fact;
mod fold;
pub mod games;
pub mod library;
pub mod orders;
pub mod payments;
mod projector;
pub mod search;
pub mod users;

pub use cursor::{Cursor, InvalidCursor, Page};
pub use fact::{ApplyError, Envelope, Fact, Projection};
pub use fold::{Comparison, FoldError, Folded, compare, rebuild};
pub use projector::{AnyProjection, ParkedEvent, Projector, ProjectorError, checkpoints, park, parked, parked_count};

/// Calls `$each!(projection)` for every projection of the store; `$vault` opens personal data for the one that needs it.
#[macro_export]
macro_rules! for_each_projection {
    ($vault:expr, $each:ident) => {
        $each!($crate::users::Users::new($vault.clone()));
        $each!($crate::games::Games);
        $each!($crate::orders::Orders);
        $each!($crate::payments::Payments);
        $each!($crate::library::Library);
        $each!($crate::disputes::Disputes);
    };
}
