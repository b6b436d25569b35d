//! A person's account: who they are (sealed) and what they may do.

use serde::{Deserialize, Serialize};

use crate::aggregate::aggregate;
use crate::person::SealedProfile;

mod stored;
#[cfg(test)]
mod tests;

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
            (Self::Active { role: current, .. }, UserCommand::ChangeRole { role }) if *current == role => Ok(vec![]),
            (Self::Active { .. }, UserCommand::ChangeRole { role }) => Ok(vec![UserEvent::UserRoleChanged { role }]),
            (Self::Active { role: Role::Admin, .. }, UserCommand::Erase) => Err(UserError::AdminCannotBeErased),
            (Self::Active { .. }, UserCommand::Erase) => Ok(vec![UserEvent::UserErased {}]),
        }
    }

    /// The state after a fact.
    pub fn evolve(&mut self, event: UserEvent) {
        match (event, &mut *self) {
            (UserEvent::UserRegistered { profile, role }, _) => *self = Self::Active { profile, role },
            (UserEvent::UserProfileChanged { profile: new }, Self::Active { profile, .. }) => *profile = new,
            (UserEvent::UserRoleChanged { role: new }, Self::Active { role, .. }) => *role = new,
            (UserEvent::UserErased {}, _) => *self = Self::Erased,
            (UserEvent::UserProfileChanged { .. } | UserEvent::UserRoleChanged { .. }, Self::New | Self::Erased) => (),
        }
    }
}

aggregate!(User, "user", UserCommand, UserEvent, UserError, stored::Stored);
