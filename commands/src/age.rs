//! Birth dates: their owners correct them once, then the staff do.

use domain::user::{BirthDateChange, Evidence, User, UserCommand, UserError};
use domain::{BirthDate, Profile, UserId};
use journal::Loaded;

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::Receipt;
use crate::mailbox::next_event;

/// What a birth date is to the one before it, and to the one that counts; a later one is more restrictive.
pub(crate) fn birth_date_change(before: BirthDate, counted: BirthDate, after: BirthDate) -> BirthDateChange {
    if after == before {
        BirthDateChange::Unchanged
    } else if after >= counted {
        BirthDateChange::Younger
    } else {
        BirthDateChange::Older
    }
}

impl Commands {
    /// Lets a birth date count of which a member of the staff has seen proof; not their own.
    ///
    /// # Errors
    /// [`CommandError::Forbidden`], [`CommandError::ProofTooOld`], and those of every use case.
    pub async fn confirm_birth_date(
        &self,
        context: &Context,
        user: UserId,
        birth_date: BirthDate,
        evidence: Evidence,
    ) -> Result<Receipt<User>, CommandError> {
        context.actor.must_be_admin()?;
        context.actor.must_be_proven(self.clock.now())?;
        if context.actor.user() == Some(user) {
            return Err(CommandError::Forbidden);
        }
        let key = self.vault.subject(user).await?.ok_or(CommandError::NotFound)?;
        self.execute(context, user.as_uuid(), |loaded: &Loaded<User>| {
            let User::Active { profile, .. } = &loaded.aggregate else { return Err(UserError::UserErased.into()) };
            let profile = Profile { birth_date, ..key.open(profile)? };
            let profile = key.seal(next_event(context, user, loaded, 1), &profile)?;
            Ok::<_, CommandError>(vec![UserCommand::ConfirmBirthDate { profile, evidence }])
        })
        .await
    }
}
