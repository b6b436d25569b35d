//! What was begun with an authenticator, and is to be finished once and soon.

use chrono::TimeDelta;
use domain::UserId;
use uuid::Uuid;

use super::Vault;
use crate::JournalError;

/// For how long it may be finished.
const GOOD_FOR: TimeDelta = TimeDelta::minutes(10);

/// What was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Ceremony {
    /// To add a passkey.
    NewPasskey,
    /// To log in with one.
    PasskeyLogin,
    /// To set an app up.
    NewTotp,
}

impl Vault {
    /// Notes what has to be known to finish something: by somebody, who may finish what they began last only, or by whoever
    /// proves to be somebody.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_ceremony(
        &self,
        kind: Ceremony,
        id: Uuid,
        user: Option<UserId>,
        state: &[u8],
    ) -> Result<(), JournalError> {
        // Strangers begin many that they never finish.
        let old = "delete from vault.ceremonies where user_id = $1 or ceremony_id = any(array(
                     select ceremony_id from vault.ceremonies where expires_at < now() + $2 limit 10 for update skip locked))";
        let user = user.map(UserId::as_uuid);
        sqlx::query(old).bind(user).bind(self.ahead()).execute(self.pool()).await?;
        let until = self.clock.now().checked_add_signed(GOOD_FOR);
        let begin = "insert into vault.ceremonies (ceremony_id, kind, user_id, state, expires_at)
                     values ($1, $2, $3, $4, $5)";
        let begin = sqlx::query(begin).bind(id).bind(<&str>::from(kind)).bind(user).bind(state).bind(until);
        begin.execute(self.pool()).await?;
        Ok(())
    }

    /// What was noted when something was begun, where it may still be finished.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ceremony(&self, kind: Ceremony, id: Uuid, user: UserId) -> Result<Option<Vec<u8>>, JournalError> {
        let find = "select state from vault.ceremonies
                    where ceremony_id = $1 and kind = $2 and user_id = $3 and expires_at > now() + $4";
        let find = sqlx::query_scalar(find).bind(id).bind(<&str>::from(kind)).bind(user.as_uuid());
        Ok(find.bind(self.ahead()).fetch_optional(self.pool()).await?)
    }

    /// The same, and ends it: nobody else gets it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take_ceremony(
        &self,
        kind: Ceremony,
        id: Uuid,
        user: Option<UserId>,
    ) -> Result<Option<Vec<u8>>, JournalError> {
        let take = "delete from vault.ceremonies
                    where ceremony_id = $1 and kind = $2 and user_id is not distinct from $3 and expires_at > now() + $4
                    returning state";
        let take = sqlx::query_scalar(take).bind(id).bind(<&str>::from(kind)).bind(user.map(UserId::as_uuid));
        Ok(take.bind(self.ahead()).fetch_optional(self.pool()).await?)
    }
}
