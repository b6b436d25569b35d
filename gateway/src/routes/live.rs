use std::sync::Arc;
use std::time::Duration;

use commands::Actor;
use domain::{OrderId, UserId};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use journal::Position;
use poem::web::Data;
use poem::web::sse::Event;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::EventStream;
use poem_openapi::types::ToJSON;
use poem_openapi::{ApiResponse, OpenApi};

use super::Tag;
use crate::Store;
use crate::auth::{Identity, SignedIn};
use crate::extract;
use crate::live::{Live, Notice};
use crate::problem::Problem;

pub(crate) struct LiveUpdates;

/// How long a stream is silent at most.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(ApiResponse)]
enum Notices {
    /// Server-sent events named `notice`; their ids are places among all events.
    #[oai(status = 200)]
    Stream(EventStream<BoxStream<'static, Notice>>, #[oai(header = "Cache-Control")] String),
}

#[OpenApi(tag = "Tag::Orders")]
impl LiveUpdates {
    /// What happened to an order, and what happens, as server-sent events; resumes after `Last-Event-ID`.
    #[oai(path = "/pedidos/:id/eventos", method = "get", operation_id = "followOrder")]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn order(
        &self,
        store: Data<&Arc<Store>>,
        live: Data<&Arc<Live>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        /// The same as `Last-Event-ID`, for browsers that open a stream anew.
        after: Query<Option<String>>,
        #[oai(name = "Last-Event-ID")] last_event_id: Header<Option<String>>,
        identity: Data<&Identity>,
    ) -> Result<Notices, Problem> {
        let order = extract::path_id(OrderId::parse(&id))?;
        let view = projections::orders::find(store.pool(), order).await?.ok_or_else(Problem::not_found)?;
        actor.must_own(UserId::from_uuid(view.user_id))?;
        let user = actor.user().ok_or_else(Problem::not_found)?;
        let happening = live.order(user, order, place(last_event_id, after)?.unwrap_or_default()).await?;
        Ok(notices(happening, store.0, (*identity.0, actor)))
    }

    /// What happens to all of one's own orders, as server-sent events; resumes after `Last-Event-ID`.
    #[oai(path = "/notificacoes", method = "get", operation_id = "followNotices")]
    async fn person(
        &self,
        store: Data<&Arc<Store>>,
        live: Data<&Arc<Live>>,
        SignedIn(actor): SignedIn,
        /// The same as `Last-Event-ID`, for browsers that open a stream anew.
        after: Query<Option<String>>,
        #[oai(name = "Last-Event-ID")] last_event_id: Header<Option<String>>,
        identity: Data<&Identity>,
    ) -> Result<Notices, Problem> {
        let user = actor.user().ok_or_else(Problem::not_found)?;
        let happening = live.person(user, place(last_event_id, after)?).await?;
        Ok(notices(happening, store.0, (*identity.0, actor)))
    }
}

/// Where a listener left off, if it says so.
fn place(last_event_id: Header<Option<String>>, after: Query<Option<String>>) -> Result<Option<Position>, Problem> {
    let said = last_event_id.0.or(after.0);
    said.map(|place| place.parse().map_err(|rule| Problem::field("after", rule))).transpose()
}

/// Ends with the right to open it.
fn notices(
    notices: impl Stream<Item = Notice> + Send + 'static,
    store: &Arc<Store>,
    (identity, opened_by): (Identity, Actor),
) -> Notices {
    let store = store.clone();
    let over = Box::pin(async move { store.authority.over(identity, opened_by).await });
    let notices = notices.take_until(over).boxed();
    let event = |notice: Notice| Event::message(notice.to_json_string()).id(&notice.id).event_type("notice");
    Notices::Stream(EventStream::new(notices).keep_alive(HEARTBEAT).to_event(event), "no-store".to_owned())
}
