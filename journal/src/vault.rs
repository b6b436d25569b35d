//! The vault: keys of personal data, credentials, and what must happen once.
//!
//! Every person has a key of their own, wrapped by the master key. Events hold only what that key sealed, so
//! destroying the key erases the person from journal, mirror, exports and backups at once.
//! Credentials are secrets, not facts: they live here and in no event.

mod credentials;
mod inbox;
mod mail;
mod pruning;
mod sealing;
mod sessions;

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::{ClaimKind, Email};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

use crate::{ClaimKey, Clock, JournalError};

pub use inbox::InboxEntry;
pub use mail::MailEntry;
pub use sealing::SubjectKey;
pub use sessions::{OpenSession, Refreshed};

/// The vault behind a pool, opened with the master key.
#[derive(Clone)]
pub struct Vault {
    pool: PgPool,
    master: std::sync::Arc<SecretBox<[u8; 32]>>,
    clock: Clock,
}

impl Vault {
    /// Opens the vault with a master key of 32 bytes in base64. The first key that opens it becomes the only one.
    ///
    /// # Errors
    /// [`JournalError::InvalidMasterKey`] or [`JournalError::WrongMasterKey`]; or when the database does not answer.
    pub async fn open(pool: PgPool, master: &SecretString, clock: Clock) -> Result<Self, JournalError> {
        let bytes = BASE64_STANDARD.decode(master.expose_secret()).map_err(|_| JournalError::InvalidMasterKey)?;
        let key: [u8; 32] = bytes.try_into().map_err(|_| JournalError::InvalidMasterKey)?;
        let vault = Self { pool, master: std::sync::Arc::new(SecretBox::new(Box::new(key))), clock };
        if vault.has_this_key().await? { Ok(vault) } else { Err(JournalError::WrongMasterKey) }
    }

    /// With another key every login fails, and an address can be registered twice.
    async fn has_this_key(&self) -> Result<bool, JournalError> {
        let known = || sqlx::query_scalar("select fingerprint from vault.master_key").fetch_optional(self.pool());
        let ours = self.keyed_hash("fingerprint of the master key", b"").to_vec();
        let held: Option<Vec<u8>> = known().await?;
        if let Some(held) = held {
            return Ok(held == ours);
        }
        // A vault from before fingerprints is checked by opening keys that it sealed.
        if !self.opens_most_subjects().await? {
            return Ok(false);
        }
        sqlx::query("insert into vault.master_key (fingerprint) values ($1) on conflict do nothing")
            .bind(&ours)
            .execute(self.pool())
            .await?;
        let held: Option<Vec<u8>> = known().await?;
        Ok(held == Some(ours))
    }

    /// A hash of `message` that only the holder of the master key can compute, different for each `purpose`.
    #[must_use]
    pub fn keyed_hash(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        // HMAC takes keys of any length, so the key cannot be refused.
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(self.master.expose_secret()) else { return [0; 32] };
        let mac = mac.chain_update(purpose.as_bytes()).chain_update([0]).chain_update(message);
        mac.finalize().into_bytes().into()
    }

    /// The claim to an address: only its keyed hash is kept.
    #[must_use]
    pub fn email_claim(&self, email: &Email) -> ClaimKey {
        let hash = self.keyed_hash("email claim", email.as_str().as_bytes());
        ClaimKey { kind: ClaimKind::Email, key: hash.iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    fn pool(&self) -> &PgPool {
        &self.pool
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
