//! Admins: how there comes to be one, and that there always is.

use domain::user::{Confirmation, UserCommand};
use domain::{Role, User, UserId};
use journal::{AggregateKey, Histories, Loaded};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::{Read, Receipt};
use crate::user::Registration;

/// What making an admin changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeAdmin {
    /// The account is new.
    Created,
    /// The account was there, and has another role or password now.
    Changed,
    /// It was an admin's already, with this password.
    Known,
}

impl Commands {
    /// Sees to it that an address has an account, that this is an admin's, and that this is its password.
    ///
    /// # Errors
    /// [`CommandError::Forbidden`] to all but the store itself and admins, and those of every use case.
    pub async fn make_admin(&self, context: &Context, account: Registration) -> Result<MadeAdmin, CommandError> {
        context.actor.must_be_admin()?;
        let Some(user) = self.account_of(&account.profile.email).await? else {
            self.register(context, UserId::from_uuid(self.clock.new_id()), account, Role::Admin).await?;
            return Ok(MadeAdmin::Created);
        };
        // First what opens it: whoever has the account until now must not be an admin for a moment. An admin who has lost
        // what they held gets in again by another password.
        let was_admin = is_admin(&self.load::<User>(user.as_uuid()).await?.aggregate);
        let known = self.generation_known_by(user, account.password.clone().into_secret()).await?.is_some();
        if !known {
            let change = |credential, is_weak| UserCommand::ChangePassword { credential, believed_in: None, is_weak };
            self.set_password(context, user, account.password, change).await?;
        }
        if !known || !was_admin {
            self.leave_the_password(&self.context(context.actor), user).await?;
        }
        // Another request than the one that set the password.
        let context = self.context(context.actor);
        let promoted = self.change_role(&context, user, Role::Admin).await?.position.is_some();
        // Whoever sits at the console answers for the address.
        self.execute(&self.context(context.actor), user.as_uuid(), |loaded: &Loaded<User>| {
            let User::Active { mailbox, .. } = &loaded.aggregate else { return Ok(vec![]) };
            let is_awaited = mailbox.confirmation == Confirmation::Awaited;
            Ok::<_, CommandError>(is_awaited.then_some(UserCommand::ConfirmEmail).into_iter().collect())
        })
        .await?;
        Ok(if known && !promoted { MadeAdmin::Known } else { MadeAdmin::Changed })
    }

    /// Gives an account another role.
    ///
    /// # Errors
    /// [`CommandError::Forbidden`] to all but admins, [`CommandError::ProofTooOld`], [`CommandError::LastAdmin`], and those of every use case.
    pub async fn change_role(
        &self,
        context: &Context,
        user: UserId,
        role: Role,
    ) -> Result<Receipt<User>, CommandError> {
        context.actor.must_be_admin()?;
        context.actor.must_be_proven(self.clock.now())?;
        // Two admins who demote each other lean on each other: one of both comes too late.
        let mut others = self.journal.once_admins().await?;
        others.retain(|other| *other != user.as_uuid());
        let leans_on: Vec<_> = others.iter().map(|other| AggregateKey::of::<User>(*other)).collect();
        let decide = |loaded: &Loaded<User>, known: &Histories| {
            let others = others.iter().map(|other| known.aggregate::<User>(*other));
            let others = others.collect::<Result<Vec<_>, _>>()?;
            if is_admin(&loaded.aggregate) && role != Role::Admin && !others.iter().any(is_admin) {
                return Err(CommandError::LastAdmin);
            }
            Ok(vec![UserCommand::ChangeRole { role }])
        };
        self.execute_on(context, user.as_uuid(), (&leans_on, Read::All), decide).await
    }
}

fn is_admin(user: &User) -> bool {
    matches!(user, User::Active { role: Role::Admin, .. })
}
