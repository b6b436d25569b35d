use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use domain::{BirthDate, Email, EventId, PersonName, Profile, Sealed, SealedEmail, SealedProfile, UserId};
use rand::RngCore;
use uuid::Uuid;

use super::exchange::FOREIGN_KEY_VIOLATION;
use super::{OPENED_FOR, Vault};
use crate::connect::once_more;
use crate::{JournalError, is_violation};

const NONCE: usize = 24;
/// Names the way of sealing, in front of what it sealed: another way gets another character.
const XCHACHA20_POLY1305: char = '1';
const UNREADABLE: &str = "not the text that was sealed";

/// A person's own key. What it seals opens only for that person, event and field.
pub struct SubjectKey {
    user: UserId,
    cipher: XChaCha20Poly1305,
}

impl Vault {
    /// The person's key, made now if there never was one.
    ///
    /// # Errors
    /// When the person was erased, the database does not answer, or the stored key does not open.
    pub async fn create_subject(&self, user: UserId) -> Result<SubjectKey, JournalError> {
        let mut key = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut key);
        // The master key may be exchanged between asking for its id and using it.
        match self.keep_subject(user, &key).await {
            Err(JournalError::Database(error)) if is_violation(&error, FOREIGN_KEY_VIOLATION) => {
                self.keep_subject(user, &key).await?;
            }
            kept => kept?,
        }
        self.subject(user).await?.ok_or(JournalError::Sealed("the key was destroyed meanwhile"))
    }

    async fn keep_subject(&self, user: UserId, key: &[u8; 32]) -> Result<(), JournalError> {
        let id: String =
            once_more(|| sqlx::query_scalar("select id from vault.master_key where wraps").fetch_one(self.pool()))
                .await?;
        let wrapped = encrypt(&self.keyring.by_id(Some(&id))?.cipher(), user.as_uuid().as_bytes(), key)?;
        sqlx::query(
            "insert into vault.subject_keys (user_id, wrapped_key, wrapped_by) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(user.as_uuid())
        .bind(wrapped)
        .bind(id)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// The person's key; none after erasure.
    ///
    /// # Errors
    /// When the database does not answer or the stored key does not open.
    pub async fn subject(&self, user: UserId) -> Result<Option<SubjectKey>, JournalError> {
        let row: Option<(Option<Vec<u8>>, Option<String>)> = once_more(|| {
            sqlx::query_as("select wrapped_key, wrapped_by from vault.subject_keys where user_id = $1")
                .bind(user.as_uuid())
                .fetch_optional(self.pool())
        })
        .await?;
        let Some((Some(wrapped), by)) = row else { return Ok(None) };
        let key = decrypt(&self.keyring.by_id(by.as_deref())?.cipher(), user.as_uuid().as_bytes(), &wrapped)?;
        let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| JournalError::Sealed("key length"))?;
        Ok(Some(SubjectKey { user, cipher }))
    }

    /// The same, though it may have been destroyed within the last minute. Only for what is appended on the condition that
    /// the person was not erased.
    ///
    /// # Errors
    /// As [`Vault::subject`].
    pub async fn cached_subject(&self, user: UserId) -> Result<Option<Arc<SubjectKey>>, JournalError> {
        let opened = self.opened().get(&user).filter(|(since, _)| since.elapsed() < OPENED_FOR).cloned();
        if let Some((_, key)) = opened {
            return Ok(Some(key));
        }
        let key = self.subject(user).await?.map(Arc::new);
        let mut opened = self.opened();
        match &key {
            Some(key) => opened.put(user, (Instant::now(), key.clone())),
            None => opened.pop(&user),
        };
        Ok(key)
    }

    /// Forgets everything about a person: key, password, sessions, answers. Their sealed data is noise from now on, and
    /// their id is never given a key again.
    ///
    /// # Errors
    /// When the database does not answer; nothing is forgotten then.
    pub async fn forget(&self, user: UserId) -> Result<(), JournalError> {
        let mut tx = self.pool().begin().await?;
        for forget in [
            "insert into vault.subject_keys (user_id) values ($1) on conflict (user_id) do update set wrapped_key = null, wrapped_by = null",
            "delete from vault.credentials where user_id = $1",
            "delete from vault.sessions where user_id = $1",
            "delete from vault.authenticators where user_id = $1",
            "delete from vault.recovery_codes where user_id = $1",
            "delete from vault.ceremonies where user_id = $1",
            "delete from vault.devices where user_id = $1",
            "delete from vault.api_keys where user_id = $1",
            "delete from vault.preferences where user_id = $1",
            "delete from journal.answers where caller = $1",
        ] {
            sqlx::query(forget).bind(user.as_uuid()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        self.opened().pop(&user);
        Ok(())
    }

    /// Removes what was kept for an account that did not come to be.
    ///
    /// # Errors
    /// When the database does not answer; nothing is removed then.
    pub async fn discard(&self, user: UserId) -> Result<(), JournalError> {
        let mut tx = self.pool().begin().await?;
        for table in ["subject_keys", "credentials", "preferences"] {
            let discard = format!("delete from vault.{table} where user_id = $1");
            sqlx::query(&discard).bind(user.as_uuid()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

impl SubjectKey {
    /// Seals a person's data for one event.
    ///
    /// # Errors
    /// When the cipher refuses, which it does only beyond 256 GiB.
    pub fn seal(&self, event: EventId, profile: &Profile) -> Result<SealedProfile, JournalError> {
        Ok(SealedProfile {
            sealed_in: event,
            name: self.seal_field(event, "name", profile.name.as_str())?,
            email: self.seal_field(event, "email", profile.email.as_str())?,
            birth_date: self.seal_field(event, "birth_date", &profile.birth_date.date().to_string())?,
        })
    }

    /// Seals an address for one event.
    ///
    /// # Errors
    /// As [`SubjectKey::seal`].
    pub fn seal_email(&self, event: EventId, email: &Email) -> Result<SealedEmail, JournalError> {
        Ok(SealedEmail { sealed_in: event, email: self.seal_field(event, "email", email.as_str())? })
    }

    fn seal_field(&self, event: EventId, field: &str, value: &str) -> Result<Sealed, JournalError> {
        let sealed = encrypt(&self.cipher, &self.bound_to(event, field), value.as_bytes())?;
        Ok(Sealed(format!("{XCHACHA20_POLY1305}{}", BASE64_STANDARD_NO_PAD.encode(sealed))))
    }

    /// Seals what the vault keeps of this person under an id.
    ///
    /// # Errors
    /// As [`SubjectKey::seal`].
    pub fn seal_bytes(&self, id: Uuid, clear: &[u8]) -> Result<Vec<u8>, JournalError> {
        encrypt(&self.cipher, &self.kept_under(id), clear)
    }

    /// Opens what was sealed under an id.
    ///
    /// # Errors
    /// [`JournalError::Sealed`] when it was sealed for another person or id, or was changed.
    pub fn open_bytes(&self, id: Uuid, sealed: &[u8]) -> Result<Vec<u8>, JournalError> {
        decrypt(&self.cipher, &self.kept_under(id), sealed)
    }

    fn kept_under(&self, id: Uuid) -> Vec<u8> {
        [self.user.as_uuid().as_bytes().as_slice(), id.as_bytes(), b"kept"].concat()
    }

    /// Opens what was sealed for this person in the event that the profile names.
    ///
    /// # Errors
    /// [`JournalError::Sealed`] when it was sealed for another person, event or field, or was changed.
    pub fn open(&self, sealed: &SealedProfile) -> Result<Profile, JournalError> {
        let SealedProfile { sealed_in, name, email, birth_date } = sealed;
        let birth_date = self.open_field(*sealed_in, "birth_date", birth_date)?;
        let birth_date = birth_date.parse().map_err(|_| JournalError::Sealed("not a date"))?;
        Ok(Profile {
            name: PersonName::parse(&self.open_field(*sealed_in, "name", name)?)
                .map_err(|_| JournalError::Sealed(UNREADABLE))?,
            email: self.open_address(*sealed_in, email)?,
            birth_date: BirthDate::parse(birth_date, chrono::NaiveDate::MAX)
                .map_err(|_| JournalError::Sealed(UNREADABLE))?,
        })
    }

    /// Opens an address that was sealed for this person in the event that it names.
    ///
    /// # Errors
    /// As [`SubjectKey::open`].
    pub fn open_email(&self, sealed: &SealedEmail) -> Result<Email, JournalError> {
        self.open_address(sealed.sealed_in, &sealed.email)
    }

    fn open_address(&self, event: EventId, sealed: &Sealed) -> Result<Email, JournalError> {
        Email::parse(&self.open_field(event, "email", sealed)?).map_err(|_| JournalError::Sealed(UNREADABLE))
    }

    fn open_field(&self, event: EventId, field: &str, sealed: &Sealed) -> Result<String, JournalError> {
        let text = sealed.0.strip_prefix(XCHACHA20_POLY1305).ok_or(JournalError::Sealed("unknown seal"))?;
        let bytes = BASE64_STANDARD_NO_PAD.decode(text).map_err(|_| JournalError::Sealed("not base64"))?;
        let clear = decrypt(&self.cipher, &self.bound_to(event, field), &bytes)?;
        String::from_utf8(clear).map_err(|_| JournalError::Sealed("not UTF-8"))
    }

    fn bound_to(&self, event: EventId, field: &str) -> Vec<u8> {
        [self.user.as_uuid().as_bytes().as_slice(), event.as_uuid().as_bytes(), field.as_bytes()].concat()
    }
}

pub(super) fn encrypt(cipher: &XChaCha20Poly1305, aad: &[u8], msg: &[u8]) -> Result<Vec<u8>, JournalError> {
    let mut nonce = [0; NONCE];
    rand::rngs::OsRng.fill_bytes(&mut nonce);
    let sealed = cipher
        .encrypt(XNonce::from_slice(&nonce), Payload { msg, aad })
        .map_err(|_| JournalError::Sealed("too long"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

pub(super) fn decrypt(cipher: &XChaCha20Poly1305, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, JournalError> {
    let (nonce, msg) = sealed.split_at_checked(NONCE).ok_or(JournalError::Sealed("too short"))?;
    cipher
        .decrypt(XNonce::from_slice(nonce), Payload { msg, aad })
        .map_err(|_| JournalError::Sealed("wrong key, person, event or field"))
}
