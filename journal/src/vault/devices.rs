use domain::{SessionId, UserId};

use super::Vault;
use crate::JournalError;

/// How a device stands to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStanding {
    /// The first that logs in to it, as far as is known.
    First,
    /// It has logged in before.
    Known,
    /// Others have, this one has not.
    New,
}

impl Vault {
    /// How a device that has just opened a session stands to somebody's account. `device` is what it is known by; only its keyed hash is kept.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn device_standing(
        &self,
        user: UserId,
        session: SessionId,
        device: &str,
    ) -> Result<DeviceStanding, JournalError> {
        let look = "select (select bool_or(device_hash = $2) from vault.devices where user_id = $1),
                           exists (select from vault.sessions where user_id = $1 and family <> $3)";
        let look = sqlx::query_as(look).bind(user.as_uuid()).bind(self.device_hash(user, device));
        let (is_known, has_sessions): (Option<bool>, bool) =
            look.bind(session.as_uuid()).fetch_one(self.pool()).await?;
        Ok(match (is_known, has_sessions) {
            (Some(true), _) => DeviceStanding::Known,
            (None, false) => DeviceStanding::First,
            // Sessions from before devices were noted are somebody's.
            (Some(false), _) | (None, true) => DeviceStanding::New,
        })
    }

    /// Notes that a device has logged in to somebody's account; nothing of whoever is forgotten meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_device(&self, user: UserId, device: &str) -> Result<(), JournalError> {
        let keep = "insert into vault.devices (user_id, device_hash, used_at)
             select user_id, $2, $3 from vault.subject_keys where user_id = $1 and wrapped_key is not null for share
             on conflict (user_id, device_hash) do update set used_at = excluded.used_at";
        let keep = sqlx::query(keep).bind(user.as_uuid()).bind(self.device_hash(user, device));
        keep.bind(self.clock.now()).execute(self.pool()).await?;
        Ok(())
    }

    fn device_hash(&self, user: UserId, device: &str) -> Vec<u8> {
        self.keyed_hash("known device", format!("{user}\n{device}").as_bytes()).to_vec()
    }
}
