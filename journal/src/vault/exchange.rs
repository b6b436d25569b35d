//! Exchanging the master key while the store runs: a successor is made known, every role is given it, then every
//! person's key is wrapped anew. Nothing that was sealed is touched.

use secrecy::SecretString;
use sqlx::PgPool;
use uuid::Uuid;

use super::Vault;
use super::master::Master;
use super::sealing::{decrypt, encrypt};
use crate::{JournalError, is_violation};

/// How many keys are wrapped anew at once.
const BATCH: i64 = 500;
/// A row is referred to that is to go.
pub(super) const FOREIGN_KEY_VIOLATION: &str = "23503";

impl Vault {
    /// Makes another master key open the vault as well; `owner` are connections of the database's owner. Returns its id.
    /// A successor of before that wraps nothing yet gives way to it if it got `lost`: no role may have it.
    ///
    /// # Errors
    /// [`JournalError::InvalidMasterKey`], [`JournalError::HasSuccessor`], [`JournalError::ExchangeUnderWay`], or when
    /// the database does not answer.
    pub async fn add_master(&self, owner: &PgPool, next: &SecretString, lost: bool) -> Result<String, JournalError> {
        let next = Master::parse(next)?;
        let ours = self.keyring.ours.id();
        if !lost {
            self.must_be_the_last(owner).await?;
        }
        let wraps: bool =
            sqlx::query_scalar("select wraps from vault.master_key where id = $1").bind(&ours).fetch_one(owner).await?;
        if !wraps {
            return Err(JournalError::ExchangeUnderWay);
        }
        let dropped = sqlx::query("delete from vault.master_key where not wraps").execute(owner).await;
        match dropped {
            Err(error) if is_violation(&error, FOREIGN_KEY_VIOLATION) => return Err(JournalError::ExchangeUnderWay),
            dropped => dropped?,
        };
        // What an interrupted exchange left behind.
        sqlx::query("update vault.master_key set predecessor = null where id = $1").bind(&ours).execute(owner).await?;
        self.keyring.succeed(owner, &next).await?;
        Ok(next.id())
    }

    /// The id of the master key that the vault was opened with.
    #[must_use]
    pub fn master_id(&self) -> String {
        self.keyring.ours.id()
    }

    /// Wraps every person's key by the master key that the vault was opened with, and forgets its predecessor, which
    /// opens nothing from then on. May be done again after it was interrupted. `progress` hears how many are done;
    /// returns how many there were.
    ///
    /// # Errors
    /// [`JournalError::HasSuccessor`] to the key that is to go, when a key does not open, or the database does not answer.
    pub async fn rewrap(&self, owner: &PgPool, progress: impl Fn(u64)) -> Result<u64, JournalError> {
        let ours = self.keyring.ours.id();
        self.must_be_the_last(owner).await?;
        let mut tx = owner.begin().await?;
        sqlx::query("update vault.master_key set wraps = false where id <> $1").bind(&ours).execute(&mut *tx).await?;
        sqlx::query("update vault.master_key set wraps = true where id = $1").bind(&ours).execute(&mut *tx).await?;
        tx.commit().await?;
        let mut done = 0_u64;
        loop {
            let wrapped = self.rewrap_some(owner, &ours).await?;
            done = done.saturating_add(wrapped);
            progress(done);
            if wrapped > 0 {
                continue;
            }
            // Whoever is erased keeps a row without a key.
            sqlx::query(
                "update vault.subject_keys set wrapped_by = null where wrapped_key is null and wrapped_by <> $1",
            )
            .bind(&ours)
            .execute(owner)
            .await?;
            let forget = sqlx::query("delete from vault.master_key where id <> $1").bind(&ours).execute(owner).await;
            match forget {
                Ok(_) => break,
                // Somebody registered in between, with a role that had not seen the change.
                Err(error) if is_violation(&error, FOREIGN_KEY_VIOLATION) => (),
                Err(error) => return Err(error.into()),
            }
        }
        sqlx::query("update vault.master_key set predecessor = null").execute(owner).await?;
        Ok(done)
    }

    /// Refuses a key that has a successor. One without a predecessor is the first, or took over long ago.
    async fn must_be_the_last(&self, owner: &PgPool) -> Result<(), JournalError> {
        let successor = sqlx::query_scalar(
            "select other.id from vault.master_key other, vault.master_key ours
             where ours.id = $1 and ours.predecessor is null and other.predecessor is not null and other.id <> $1",
        );
        match successor.bind(self.keyring.ours.id()).fetch_optional(owner).await? {
            Some(successor) => Err(JournalError::HasSuccessor { successor }),
            None => Ok(()),
        }
    }

    async fn rewrap_some(&self, owner: &PgPool, ours: &str) -> Result<u64, JournalError> {
        let some: Vec<(Uuid, Vec<u8>, Option<String>)> = sqlx::query_as(
            "select user_id, wrapped_key, wrapped_by from vault.subject_keys
             where wrapped_key is not null and wrapped_by is distinct from $1 limit $2",
        )
        .bind(ours)
        .bind(BATCH)
        .fetch_all(owner)
        .await?;
        let cipher = self.keyring.ours.cipher();
        let (mut users, mut old, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for (user, wrapped, by) in some {
            let key = decrypt(&self.keyring.by_id(by.as_deref())?.cipher(), user.as_bytes(), &wrapped)?;
            new.push(encrypt(&cipher, user.as_bytes(), &key)?);
            users.push(user);
            old.push(wrapped);
        }
        // Who was erased meanwhile stays so.
        let rewrapped = sqlx::query(
            "update vault.subject_keys k set wrapped_key = given.new, wrapped_by = $4
             from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as given (id, old, new)
             where k.user_id = given.id and k.wrapped_key = given.old",
        )
        .bind(&users)
        .bind(&old)
        .bind(&new)
        .bind(ours)
        .execute(owner)
        .await?;
        Ok(rewrapped.rows_affected())
    }
}
