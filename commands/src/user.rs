use domain::user::{BirthDateChange, User, UserCommand, UserError};
use domain::{CredentialId, EventId, Language, Profile, Role, UserId};
use journal::{FirstAnswer, Loaded, Position};

use crate::Commands;
use crate::actor::{Actor, Context};
use crate::age::birth_date_change;
use crate::error::CommandError;
use crate::executor::{Read, Receipt};
use crate::mailbox::next_event;
use crate::password::Password;

/// A person who wants an account.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Who they are.
    pub profile: Profile,
    /// What they will log in with.
    pub password: Password,
    /// In which language they want to be spoken to.
    pub language: Language,
}

/// What somebody wants to be known of them.
#[derive(Debug, Clone)]
pub struct ProfileChange {
    /// All of it.
    pub profile: Profile,
    /// The revision that they have seen; any where they do not say.
    pub seen: Option<usize>,
}

/// What a change of a profile came to.
#[derive(Debug, Clone, Copy)]
pub struct ChangedProfile {
    /// Where its last event stands in the journal; nothing where nothing changed.
    pub position: Option<Position>,
    /// Whether the new address counts only once it is confirmed.
    pub address_waits: bool,
    /// The revision that it left.
    pub revision: usize,
}

impl Commands {
    /// Opens an account. The role is the store's to give: visitors become customers.
    ///
    /// # Errors
    /// [`CommandError::EmailTaken`] and those of every use case.
    pub async fn register(
        &self,
        context: &Context,
        user: UserId,
        registration: Registration,
        role: Role,
    ) -> Result<Receipt<User>, CommandError> {
        if role != Role::Customer {
            context.actor.must_be_admin()?;
        }
        let password = registration.password.clone();
        let receipt = match self.replayed::<User>(context).await? {
            Some(receipt) => receipt,
            None => self.open_account(context, user, registration, role).await?,
        };
        // Whoever repeats a registration must know its password, which is in no fingerprint.
        if receipt.replayed {
            let known = self.generation_known_by(UserId::from_uuid(receipt.id), password.into_secret()).await?;
            known.ok_or(CommandError::KeyReused)?;
        }
        Ok(receipt)
    }

    async fn open_account(
        &self,
        context: &Context,
        user: UserId,
        registration: Registration,
        role: Role,
    ) -> Result<Receipt<User>, CommandError> {
        let Registration { profile, password, language } = registration;
        // The answer is the new account's, and goes with it.
        let mut context = context.clone();
        context.repeatable = context.repeatable.map(|first| FirstAnswer { caller: Some(user), ..first });
        let hash = self.hasher.hash(password).await.ok_or(CommandError::Conflict)?;
        let key = self.vault.create_subject(user).await?;
        self.vault.keep_password(user, CredentialId::first_of(user), &hash, false).await?;
        self.vault.keep_language(user, language).await?;
        let sealed = key.seal(EventId::of(context.command, user.as_uuid(), 1), &profile)?;
        let awaits_confirmation = self.requires_confirmation() && context.actor == Actor::Anonymous;
        let command = || UserCommand::Register { profile: sealed.clone(), role, awaits_confirmation };
        let registered = self
            .execute_on(&context, user.as_uuid(), (&[], Read::New), |_, _| Ok::<_, CommandError>(vec![command()]))
            .await;
        let another = |receipt: &Receipt<User>| receipt.id != user.as_uuid();
        if registered.as_ref().is_ok_and(another) || matches!(&registered, Err(CommandError::EmailTaken)) {
            // Nobody will ever need what was kept for an account that did not come to be.
            self.vault.discard(user).await?;
        }
        registered
    }

    /// Replaces what the store knows of a person. Where the store requires it, another address waits to be confirmed; a
    /// birth date is the owner's to correct.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, [`CommandError::Stale`] where there is a later revision,
    /// [`CommandError::ProofTooOld`] where address or birth date change, [`CommandError::EmailTaken`],
    /// [`UserError::BirthDateCorrected`], and those of every use case.
    pub async fn change_profile(
        &self,
        context: &Context,
        user: UserId,
        change: ProfileChange,
    ) -> Result<ChangedProfile, CommandError> {
        let ProfileChange { profile, seen } = change;
        context.actor.must_own(user)?;
        let key = self.vault.subject(user).await?.ok_or(CommandError::NotFound)?;
        let decide = |loaded: &Loaded<User>| {
            let User::Active { profile: before, mailbox, revision, .. } = &loaded.aggregate else {
                return Err(UserError::UserErased.into());
            };
            if seen.is_some_and(|seen| seen != *revision) {
                return Err(CommandError::Stale { current: *revision });
            }
            let (gate, _) = loaded.aggregate.age_gate().ok_or(UserError::UserErased)?;
            let counted = key.open(gate)?.birth_date;
            let before = key.open(before)?;
            let birth_date = birth_date_change(before.birth_date, counted, profile.birth_date);
            let is_corrected = birth_date != BirthDateChange::Unchanged;
            let address_changed = before.email != profile.email;
            if address_changed || is_corrected {
                context.actor.must_be_proven(self.clock.now())?;
            }
            if is_corrected {
                context.actor.must_be(user).map_err(|_| CommandError::Forbidden)?;
            }
            let waits = address_changed && self.requires_confirmation();
            let email = if waits { before.email.clone() } else { profile.email.clone() };
            let now = Profile { email, ..profile.clone() };
            let mut commands = Vec::new();
            if now != before || (!waits && mailbox.next.is_some()) {
                let profile = key.seal(next_event(context, user, loaded, 1), &now)?;
                let address_changed = address_changed && !waits;
                commands.push(UserCommand::ChangeProfile { profile, address_changed, birth_date });
            }
            if waits {
                let event = next_event(context, user, loaded, commands.len().saturating_add(1));
                commands.push(UserCommand::RequestEmailChange { address: key.seal_email(event, &profile.email)? });
            }
            Ok::<_, CommandError>(commands)
        };
        let Receipt { position, aggregate, .. } = self.execute(context, user.as_uuid(), decide).await?;
        let User::Active { profile: now, revision, .. } = aggregate else { return Err(UserError::UserErased.into()) };
        Ok(ChangedProfile { position, address_waits: key.open(&now)?.email != profile.email, revision })
    }

    /// Forgets a person: from now on nobody can read what the store knew of them.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, [`CommandError::ProofTooOld`], and those of every use case.
    pub async fn erase(&self, context: &Context, user: UserId) -> Result<Receipt<User>, CommandError> {
        context.actor.must_own(user)?;
        context.actor.must_be_proven(self.clock.now())?;
        let erased = self.execute(context, user.as_uuid(), |_| Ok::<_, CommandError>(vec![UserCommand::Erase])).await?;
        self.vault.forget(user).await?;
        Ok(erased)
    }

    /// What the store knows of a person who has an account; nothing once they are erased.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn profile(&self, user: UserId) -> Result<Option<(Profile, Role)>, CommandError> {
        let User::Active { profile, role, .. } = self.load::<User>(user.as_uuid()).await?.aggregate else {
            return Ok(None);
        };
        let Some(key) = self.vault.subject(user).await? else { return Ok(None) };
        Ok(Some((key.open(&profile)?, role)))
    }
}
