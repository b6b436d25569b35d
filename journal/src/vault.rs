//! The vault: keys of personal data, credentials, and what must happen once.
//!
//! Every person has a key of their own, wrapped by the master key. Events hold only what that key sealed, so
//! destroying the key erases the person from journal, mirror, exports and backups at once.
//! Credentials are secrets, not facts: they live here and in no event.

mod credentials;
mod inbox;
mod mail;
mod sealing;
mod tokens;

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

pub use inbox::InboxEntry;
pub use mail::MailEntry;
pub use sealing::SubjectKey;
pub use tokens::{RefreshToken, Refreshed};

/// The vault behind a pool, opened with the master key.
#[derive(Clone)]
pub struct Vault {
    pool: PgPool,
    master: std::sync::Arc<SecretBox<[u8; 32]>>,
}

/// A master key that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the master key must be 32 bytes in base64")]
pub struct InvalidMasterKey;

impl Vault {
    /// Opens the vault with a master key of 32 bytes in base64.
    ///
    /// # Errors
    /// [`InvalidMasterKey`] when it is none.
    pub fn open(pool: PgPool, master: &SecretString) -> Result<Self, InvalidMasterKey> {
        let bytes = BASE64_STANDARD.decode(master.expose_secret()).map_err(|_| InvalidMasterKey)?;
        let key: [u8; 32] = bytes.try_into().map_err(|_| InvalidMasterKey)?;
        Ok(Self { pool, master: std::sync::Arc::new(SecretBox::new(Box::new(key))) })
    }

    /// A hash of `message` that only the holder of the master key can compute, different for each `purpose`.
    #[must_use]
    pub fn keyed_hash(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        // HMAC takes keys of any length, so the key cannot be refused.
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(self.master.expose_secret()) else { return [0; 32] };
        let mac = mac.chain_update(purpose.as_bytes()).chain_update([0]).chain_update(message);
        mac.finalize().into_bytes().into()
    }

    fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// A duration as Postgres takes it.
fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}
