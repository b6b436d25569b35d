use chrono::{DateTime, Utc};

use super::{ApiKey, Authenticator, BirthDateChange, Evidence, PasswordStrength, Role};
use crate::id::{ApiKeyId, AuthenticatorId, CommandId, CredentialId, SessionId};
use crate::person::{SealedEmail, SealedProfile};

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
        /// Whether it is good only beside a second factor.
        is_weak: bool,
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
        /// Whether it is good only beside a second factor.
        is_weak: bool,
        /// When.
        now: DateTime<Utc>,
    },
    /// Let something that the person holds open the account.
    AddAuthenticator {
        /// What.
        authenticator: Authenticator,
    },
    /// Let something that the person held open the account no longer.
    RemoveAuthenticator {
        /// What.
        authenticator: AuthenticatorId,
        /// What may have to open the account alone from then on.
        password: PasswordStrength,
    },
    /// Let nothing but the password open the account: nobody knows who added the rest.
    LeaveThePassword,
    /// Let a program do a few things of what the person may do.
    MakeApiKey {
        /// What is known of its key.
        key: ApiKey,
        /// What the person may do now.
        role: Role,
        /// When.
        now: DateTime<Utc>,
    },
    /// End a program's key.
    RevokeApiKey {
        /// Which.
        key: ApiKeyId,
    },
    /// Note that one of the recovery codes was used.
    UseRecoveryCode,
    /// Note that somebody logged in from a device that has not logged in before.
    NoteNewDevice {
        /// In which session.
        session: SessionId,
    },
    /// Log the person out everywhere.
    EndSessions,
    /// Forget the person.
    Erase,
}
