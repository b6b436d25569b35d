use domain::{AuthenticatorId, UserId};

use super::Vault;
use crate::JournalError;

impl Vault {
    /// Keeps recovery codes; none of whoever is forgotten meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_recovery_codes(
        &self,
        user: UserId,
        id: AuthenticatorId,
        hashes: &[[u8; 32]],
    ) -> Result<(), JournalError> {
        let keep = "insert into vault.recovery_codes (authenticator_id, user_id, code_hash)
             select $2, user_id, given.hash from vault.subject_keys, unnest($3::bytea[]) as given (hash)
             where user_id = $1 and wrapped_key is not null for share of subject_keys";
        let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
        sqlx::query(keep).bind(user.as_uuid()).bind(id.as_uuid()).bind(hashes).execute(self.pool()).await?;
        Ok(())
    }

    /// Uses a recovery code up; whether it was good.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_recovery_code(&self, id: AuthenticatorId, hash: [u8; 32]) -> Result<bool, JournalError> {
        let delete = "delete from vault.recovery_codes where authenticator_id = $1 and code_hash = $2";
        let delete = sqlx::query(delete).bind(id.as_uuid()).bind(hash.as_slice());
        Ok(delete.execute(self.pool()).await?.rows_affected() > 0)
    }

    /// How many recovery codes are left.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recovery_codes_left(&self, id: AuthenticatorId) -> Result<i64, JournalError> {
        let count = "select count(*) from vault.recovery_codes where authenticator_id = $1";
        Ok(sqlx::query_scalar(count).bind(id.as_uuid()).fetch_one(self.pool()).await?)
    }
}
