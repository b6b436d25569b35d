//! What opens an account beside its password: passkeys, apps that show one-time passwords, and recovery codes. The words
//! are those of NIST SP 800-63B-4, section 3.

use serde::{Deserialize, Serialize};

use super::{UserError, UserEvent};
use crate::id::{AuthenticatorId, CredentialId};
use crate::text::Text;

/// How many an account may have.
const MOST: usize = 20;

/// What its holder calls it, such as the device that it is on.
pub type AuthenticatorName = Text<1, 60>;

/// How somebody proves that they hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum AuthenticatorKind {
    /// A key pair on a device, which asks for a finger, a face or a PIN (`WebAuthn`); opens the account alone.
    Passkey,
    /// An app that shows a six-digit code for half a minute (RFC 6238); goes with the password.
    Totp,
    /// Ten codes on paper, good once each; they go with the password, where all else is lost.
    RecoveryCodes,
}

/// Something that somebody holds. What proves it, the vault keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticator {
    /// Which.
    pub id: AuthenticatorId,
    /// How it is proven.
    pub kind: AuthenticatorKind,
}

/// What a password must be worth that opens an account alone, as the vault knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordStrength {
    /// Which password; that of the registration where there is none.
    pub credential: Option<CredentialId>,
    /// Whether it is good only beside a second factor.
    pub is_weak: bool,
}

/// All that an account has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Authenticators(Vec<Authenticator>);

impl Authenticators {
    /// Those that open the account, or guard it with the password: recovery codes only stand in for them.
    #[must_use]
    pub fn has_second_factor(&self) -> bool {
        self.0.iter().any(|held| held.kind != AuthenticatorKind::RecoveryCodes)
    }

    /// In the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Authenticator> {
        self.0.iter()
    }

    /// The one of a kind of which there is one at most, or the last that was added.
    #[must_use]
    pub fn of_kind(&self, kind: AuthenticatorKind) -> Option<AuthenticatorId> {
        self.0.iter().rfind(|held| held.kind == kind).map(|held| held.id)
    }

    /// Whether it is one of these, and of this kind.
    #[must_use]
    pub fn contains(&self, authenticator: Authenticator) -> bool {
        self.0.contains(&authenticator)
    }

    pub(super) fn add(&self, added: Authenticator) -> Result<Vec<UserEvent>, UserError> {
        if self.contains(added) {
            return Ok(vec![]);
        }
        if added.kind == AuthenticatorKind::RecoveryCodes && !self.has_second_factor() {
            return Err(UserError::NoSecondFactor);
        }
        let mut then = self.clone();
        then.note_added(added);
        if then.0.len() > MOST {
            return Err(UserError::TooManyAuthenticators);
        }
        let Authenticator { id: authenticator, kind } = added;
        Ok(vec![UserEvent::UserAuthenticatorAdded { authenticator, kind }])
    }

    pub(super) fn remove(
        &self,
        removed: AuthenticatorId,
        known: PasswordStrength,
        counts: Option<CredentialId>,
    ) -> Result<Vec<UserEvent>, UserError> {
        if !self.0.iter().any(|held| held.id == removed) {
            return Ok(vec![]);
        }
        let mut rest = self.clone();
        rest.note_removed(removed);
        if !rest.has_second_factor() {
            if known.credential != counts {
                return Err(UserError::PasswordChangedMeanwhile);
            }
            rest.must_allow(known.is_weak)?;
        }
        Ok(vec![UserEvent::UserAuthenticatorRemoved { authenticator: removed }])
    }

    pub(super) fn remove_all(&self) -> Vec<UserEvent> {
        self.0.iter().map(|held| UserEvent::UserAuthenticatorRemoved { authenticator: held.id }).collect()
    }

    /// Whether a password that is good only beside a second factor has one beside it.
    pub(super) fn must_allow(&self, is_weak: bool) -> Result<(), UserError> {
        if is_weak && !self.has_second_factor() { Err(UserError::PasswordTooWeak) } else { Ok(()) }
    }

    /// Passkeys come beside each other, the rest replaces what there is of its kind.
    pub(super) fn note_added(&mut self, added: Authenticator) {
        self.0.retain(|held| held.kind == AuthenticatorKind::Passkey || held.kind != added.kind);
        self.0.push(added);
    }

    /// Recovery codes go with the last thing that they stand in for.
    pub(super) fn note_removed(&mut self, removed: AuthenticatorId) {
        self.0.retain(|held| held.id != removed);
        if !self.has_second_factor() {
            self.0.clear();
        }
    }
}
