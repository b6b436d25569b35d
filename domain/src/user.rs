//! A person's account: who they are (sealed) and what they may do.

use serde::{Deserialize, Serialize};

use crate::aggregate::aggregate;
use crate::id::{CredentialId, UserId};
use crate::person::SealedProfile;

mod access;
mod age;
mod api_key;
mod authenticator;
mod command;
mod error;
mod event;
mod mailbox;
pub(crate) mod stored;
#[cfg(test)]
mod tests;

pub use access::{Access, Reset};
pub use age::{Age, AgeSignal, AgeSource, BirthDateChange, Evidence};
pub use api_key::{ApiKey, ApiKeyName, ApiKeys, Scope};
pub use authenticator::{Authenticator, AuthenticatorKind, AuthenticatorName, Authenticators, PasswordStrength};
pub use command::UserCommand;
pub use error::UserError;
pub use event::UserEvent;
pub use mailbox::{Confirmation, Mailbox};

/// Whether the store asks something of its people, or leaves it to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, strum::EnumString, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Requirement {
    /// It is theirs to decide.
    #[default]
    Optional,
    /// Nobody goes on without.
    Required,
}

/// What an account may do. Given by the store, never chosen by its bearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Role {
    /// Buys games.
    Customer,
    /// Reads event streams.
    Analyst,
    /// Keeps the catalogue and helps buyers.
    Admin,
}

/// The account as its history left it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum User {
    /// Nobody yet.
    #[default]
    New,
    /// A person who can log in.
    Active {
        /// Their data, sealed.
        profile: SealedProfile,
        /// What they may do.
        role: Role,
        /// What opens the account.
        access: Access,
        /// What opens it beside the password.
        authenticators: Box<Authenticators>,
        /// What programs open it with.
        api_keys: Box<ApiKeys>,
        /// What is known of their address.
        mailbox: Mailbox,
        /// What is known of their age.
        age: Age,
        /// How often their data was written, from 1: whoever changes it names the revision that they have seen.
        revision: usize,
    },
    /// Gone for ever; nothing of them can be read.
    Erased,
}

impl User {
    /// What happens if `command` reaches an account in this state.
    ///
    /// # Errors
    /// [`UserError`] names the rule in the way.
    pub fn decide(&self, command: UserCommand) -> Result<Vec<UserEvent>, UserError> {
        match (self, command) {
            (Self::New, UserCommand::Register { profile, role, awaits_confirmation }) => {
                Ok(vec![UserEvent::UserRegistered { profile, role, awaits_confirmation }])
            }
            (_, UserCommand::Register { .. }) => Err(UserError::AlreadyRegistered),
            (Self::New, _) => Err(UserError::UnknownUser),
            // Asking twice to be forgotten changes nothing.
            (Self::Erased, UserCommand::Erase) => Ok(vec![]),
            (Self::Erased, _) => Err(UserError::UserErased),
            (Self::Active { .. }, UserCommand::NoteRegistration) => Ok(vec![UserEvent::UserRegistrationRepeated {}]),
            (Self::Active { age, .. }, UserCommand::ChangeProfile { profile, address_changed, birth_date }) => {
                if birth_date != BirthDateChange::Unchanged && age.is_corrected {
                    return Err(UserError::BirthDateCorrected);
                }
                let changed = UserEvent::UserProfileChanged { profile, address_changed, birth_date };
                let asked = address_changed.then_some(UserEvent::UserEmailConfirmationRequested {});
                Ok([changed].into_iter().chain(asked).collect())
            }
            (Self::Active { .. }, UserCommand::RequestEmailChange { address }) => {
                Ok(vec![UserEvent::UserEmailChangeRequested { address }])
            }
            (Self::Active { mailbox, .. }, UserCommand::ChangeEmail { profile }) => {
                mailbox.next.as_ref().ok_or(UserError::ConfirmationOver)?;
                let birth_date = BirthDateChange::Unchanged;
                let changed = UserEvent::UserProfileChanged { profile, address_changed: true, birth_date };
                Ok(vec![changed, UserEvent::UserEmailConfirmed {}])
            }
            (
                Self::Active { mailbox: Mailbox { confirmation: Confirmation::Given, .. }, .. },
                UserCommand::RequestEmailConfirmation | UserCommand::ConfirmEmail,
            ) => Ok(vec![]),
            (Self::Active { .. }, UserCommand::RequestEmailConfirmation) => {
                Ok(vec![UserEvent::UserEmailConfirmationRequested {}])
            }
            (Self::Active { .. }, UserCommand::ConfirmEmail) => Ok(vec![UserEvent::UserEmailConfirmed {}]),
            (Self::Active { .. }, UserCommand::ConfirmBirthDate { profile, evidence }) => {
                Ok(vec![UserEvent::UserBirthDateConfirmed { profile, evidence }])
            }
            (
                Self::Active { access, authenticators, .. },
                UserCommand::ChangePassword { credential, believed_in, is_weak },
            ) => {
                if believed_in.is_some_and(|generation| generation != access.generation) {
                    return Err(UserError::PasswordChangedMeanwhile);
                }
                authenticators.must_allow(is_weak)?;
                Ok(vec![access.changed_to(credential)])
            }
            (Self::Active { access, .. }, UserCommand::RequestPasswordReset { request, now }) => {
                let Reset { request, until } = access.reset_for(request, now);
                Ok(vec![UserEvent::UserPasswordResetRequested { request, until }])
            }
            (
                Self::Active { access, mailbox, authenticators, api_keys, .. },
                UserCommand::ResetPassword { request, credential, is_weak, now },
            ) => {
                access.reset.filter(|reset| reset.allows(request, now)).ok_or(UserError::ResetOver)?;
                authenticators.must_allow(is_weak)?;
                // The link came by mail.
                let changed = access.changed_to(credential);
                if mailbox.confirmation == Confirmation::Given {
                    return Ok(vec![changed]);
                }
                // Whoever opened the account may not be the one who reads its mail.
                if is_weak {
                    return Err(UserError::PasswordTooWeak);
                }
                let others = [authenticators.remove_all(), api_keys.revoke_all()].concat();
                Ok([vec![changed, UserEvent::UserEmailConfirmed {}], others].concat())
            }
            (Self::Active { authenticators, .. }, UserCommand::AddAuthenticator { authenticator }) => {
                authenticators.add(authenticator)
            }
            (
                Self::Active { access, authenticators, .. },
                UserCommand::RemoveAuthenticator { authenticator, password },
            ) => authenticators.remove(authenticator, password, access.credential),
            (Self::Active { authenticators, api_keys, .. }, UserCommand::LeaveThePassword) => {
                Ok([authenticators.remove_all(), api_keys.revoke_all()].concat())
            }
            (Self::Active { .. }, UserCommand::NoteNewDevice { session }) => {
                Ok(vec![UserEvent::UserLoggedInOnNewDevice { session }])
            }
            (Self::Active { api_keys, .. }, UserCommand::MakeApiKey { key, role, now }) => api_keys.add(role, key, now),
            (Self::Active { api_keys, .. }, UserCommand::RevokeApiKey { key }) => Ok(api_keys.revoke(key)),
            (Self::Active { .. }, UserCommand::UseRecoveryCode) => Ok(vec![UserEvent::UserRecoveryCodeUsed {}]),
            (Self::Active { access, .. }, UserCommand::EndSessions) => {
                Ok(vec![UserEvent::UserSessionsEnded { generation: access.next_generation() }])
            }
            (Self::Active { role: current, .. }, UserCommand::ChangeRole { role }) if *current == role => Ok(vec![]),
            (Self::Active { .. }, UserCommand::ChangeRole { role }) => Ok(vec![UserEvent::UserRoleChanged { role }]),
            (Self::Active { role: Role::Admin, .. }, UserCommand::Erase) => Err(UserError::AdminCannotBeErased),
            (Self::Active { .. }, UserCommand::Erase) => Ok(vec![UserEvent::UserErased {}]),
        }
    }

    /// The password that opens the account of this id.
    #[must_use]
    pub fn credential(&self, user: UserId) -> CredentialId {
        let chosen = match self {
            Self::Active { access, .. } => access.credential,
            Self::New | Self::Erased => None,
        };
        chosen.unwrap_or(CredentialId::first_of(user))
    }

    /// The person's data with the birth date that age gates count, and how the store knows that.
    #[must_use]
    pub fn age_gate(&self) -> Option<(&SealedProfile, AgeSource)> {
        match self {
            Self::Active { profile, age, .. } => Some((age.restricted_to.as_deref().unwrap_or(profile), age.source)),
            Self::New | Self::Erased => None,
        }
    }

    /// The state after a fact.
    pub fn evolve(&mut self, event: UserEvent) {
        match (event, &mut *self) {
            (UserEvent::UserRegistered { profile, role, awaits_confirmation }, _) => {
                let confirmation = if awaits_confirmation { Confirmation::Awaited } else { Confirmation::Missing };
                let mailbox = Mailbox { confirmation, next: None };
                let (access, age) = (Access::default(), Age::default());
                let (authenticators, api_keys) = (Box::default(), Box::default());
                *self = Self::Active { profile, role, access, authenticators, api_keys, mailbox, age, revision: 1 };
            }
            (UserEvent::UserErased {}, _) => *self = Self::Erased,
            (event, Self::Active { profile, role, access, authenticators, api_keys, mailbox, age, revision }) => {
                match event {
                    UserEvent::UserProfileChanged { profile: new, address_changed, birth_date } => {
                        age.change(birth_date, profile);
                        (*profile, mailbox.next) = (new, None);
                        *revision = revision.saturating_add(1);
                        if address_changed {
                            // A link may have gone to the address before.
                            (access.reset, *mailbox) = (None, Mailbox::default());
                        }
                    }
                    UserEvent::UserBirthDateConfirmed { profile: new, evidence } => {
                        (*profile, *revision) = (new, revision.saturating_add(1));
                        age.confirm(evidence);
                    }
                    UserEvent::UserRoleChanged { role: new } => *role = new,
                    UserEvent::UserPasswordChanged { credential, generation } => {
                        // Whoever asked for another address may have known the password before.
                        mailbox.next = None;
                        *access = Access { credential: Some(credential), generation, reset: None };
                    }
                    UserEvent::UserPasswordResetRequested { request, until } => {
                        access.reset = Some(Reset { request, until });
                    }
                    UserEvent::UserAuthenticatorAdded { authenticator: id, kind } => {
                        authenticators.note_added(Authenticator { id, kind });
                    }
                    UserEvent::UserApiKeyMade { key: id, scopes, expires_at } => {
                        api_keys.note_made(ApiKey { id, scopes, expires_at });
                    }
                    UserEvent::UserApiKeyRevoked { key } => api_keys.note_revoked(key),
                    UserEvent::UserAuthenticatorRemoved { authenticator } => authenticators.note_removed(authenticator),
                    UserEvent::UserSessionsEnded { generation } => {
                        mailbox.next = None;
                        (access.generation, access.reset) = (generation, None);
                    }
                    UserEvent::UserEmailChangeRequested { address } => mailbox.next = Some(Box::new(address)),
                    UserEvent::UserEmailConfirmed {} => mailbox.confirmation = Confirmation::Given,
                    UserEvent::UserEmailConfirmationRequested {}
                    | UserEvent::UserRegistrationRepeated {}
                    | UserEvent::UserRecoveryCodeUsed {}
                    | UserEvent::UserLoggedInOnNewDevice { .. }
                    | UserEvent::UserRegistered { .. }
                    | UserEvent::UserErased {} => (),
                }
            }
            (_, Self::New | Self::Erased) => (),
        }
    }
}

aggregate!(User, "user", UserCommand, UserEvent, UserError, stored::Stored);
