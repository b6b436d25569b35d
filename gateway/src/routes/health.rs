use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Any;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::Tag;
use crate::Store;

pub(crate) struct Health;

#[derive(Object)]
struct Live {
    status: String,
}

/// What the store leans on, each `up` or `down`.
#[derive(Object)]
struct Ready {
    /// `ready`, `degraded` (readers lag behind, nothing is lost) or `down`.
    status: String,
    postgres: String,
    nats: String,
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
    #[oai(path = "/health/live", method = "get")]
    async fn live(&self) -> Json<Live> {
        Json(Live { status: "live".to_owned() })
    }

    /// Whether the store can do its work. Without NATS it can: events wait in the journal.
    #[oai(path = "/health/ready", method = "get")]
    async fn ready(&self, store: Data<&Arc<Store>>) -> Readiness {
        let word = |up| if up { "up" } else { "down" }.to_owned();
        let postgres = sqlx::query("select 1 from journal.events limit 1").fetch_optional(store.pool()).await.is_ok();
        let nats = store.nats.is_connected();
        let status = match (postgres, nats) {
            (true, true) => "ready",
            (true, false) => "degraded",
            (false, _) => "down",
        };
        let ready = Json(Ready { status: status.to_owned(), postgres: word(postgres), nats: word(nats) });
        if postgres { Readiness::Ready(ready) } else { Readiness::Down(ready) }
    }

    /// The public key of the access tokens (RFC 7517).
    #[oai(path = "/.well-known/jwks.json", method = "get")]
    async fn jwks(&self, store: Data<&Arc<Store>>) -> Json<Any<serde_json::Value>> {
        Json(Any(store.keys.jwks()))
    }
}
