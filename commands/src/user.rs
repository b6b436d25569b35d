use domain::user::{User, UserCommand, UserEvent};
use domain::{CredentialId, Email, EventId, Language, Profile, Role, SealedProfile, UserId, stored};
use journal::{AggregateKey, FirstAnswer, Loaded};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::{Read, Receipt};
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
        self.vault.keep_password(user, CredentialId::first_of(user), &hash).await?;
        self.vault.keep_language(user, language).await?;
        let sealed = key.seal(EventId::of(context.command, user.as_uuid(), 1), &profile)?;
        let command = || UserCommand::Register { profile: sealed.clone(), role };
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

    /// Replaces what the store knows of a person.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, [`CommandError::ProofTooOld`] where address or birth date change,
    /// [`CommandError::EmailTaken`], and those of every use case.
    pub async fn change_profile(
        &self,
        context: &Context,
        user: UserId,
        profile: Profile,
    ) -> Result<Receipt<User>, CommandError> {
        context.actor.must_own(user)?;
        let key = self.vault.subject(user).await?.ok_or(CommandError::NotFound)?;
        self.execute(context, user.as_uuid(), |loaded: &Loaded<User>| {
            if let User::Active { profile: sealed, .. } = &loaded.aggregate {
                let before = key.open(sealed)?;
                if (&before.email, before.birth_date) != (&profile.email, profile.birth_date) {
                    context.actor.must_be_proven(self.clock.now())?;
                }
            }
            let event = EventId::of(context.command, user.as_uuid(), loaded.version().saturating_add(1));
            Ok::<_, CommandError>(vec![UserCommand::ChangeProfile { profile: key.seal(event, &profile)? }])
        })
        .await
    }

    /// The address that an account had before a change of its profile; nothing where it stayed the same, and once the
    /// person is erased.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn former_address(&self, user: UserId, changed: &SealedProfile) -> Result<Option<Email>, CommandError> {
        let key = AggregateKey::of::<User>(user.as_uuid());
        let histories = self.journal.histories(&[key]).await?;
        let mut before = None;
        for event in histories.of(key) {
            match stored::read(&event.event_type, &event.event_version, event.payload.get())? {
                UserEvent::UserRegistered { profile, .. } | UserEvent::UserProfileChanged { profile } => {
                    if profile.sealed_in == changed.sealed_in {
                        break;
                    }
                    before = Some(profile);
                }
                _ => (),
            }
        }
        let Some((key, before)) = self.vault.subject(user).await?.zip(before) else { return Ok(None) };
        let (before, now) = (key.open(&before)?.email, key.open(changed)?.email);
        Ok((before != now).then_some(before))
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
