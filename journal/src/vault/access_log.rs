use chrono::{DateTime, Utc};
use domain::{ApiKeyId, UserId};
use sqlx::Row;
use uuid::Uuid;

use super::Vault;
use crate::JournalError;
use crate::connect::once_more;

/// That somebody of the staff is about to be shown something.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Who looks.
    pub staff: UserId,
    /// The key, where a program looks for them.
    pub key: Option<ApiKeyId>,
    /// The account, order or other thing that the request names; nothing for lists of many.
    pub about: Option<Uuid>,
    /// What was asked for.
    pub path: &'a str,
    /// And how, as it was sent.
    pub query: Option<&'a str>,
    /// The id of the request, by which the log of the gateway knows it as well.
    pub request: Option<&'a str>,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEntry {
    /// Its number; later ones have larger ones.
    pub entry: i64,
    /// When it was noted, just before the answer was sent.
    pub accessed_at: DateTime<Utc>,
    /// Who looked.
    pub staff: Uuid,
    /// The key, where a program looked for them.
    pub key: Option<Uuid>,
    /// What the request named.
    pub about: Option<Uuid>,
    /// What was asked for.
    pub path: String,
    /// And how, as it was sent.
    pub query: Option<String>,
    /// The id of the request.
    pub request: Option<String>,
}

impl Vault {
    /// Notes an access. The store's database role can add to this log and cannot change it.
    ///
    /// # Errors
    /// When the database does not answer; nothing may be shown then.
    pub async fn note_access(&self, access: Access<'_>) -> Result<(), JournalError> {
        let Access { staff, key, about, path, query, request } = access;
        let insert = "insert into vault.access_log (accessed_at, staff_id, key_id, about_id, path, query, request_id)
                      values ($1, $2, $3, $4, $5, $6, $7)";
        // Noting it twice does no harm.
        once_more(|| {
            let insert =
                sqlx::query(insert).bind(self.clock.now()).bind(staff.as_uuid()).bind(key.map(ApiKeyId::as_uuid));
            insert.bind(about).bind(path).bind(query).bind(request).execute(self.pool())
        })
        .await?;
        Ok(())
    }

    /// The newest entries before one, at most `limit`: of one member of the staff, or about one thing, where asked for.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn accesses(
        &self,
        (staff, about): (Option<Uuid>, Option<Uuid>),
        before: i64,
        limit: i64,
    ) -> Result<Vec<AccessEntry>, JournalError> {
        let query = "select * from vault.access_log
                     where entry < $1 and ($2::uuid is null or staff_id = $2) and ($3::uuid is null or about_id = $3)
                     order by entry desc limit $4";
        let rows = sqlx::query(query).bind(before).bind(staff).bind(about).bind(limit).fetch_all(self.pool()).await?;
        let entry = |row: &sqlx::postgres::PgRow| {
            Ok(AccessEntry {
                entry: row.try_get("entry")?,
                accessed_at: row.try_get("accessed_at")?,
                staff: row.try_get("staff_id")?,
                key: row.try_get("key_id")?,
                about: row.try_get("about_id")?,
                path: row.try_get("path")?,
                query: row.try_get("query")?,
                request: row.try_get("request_id")?,
            })
        };
        Ok(rows.iter().map(entry).collect::<sqlx::Result<_>>()?)
    }
}
