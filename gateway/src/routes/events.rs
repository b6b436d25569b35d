use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use commands::CommandError;
use domain::InvalidId;
use futures::{StreamExt, stream};
use journal::{AggregateKey, AsOf, JournalError, is_event};
use nats::EVENTS;
use poem::Body;
use poem::web::{Accept, Data};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::{Binary, Json, Response};
use poem_openapi::types::Any;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::Tag;
use crate::Store;
use crate::auth::{Identity, SignedIn};
use crate::extract;
use crate::problem::Problem;
use crate::reading::{Form, Reader, Wanted};

pub(crate) struct Events;

const SERVER_SENT: &str = "text/event-stream";

#[derive(ApiResponse)]
enum Replayed {
    /// CloudEvents, one to a line; or as server-sent events, where `text/event-stream` is accepted.
    #[oai(status = 200, content_type = "application/x-ndjson")]
    Events(
        Binary<Body>,
        /// The position of the last event when the replay began.
        #[oai(header = "Last-Position")]
        u64,
    ),
}

/// An aggregate as some of its events left it.
#[derive(Object)]
struct History {
    aggregate: String,
    id: String,
    /// How many events led here.
    version: u64,
    /// Its state, as commands decide on it; what is a person's own is sealed.
    state: Any<Value>,
    /// Those events, as CloudEvents.
    events: Vec<Any<Value>>,
}

#[OpenApi(tag = "Tag::Events")]
impl Events {
    /// Replay events in global order, for analysts and admins. `from` and `to` are positions, both included; `since` and
    /// `until` times, of which the second is not included. As server-sent events it resumes after `Last-Event-ID`.
    ///
    /// Whoever follows does so for as long as their access token is good, and goes on from the last position with the next.
    ///
    /// With `id`, the whole history of one aggregate; that has no positions, and goes with `aggregate` and `type` only.
    #[oai(path = "/eventos", method = "get", operation_id = "replayEvents")]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn replay(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        accept: Accept,
        from: Query<Option<u64>>,
        to: Query<Option<u64>>,
        aggregate: Query<Option<String>>,
        id: Query<Option<String>>,
        #[oai(name = "type")] kind: Query<Option<String>>,
        /// Only what follows from one request.
        correlation: Query<Option<String>>,
        since: Query<Option<DateTime<Utc>>>,
        until: Query<Option<DateTime<Utc>>>,
        /// How many events at most.
        count: Query<Option<u64>>,
        follow: Query<Option<bool>>,
        #[oai(name = "Last-Event-ID")] last_event_id: Header<Option<u64>>,
        identity: Data<&Identity>,
    ) -> Result<Response<Replayed>, Problem> {
        actor.may_read_events()?;
        let (aggregate, kind) = (aggregate.as_deref(), kind.as_deref());
        let subject = nats::events_of(aggregate, kind).map_err(|rule| Problem::field(rule.name, rule))?;
        let kinds = AggregateKey::kinds();
        if aggregate.is_some_and(|aggregate| !kinds.contains(&aggregate)) {
            return Err(Problem::field("aggregate", format!("must be one of {}", kinds.join(", "))));
        }
        if kind.is_some_and(|kind| !is_event(kind)) {
            return Err(Problem::field("type", "is no event of this store; /schemas lists them"));
        }
        let parse = |name: &str, id: &String| Uuid::try_parse(id).map_err(|_| Problem::field(name, InvalidId));
        let correlation = correlation.as_ref().map(|id| parse("correlation", id)).transpose()?;
        let (_, last) = store.nats.extent(EVENTS).await?;
        let wanted = Wanted { to: to.unwrap_or(u64::MAX), left: count.0, correlation, since: since.0, until: until.0 };
        if let Some(id) = id.as_ref() {
            let id = parse("id", id)?;
            let others = [from.is_some(), to.is_some(), follow.is_some(), count.is_some(), wanted.looks_inside()];
            if others.contains(&true) {
                return Err(Problem::field("id", "goes with `aggregate` and `type` only"));
            }
            let lines = history(&store, id, (aggregate, kind)).await?;
            return Ok(Response::new(Replayed::Events(Binary(lines.into()), last)));
        }
        // What is liked best comes first.
        let best = accept.0.first().filter(|kind| kind.essence_str() == SERVER_SENT);
        let form = if best.is_some() { Form::ServerSent } else { Form::Lines };
        let seen = last_event_id.0.filter(|_| form == Form::ServerSent);
        let from = seen.map_or_else(|| from.unwrap_or(1), |seen| seen.saturating_add(1));
        let follows = follow.unwrap_or(false);
        let mut reader = Reader {
            store: store.clone(),
            identity: *identity.0,
            replay: store.nats.replay(EVENTS, subject, from).bodies_only(),
            wanted,
            form,
            follows_until: follows.then(|| Instant::now().checked_add(identity.life)).flatten(),
            told: Instant::now(),
        };
        // The first batch now: a server that does not answer is a 503, not a broken stream.
        let first = reader.read().await?;
        let rest = stream::try_unfold(reader, |mut reader| async move {
            Ok::<_, io::Error>(reader.next().await?.map(|told| (told, reader)))
        });
        let events = Body::from_bytes_stream(stream::iter([Ok(first)]).chain(rest));
        let replayed = Response::new(Replayed::Events(Binary(events), last));
        Ok(if form == Form::ServerSent { replayed.header("Content-Type", SERVER_SENT) } else { replayed })
    }

    /// An aggregate as it is, or as it was with `version` events or at a time: its state, and the events that led there.
    /// For analysts and admins.
    #[oai(path = "/eventos/:aggregate/:id", method = "get", operation_id = "readHistory")]
    async fn history(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        /// `user`, `game`, `order` or `payment`.
        aggregate: Path<String>,
        id: Path<String>,
        version: Query<Option<u64>>,
        at: Query<Option<DateTime<Utc>>>,
    ) -> Result<Json<History>, Problem> {
        actor.may_read_events()?;
        let id = extract::path_id(Uuid::try_parse(&id).map_err(|_| InvalidId))?;
        let key = AggregateKey::of_kind(&aggregate, id).ok_or_else(Problem::not_found)?;
        let as_of = match (version.0, at.0) {
            (Some(_), Some(_)) => return Err(Problem::field("at", "does not go with `version`")),
            (Some(version), None) => AsOf::Version(usize::try_from(version).unwrap_or(usize::MAX)),
            (None, Some(time)) => AsOf::Time(time),
            (None, None) => AsOf::Now,
        };
        let past = store.commands.journal().past(key, as_of).await.map_err(CommandError::from)?;
        let past = past.ok_or_else(Problem::not_found)?;
        let events: Result<Vec<Value>, _> =
            past.events.iter().map(|event| serde_json::to_value(event.to_cloud_event())).collect();
        let events = events.map_err(JournalError::from).map_err(CommandError::from)?;
        Ok(Json(History {
            aggregate: key.kind.to_owned(),
            id: id.to_string(),
            version: events.len().try_into().unwrap_or(u64::MAX),
            state: Any(past.state),
            events: events.into_iter().map(Any).collect(),
        }))
    }
}

/// One aggregate's events, from the journal: subjects of the mirror do not name aggregates.
async fn history(store: &Store, id: Uuid, wanted: (Option<&str>, Option<&str>)) -> Result<Vec<u8>, Problem> {
    let keys = AggregateKey::every_kind(id);
    let histories = store.commands.journal().histories(&keys).await.map_err(CommandError::from)?;
    let mut lines = Vec::new();
    for event in keys.iter().flat_map(|key| histories.of(*key)) {
        let is = |wanted: Option<&str>, name: &String| wanted.is_none_or(|wanted| wanted == name);
        if is(wanted.0, &event.aggregate_type) && is(wanted.1, &event.event_type) {
            // A cloud event of texts and raw JSON has nothing that could fail to be written.
            lines.extend(serde_json::to_vec(&event.to_cloud_event()).unwrap_or_default());
            lines.push(b'\n');
        }
    }
    Ok(lines)
}
