use chrono::{DateTime, Utc};

use super::{AuthenticatorKind, BirthDateChange, Evidence, Role, Scope};
use crate::id::{ApiKeyId, AuthenticatorId, CommandId, CredentialId, SessionId};
use crate::person::{SealedEmail, SealedProfile};

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr, strum::VariantNames)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Something that the person holds opens the account, or guards it with the password. An app or recovery codes replace
    /// those before.
    UserAuthenticatorAdded {
        /// What.
        authenticator: AuthenticatorId,
        /// How it is proven.
        kind: AuthenticatorKind,
    },
    /// Something that the person held opens the account no longer; recovery codes go with the last of the rest.
    UserAuthenticatorRemoved {
        /// What.
        authenticator: AuthenticatorId,
    },
    /// One of the recovery codes was used; it is good no longer.
    UserRecoveryCodeUsed {},
    /// A program may do a few things of what the person may do.
    UserApiKeyMade {
        /// Which key.
        key: ApiKeyId,
        /// What it is good for.
        scopes: Vec<Scope>,
        /// Until when.
        expires_at: DateTime<Utc>,
    },
    /// A program's key is good no longer.
    UserApiKeyRevoked {
        /// Which.
        key: ApiKeyId,
    },
    /// Somebody logged in from a device that has not logged in before.
    UserLoggedInOnNewDevice {
        /// In which session.
        session: SessionId,
    },
    /// The person was logged out everywhere.
    UserSessionsEnded {
        /// Sessions of earlier generations are over.
        generation: u32,
    },
    /// The person was forgotten; the key of their data is destroyed.
    UserErased {},
}
