//! What opens an account: another password, chosen by whoever knows the old one or gets the mail.

use domain::user::{User, UserCommand, UserError};
use domain::{CommandId, CredentialId, Email, SessionId, UserId};
use secrecy::{ExposeSecret, SecretString};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::Receipt;
use crate::link::ResetLink;
use crate::password::{InvalidPassword, Password, strength};

impl Commands {
    /// Lets another password open one's account, and ends all sessions but the one that asks.
    ///
    /// # Errors
    /// [`CommandError::WrongPassword`] where the old one is not what was typed, [`CommandError::Password`] for a new one
    /// that breaks a rule, [`CommandError::NotFound`] to others, and those of every use case.
    pub async fn change_password(
        &self,
        context: &Context,
        user: UserId,
        session: SessionId,
        (old, new): (SecretString, &str),
    ) -> Result<Receipt<User>, CommandError> {
        // Not even an admin knows somebody else's.
        context.actor.must_own(user)?;
        context.actor.must_be(user).map_err(|_| CommandError::Forbidden)?;
        // The old password is the proof; where there is a second factor, it goes with that.
        context.actor.must_have_shown(self.counting_authenticators(user).await?.has_second_factor())?;
        let is_same = old.expose_secret() == new;
        let believed_in = self.generation_known_by(user, old).await?.ok_or(CommandError::WrongPassword)?;
        if is_same {
            return Err(InvalidPassword::Same.into());
        }
        let new = self.new_password(user, new).await?;
        self.vault.keep_session(session, credential_of(context)).await?;
        let believed_in = Some(believed_in);
        let change = |credential, is_weak| UserCommand::ChangePassword { credential, believed_in, is_weak };
        self.set_password(context, user, new, change).await
    }

    /// How hard a password is to guess, from 0 to 4; it takes its turn with the hashes.
    ///
    /// # Errors
    /// [`CommandError::Conflict`] where that could not be told.
    pub async fn strength(&self, password: String, known: Vec<String>) -> Result<u8, CommandError> {
        let measure = move || strength(&password, &known.iter().map(String::as_str).collect::<Vec<_>>());
        self.hasher.run(measure).await.ok_or(CommandError::Conflict)
    }

    /// Whose an address is.
    ///
    /// # Errors
    /// When the journal does not answer.
    pub async fn account_of(&self, email: &Email) -> Result<Option<UserId>, CommandError> {
        Ok(self.journal.holder(&self.vault.email_claim(email)).await?.map(UserId::from_uuid))
    }

    /// Has a link sent to somebody by which their account gets another password.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn request_password_reset(&self, context: &Context, user: UserId) -> Result<(), CommandError> {
        let (request, now) = (context.command, self.clock.now());
        let command = || UserCommand::RequestPasswordReset { request, now };
        self.execute::<User, CommandError>(context, user.as_uuid(), |_| Ok(vec![command()])).await?;
        Ok(())
    }

    /// What a link to choose another password carries; it follows from what asked for it, so nobody has to keep it.
    #[must_use]
    pub fn reset_link(&self, user: UserId, request: CommandId) -> String {
        ResetLink { user, request }.sign(&self.vault)
    }

    /// Lets the password that was chosen by a link open the account, and ends all sessions.
    ///
    /// # Errors
    /// [`domain::user::UserError::ResetOver`] where the link is not good, [`CommandError::Password`] for a password that
    /// breaks a rule, and those of every use case.
    pub async fn reset_password(
        &self,
        context: &Context,
        link: &str,
        password: &str,
    ) -> Result<Receipt<User>, CommandError> {
        let ResetLink { user, request } = ResetLink::read(link, &self.vault).ok_or(UserError::ResetOver)?;
        let now = self.clock.now();
        let reset = |credential, is_weak| UserCommand::ResetPassword { request, credential, is_weak, now };
        // Asked first: a link that is over need not know what a good password is.
        self.load::<User>(user.as_uuid()).await?.aggregate.decide(reset(CredentialId::first_of(user), false))?;
        let password = self.new_password(user, password).await?;
        self.set_password(context, user, password, reset).await
    }

    /// Whether this is the password that opens an account, and of which generation its sessions were then.
    pub(crate) async fn generation_known_by(
        &self,
        user: UserId,
        password: SecretString,
    ) -> Result<Option<u32>, CommandError> {
        let account = self.load::<User>(user.as_uuid()).await?.aggregate;
        let hash = self.vault.password_hash(account.credential(user)).await?;
        let known = self.hasher.verify(password, hash).await;
        Ok(match account {
            User::Active { access, .. } if known => Some(access.generation),
            _ => None,
        })
    }

    /// A password that is kept first, and opens the account once its history says so.
    pub(crate) async fn set_password(
        &self,
        context: &Context,
        user: UserId,
        password: Password,
        command: impl Fn(CredentialId, bool) -> UserCommand,
    ) -> Result<Receipt<User>, CommandError> {
        let (credential, is_weak) = (credential_of(context), password.is_weak());
        let hash = self.hasher.hash(password).await.ok_or(CommandError::Conflict)?;
        self.vault.keep_password(user, credential, &hash, is_weak).await?;
        let decide = |_: &_| Ok::<_, CommandError>(vec![command(credential, is_weak)]);
        let receipt = self.execute(context, user.as_uuid(), decide).await?;
        // The password is changed, whatever becomes of those before.
        if let Err(error) = self.vault.drop_other_passwords(user, credential).await {
            tracing::warn!(%error, "Passwords that open nothing any more stay until the next change");
        }
        Ok(receipt)
    }

    /// A new password of somebody, measured against what is known of them.
    async fn new_password(&self, user: UserId, password: &str) -> Result<Password, CommandError> {
        let (profile, _) = self.profile(user).await?.ok_or(CommandError::NotFound)?;
        let known = [profile.name.as_str(), profile.email.as_str()];
        let is_guarded = match self.load::<User>(user.as_uuid()).await?.aggregate {
            User::Active { authenticators, .. } => authenticators.has_second_factor(),
            User::New | User::Erased => false,
        };
        let parse = if is_guarded { Password::parse_beside_second_factor } else { Password::parse };
        Ok(parse(password, &known)?)
    }
}

/// What a password is kept under that a request sets.
fn credential_of(context: &Context) -> CredentialId {
    CredentialId::from_uuid(context.command.as_uuid())
}
