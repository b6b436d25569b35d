//! Passwords: argon2id with OWASP's parameters (19 MiB, two passes, one lane).
//! <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>

use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

/// A new password: 15 to 128 characters, or 8 beside a second factor, and none that is soon guessed. Nothing is asked of
/// what it is made of.
/// <https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver>
#[derive(Debug, Clone)]
pub struct Password {
    secret: SecretString,
    is_weak: bool,
}

/// Why a password was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Too short or too long.
    #[error("must have {least} to 128 characters")]
    Length {
        /// How many it must have.
        least: usize,
    },
    /// Common, or made of what everybody tries first.
    #[error("is too easy to guess; several unrelated words make a good one")]
    Guessable,
    /// Nothing would change.
    #[error("must be another than the one before")]
    Same,
}

/// How hard a password is to guess, from 0 to 4, as zxcvbn counts: 10³, 10⁶, 10⁸ and 10¹⁰ guesses are the steps.
/// <https://www.usenix.org/conference/usenixsecurity16/technical-sessions/presentation/wheeler>
pub(crate) fn strength(password: &str, known: &[&str]) -> u8 {
    let known: Vec<&str> = known.iter().copied().filter(|text| text.len() <= LONGEST_KNOWN).take(MOST_KNOWN).collect();
    let words =
        known.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty());
    let known: Vec<&str> = known.iter().copied().chain(words).chain(["ludoteca"]).collect();
    // It takes longer the longer the text is, and by then it says nothing new.
    let begin: String = password.nfkc().take(MEASURED).collect();
    zxcvbn::zxcvbn(&begin, &known).score().into()
}

/// How many characters a password must have that opens an account alone, and beside a second factor.
const LEAST: usize = 15;
const LEAST_BESIDE: usize = 8;
/// What a password must reach at least, and beside a second factor, where eight characters cannot be more.
const STRENGTH: u8 = 3;
const STRENGTH_BESIDE: u8 = 2;
/// How much of what is known of somebody counts: as long as an address, and a few of them.
const LONGEST_KNOWN: usize = 254;
const MOST_KNOWN: usize = 8;
/// How much of a password is measured.
const MEASURED: usize = 64;

impl Password {
    /// Accepts a new password of somebody who is known by certain words, such as a name and an address: they do not make
    /// it any better.
    ///
    /// # Errors
    /// [`InvalidPassword`].
    pub fn parse(raw: &str, known: &[&str]) -> Result<Self, InvalidPassword> {
        Self::parse_from((LEAST, STRENGTH), raw, known)
    }

    /// As [`Password::parse`], where a second factor has to be shown with it.
    pub(crate) fn parse_beside_second_factor(raw: &str, known: &[&str]) -> Result<Self, InvalidPassword> {
        Self::parse_from((LEAST_BESIDE, STRENGTH_BESIDE), raw, known)
    }

    fn parse_from((least, hardness): (usize, u8), raw: &str, known: &[&str]) -> Result<Self, InvalidPassword> {
        let password: String = raw.nfkc().collect();
        let length = password.chars().count();
        if !(least..=128).contains(&length) {
            return Err(InvalidPassword::Length { least });
        }
        let reached = strength(&password, known);
        if reached < hardness {
            return Err(InvalidPassword::Guessable);
        }
        Ok(Self { secret: password.into(), is_weak: length < LEAST || reached < STRENGTH })
    }

    /// Whether it is good only beside a second factor.
    pub(crate) fn is_weak(&self) -> bool {
        self.is_weak
    }

    pub(crate) fn into_secret(self) -> SecretString {
        self.secret
    }
}

/// One form for whatever a keyboard makes of the same characters.
fn normal(password: &SecretString) -> SecretString {
    SecretString::from(password.expose_secret().nfkc().collect::<String>())
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
            let hash = Argon2::default().hash_password(password.secret.expose_secret().as_bytes()).ok()?;
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
            Argon2::default().verify_password(normal(&password).expose_secret().as_bytes(), &hash).ok()
        });
        // Not `known && verified.await`: that would hash for those only who have an account.
        let verified = verified.await.flatten().is_some();
        known && verified
    }

    /// Works in a slot of its own until it is done, whether anybody still waits for it or not.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
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

    #[test]
    fn a_new_password_is_long_and_hard_to_guess() {
        for (password, refused) in [
            ("fourteen chars", InvalidPassword::Length { least: 15 }),
            ("a".repeat(129).as_str(), InvalidPassword::Length { least: 15 }),
            ("aaaaaaaaaaaaaaaa", InvalidPassword::Guessable),
            ("passwordpassword", InvalidPassword::Guessable),
            ("12345678901234567890", InvalidPassword::Guessable),
            ("qwertyuiopasdfghjkl", InvalidPassword::Guessable),
            // Fullwidth letters are the same password.
            ("\u{ff50}\u{ff41}\u{ff53}\u{ff53}\u{ff57}\u{ff4f}\u{ff52}\u{ff44}password", InvalidPassword::Guessable),
            ("ana.zenobia@example.com", InvalidPassword::Guessable),
            ("zenobiaLudoteca", InvalidPassword::Guessable),
        ] {
            let known = ["Ana Zenobia", "ana.zenobia@example.com"];
            assert_eq!(Password::parse(password, &known).unwrap_err(), refused, "{password}");
        }
        for password in ["correct horse battery", "umbrella kettle fourteen", "😀 fünfzehn Zeichen €"] {
            assert!(Password::parse(password, &[]).is_ok(), "{password}");
        }
    }

    #[test]
    fn beside_a_second_factor_eight_characters_are_enough_where_they_are_hard_to_guess() {
        let short = Password::parse_beside_second_factor("tk7#Vq2m", &[]).unwrap();
        assert!(short.is_weak());
        assert!(!Password::parse_beside_second_factor("correct horse battery", &[]).unwrap().is_weak());
        let long_and_weak = "password!password!Zq";
        assert_eq!(Password::parse(long_and_weak, &[]).unwrap_err(), InvalidPassword::Guessable);
        assert!(Password::parse_beside_second_factor(long_and_weak, &[]).is_ok_and(|password| password.is_weak()));
        for (password, refused) in
            [("tk7#Vq2", InvalidPassword::Length { least: 8 }), ("password1", InvalidPassword::Guessable)]
        {
            assert_eq!(Password::parse_beside_second_factor(password, &[]).unwrap_err(), refused, "{password}");
        }
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_a_keyboard_composes_it() {
        let composed = Password::parse("caf\u{e9} of the umbrella", &[]).unwrap();
        let hash = hasher(1).hash(composed).await;
        assert!(hasher(1).verify("cafe\u{301} of the umbrella".into(), hash).await);
    }

    fn hasher(slots: usize) -> Hasher {
        Hasher { slots: Arc::new(Semaphore::new(slots)) }
    }

    #[tokio::test]
    async fn a_password_is_hashed_whether_there_is_such_an_account_or_not() {
        let hash = hasher(1).hash(Password::parse("correct horse of a staple", &[]).unwrap()).await;
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
        let mut hashing = Box::pin(hasher.hash(Password::parse("correct horse of a staple", &[]).unwrap()));
        assert!(futures::poll!(&mut hashing).is_pending());
        // Whoever waited hung up; the hash goes on.
        drop(hashing);
        assert_eq!(hasher.slots.available_permits(), 0);
        assert!(hasher.hash(Password::parse("battery of a staple horse", &[]).unwrap()).await.is_some());
        assert_eq!(hasher.slots.available_permits(), 1);
    }
}
