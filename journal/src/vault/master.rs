//! The master key: what people's keys and the key of keyed hashes are wrapped by. It comes from outside and is in no
//! table; its id is the beginning of a keyed hash of a constant.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hmac::{Hmac, Mac};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;
use sqlx::PgPool;

use super::sealing::{decrypt, encrypt};
use crate::JournalError;

type Key = [u8; 32];

/// What a hash key is bound to where it is wrapped.
const HASH_KEY: &[u8] = b"hash key";
/// What a predecessor is bound to.
const PREDECESSOR: &[u8] = b"predecessor";

pub(super) struct Master(SecretBox<Key>);

impl Master {
    pub(super) fn parse(base64: &SecretString) -> Result<Self, JournalError> {
        let bytes = BASE64_STANDARD.decode(base64.expose_secret()).map_err(|_| JournalError::InvalidMasterKey)?;
        Self::from_bytes(bytes)
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, JournalError> {
        let key: Key = bytes.try_into().map_err(|_| JournalError::InvalidMasterKey)?;
        Ok(Self(SecretBox::new(Box::new(key))))
    }

    fn fingerprint(&self) -> Key {
        keyed_hash(self.0.expose_secret(), "fingerprint of the master key", b"")
    }

    pub(super) fn id(&self) -> String {
        self.fingerprint().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&keyed_hash(self.0.expose_secret(), "wrap subject keys", b"").into())
    }
}

/// The master key that was given, the one that it succeeds where it does, and the key of keyed hashes.
pub(super) struct Keyring {
    pub(super) ours: Master,
    pub(super) predecessor: Option<Master>,
    hashing: SecretBox<Key>,
}

/// A row of `vault.master_key`.
type Row = (Option<Vec<u8>>, Option<Vec<u8>>);

impl Keyring {
    /// Opens what the master key opens. The first one that is ever given becomes the store's.
    pub(super) async fn open(pool: &PgPool, ours: Master) -> Result<Self, JournalError> {
        let mut row = find(pool, &ours).await?;
        if row.is_none() {
            adopt(pool, &ours).await?;
            row = find(pool, &ours).await?;
        }
        let (hash_key, predecessor) = row.ok_or(JournalError::WrongMasterKey)?;
        let cipher = ours.cipher();
        let predecessor = predecessor.map(|wrapped| decrypt(&cipher, PREDECESSOR, &wrapped)).transpose()?;
        let hashing = match hash_key {
            Some(wrapped) => Master::from_bytes(decrypt(&cipher, HASH_KEY, &wrapped)?)?.0,
            None => SecretBox::new(Box::new(*ours.0.expose_secret())),
        };
        Ok(Self { predecessor: predecessor.map(Master::from_bytes).transpose()?, hashing, ours })
    }

    /// Throwaway keys, by which nothing was ever wrapped.
    pub(super) fn throwaway() -> Self {
        let new = || {
            let mut key = Key::default();
            rand::rngs::OsRng.fill_bytes(&mut key);
            SecretBox::new(Box::new(key))
        };
        Self { ours: Master(new()), predecessor: None, hashing: new() }
    }

    /// The key by which something was wrapped. What names none was wrapped by the first.
    pub(super) fn by_id(&self, id: Option<&str>) -> Result<&Master, JournalError> {
        let Some(id) = id else { return Ok(self.predecessor.as_ref().unwrap_or(&self.ours)) };
        let known = std::iter::once(&self.ours).chain(&self.predecessor);
        known.into_iter().find(|master| master.id() == id).ok_or(JournalError::WrongMasterKey)
    }

    pub(super) fn keyed_hash(&self, purpose: &str, message: &[u8]) -> Key {
        keyed_hash(self.hashing.expose_secret(), purpose, message)
    }

    /// Lets another key open what this one opens; people's keys are wrapped by this one until they are wrapped anew.
    pub(super) async fn succeed(&self, owner: &PgPool, next: &Master) -> Result<(), JournalError> {
        let cipher = next.cipher();
        sqlx::query(
            "insert into vault.master_key (id, fingerprint, hash_key, predecessor, wraps) values ($1, $2, $3, $4, false)",
        )
        .bind(next.id())
        .bind(next.fingerprint().as_slice())
        .bind(encrypt(&cipher, HASH_KEY, self.hashing.expose_secret())?)
        .bind(encrypt(&cipher, PREDECESSOR, self.ours.0.expose_secret())?)
        .execute(owner)
        .await?;
        Ok(())
    }
}

async fn find(pool: &PgPool, master: &Master) -> Result<Option<Row>, JournalError> {
    let row = sqlx::query_as("select hash_key, predecessor from vault.master_key where fingerprint = $1");
    Ok(row.bind(master.fingerprint().as_slice()).fetch_optional(pool).await?)
}

/// Makes a key the store's own, if the store has none. A vault from before fingerprints is checked by opening keys that
/// it sealed, and keeps its master key as the key of its hashes.
async fn adopt(pool: &PgPool, master: &Master) -> Result<(), JournalError> {
    let some: Vec<(uuid::Uuid, Vec<u8>)> =
        sqlx::query_as("select user_id, wrapped_key from vault.subject_keys where wrapped_key is not null limit 1000")
            .fetch_all(pool)
            .await?;
    let cipher = master.cipher();
    let open = some.iter().filter(|(user, wrapped)| decrypt(&cipher, user.as_bytes(), wrapped).is_ok()).count();
    if !some.is_empty() && open.saturating_mul(2) <= some.len() {
        return Err(JournalError::WrongMasterKey);
    }
    let mut hash_key = Key::default();
    rand::rngs::OsRng.fill_bytes(&mut hash_key);
    let hash_key = if some.is_empty() { Some(encrypt(&cipher, HASH_KEY, &hash_key)?) } else { None };
    sqlx::query("insert into vault.master_key (id, fingerprint, hash_key) values ($1, $2, $3) on conflict do nothing")
        .bind(master.id())
        .bind(master.fingerprint().as_slice())
        .bind(hash_key)
        .execute(pool)
        .await?;
    Ok(())
}

/// HMAC-SHA-256, different for each purpose.
fn keyed_hash(key: &Key, purpose: &str, message: &[u8]) -> Key {
    // HMAC takes keys of any length, so the key cannot be refused.
    let Ok(mac) = <Hmac<Sha256> as Mac>::new_from_slice(key) else { return [0; 32] };
    let mac = mac.chain_update(purpose.as_bytes()).chain_update([0]).chain_update(message);
    mac.finalize().into_bytes().into()
}
