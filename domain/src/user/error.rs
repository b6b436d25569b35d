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
    /// Recovery codes stand in for something else.
    #[error("add a passkey or an authenticator app first")]
    NoSecondFactor,
    /// Nobody needs that many.
    #[error("an account can have 20 authenticators; remove one first")]
    TooManyAuthenticators,
    /// What was good beside a second factor is not good alone.
    #[error("choose a password first that is good alone: 15 characters or more, and hard to guess")]
    PasswordTooWeak,
    /// A key does no more than its owner may, and something.
    #[error("must be one to four different ones that your role allows")]
    KeyScopes,
    /// A key ends.
    #[error("must be ahead, by 366 days at most")]
    KeyExpiry,
    /// Nobody needs that many.
    #[error("an account can have 20 keys; revoke one first")]
    TooManyKeys,
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
