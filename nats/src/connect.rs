use std::time::Duration;

use async_nats::client::PublishError;
use async_nats::jetstream;
use async_nats::{Client, ConnectOptions, HeaderMap, ServerAddr};
use futures::{Stream, StreamExt};

/// What JetStream answered when it could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("NATS: {what}: {cause}")]
pub struct NatsError {
    what: &'static str,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl NatsError {
    pub(crate) fn of<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Self { what, cause: cause.into() }
    }
}

/// How often the server is asked whether it is there. The third answer that does not come ends the connection, so one
/// that only looks open is noticed within 15 s.
const PING: Duration = Duration::from_secs(4);
/// For how long a message may wait for its turn to be sent.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);
/// Pause before subscribing again.
const PAUSE: Duration = Duration::from_secs(1);

/// A connection to the server. Cheap to clone; reconnects by itself.
#[derive(Clone)]
pub struct Nats {
    client: Client,
    jetstream: jetstream::Context,
    replicas: usize,
}

impl Nats {
    /// Connects to the first server of `urls` that answers. They are separated by commas, each carries user and
    /// password, and all belong to one cluster, for which one user is as good as the other.
    ///
    /// A user's inbox prefix is `_INBOX_<user>`, so that its permissions can be held to its own inbox.
    ///
    /// # Errors
    /// When the URL is invalid or the server does not let us in.
    pub async fn connect(urls: &str) -> Result<Self, NatsError> {
        Self::dial(urls, false).await
    }

    /// The same, whether the server is there already or not: until it is, everything that needs it fails or waits.
    ///
    /// # Errors
    /// When the URL is invalid.
    pub async fn connect_when_there(urls: &str) -> Result<Self, NatsError> {
        Self::dial(urls, true).await
    }

    async fn dial(urls: &str, patient: bool) -> Result<Self, NatsError> {
        let servers: Result<Vec<ServerAddr>, _> = urls.split(',').map(str::parse).collect();
        let servers = servers.map_err(NatsError::of("URL"))?;
        let user = servers.first().and_then(ServerAddr::username).unwrap_or_default().to_owned();
        let password = servers.first().and_then(ServerAddr::password).unwrap_or_default().to_owned();
        let options = ConnectOptions::with_user_and_password(user.clone(), password)
            .name("ludoteca")
            .custom_inbox_prefix(format!("_INBOX_{user}"))
            .connection_timeout(Duration::from_secs(3))
            .ping_interval(PING)
            .request_timeout(Some(Duration::from_secs(3)))
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis(100).saturating_mul(u32::try_from(attempts).unwrap_or(10).min(10))
            });
        let options = if patient { options.retry_on_initial_connect() } else { options };
        let client = options.connect(servers).await.map_err(NatsError::of("connect"))?;
        let jetstream = jetstream::new(client.clone());
        Ok(Self { client, jetstream, replicas: 1 })
    }

    /// The same, on a cluster that keeps each stream on so many of its servers: 1, 3 or 5.
    #[must_use]
    pub fn with_replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    pub(crate) fn replicas(&self) -> usize {
        self.replicas
    }

    /// Whether the connection stands at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Whether JetStream answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ready(&self) -> Result<(), NatsError> {
        self.jetstream.query_account().await.map_err(NatsError::of("account")).map(drop)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// Tells whoever listens on `subject` that there is something to do. Nobody need listen; nothing is kept.
    ///
    /// # Errors
    /// When it cannot be sent now.
    pub async fn wake(&self, subject: &'static str) -> Result<(), NatsError> {
        self.send(subject, bytes::Bytes::new()).await
    }

    /// Asks whoever listens on `subject` to look at something. Nobody need listen; nothing is kept.
    ///
    /// # Errors
    /// When it cannot be sent now.
    pub async fn question(&self, subject: &'static str, about: String) -> Result<(), NatsError> {
        self.send(subject, about.into()).await
    }

    async fn send(&self, subject: &'static str, body: bytes::Bytes) -> Result<(), NatsError> {
        with_timeout(PATIENCE, self.client.publish(subject, body)).await
    }

    /// Sends a message to a stream without asking whether it was stored.
    pub(crate) async fn send_unconfirmed(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: bytes::Bytes,
        patience: Duration,
    ) -> Result<(), NatsError> {
        with_timeout(patience, self.client.publish_with_headers(subject, headers, payload)).await
    }

    /// What is asked on `subject` from now on.
    ///
    /// # Errors
    /// When the connection is closed for good.
    pub async fn questions(
        &self,
        subject: &'static str,
    ) -> Result<impl Stream<Item = String> + Unpin + use<>, NatsError> {
        let subscription = self.client.subscribe(subject).await.map_err(NatsError::of("questions"))?;
        Ok(subscription.map(|question| String::from_utf8_lossy(&question.payload).into_owned()))
    }

    /// What somebody who answers on `subject` says at once; nothing where nobody does.
    pub async fn ask(&self, subject: &'static str, patience: Duration) -> Option<String> {
        let asked = self.client.request(subject, bytes::Bytes::new());
        let answer = tokio::time::timeout(patience, asked).await.ok()?.ok()?;
        Some(String::from_utf8_lossy(&answer.payload).into_owned())
    }

    /// Answers on `subject` for as long as this is awaited; it does not return.
    pub async fn answer(&self, subject: &'static str, say: impl Fn() -> &'static str) {
        loop {
            if let Err(error) = self.answer_while_connected(subject, &say).await {
                tracing::debug!(%error, subject, "Cannot answer on {subject}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn answer_while_connected(
        &self,
        subject: &'static str,
        say: &impl Fn() -> &'static str,
    ) -> Result<(), NatsError> {
        let mut asked = self.client.subscribe(subject).await.map_err(NatsError::of("answer"))?;
        while let Some(question) = asked.next().await {
            if let Some(reply) = question.reply {
                self.client.publish(reply, say().into()).await.map_err(NatsError::of("answer"))?;
            }
        }
        Ok(())
    }

    /// The wake-ups on `subject` from now on.
    ///
    /// # Errors
    /// When it cannot be sent now.
    pub async fn wakes(&self, subject: &'static str) -> Result<impl Stream<Item = ()> + Unpin + use<>, NatsError> {
        let subscription = self.client.subscribe(subject).await.map_err(NatsError::of("wakes"))?;
        Ok(subscription.map(drop))
    }
}

async fn with_timeout(
    patience: Duration,
    sending: impl Future<Output = Result<(), PublishError>>,
) -> Result<(), NatsError> {
    let sent = tokio::time::timeout(patience, sending).await;
    sent.map_err(NatsError::of("send"))?.map_err(NatsError::of("send"))
}
