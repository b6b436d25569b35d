//! A person's account: who they are (sealed) and what they may do.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::aggregate::aggregate;
use crate::id::{CommandId, CredentialId, UserId};
use crate::person::SealedProfile;

mod access;
mod stored;
#[cfg(test)]
mod tests;

pub use access::{Access, Reset};

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
    },
    /// Replace the person's data.
    ChangeProfile {
        /// All of it.
        profile: SealedProfile,
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
    },
    /// The person changed their data.
    UserProfileChanged {
        /// All of it, sealed anew.
        profile: SealedProfile,
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
    #[error("this link is not good any more; ask for another one")]
    ResetOver,
}

impl User {
    /// What happens if `command` reaches an account in this state.
    ///
    /// # Errors
    /// [`UserError`] names the rule in the way.
    pub fn decide(&self, command: UserCommand) -> Result<Vec<UserEvent>, UserError> {
        match (self, command) {
            (Self::New, UserCommand::Register { profile, role }) => {
                Ok(vec![UserEvent::UserRegistered { profile, role }])
            }
            (_, UserCommand::Register { .. }) => Err(UserError::AlreadyRegistered),
            (Self::New, _) => Err(UserError::UnknownUser),
            // Asking twice to be forgotten changes nothing.
            (Self::Erased, UserCommand::Erase) => Ok(vec![]),
            (Self::Erased, _) => Err(UserError::UserErased),
            (Self::Active { .. }, UserCommand::ChangeProfile { profile }) => {
                Ok(vec![UserEvent::UserProfileChanged { profile }])
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
            (Self::Active { access, .. }, UserCommand::ResetPassword { request, credential, now }) => {
                access.reset.filter(|reset| reset.allows(request, now)).ok_or(UserError::ResetOver)?;
                Ok(vec![access.changed_to(credential)])
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

    /// The state after a fact.
    pub fn evolve(&mut self, event: UserEvent) {
        match (event, &mut *self) {
            (UserEvent::UserRegistered { profile, role }, _) => {
                *self = Self::Active { profile, role, access: Access::default() };
            }
            (UserEvent::UserErased {}, _) => *self = Self::Erased,
            (event, Self::Active { profile, role, access }) => match event {
                UserEvent::UserProfileChanged { profile: new } => {
                    // A link may have gone to the address before.
                    (*profile, access.reset) = (new, None);
                }
                UserEvent::UserRoleChanged { role: new } => *role = new,
                UserEvent::UserPasswordChanged { credential, generation } => {
                    *access = Access { credential: Some(credential), generation, reset: None };
                }
                UserEvent::UserPasswordResetRequested { request, until } => {
                    access.reset = Some(Reset { request, until });
                }
                UserEvent::UserSessionsEnded { generation } => {
                    (access.generation, access.reset) = (generation, None);
                }
                UserEvent::UserRegistered { .. } | UserEvent::UserErased {} => (),
            },
            (_, Self::New | Self::Erased) => (),
        }
    }
}

aggregate!(User, "user", UserCommand, UserEvent, UserError, stored::Stored);
