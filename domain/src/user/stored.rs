//! What is stored of an account, version by version in `domain/corpus`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AuthenticatorKind, BirthDateChange, Evidence, Role, Scope, UserEvent};
use crate::id::{ApiKeyId, AuthenticatorId, CommandId, CredentialId, SessionId};
use crate::person::{SealedEmail, SealedProfile};

/// The current form of each event; older ones are brought to it by `crate::stored`. That both have the same fields, the
/// compiler holds them to; where they no longer should, the conversion belongs here.
#[derive(Serialize, Deserialize)]
#[serde(remote = "UserEvent", tag = "type")]
#[expect(clippy::enum_variant_names, reason = "the names are stored")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Stored {
    UserRegistered { profile: SealedProfile, role: Role, awaits_confirmation: bool },
    UserRegistrationRepeated {},
    UserProfileChanged { profile: SealedProfile, address_changed: bool, birth_date: BirthDateChange },
    UserEmailChangeRequested { address: SealedEmail },
    UserEmailConfirmationRequested {},
    UserEmailConfirmed {},
    UserBirthDateConfirmed { profile: SealedProfile, evidence: Evidence },
    UserRoleChanged { role: Role },
    UserPasswordChanged { credential: CredentialId, generation: u32 },
    UserPasswordResetRequested { request: CommandId, until: DateTime<Utc> },
    UserAuthenticatorAdded { authenticator: AuthenticatorId, kind: AuthenticatorKind },
    UserAuthenticatorRemoved { authenticator: AuthenticatorId },
    UserRecoveryCodeUsed {},
    UserApiKeyMade { key: ApiKeyId, scopes: Vec<Scope>, expires_at: DateTime<Utc> },
    UserApiKeyRevoked { key: ApiKeyId },
    UserLoggedInOnNewDevice { session: SessionId },
    UserSessionsEnded { generation: u32 },
    UserErased {},
}
