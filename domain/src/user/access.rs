//! What opens an account: which password counts, and which sessions.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::UserEvent;
use crate::id::{CommandId, CredentialId};

/// For how long a link to choose another password is good.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Forgot_Password_Cheat_Sheet.html>
const RESET_FOR: TimeDelta = TimeDelta::minutes(30);
/// How much of that a link must have left to be sent again.
const SENT_AGAIN: TimeDelta = TimeDelta::minutes(15);

/// What opens an account, as its history left it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The password that counts; that of the registration where there is none.
    pub credential: Option<CredentialId>,
    /// How often all sessions were ended: those that are older are over.
    pub generation: u32,
    /// The link that may be used to choose another password.
    pub reset: Option<Reset>,
}

impl Access {
    pub(super) fn next_generation(self) -> u32 {
        self.generation.saturating_add(1)
    }

    /// The link that answers a request: the one that was sent lately where it is good for half of its time still, so that
    /// nobody spoils it by asking for another.
    pub(super) fn reset_for(self, request: CommandId, now: DateTime<Utc>) -> Reset {
        let soon = now.checked_add_signed(SENT_AGAIN).unwrap_or(now);
        let lately = self.reset.filter(|reset| soon <= reset.until);
        lately.unwrap_or(Reset { request, until: now.checked_add_signed(RESET_FOR).unwrap_or(now) })
    }

    pub(super) fn changed_to(self, credential: CredentialId) -> UserEvent {
        UserEvent::UserPasswordChanged { credential, generation: self.next_generation() }
    }
}

/// A link to choose another password; good once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// What asked for it.
    pub request: CommandId,
    /// Until when it may be used.
    pub until: DateTime<Utc>,
}

impl Reset {
    pub(super) fn allows(self, request: CommandId, now: DateTime<Utc>) -> bool {
        self.request == request && now < self.until
    }
}
