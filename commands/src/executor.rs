//! Load, decide, append: what every use case goes through, with retries where deciding again is safe.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};
use domain::{EventId, UnreadableEvent};
use journal::{AppendError, Claim, Claims, JournalError, NewEvent, Position};
use uuid::Uuid;

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;

/// What a use case came to.
#[derive(Debug)]
pub struct Receipt<A> {
    /// Where its last event stands in the journal; nothing where nothing changed.
    pub position: Option<Position>,
    /// How many events the aggregate has now.
    pub version: usize,
    /// The aggregate as it is now.
    pub aggregate: A,
}

/// An aggregate as loaded, with what the repeat of a request is told by.
pub(crate) struct Loaded<A> {
    pub(crate) aggregate: A,
    pub(crate) version: usize,
    first: Option<SerializedEvent>,
    last_command: Option<String>,
}

/// What a use case wants of its aggregate.
pub(crate) struct Wish<A: Aggregate> {
    pub(crate) commands: Vec<A::Command>,
    pub(crate) claims: Claims,
}

impl<A: Aggregate> Wish<A> {
    /// One command, no claim.
    pub(crate) fn of(command: A::Command) -> Self {
        Self { commands: vec![command], claims: Claims::default() }
    }
}

/// Why one round of load, decide and append failed.
enum Attempt {
    Conflict,
    Claimed(Claim),
    Failed(CommandError),
}

impl<E: Into<CommandError>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Five more rounds, the last after about a third of a second.
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(Duration::from_millis(5)).with_factor(2.5).with_max_times(5).with_jitter()
}

impl Commands {
    /// Lets an aggregate decide on a wish made of its current state, and appends what it decided.
    pub(crate) async fn execute<A, E>(
        &self,
        context: &Context,
        id: Uuid,
        wish: impl Fn(&Loaded<A>) -> Result<Wish<A>, E>,
    ) -> Result<Receipt<A>, CommandError>
    where
        A: Aggregate<Services = (), Error: Into<CommandError>>,
        E: Into<CommandError>,
    {
        self.execute_or(context, id, wish, |_| CommandError::Conflict).await
    }

    /// As [`Commands::execute`], with a name for the refusal when a claim is taken.
    pub(crate) async fn execute_or<A, E>(
        &self,
        context: &Context,
        id: Uuid,
        wish: impl Fn(&Loaded<A>) -> Result<Wish<A>, E>,
        taken: impl Fn(Claim) -> CommandError,
    ) -> Result<Receipt<A>, CommandError>
    where
        A: Aggregate<Services = (), Error: Into<CommandError>>,
        E: Into<CommandError>,
    {
        let begun = AtomicBool::new(false);
        let round = || self.round(context, id, &wish, begun.swap(true, Ordering::Relaxed));
        let again = |attempt: &Attempt| match attempt {
            Attempt::Conflict => true,
            // Deciding again is safe: an append that went through unseen is met as a repeat.
            Attempt::Failed(CommandError::Unavailable(JournalError::Database(error))) => broke_off(error),
            Attempt::Failed(_) | Attempt::Claimed(_) => false,
        };
        round.retry(patience()).when(again).await.map_err(|attempt| match attempt {
            Attempt::Conflict => CommandError::Conflict,
            Attempt::Claimed(claim) => taken(claim),
            Attempt::Failed(error) => error,
        })
    }

    async fn round<A, E>(
        &self,
        context: &Context,
        id: Uuid,
        wish: &impl Fn(&Loaded<A>) -> Result<Wish<A>, E>,
        again: bool,
    ) -> Result<Receipt<A>, Attempt>
    where
        A: Aggregate<Services = (), Error: Into<CommandError>>,
        E: Into<CommandError>,
    {
        let loaded = self.load::<A>(id).await?;
        if (again && loaded.was_changed_by(context)) || loaded.is_repeat_of(context)? {
            return Ok(Receipt { position: None, version: loaded.version, aggregate: loaded.aggregate });
        }
        let Wish { commands, claims } = wish(&loaded).map_err(Into::into)?;
        let Loaded { mut aggregate, version, .. } = loaded;
        let sink = EventSink::default();
        for command in commands {
            aggregate.handle(command, &(), &sink).await.map_err(Into::into)?;
        }
        let events = new_events::<A>(context, id, version, sink.collect().await)?;
        if events.is_empty() {
            return Ok(Receipt { position: None, version, aggregate });
        }
        match self.journal.append(A::TYPE, id, &events, &claims).await {
            Ok(position) => {
                let version = version.saturating_add(events.len());
                Ok(Receipt { position: Some(position), version, aggregate })
            }
            Err(AppendError::Conflict) => Err(Attempt::Conflict),
            // Whoever holds the claim may be the same request, sent twice at once.
            Err(AppendError::Claimed(_)) if version == 0 && self.load::<A>(id).await?.version > 0 => {
                Err(Attempt::Conflict)
            }
            Err(AppendError::Claimed(claim)) => Err(Attempt::Claimed(claim)),
            Err(AppendError::Journal(error)) => Err(error.into()),
        }
    }

    /// Folds an aggregate's history.
    pub(crate) async fn load<A: Aggregate>(&self, id: Uuid) -> Result<Loaded<A>, CommandError> {
        let events = self.journal.get_events::<A>(&id.to_string()).await.map_err(unavailable)?;
        let version = events.len();
        let first = events.first().cloned();
        let mut aggregate = A::default();
        let last_command = events.last().and_then(|event| noted(event, "command_id")).map(str::to_owned);
        for event in events {
            domain::readable(&event.event_version)?;
            aggregate.apply(serde_json::from_value(event.payload).map_err(UnreadableEvent::from)?);
        }
        Ok(Loaded { aggregate, version, first, last_command })
    }

    /// Whether this very request was carried out before, told by the aggregate that it would create.
    pub(crate) async fn was_done<A: Aggregate>(&self, context: &Context, id: Uuid) -> Result<Option<A>, CommandError> {
        if context.repeatable.is_none() {
            return Ok(None);
        }
        let loaded = self.load::<A>(id).await?;
        Ok(loaded.is_repeat_of(context)?.then_some(loaded.aggregate))
    }
}

impl<A> Loaded<A> {
    /// What the aggregate's whole history belongs to: the wish of a person that began it.
    pub(crate) fn correlation(&self) -> Option<Uuid> {
        noted(self.first.as_ref()?, "correlation_id")?.parse().ok()
    }

    /// Whether an earlier round's append went through unseen: the answer was lost, the command was not.
    fn was_changed_by(&self, context: &Context) -> bool {
        self.last_command.as_deref() == Some(context.command.to_string().as_str())
    }

    fn is_repeat_of(&self, context: &Context) -> Result<bool, CommandError> {
        let (Some(first), Some(request)) = (&self.first, &context.repeatable) else { return Ok(false) };
        if noted(first, "idempotency_key") != Some(request.key.to_string().as_str()) {
            return Ok(false);
        }
        let same = noted(first, "fingerprint") == Some(request.fingerprint.as_str());
        if same { Ok(true) } else { Err(CommandError::KeyReused) }
    }
}

fn noted<'a>(event: &'a SerializedEvent, name: &str) -> Option<&'a str> {
    event.metadata.get(name)?.as_str()
}

fn new_events<A: Aggregate>(
    context: &Context,
    id: Uuid,
    version: usize,
    events: Vec<A::Event>,
) -> Result<Vec<NewEvent>, CommandError> {
    let metadata = context.metadata();
    let numbered = events.into_iter().enumerate().map(|(index, event)| {
        let sequence = version.saturating_add(index).saturating_add(1);
        Ok(NewEvent {
            event_id: EventId::of(context.command, id, sequence).as_uuid(),
            sequence: i64::try_from(sequence).unwrap_or(i64::MAX),
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload: serde_json::to_value(&event).map_err(UnreadableEvent::from)?,
            metadata: metadata.clone(),
        })
    });
    numbered.collect()
}

/// Whether the connection was lost, or the server is restarting (SQLSTATE 57P01 to 57P03).
fn broke_off(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(error, sqlx::Error::Io(_)) || code.is_some_and(|code| code.starts_with("57P0"))
}

/// The stock repository boxes what sqlx said.
fn unavailable(error: PersistenceError) -> CommandError {
    let cause: Box<dyn std::error::Error + Send + Sync> = match error {
        PersistenceError::ConnectionError(cause) | PersistenceError::UnknownError(cause) => cause,
        other @ (PersistenceError::OptimisticLockError | PersistenceError::DeserializationError(_)) => Box::new(other),
    };
    let error = match cause.downcast::<sqlx::Error>() {
        Ok(error) => *error,
        Err(other) => sqlx::Error::Protocol(other.to_string()),
    };
    CommandError::Unavailable(JournalError::Database(error))
}
