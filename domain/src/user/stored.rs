//! What is stored of an account, version by version in `domain/corpus`.

use serde::{Deserialize, Serialize};

use super::{Role, UserEvent};
use crate::person::SealedProfile;

/// The current form of each event; older ones are brought to it by `crate::stored`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
#[expect(clippy::enum_variant_names, reason = "the names are stored")]
pub(super) enum Stored {
    UserRegistered { profile: SealedProfile, role: Role },
    UserProfileChanged { profile: SealedProfile },
    UserRoleChanged { role: Role },
    UserErased {},
}

impl From<UserEvent> for Stored {
    fn from(event: UserEvent) -> Self {
        match event {
            UserEvent::UserRegistered { profile, role } => Self::UserRegistered { profile, role },
            UserEvent::UserProfileChanged { profile } => Self::UserProfileChanged { profile },
            UserEvent::UserRoleChanged { role } => Self::UserRoleChanged { role },
            UserEvent::UserErased {} => Self::UserErased {},
        }
    }
}

impl From<Stored> for UserEvent {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::UserRegistered { profile, role } => Self::UserRegistered { profile, role },
            Stored::UserProfileChanged { profile } => Self::UserProfileChanged { profile },
            Stored::UserRoleChanged { role } => Self::UserRoleChanged { role },
            Stored::UserErased {} => Self::UserErased {},
        }
    }
}
