//! Which birth date counts: people may correct theirs once, and nobody walks through an age gate by that.

use serde::{Deserialize, Serialize};

use crate::person::SealedProfile;

/// What a change of a profile did to the birth date, which is sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum BirthDateChange {
    /// Nothing.
    #[default]
    Unchanged,
    /// It makes the person as young as the one that counted until now, or younger.
    Younger,
    /// It makes them older.
    Older,
}

/// What a member of the staff saw before they confirmed a birth date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Evidence {
    /// A document with a photograph.
    IdentityDocument,
    /// What a parent or a guardian said.
    Guardian,
    /// Nothing: the store itself had made a mistake.
    StoreError,
}

/// How the store knows how old somebody is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum AgeSource {
    /// They said so.
    #[default]
    SelfDeclared,
    /// The staff have seen proof.
    StaffConfirmed,
}

/// How old somebody is, for age gates. Signals from outside, such as those of operating systems, come in by this as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeSignal {
    /// Completed years of life, today.
    pub years: u32,
    /// How the store knows.
    pub source: AgeSource,
}

/// What is known of a person's age beside their birth date.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Age {
    /// Whether its owner has used the one correction that they have.
    pub is_corrected: bool,
    /// The data with the birth date that counts, where that is not the one in the profile: the most restrictive one that
    /// was seen since the staff last confirmed one.
    pub restricted_to: Option<Box<SealedProfile>>,
    /// How the store knows the birth date that counts.
    pub source: AgeSource,
}

impl Age {
    /// After a profile took the place of another one.
    pub(super) fn change(&mut self, change: BirthDateChange, before: &SealedProfile) {
        match change {
            BirthDateChange::Unchanged => return,
            BirthDateChange::Younger => (self.restricted_to, self.source) = (None, AgeSource::SelfDeclared),
            BirthDateChange::Older => {
                self.restricted_to.get_or_insert_with(|| Box::new(before.clone()));
            }
        }
        self.is_corrected = true;
    }

    /// After the staff have let a birth date count: what corrects a slip of theirs proves nothing.
    pub(super) fn confirm(&mut self, evidence: Evidence) {
        let source = match evidence {
            Evidence::IdentityDocument | Evidence::Guardian => AgeSource::StaffConfirmed,
            Evidence::StoreError => AgeSource::SelfDeclared,
        };
        (self.restricted_to, self.source) = (None, source);
    }
}
