use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::SessionId;
use journal::vault::OpenSession;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::Tag;
use crate::Store;
use crate::auth::{Identity, SignedIn};
use crate::extract;
use crate::problem::Problem;

pub(crate) struct Sessions;

/// Where somebody is logged in.
#[derive(Object)]
struct Session {
    id: String,
    /// Such as `Firefox · Linux`, or the name of a program; may be empty.
    device: String,
    /// The network that it was opened from, such as `203.0.113.0/24`; may be empty.
    network: String,
    opened_at: DateTime<Utc>,
    /// When it was last refreshed.
    used_at: DateTime<Utc>,
    /// When it is over, however often it is refreshed.
    ends_at: DateTime<Utc>,
    /// Whether it is the one that asks.
    current: bool,
}

#[derive(Object)]
struct SessionList {
    items: Vec<Session>,
}

#[derive(ApiResponse)]
enum Ended {
    #[oai(status = 204)]
    NoContent,
}

#[OpenApi(tag = "Tag::Users")]
impl Sessions {
    /// Where an account is logged in, newest first; at most a hundred sessions.
    #[oai(path = "/users/:id/sessions", method = "get", operation_id = "listSessions")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        identity: Data<&Identity>,
        id: Path<String>,
    ) -> Result<Json<SessionList>, Problem> {
        let user = extract::account(actor, &id)?;
        let sessions = store.commands.sessions(actor, user).await?;
        let items = sessions.into_iter().map(|session| Session::of(session, identity.session)).collect();
        Ok(Json(SessionList { items }))
    }

    /// Log an account out everywhere, here as well; its access tokens are refused from now on, at every gateway within a
    /// second.
    #[oai(path = "/users/:id/sessions", method = "delete", operation_id = "endSessions")]
    async fn end_all(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<Ended, Problem> {
        let user = extract::account(actor, &id)?;
        store.commands.end_sessions(&store.commands.context(actor), user).await?;
        store.authority.refresh().await;
        Ok(Ended::NoContent)
    }

    /// End one session; its access token is refused from now on, at every gateway within a second.
    #[oai(path = "/users/:id/sessions/:session", method = "delete", operation_id = "endSession")]
    async fn end(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        session: Path<String>,
    ) -> Result<Ended, Problem> {
        let user = extract::account(actor, &id)?;
        let session = extract::path_id(SessionId::parse(&session))?;
        store.commands.end_session(actor, user, session).await?;
        store.authority.refresh().await;
        Ok(Ended::NoContent)
    }
}

impl Session {
    fn of(session: OpenSession, current: SessionId) -> Self {
        let OpenSession { family, device, network, opened_at, rotated_at, ends_at } = session;
        let current = family == current.as_uuid();
        Self { id: family.to_string(), device, network, opened_at, used_at: rotated_at, ends_at, current }
    }
}
