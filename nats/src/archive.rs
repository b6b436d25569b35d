//! The mirror of EVENTS that analysts read, in an account of its own (`nats-server.conf`).

use std::time::Duration;

use async_nats::jetstream::stream::{Config, ConsumerLimits, External, Source, StorageType};
use async_nats::jetstream::{self, Context};

use crate::connect::{Nats, NatsError};
use crate::streams::EVENTS;

/// Where the store asks for the account's API, and where that asks for the store's.
const API: &str = "ARCHIVE.API";
const STORE_API: &str = "LUDOTECA.API";
/// What the mirror is filled by.
const DELIVERED: &str = "mirror.events";
/// How long a consumer stays that nobody reads by.
const UNREAD: Duration = Duration::from_mins(5);
/// How many consumers there may be at once.
const CONSUMERS: i32 = 1_000;

impl Nats {
    fn archive(&self) -> Context {
        jetstream::with_prefix(self.client().clone(), API)
    }

    /// Creates the mirror where it is missing, and brings it up to date. One that is older than EVENTS is of other events,
    /// which it would keep: it is made anew.
    ///
    /// # Errors
    /// When JetStream refuses or does not answer, or the server has no such account.
    pub async fn provision_archive(&self) -> Result<(), NatsError> {
        let events = self.jetstream().get_stream(EVENTS).await.map_err(NatsError::of("stream"))?;
        let known = self.archive().get_stream(EVENTS).await.ok();
        if known.is_some_and(|known| known.cached_info().created < events.cached_info().created) {
            self.archive().delete_stream(EVENTS).await.map_err(NatsError::of("delete the archive"))?;
        }
        let external = External { api_prefix: STORE_API.to_owned(), delivery_prefix: Some(DELIVERED.to_owned()) };
        let config = Config {
            name: EVENTS.to_owned(),
            storage: StorageType::File,
            num_replicas: self.replicas(),
            allow_direct: true,
            deny_delete: true,
            deny_purge: true,
            max_consumers: CONSUMERS,
            consumer_limits: Some(ConsumerLimits { inactive_threshold: UNREAD, max_ack_pending: 0 }),
            mirror: Some(Source { name: EVENTS.to_owned(), external: Some(external), ..Source::default() }),
            ..Config::default()
        };
        let made = self.archive().create_or_update_stream(config).await;
        made.map(drop).map_err(NatsError::of("create the archive (is nats-server.conf this version's?)"))
    }
}
