use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nats::{EVENTS, PAYMENTS, PSP_HEALTH, RELAY_HEALTH};
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Any;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::{Tag, WORK};
use crate::Store;
use crate::auth::SignedIn;
use crate::problem::Problem;

pub(crate) struct Health;

#[derive(Object)]
struct Live {
    status: String,
}

/// How long a worker may take to say how it stands.
const PATIENCE: Duration = Duration::from_millis(300);

/// What the store leans on, each `up` or `down`.
#[derive(Object)]
struct Ready {
    /// `ready`, `degraded` (readers lag behind or payments wait, nothing is lost) or `down`.
    status: String,
    postgres: String,
    nats: String,
    /// `halted` while journal and mirror contradict each other, and readers see nothing new; `unknown` without a relay.
    relay: String,
    /// `blocked` while the circuit breaker towards the PSP is open, and payments wait; `unknown` without a payment
    /// worker.
    psp: String,
}

/// How far everything is behind, in events, and how much waits.
#[derive(Object)]
struct Figures {
    /// All events of the journal.
    events: i64,
    relay_behind: i64,
    /// By read model.
    projections_behind: BTreeMap<String, i64>,
    index_behind: i64,
    payments_waiting: i64,
    dead_letters: i64,
    webhooks_waiting: i64,
    parked: i64,
}

#[derive(ApiResponse)]
enum Readiness {
    /// Commands are taken.
    #[oai(status = 200)]
    Ready(Json<Ready>),
    /// Commands cannot be taken.
    #[oai(status = 503)]
    Down(Json<Ready>),
}

#[OpenApi(tag = "Tag::Operations")]
impl Health {
    /// Whether the process answers.
    #[oai(path = "/health/live", method = "get", operation_id = "checkLiveness")]
    async fn live(&self) -> Json<Live> {
        Json(Live { status: "live".to_owned() })
    }

    /// Whether the store can do its work. Without NATS it can: events wait in the journal.
    #[oai(path = "/health/ready", method = "get", operation_id = "checkReadiness")]
    async fn ready(&self, store: Data<&Arc<Store>>) -> Readiness {
        let word = |up| if up { "up" } else { "down" }.to_owned();
        let postgres = sqlx::query("select 1 from journal.events limit 1").fetch_optional(store.pool()).await.is_ok();
        let nats = store.nats.is_connected();
        let ask = async |subject| if nats { store.nats.ask(subject, PATIENCE).await } else { None };
        let (relay, psp) = tokio::join!(ask(RELAY_HEALTH), ask(PSP_HEALTH));
        let [relay, psp] = [relay, psp].map(|said| said.unwrap_or_else(|| "unknown".to_owned()));
        let status = match (postgres, nats && relay == "up" && psp == "up") {
            (true, true) => "ready",
            (true, false) => "degraded",
            (false, _) => "down",
        };
        let ready = Json(Ready { status: status.to_owned(), postgres: word(postgres), nats: word(nats), relay, psp });
        if postgres { Readiness::Ready(ready) } else { Readiness::Down(ready) }
    }

    /// How far everything is behind and how much waits, for admins.
    #[oai(path = "/health/figures", method = "get", operation_id = "getFigures")]
    async fn figures(&self, store: Data<&Arc<Store>>, SignedIn(actor): SignedIn) -> Result<Json<Figures>, Problem> {
        actor.must_be_admin()?;
        let (events, _) = store.commands.journal().extent().await?;
        let (_, mirrored) = store.nats.extent(EVENTS).await?;
        let mirrored = i64::try_from(mirrored).unwrap_or(i64::MAX);
        let checkpoints = projections::checkpoints(store.pool()).await?;
        let depth = |depth: u64| i64::try_from(depth).unwrap_or(i64::MAX);
        let index = projections::search::reindex::behind(store.pool()).await?;
        Ok(Json(Figures {
            relay_behind: events.saturating_sub(mirrored).max(0),
            projections_behind: checkpoints
                .into_iter()
                .map(|(name, sequence)| (name, mirrored.saturating_sub(sequence).max(0)))
                .collect(),
            index_behind: index,
            payments_waiting: depth(store.nats.extent(PAYMENTS).await?.0),
            dead_letters: depth(store.nats.count_dead_letters(&WORK).await?),
            webhooks_waiting: store.commands.vault().deliveries_waiting().await?,
            parked: projections::parked_count(store.pool()).await?,
            events,
        }))
    }

    /// The public keys of the access tokens (use `sig`) and of the tree heads (use `treehead`), RFC 7517.
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "getPublicKeys")]
    async fn jwks(&self, store: Data<&Arc<Store>>) -> Json<Any<serde_json::Value>> {
        let of_heads = store.commands.journal().head_keys().await.unwrap_or_else(|error| {
            // Whoever verifies tokens is to be answered all the same.
            tracing::warn!(%error, "The keys of tree heads are not known");
            vec![]
        });
        Json(Any(store.secrets().keys.jwks(&of_heads)))
    }
}
