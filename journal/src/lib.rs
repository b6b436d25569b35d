//! The journal: what happened, in Postgres, appended in one statement and read in commit order.
//!
//! Beside the events it keeps the claims that must hold at once (an e-mail, a game owned), and the vault:
//! everything that must be forgettable or secret and so may never enter an event.
//! Nothing here publishes: a crash between commit and publish would lose the event. The relay reads instead.

mod answer;
mod append;
mod authority;
mod batch;
mod cache;
mod checkpoint;
mod claims;
mod clock;
mod cloud_event;
mod connect;
mod consumers;
mod epoch;
mod heads;
mod history;
mod jsonb;
mod lists;
mod past;
mod position;
mod proof;
mod read;
mod repository;
mod schemas;
mod tree;
pub mod vault;
mod writer;

pub use answer::{Answered, FirstAnswer};
pub use append::{Append, AppendError, Change, NewEvent};
pub use authority::AuthorityChanges;
pub use checkpoint::{DoubtfulHead, HeadKey, HeadKeys, InvalidHeadKey, ORIGIN, to_jwk};
pub use claims::{ClaimKey, Claims, ClaimsFold, Release};
pub use clock::Clock;
pub use cloud_event::{Chain, CloudEvent};
pub(crate) use connect::is_violation;
pub use connect::{POOLED, broke_off, connect, connect_patiently, dedicated_pool, migrate, once_more};
pub use epoch::rebase;
pub use history::{AggregateKey, Histories, LoadError, Loaded};
pub use jsonb::jsonb_text;
pub use past::{AsOf, Past};
pub use position::{InvalidPosition, Position};
pub use proof::Proof;
pub use read::Recorded;
pub use repository::Journal;
pub use schemas::{aggregate_of, event_forms, event_schema, is_event};
pub use tree::{Hash, Tree, leaf};
pub use vault::Vault;

/// What the database answered when it could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The database cannot be reached or broke off.
    #[error("the journal is unavailable: {0}")]
    Database(#[from] sqlx::Error),
    /// The migrations could not be applied.
    #[error("the migrations failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database was restored into another cluster: new transaction ids are lower than stored ones.
    #[error(
        "the journal holds transaction {stored} but this cluster's next is {next}: \
         it was restored from a dump; run `ludoteca journal rebase` before anything appends"
    )]
    NeedsRebase {
        /// The largest stored in the current epoch.
        stored: u64,
        /// The next that the cluster will give.
        next: u64,
    },
    /// The schema has migrations that this program does not know.
    #[error("the data was written by a newer version of Ludoteca (schema {schema}); run that version")]
    NewerSchema {
        /// The newest migration that was applied.
        schema: i64,
    },
    /// The master key is not this store's.
    #[error("MASTER_KEY does not match this store; use the key from its first start, or the one it was exchanged for")]
    WrongMasterKey,
    /// What was read cannot be written as JSON.
    #[error("cannot be written as JSON: {0}")]
    Unwritable(#[from] serde_json::Error),
    /// The master key is being exchanged already.
    #[error("the master key is being exchanged already; finish that first: ludoteca keys rewrap-master")]
    ExchangeUnderWay,
    /// The key that was given is the one that is to go.
    #[error(
        "MASTER_KEY is the key that is to go: {successor} opens the store already. Set MASTER_KEY to that one; if it got \
         lost before any role had it, make another: ludoteca keys add-master --lost"
    )]
    HasSuccessor {
        /// The id of the key that was added last.
        successor: String,
    },
    /// A master key of another form.
    #[error("MASTER_KEY must be 32 bytes in base64")]
    InvalidMasterKey,
    /// Sealed data that the key does not open, or a key that the master key does not.
    #[error("sealed data cannot be opened: {0}")]
    Sealed(&'static str),
}
