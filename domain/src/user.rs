//! A person's account: who they are (sealed) and what they may do.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::aggregate::aggregate;
use crate::id::{CommandId, CredentialId, UserId};
use crate::person::{SealedEmail, SealedProfile};

mod access;
mod age;
mod mailbox;
mod stored;
#[cfg(test)]
mod tests;

pub use access::{Access, Reset};
pub use age::{Age, AgeSignal, AgeSource, BirthDateChange, Evidence};
pub use mailbox::{Confirmation, EmailConfirmation, Mailbox};

/// What an account may do. Given by the store, never chosen by its bearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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

/// What can be asked of an account.
#[derive(Debug, Clone)]
pub enum UserCommand {
    /// Open an account.
    Register {
        /// The person's data.
        profile: SealedProfile,
        /// What they may do.
        role: Role,
        /// Whether the account opens only once its address is confirmed.
        awaits_confirmation: bool,
    },
    /// Tell the owner that somebody tried to open another account with their address.
    NoteRegistration,
    /// Replace the person's data.
    ChangeProfile {
        /// All of it.
        profile: SealedProfile,
        /// Whether the address is another one.
        address_changed: bool,
        /// What became of the birth date.
        birth_date: BirthDateChange,
    },
    /// Take another address once it is confirmed.
    RequestEmailChange {
        /// The new one.
        address: SealedEmail,
    },
    /// Take the address that was asked for; a link that was sent there was followed.
    ChangeEmail {
        /// All of the person's data, with the new address.
        profile: SealedProfile,
    },
    /// Send a link to the address.
    RequestEmailConfirmation,
    /// Count the address as confirmed; a link that was sent there was followed.
    ConfirmEmail,
    /// Let a birth date count that a member of the staff has seen proof of.
    ConfirmBirthDate {
        /// All of the person's data, with the birth date.
        profile: SealedProfile,
        /// What they saw.
        evidence: Evidence,
    },
    /// Give another role.
    ChangeRole {
        /// The new one.
        role: Role,
    },
    /// Let another password open the account, and end all sessions.
    ChangePassword {
        /// The new one.
        credential: CredentialId,
        /// Which generation of sessions there was when whoever asks was believed; any where nobody had to be.
        believed_in: Option<u32>,
    },
    /// Let somebody who forgot the password choose another one, for a while.
    RequestPasswordReset {
        /// What asks; the link that is sent says so, unless one that was sent lately is sent again.
        request: CommandId,
        /// When.
        now: DateTime<Utc>,
    },
    /// Let the password that was chosen by such a link open the account, and end all sessions.
    ResetPassword {
        /// What the link was asked for by.
        request: CommandId,
        /// The new one.
        credential: CredentialId,
        /// When.
        now: DateTime<Utc>,
    },
    /// Log the person out everywhere.
    EndSessions,
    /// Forget the person.
    Erase,
}

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr, strum::VariantNames)]
pub enum UserEvent {
    /// An account was opened.
    UserRegistered {
        /// Sealed data.
        profile: SealedProfile,
        /// Its first role.
        role: Role,
        /// Whether it opens only once its address is confirmed.
        awaits_confirmation: bool,
    },
    /// Somebody tried to open another account with the same address.
    UserRegistrationRepeated {},
    /// The person changed their data.
    UserProfileChanged {
        /// All of it, sealed anew.
        profile: SealedProfile,
        /// Whether the address is another one.
        address_changed: bool,
        /// What became of the birth date.
        birth_date: BirthDateChange,
    },
    /// The person wants another address; it counts once it is confirmed.
    UserEmailChangeRequested {
        /// The new one, sealed.
        address: SealedEmail,
    },
    /// A link to confirm the address is to be sent there.
    UserEmailConfirmationRequested {},
    /// The owner of the account reads the mail to its address.
    UserEmailConfirmed {},
    /// A member of the staff has seen proof of the birth date.
    UserBirthDateConfirmed {
        /// All of the person's data, sealed anew.
        profile: SealedProfile,
        /// What they saw.
        evidence: Evidence,
    },
    /// An admin gave another role.
    UserRoleChanged {
        /// The new one.
        role: Role,
    },
    /// Another password opens the account; the one before no longer does.
    UserPasswordChanged {
        /// The new one.
        credential: CredentialId,
        /// Sessions of earlier generations are over.
        generation: u32,
    },
    /// Somebody asked for a link to choose another password.
    UserPasswordResetRequested {
        /// What asked; the link says so.
        request: CommandId,
        /// Until when the link may be used.
        until: DateTime<Utc>,
    },
    /// The person was logged out everywhere.
    UserSessionsEnded {
        /// Sessions of earlier generations are over.
        generation: u32,
    },
    /// The person was forgotten; the key of their data is destroyed.
    UserErased {},
}

/// Why an account refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum UserError {
    /// The id is taken.
    #[error("this account exists already")]
    AlreadyRegistered,
    /// Nobody has this id.
    #[error("there is no such account")]
    UnknownUser,
    /// Erased is final.
    #[error("this account was erased")]
    UserErased,
    /// The store must not lose its last admin by a slip.
    #[error("an admin's account cannot be erased; it must be given another role first")]
    AdminCannotBeErased,
    /// Somebody else changed the password, or logged the person out, since the old one was checked.
    #[error("your password was changed meanwhile; log in again")]
    PasswordChangedMeanwhile,
    /// The link was used, is too old, or was followed by another one.
    #[error("this link has expired or was already used; ask for another one")]
    ResetOver,
    /// The link is too old, or was sent to an address that the account neither has nor waits for.
    #[error("this link has expired or was already used; ask for another one")]
    ConfirmationOver,
    /// The store sells to people whose mail arrives.
    #[error("confirm your e-mail address first; have a link sent to it in your account")]
    EmailNotConfirmed,
    /// The owner has corrected it before.
    #[error("your birth date was corrected before; ask the store's staff")]
    BirthDateCorrected,
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
            (Self::Active { access, .. }, UserCommand::ChangePassword { credential, believed_in }) => {
                if believed_in.is_some_and(|generation| generation != access.generation) {
                    return Err(UserError::PasswordChangedMeanwhile);
                }
                Ok(vec![access.changed_to(credential)])
            }
            (Self::Active { access, .. }, UserCommand::RequestPasswordReset { request, now }) => {
                let Reset { request, until } = access.reset_for(request, now);
                Ok(vec![UserEvent::UserPasswordResetRequested { request, until }])
            }
            (Self::Active { access, mailbox, .. }, UserCommand::ResetPassword { request, credential, now }) => {
                access.reset.filter(|reset| reset.allows(request, now)).ok_or(UserError::ResetOver)?;
                // The link came by mail.
                let unconfirmed = mailbox.confirmation != Confirmation::Given;
                let confirmed = unconfirmed.then_some(UserEvent::UserEmailConfirmed {});
                Ok([access.changed_to(credential)].into_iter().chain(confirmed).collect())
            }
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
                let (access, age, revision) = (Access::default(), Age::default(), 1);
                *self = Self::Active { profile, role, access, mailbox, age, revision };
            }
            (UserEvent::UserErased {}, _) => *self = Self::Erased,
            (event, Self::Active { profile, role, access, mailbox, age, revision }) => match event {
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
                UserEvent::UserSessionsEnded { generation } => {
                    mailbox.next = None;
                    (access.generation, access.reset) = (generation, None);
                }
                UserEvent::UserEmailChangeRequested { address } => mailbox.next = Some(Box::new(address)),
                UserEvent::UserEmailConfirmed {} => mailbox.confirmation = Confirmation::Given,
                UserEvent::UserEmailConfirmationRequested {}
                | UserEvent::UserRegistrationRepeated {}
                | UserEvent::UserRegistered { .. }
                | UserEvent::UserErased {} => (),
            },
            (_, Self::New | Self::Erased) => (),
        }
    }
}

aggregate!(User, "user", UserCommand, UserEvent, UserError, stored::Stored);
