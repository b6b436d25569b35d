//! What somebody holds to open their account: a list of it, recovery codes, and how it goes.

use domain::user::{Authenticator, AuthenticatorKind, Authenticators, PasswordStrength, User, UserCommand};
use domain::{AuthenticatorId, UserId};
use journal::Loaded;
use journal::vault::{HeldAuthenticator, KeptAuthenticator};
use rand::RngCore;

use crate::Commands;
use crate::actor::{Actor, Context};
use crate::error::CommandError;
use crate::executor::Receipt;

/// How many recovery codes there are, and of how many characters: 120 bits, more than anybody guesses from a hash.
/// <https://pages.nist.gov/800-63-4/sp800-63b.html#lookupsecrets>
const CODES: usize = 10;
const CODE: usize = 24;
/// Crockford's alphabet of base 32, which leaves out what is taken for something else. <https://www.crockford.com/base32.html>
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What somebody has just added to their account.
pub struct AddedAuthenticator {
    /// Which.
    pub id: AuthenticatorId,
    /// What stands in for it, where it is the first; shown once.
    pub recovery_codes: Vec<String>,
}

/// All that somebody holds and that counts.
pub struct Held {
    /// Passkeys and apps.
    pub authenticators: Vec<(AuthenticatorKind, HeldAuthenticator)>,
    /// How many recovery codes are left.
    pub recovery_codes: i64,
}

impl Commands {
    /// What somebody holds to open their account.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, and those of every use case.
    pub async fn authenticators(&self, actor: Actor, user: UserId) -> Result<Held, CommandError> {
        actor.must_own(user)?;
        let counting = self.counting_authenticators(user).await?;
        let mut kept = self.vault.authenticators(user).await?;
        let mut authenticators = Vec::new();
        for &Authenticator { id, kind } in counting.iter() {
            let at = kept.iter().position(|kept| kept.id == id);
            authenticators.extend(at.map(|at| (kind, kept.swap_remove(at))));
        }
        let recovery_codes = match counting.of_kind(AuthenticatorKind::RecoveryCodes) {
            Some(codes) => self.vault.recovery_codes_left(codes).await?,
            None => 0,
        };
        Ok(Held { authenticators, recovery_codes })
    }

    pub(crate) async fn counting_authenticators(&self, user: UserId) -> Result<Authenticators, CommandError> {
        match self.load::<User>(user.as_uuid()).await?.aggregate {
            User::Active { authenticators, .. } => Ok(*authenticators),
            User::New | User::Erased => Err(CommandError::NotFound),
        }
    }

    /// Lets nobody but the person change what opens their account, and only soon after they have proven who they are.
    pub(crate) async fn may_hold(&self, context: &Context, user: UserId) -> Result<(), CommandError> {
        context.actor.must_own(user)?;
        context.actor.must_be(user).map_err(|_| CommandError::Forbidden)?;
        context.actor.must_be_proven(self.clock.now())?;
        context.actor.must_have_shown(self.counting_authenticators(user).await?.has_second_factor())
    }

    /// Keeps an authenticator first, and lets it open the account then. With the first come recovery codes: whoever loses it
    /// is not to lose the account.
    pub(crate) async fn add_authenticator(
        &self,
        context: &Context,
        user: UserId,
        kind: AuthenticatorKind,
        (kept, credential): (KeptAuthenticator, Option<&[u8]>),
    ) -> Result<AddedAuthenticator, CommandError> {
        let id = AuthenticatorId::from_uuid(context.command.as_uuid());
        let authenticator = Authenticator { id, kind };
        // Asked first: what would be refused is not kept.
        let before = self.may_add(user, authenticator).await?;
        if !self.vault.keep_authenticator(user, id, &kept, credential).await? {
            return Err(CommandError::PasskeyNotMade);
        }
        self.activate(context, user, authenticator, &before).await?;
        let made = if before.has_second_factor() {
            Ok(vec![])
        } else {
            self.new_recovery_codes(&self.context(context.actor), user).await
        };
        // What was added counts, whatever becomes of the codes.
        let recovery_codes = made.unwrap_or_else(|error| {
            tracing::warn!(%error, "A first authenticator has no recovery codes; its owner can make them");
            vec![]
        });
        Ok(AddedAuthenticator { id, recovery_codes })
    }

    /// What there is before something is added, where it may be.
    async fn may_add(&self, user: UserId, authenticator: Authenticator) -> Result<Authenticators, CommandError> {
        let account = self.load::<User>(user.as_uuid()).await?.aggregate;
        account.decide(UserCommand::AddAuthenticator { authenticator })?;
        match account {
            User::Active { authenticators, .. } => Ok(*authenticators),
            User::New | User::Erased => Err(CommandError::NotFound),
        }
    }

    async fn activate(
        &self,
        context: &Context,
        user: UserId,
        authenticator: Authenticator,
        before: &Authenticators,
    ) -> Result<(), CommandError> {
        let add = |_: &_| Ok::<_, CommandError>(vec![UserCommand::AddAuthenticator { authenticator }]);
        match self.execute::<User, _>(context, user.as_uuid(), add).await {
            Ok(Receipt { aggregate, .. }) => self.drop_what_went(before, &aggregate).await,
            Err(refusal) => {
                if !refusal.is_passing() {
                    self.vault.drop_authenticators(&[authenticator.id]).await?;
                }
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Lets nothing but the password open an account.
    pub(crate) async fn leave_the_password(&self, context: &Context, user: UserId) -> Result<(), CommandError> {
        let before = self.counting_authenticators(user).await?;
        let leave = |_: &_| Ok::<_, CommandError>(vec![UserCommand::LeaveThePassword]);
        let Receipt { aggregate, .. } = self.execute::<User, _>(context, user.as_uuid(), leave).await?;
        self.drop_what_went(&before, &aggregate).await;
        Ok(())
    }

    /// Lets an authenticator open an account no longer: its owner's wish, or an admin's for an owner who has lost it.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, [`CommandError::ProofTooOld`],
    /// [`domain::user::UserError::PasswordTooWeak`] where the password would have to open the account alone, and those of
    /// every use case.
    pub async fn remove_authenticator(
        &self,
        context: &Context,
        user: UserId,
        authenticator: AuthenticatorId,
    ) -> Result<(), CommandError> {
        context.actor.must_own(user)?;
        context.actor.must_be_proven(self.clock.now())?;
        let account = self.load::<User>(user.as_uuid()).await?.aggregate;
        let is_weak = self.vault.is_weak(account.credential(user)).await?;
        let User::Active { access, authenticators: before, .. } = account else { return Err(CommandError::NotFound) };
        // Of whoever has lost it, an admin knows better.
        if context.actor.must_be(user).is_ok() {
            context.actor.must_have_shown(before.has_second_factor())?;
        }
        let password = PasswordStrength { credential: access.credential, is_weak };
        let remove = |loaded: &Loaded<User>| match &loaded.aggregate {
            User::Active { authenticators, .. } if authenticators.iter().any(|held| held.id == authenticator) => {
                Ok(vec![UserCommand::RemoveAuthenticator { authenticator, password }])
            }
            _ => Err(CommandError::NotFound),
        };
        let Receipt { aggregate, .. } = self.execute(context, user.as_uuid(), remove).await?;
        self.drop_what_went(&before, &aggregate).await;
        Ok(())
    }

    /// What opens the account no longer need not be kept; where that fails it stays, and opens nothing.
    async fn drop_what_went(&self, before: &Authenticators, account: &User) {
        let counts = |held: &Authenticator| matches!(account, User::Active { authenticators, .. } if authenticators.contains(*held));
        let gone: Vec<_> = before.iter().filter(|held| !counts(held)).map(|held| held.id).collect();
        if let Err(error) = self.vault.drop_authenticators(&gone).await {
            tracing::warn!(%error, "What opened an account stays in the vault, and opens it no longer");
        }
    }

    /// Ten codes that stand in for what somebody holds, good once each, for paper. Those before are good no longer.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] or [`CommandError::Forbidden`] to others, [`CommandError::ProofTooOld`],
    /// [`domain::user::UserError::NoSecondFactor`] where there is nothing to stand in for, and those of every use case.
    pub async fn make_recovery_codes(&self, context: &Context, user: UserId) -> Result<Vec<String>, CommandError> {
        self.may_hold(context, user).await?;
        self.new_recovery_codes(context, user).await
    }

    async fn new_recovery_codes(&self, context: &Context, user: UserId) -> Result<Vec<String>, CommandError> {
        let id = AuthenticatorId::from_uuid(context.command.as_uuid());
        let codes: Vec<String> = std::iter::repeat_with(new_code).take(CODES).collect();
        let authenticator = Authenticator { id, kind: AuthenticatorKind::RecoveryCodes };
        let before = self.may_add(user, authenticator).await?;
        let hashes: Vec<_> = codes.iter().filter_map(|code| self.code_hash(user, code)).collect();
        self.vault.keep_recovery_codes(user, id, &hashes).await?;
        self.activate(context, user, authenticator, &before).await?;
        Ok(codes)
    }

    /// Whether a code is one that somebody's app shows now, or a recovery code of theirs; it is used up by that.
    pub(crate) async fn accept_code(
        &self,
        user: UserId,
        held: &Authenticators,
        code: &str,
    ) -> Result<bool, CommandError> {
        let Some(hash) = self.code_hash(user, code) else { return self.accept_totp(user, held, code).await };
        let Some(codes) = held.of_kind(AuthenticatorKind::RecoveryCodes) else { return Ok(false) };
        if !self.vault.use_recovery_code(codes, hash).await? {
            return Ok(false);
        }
        let note = |_: &_| Ok::<_, CommandError>(vec![UserCommand::UseRecoveryCode]);
        self.execute::<User, _>(&self.context(Actor::Anonymous), user.as_uuid(), note).await?;
        Ok(true)
    }

    /// What a recovery code is kept as; nothing where it is no such code.
    fn code_hash(&self, user: UserId, code: &str) -> Option<[u8; 32]> {
        let letters = code.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        });
        let code: String = letters.collect();
        let is_one = code.chars().count() == CODE;
        is_one.then(|| self.vault.keyed_hash("recovery code", format!("{user}\n{code}").as_bytes()))
    }
}

/// `7KQ2-9XMD-…`, six groups of four.
fn new_code() -> String {
    let mut random = [0; CODE];
    rand::rngs::OsRng.fill_bytes(&mut random);
    let letters = random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32)));
    let letters: Vec<char> = letters.map(|letter| char::from(*letter)).collect();
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-")
}
