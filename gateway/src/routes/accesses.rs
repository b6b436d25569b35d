use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::InvalidId;
use journal::vault::AccessEntry;
use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::Tag;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract;
use crate::problem::Problem;

pub(crate) struct Accesses;

/// That somebody of the staff was shown what is others'.
#[derive(Object)]
struct Access {
    accessed_at: DateTime<Utc>,
    /// Who looked.
    staff_id: String,
    /// The key for programs that was used, if one was.
    key_id: Option<String>,
    /// The account, order or other thing that the request named; nothing for lists.
    about: Option<String>,
    /// What was asked for.
    path: String,
    /// And how, as it was sent.
    query: Option<String>,
    /// The request, as the gateway's log knows it.
    request_id: Option<String>,
}

#[derive(Object)]
struct AccessPage {
    items: Vec<Access>,
    next: Option<String>,
}

#[OpenApi(tag = "Tag::Operations")]
impl Accesses {
    /// What staff looked at that is others', newest first, for admins. Nothing is shown before it is noted here, and
    /// nobody of the store can change or remove an entry.
    #[oai(path = "/acessos", method = "get", operation_id = "listAccesses")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        /// Only what this account looked at.
        staff: Query<Option<String>>,
        /// Only what was looked at of this account, order or other thing.
        about: Query<Option<String>>,
        limit: Query<Option<i64>>,
        cursor: Query<Option<String>>,
    ) -> Result<Json<AccessPage>, Problem> {
        actor.must_be_admin()?;
        let limit = extract::page_limit(&limit)?;
        let before =
            cursor.0.as_deref().map_or(Some(i64::MAX), |cursor| cursor.parse().ok().filter(|entry| *entry > 0));
        let before = before.ok_or_else(|| Problem::field("cursor", "must be a cursor that an earlier page gave"))?;
        let id = |name: &str, id: &Option<String>| {
            let id = id.as_ref().map(|id| Uuid::try_parse(id).map_err(|_| Problem::field(name, InvalidId)));
            id.transpose()
        };
        let of = (id("staff", &staff)?, id("about", &about)?);
        let mut entries = store.commands.vault().accesses(of, before, limit.saturating_add(1)).await?;
        let is_more = i64::try_from(entries.len()).is_ok_and(|entries| entries > limit);
        entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = entries.last().filter(|_| is_more).map(|last| last.entry.to_string());
        Ok(Json(AccessPage { items: entries.into_iter().map(Access::from).collect(), next }))
    }
}

impl From<AccessEntry> for Access {
    fn from(entry: AccessEntry) -> Self {
        Self {
            accessed_at: entry.accessed_at,
            staff_id: entry.staff.to_string(),
            key_id: entry.key.map(|key| key.to_string()),
            about: entry.about.map(|about| about.to_string()),
            path: entry.path,
            query: entry.query,
            request_id: entry.request,
        }
    }
}
