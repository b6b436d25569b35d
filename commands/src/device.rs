//! Devices that log in to an account, as far as they are known from before.

use domain::SessionId;
use domain::user::{User, UserCommand};
use journal::vault::DeviceStanding;

use crate::Commands;
use crate::actor::Actor;
use crate::error::CommandError;
use crate::session::{Place, Session};

impl Commands {
    /// Has the owner of an account told of a login from a device that has not logged in to it before. One that says so by
    /// its cookie has, and so has one of the same kind in the same network; the very first is its owner's.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn note_device(&self, session: &Session, place: &Place) -> Result<(), CommandError> {
        let (user, session) = (session.user, session.id);
        let device = format!("{}\n{}", place.device, place.network);
        let standing = self.vault.device_standing(user, session, &device).await?;
        if standing == DeviceStanding::New && !place.is_known {
            // Before the device is known: a login that fails here is one from a new device when it is tried again.
            let note = |_: &_| Ok::<_, CommandError>(vec![UserCommand::NoteNewDevice { session }]);
            self.execute::<User, _>(&self.context(Actor::Anonymous), user.as_uuid(), note).await?;
        }
        Ok(self.vault.keep_device(user, &device).await?)
    }

    /// Where somebody logged in, in words, as far as that is still known.
    ///
    /// # Errors
    /// When the vault does not answer.
    pub async fn place_of(&self, session: SessionId) -> Result<Option<Place>, CommandError> {
        let found = self.vault.place_of(session).await?;
        Ok(found.map(|(device, network)| Place { device, network, is_known: false }))
    }
}
