use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use commands::CommandError;
use domain::InvalidId;
use futures::{StreamExt, stream};
use journal::AggregateKey;
use nats::{EVENTS, NatsError, Replay, Stored};
use poem::Body;
use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::payload::Binary;
use poem_openapi::{ApiResponse, OpenApi};
use tokio::time::Instant;
use uuid::Uuid;

use super::Tag;
use crate::Store;
use crate::auth::{Identity, SignedIn};
use crate::problem::Problem;
use crate::schemas;

pub(crate) struct Events;

/// How often a follower looks for new events.
const POLL: Duration = Duration::from_millis(50);

#[derive(ApiResponse)]
enum Replayed {
    /// CloudEvents, one to a line.
    #[oai(status = 200, content_type = "application/x-ndjson")]
    Events(
        Binary<Body>,
        /// The position of the last event when the replay began.
        #[oai(header = "Last-Position")]
        u64,
    ),
}

#[OpenApi(tag = "Tag::Events")]
impl Events {
    /// Replay events in global order, for analysts and admins. `from` and `to` are positions, both included.
    ///
    /// Whoever follows does so for as long as their access token is good, and goes on from the last position with the next.
    ///
    /// With `id`, the whole history of one aggregate; that has no positions, and does not go with `from`, `to` or `follow`.
    #[oai(path = "/eventos", method = "get", operation_id = "replayEvents")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the query")]
    async fn replay(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        from: Query<Option<u64>>,
        to: Query<Option<u64>>,
        aggregate: Query<Option<String>>,
        id: Query<Option<String>>,
        #[oai(name = "type")] kind: Query<Option<String>>,
        follow: Query<Option<bool>>,
        identity: Data<&Identity>,
    ) -> Result<Replayed, Problem> {
        actor.may_read_events()?;
        let wanted = (aggregate.as_deref(), kind.as_deref());
        let subject = nats::events_of(wanted.0, wanted.1).map_err(|rule| Problem::field(rule.name, rule))?;
        let kinds = AggregateKey::every_kind(Uuid::nil()).map(|key| key.kind);
        if wanted.0.is_some_and(|aggregate| !kinds.contains(&aggregate)) {
            return Err(Problem::field("aggregate", format!("must be one of {}", kinds.join(", "))));
        }
        if wanted.1.is_some_and(|kind| !schemas::is_event(kind)) {
            return Err(Problem::field("type", "is no event of this store; /schemas lists them"));
        }
        let (_, last) = store.nats.extent(EVENTS).await?;
        if let Some(id) = id.as_deref() {
            if from.is_some() || to.is_some() || follow.is_some() {
                return Err(Problem::field("id", "goes with `aggregate` and `type` only"));
            }
            let id = Uuid::try_parse(id).map_err(|_| Problem::field("id", InvalidId))?;
            return Ok(Replayed::Events(Binary(history(&store, id, wanted).await?.into()), last));
        }
        let follow = follow.unwrap_or(false);
        let mut reader = Reader {
            store: store.clone(),
            identity: *identity.0,
            until: follow.then(|| Instant::now().checked_add(identity.life)).flatten(),
            replay: store.nats.replay(EVENTS, subject, from.unwrap_or(1)).bodies_only(),
            to: to.unwrap_or(u64::MAX),
            follow,
        };
        // The first batch now: a server that does not answer is a 503, not a broken stream.
        let first = reader.read().await?;
        let rest = stream::try_unfold(reader, |mut reader| async move {
            Ok::<_, io::Error>(reader.next().await?.map(|lines| (lines, reader)))
        });
        let lines = stream::iter([Ok(first)]).chain(rest);
        Ok(Replayed::Events(Binary(Body::from_bytes_stream(lines)), last))
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

struct Reader {
    store: Arc<Store>,
    identity: Identity,
    /// Until when the token of whoever follows is good.
    until: Option<Instant>,
    replay: Replay,
    to: u64,
    follow: bool,
}

impl Reader {
    /// The next lines; nothing at the end. A follower waits there for more, for as long as they may; a replay that has an end
    /// and may not go on to it breaks off, or it would look whole.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while self.replay.next_sequence() <= self.to {
            let is_endless = self.follow && self.to == u64::MAX;
            match (self.may_go_on().await, is_endless) {
                (true, _) => (),
                (false, true) => return Ok(None),
                (false, false) => return Err(io::ErrorKind::PermissionDenied.into()),
            }
            let lines = self.read().await.map_err(io::Error::other)?;
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            if !self.follow {
                return Ok(None);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(None)
    }

    /// Whether the reader may read on; waits for as long as that is not known.
    async fn may_go_on(&self) -> bool {
        while self.until.is_none_or(|until| Instant::now() < until) {
            match self.store.authority.now(&self.identity) {
                Ok(actor) => return actor.is_some_and(|actor| actor.may_read_events().is_ok()),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
        false
    }

    /// The lines that are there now.
    async fn read(&mut self) -> Result<Bytes, NatsError> {
        if self.replay.next_sequence() > self.to {
            return Ok(Bytes::new());
        }
        let batch = self.replay.next_batch().await?;
        let wanted = batch.iter().filter(|event| event.sequence <= self.to);
        Ok(wanted.flat_map(Stored::as_line).collect())
    }
}
