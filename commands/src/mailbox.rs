//! Addresses: that mail to them arrives at their owner.

use chrono::TimeDelta;
use domain::user::{Confirmation, Mailbox, Requirement, User, UserCommand, UserError, UserEvent};
use domain::{Email, EventId, Profile, SealedEmail, SealedProfile, UserId, stored};
use journal::{AggregateKey, Loaded};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::Receipt;
use crate::link::ConfirmationLink;

/// For how long a link to confirm an address is good.
/// <https://pages.nist.gov/800-63-4/sp800-63a.html> (3.8, confirmation codes that are sent by mail)
const CONFIRM_FOR: TimeDelta = TimeDelta::hours(24);

impl Commands {
    /// Whether addresses count only once they are confirmed.
    #[must_use]
    pub fn requires_confirmation(&self) -> bool {
        self.rules.email_confirmation == Requirement::Required
    }

    /// Refuses to sell to somebody whose mail may not arrive, where the store requires that.
    pub(crate) fn must_be_confirmed(&self, mailbox: &Mailbox) -> Result<(), UserError> {
        let is_confirmed = mailbox.confirmation == Confirmation::Given;
        if is_confirmed || !self.requires_confirmation() { Ok(()) } else { Err(UserError::EmailNotConfirmed) }
    }

    /// What a link carries that confirms an address; it is good for a day.
    #[must_use]
    pub fn confirmation_link(&self, user: UserId, address: &Email) -> String {
        let now = self.clock.now();
        let until = now.checked_add_signed(CONFIRM_FOR).unwrap_or(now);
        ConfirmationLink::sign(&self.vault, user, until, address)
    }

    /// Has a link sent to one's address that confirms it; nothing where it is confirmed.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, and those of every use case.
    pub async fn request_email_confirmation(&self, context: &Context, user: UserId) -> Result<(), CommandError> {
        context.actor.must_own(user)?;
        let ask = |_: &_| Ok::<_, CommandError>(vec![UserCommand::RequestEmailConfirmation]);
        self.execute::<User, _>(context, user.as_uuid(), ask).await.map(drop)
    }

    /// Confirms the address that a link was sent to. Where the account has asked for it, it is the account's from now on.
    ///
    /// # Errors
    /// [`UserError::ConfirmationOver`] where the link is not good, [`CommandError::EmailTaken`] where another account has
    /// the address, and those of every use case.
    pub async fn confirm_email(&self, context: &Context, link: &str) -> Result<Receipt<User>, CommandError> {
        let link = ConfirmationLink::read(link).filter(|link| self.clock.now() < link.until);
        let link = link.ok_or(UserError::ConfirmationOver)?;
        let key = self.vault.subject(link.user).await?.ok_or(UserError::ConfirmationOver)?;
        self.execute(context, link.user.as_uuid(), |loaded: &Loaded<User>| {
            let User::Active { profile, mailbox, .. } = &loaded.aggregate else {
                return Err(UserError::ConfirmationOver.into());
            };
            let known = key.open(profile)?;
            if link.confirms(&self.vault, &known.email) {
                return Ok(vec![UserCommand::ConfirmEmail]);
            }
            let next = mailbox.next.as_ref().map(|next| key.open_email(next)).transpose()?;
            let is_meant = |next: &Email| link.confirms(&self.vault, next);
            let email = next.filter(is_meant).ok_or(UserError::ConfirmationOver)?;
            let profile = key.seal(next_event(context, link.user, loaded, 1), &Profile { email, ..known })?;
            Ok::<_, CommandError>(vec![UserCommand::ChangeEmail { profile }])
        })
        .await
    }

    /// Tells the owner of an address that somebody tried to open another account with it.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn note_registration(&self, context: &Context, email: &Email) -> Result<(), CommandError> {
        let Some(user) = self.account_of(email).await? else { return Ok(()) };
        let note = |_: &_| Ok::<_, CommandError>(vec![UserCommand::NoteRegistration]);
        self.execute::<User, _>(context, user.as_uuid(), note).await.map(drop)
    }

    /// The address that an account had before a change of its profile; nothing once the person is erased.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn former_address(&self, user: UserId, changed: &SealedProfile) -> Result<Option<Email>, CommandError> {
        let key = AggregateKey::of::<User>(user.as_uuid());
        let histories = self.journal.histories(&[key]).await?;
        let mut before = None;
        for event in histories.of(key) {
            match stored::read(&event.event_type, &event.event_version, event.payload.get())? {
                UserEvent::UserRegistered { profile, .. }
                | UserEvent::UserProfileChanged { profile, .. }
                | UserEvent::UserBirthDateConfirmed { profile, .. } => {
                    if profile.sealed_in == changed.sealed_in {
                        break;
                    }
                    before = Some(profile);
                }
                _ => (),
            }
        }
        let Some((key, before)) = self.vault.subject(user).await?.zip(before) else { return Ok(None) };
        Ok(Some(key.open(&before)?.email))
    }

    /// An address that an account has asked for; nothing once the person is erased.
    ///
    /// # Errors
    /// When the vault does not answer.
    pub async fn address_asked_for(&self, user: UserId, asked: &SealedEmail) -> Result<Option<Email>, CommandError> {
        let Some(key) = self.vault.subject(user).await? else { return Ok(None) };
        Ok(Some(key.open_email(asked)?))
    }
}

/// The id of an event that a request appends to an account, counted from 1.
pub(crate) fn next_event(context: &Context, user: UserId, loaded: &Loaded<User>, nth: usize) -> EventId {
    EventId::of(context.command, user.as_uuid(), loaded.version().saturating_add(nth))
}
