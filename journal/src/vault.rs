//! The vault: keys of personal data, credentials, and what must happen once.
//!
//! Every person has a key of their own, wrapped by the master key. Events hold only what that key sealed, so
//! destroying the key erases the person from journal, mirror, exports and backups at once.
//! Credentials are secrets, not facts: they live here and in no event.

mod access_log;
mod api_keys;
mod authenticators;
mod ceremonies;
mod credentials;
mod devices;
mod exchange;
mod inbox;
mod mail;
mod master;
mod pruning;
mod recovery_codes;
mod sealing;
mod sessions;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::{ClaimKind, Email, UserId};
use lru::LruCache;
use secrecy::SecretString;
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

use self::master::{Keyring, Master};
use crate::{ClaimKey, Clock, JournalError};

pub use access_log::{Access, AccessEntry};
pub use api_keys::{KeptKey, ShownKey};
pub use authenticators::{HeldAuthenticator, KeptAuthenticator};
pub use ceremonies::Ceremony;
pub use devices::DeviceStanding;
pub use inbox::InboxEntry;
pub use mail::MailEntry;
pub use sealing::SubjectKey;
pub use sessions::{NewSession, OpenSession, Refreshed};

/// How many keys of people a process keeps open at most, and for how long.
const MOST_OPENED: NonZeroUsize = match NonZeroUsize::new(8_192) {
    Some(most) => most,
    None => NonZeroUsize::MIN,
};
const OPENED_FOR: Duration = Duration::from_mins(1);

/// Keys of people, and since when they are open.
type Opened = Arc<Mutex<LruCache<UserId, (Instant, Arc<SubjectKey>)>>>;

/// The vault behind a pool, opened with the master key.
#[derive(Clone)]
pub struct Vault {
    pool: PgPool,
    keyring: Arc<Keyring>,
    opened: Opened,
    clock: Clock,
}

impl Vault {
    /// Opens the vault with a master key of 32 bytes in base64. The first key that opens it becomes the only one, until
    /// it is exchanged.
    ///
    /// # Errors
    /// [`JournalError::InvalidMasterKey`] or [`JournalError::WrongMasterKey`]: with another key every login would fail,
    /// and an address could be registered twice; or when the database does not answer.
    pub async fn open(pool: PgPool, master: &SecretString, clock: Clock) -> Result<Self, JournalError> {
        let keyring = Keyring::open(&pool, Master::parse(master)?).await?;
        let opened = Arc::new(Mutex::new(LruCache::new(MOST_OPENED)));
        Ok(Self { pool, keyring: Arc::new(keyring), opened, clock })
    }

    /// The vault for who has no key to it: things are kept and forgotten in it, and nothing that is sealed opens
    /// ([`JournalError::WrongMasterKey`]).
    #[must_use]
    pub fn closed(pool: PgPool, clock: Clock) -> Self {
        let opened = Arc::new(Mutex::new(LruCache::new(MOST_OPENED)));
        Self { pool, keyring: Arc::new(Keyring::throwaway()), opened, clock }
    }

    /// The same, closed: [`Vault::closed`].
    #[must_use]
    pub fn close(&self) -> Self {
        Self::closed(self.pool.clone(), self.clock.clone())
    }

    /// A hash of `message` that only a holder of the master key can compute, different for each `purpose`. It stays the
    /// same when the master key is exchanged.
    #[must_use]
    pub fn keyed_hash(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        self.keyring.keyed_hash(purpose, message)
    }

    /// The claim to an address: only its keyed hash is kept.
    #[must_use]
    pub fn email_claim(&self, email: &Email) -> ClaimKey {
        let hash = self.keyed_hash("email claim", email.normal_form().as_bytes());
        ClaimKey { kind: ClaimKind::Email, key: hash.iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    fn pool(&self) -> &PgPool {
        &self.pool
    }

    fn opened(&self) -> MutexGuard<'_, LruCache<UserId, (Instant, Arc<SubjectKey>)>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// What the database's clock lacks of the store's: nothing, unless a test moved time.
    fn ahead(&self) -> PgInterval {
        interval(self.clock.ahead().to_std().unwrap_or_default())
    }
}

/// A duration as Postgres takes it.
fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}
