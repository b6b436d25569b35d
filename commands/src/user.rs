use domain::user::{User, UserCommand};
use domain::{Email, EventId, Language, Profile, Role, UserId};
use journal::{Claim, ClaimKind, Claims, Release};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::{Loaded, Receipt, Wish};
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
        let Registration { profile, password, language } = registration;
        let hash = self.hasher.hash(password).await.ok_or(CommandError::Conflict)?;
        let email = self.email_claim(&profile.email);
        let key = self.vault.create_subject(user).await?;
        self.vault.keep_password(user, &hash).await?;
        self.vault.keep_language(user, language).await?;
        let sealed = key.seal(EventId::of(context.command, user.as_uuid(), 1), &profile)?;
        let registered = self
            .execute_or(
                context,
                user.as_uuid(),
                |_| {
                    Ok::<_, CommandError>(Wish {
                        commands: vec![UserCommand::Register { profile: sealed.clone(), role }],
                        claims: Claims { taken: vec![email.clone()], released: vec![] },
                    })
                },
                |_| CommandError::EmailTaken,
            )
            .await;
        if let Err(CommandError::EmailTaken) = &registered {
            // Nobody will ever need what was kept for an account that did not come to be.
            self.vault.forget(user).await?;
        }
        registered
    }

    /// Replaces what the store knows of a person.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, [`CommandError::EmailTaken`], and those of every use case.
    pub async fn change_profile(
        &self,
        context: &Context,
        user: UserId,
        profile: Profile,
    ) -> Result<Receipt<User>, CommandError> {
        context.actor.must_own(user)?;
        let key = self.vault.subject(user).await?.ok_or(CommandError::NotFound)?;
        let email = self.email_claim(&profile.email);
        self.execute_or(
            context,
            user.as_uuid(),
            |loaded: &Loaded<User>| {
                let event = EventId::of(context.command, user.as_uuid(), loaded.version.saturating_add(1));
                let commands = vec![UserCommand::ChangeProfile { profile: key.seal(event, &profile)? }];
                // Claiming and releasing one key in one statement is undefined: an unchanged address is left alone.
                let claims = match &loaded.aggregate {
                    User::Active { profile: known, .. } if key.open(known)?.email == profile.email => Claims::default(),
                    User::New | User::Active { .. } | User::Erased => {
                        Claims { taken: vec![email.clone()], released: vec![Release::All(ClaimKind::Email)] }
                    }
                };
                Ok::<_, CommandError>(Wish { commands, claims })
            },
            |_| CommandError::EmailTaken,
        )
        .await
    }

    /// Gives an account another role.
    ///
    /// # Errors
    /// [`CommandError::Forbidden`] to all but admins, and those of every use case.
    pub async fn change_role(
        &self,
        context: &Context,
        user: UserId,
        role: Role,
    ) -> Result<Receipt<User>, CommandError> {
        context.actor.must_be_admin()?;
        self.execute(context, user.as_uuid(), |_| Ok::<_, CommandError>(Wish::of(UserCommand::ChangeRole { role })))
            .await
    }

    /// Forgets a person: from now on nobody can read what the store knew of them.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, and those of every use case.
    pub async fn erase(&self, context: &Context, user: UserId) -> Result<Receipt<User>, CommandError> {
        context.actor.must_own(user)?;
        let erased = self
            .execute(context, user.as_uuid(), |_| {
                let claims = Claims { taken: vec![], released: vec![Release::All(ClaimKind::Email)] };
                Ok::<_, CommandError>(Wish { commands: vec![UserCommand::Erase], claims })
            })
            .await?;
        self.vault.forget(user).await?;
        Ok(erased)
    }

    /// What the store knows of a person who has an account; nothing once they are erased.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn profile(&self, user: UserId) -> Result<Option<(Profile, Role)>, CommandError> {
        let User::Active { profile, role } = self.load::<User>(user.as_uuid()).await?.aggregate else {
            return Ok(None);
        };
        let Some(key) = self.vault.subject(user).await? else { return Ok(None) };
        Ok(Some((key.open(&profile)?, role)))
    }

    pub(crate) fn email_claim(&self, email: &Email) -> Claim {
        let hash = self.vault.keyed_hash("email claim", email.as_str().as_bytes());
        Claim { kind: ClaimKind::Email, key: hash.iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}
