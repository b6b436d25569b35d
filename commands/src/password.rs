//! Passwords: argon2id with OWASP's parameters (19 MiB, two passes, one lane).
//! <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>

use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// A password as somebody typed it: 8 to 128 characters. <https://pages.nist.gov/800-63-4/sp800-63b.html>
#[derive(Debug, Clone)]
pub struct Password(SecretString);

/// Too short or too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must have 8 to 128 characters")]
pub struct InvalidPassword;

impl Password {
    /// Accepts a new password.
    ///
    /// # Errors
    /// [`InvalidPassword`].
    pub fn parse(raw: &str) -> Result<Self, InvalidPassword> {
        if (8..=128).contains(&raw.chars().count()) { Ok(Self(raw.into())) } else { Err(InvalidPassword) }
    }
}

impl Password {
    pub(crate) fn into_secret(self) -> SecretString {
        self.0
    }
}

/// At most as many hashes at once as there are cores: each costs 19 MiB and tens of milliseconds of one of them.
#[derive(Clone)]
pub(crate) struct Hasher {
    slots: Arc<Semaphore>,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { slots: Arc::new(Semaphore::new(cores)) }
    }

    /// The PHC string of a password.
    pub(crate) async fn hash(&self, password: Password) -> Option<String> {
        self.run(move || {
            let hash = Argon2::default().hash_password(password.0.expose_secret().as_bytes()).ok()?;
            Some(hash.to_string())
        })
        .await?
    }

    /// Whether a password is the one behind a PHC string. Takes as long where there is no such account.
    pub(crate) async fn verify(&self, password: SecretString, hash: Option<String>) -> bool {
        let known = hash.is_some();
        let verified = self.run(move || {
            let hash = hash.as_deref().unwrap_or(&NOBODY);
            let hash = PasswordHash::new(hash).ok()?;
            Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).ok()
        });
        // Not `known && verified.await`: that would hash for those only who have an account.
        let verified = verified.await.flatten().is_some();
        known && verified
    }

    /// Works in a slot of its own until it is done, whether anybody still waits for it or not.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let slot = self.slots.clone().acquire_owned().await.ok()?;
        let work = move || {
            let done = work();
            drop(slot);
            done
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// The hash of a password that nobody has, with the same parameters.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let hash = Argon2::default().hash_password(rand::random::<[u8; 16]>().as_slice());
    hash.map(|hash| hash.to_string()).unwrap_or_default()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(slots: usize) -> Hasher {
        Hasher { slots: Arc::new(Semaphore::new(slots)) }
    }

    #[tokio::test]
    async fn a_password_is_hashed_whether_there_is_such_an_account_or_not() {
        let hash = hasher(1).hash(Password::parse("correct horse").unwrap()).await;
        for hash in [None, hash] {
            // Whoever hashes needs a slot, and there is none.
            let full = hasher(0);
            let mut verifying = Box::pin(full.verify("wrong horse".into(), hash));
            assert!(futures::poll!(&mut verifying).is_pending(), "it answered without hashing");
        }
        assert!(!hasher(1).verify("wrong horse".into(), None).await);
        assert!(PasswordHash::new(&NOBODY).is_ok(), "nobody's hash is one");
    }

    #[tokio::test]
    async fn a_slot_is_taken_until_its_hash_is_done() {
        let hasher = hasher(1);
        let mut hashing = Box::pin(hasher.hash(Password::parse("correct horse").unwrap()));
        assert!(futures::poll!(&mut hashing).is_pending());
        // Whoever waited hung up; the hash goes on.
        drop(hashing);
        assert_eq!(hasher.slots.available_permits(), 0);
        assert!(hasher.hash(Password::parse("battery staple").unwrap()).await.is_some());
        assert_eq!(hasher.slots.available_permits(), 1);
    }
}
