//! What the store knows of a person, in clear for as long as a request lasts, and sealed for ever after.

use std::fmt;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::email::Email;
use crate::id::EventId;
use crate::text::Text;

/// Why a person's data was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPerson {
    /// No e-mail address by RFC 5322, or longer than 254 characters.
    #[error("must be an e-mail address")]
    Email,
    /// A birth date of today or later.
    #[error("must be in the past")]
    NotBorn,
    /// A birth date before any living person's.
    #[error("must not be before 1900")]
    TooOld,
}

/// How a person wants to be called: 1 to 120 characters.
pub type PersonName = Text<1, 120>;

/// The day a person was born.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BirthDate(NaiveDate);

impl BirthDate {
    /// Accepts a date between 1900 and yesterday.
    ///
    /// # Errors
    /// [`InvalidPerson`] for any other.
    pub fn parse(date: NaiveDate, today: NaiveDate) -> Result<Self, InvalidPerson> {
        match date {
            date if date >= today => Err(InvalidPerson::NotBorn),
            date if date.year() < 1900 => Err(InvalidPerson::TooOld),
            date => Ok(Self(date)),
        }
    }

    /// Completed years of life on a day.
    #[must_use]
    pub fn age_on(self, day: NaiveDate) -> u32 {
        day.years_since(self.0).unwrap_or(0)
    }

    /// The date itself.
    #[must_use]
    pub const fn date(self) -> NaiveDate {
        self.0
    }
}

impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BirthDate(…)")
    }
}

/// A person's data in clear. Lives in requests, read models and mail, never in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Shown in the store and in mail.
    pub name: PersonName,
    /// Where mail goes, and what one logs in with.
    pub email: Email,
    /// Decides which games may be bought.
    pub birth_date: BirthDate,
}

/// An encrypted value that only the vault can open, while it still has the person's key: a character that names how it
/// was sealed, and base64.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Sealed(pub String);

/// A [`Profile`] as it stands in events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SealedProfile {
    /// The event that carries it; a sealed value opens nowhere else.
    pub sealed_in: EventId,
    /// The sealed name.
    pub name: Sealed,
    /// The sealed address.
    pub email: Sealed,
    /// The sealed date.
    pub birth_date: Sealed,
}

/// An [`Email`] as it stands in an event before it is part of the profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SealedEmail {
    /// The event that carries it.
    pub sealed_in: EventId,
    /// The sealed address.
    pub email: Sealed,
}
