//! Load, decide, append: what every use case goes through, with retries where deciding again is safe.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use cqrs_es::DomainEvent;
use cqrs_es::event_sink::EventSink;
use domain::{EventId, StoreAggregate, UnreadableEvent};
use journal::{AggregateKey, Append, AppendError, Change, Histories, JournalError, Loaded, NewEvent, Position};
use uuid::Uuid;

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;

/// What a use case came to.
#[derive(Debug)]
pub struct Receipt<A> {
    /// Which aggregate it is about: another than was named where the request repeats an earlier one.
    pub id: Uuid,
    /// Where its last event stands in the journal; nothing where nothing changed.
    pub position: Option<Position>,
    /// How many events the aggregate has now.
    pub version: usize,
    /// The aggregate as it is now.
    pub aggregate: A,
    /// Whether this is what an earlier, equal request came to.
    pub replayed: bool,
}

/// Five more rounds, the last after about a third of a second.
fn retry_policy() -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(Duration::from_millis(5)).with_factor(2.5).with_max_times(5).with_jitter()
}

/// What a decision is first made on. Where that was cached, only what it has appended counts: the append is refused where
/// the cache was out of date, and whatever else it comes to is decided again on what is read.
pub(crate) enum Read {
    /// The aggregate and what it leans on, read now.
    All,
    /// All of that from the cache, as far as it is there. Its history is not.
    Cached,
    /// A new aggregate, and what it leans on from the cache.
    New,
    /// All was just read.
    Given(Histories),
}

impl Commands {
    /// Lets an aggregate decide on commands made of its current state, and appends what it decided.
    pub(crate) async fn execute<A, E>(
        &self,
        context: &Context,
        id: Uuid,
        decide: impl Fn(&Loaded<A>) -> Result<Vec<A::Command>, E>,
    ) -> Result<Receipt<A>, CommandError>
    where
        A: StoreAggregate<Error: Into<CommandError>>,
        E: Into<CommandError>,
    {
        self.execute_on(context, id, (&[], Read::All), |loaded, _| decide(loaded)).await
    }

    /// As [`Commands::execute`], where the decision leans on other aggregates as well: what it decides is appended only
    /// if none of them has changed since.
    pub(crate) async fn execute_on<A, E>(
        &self,
        context: &Context,
        id: Uuid,
        leaning: (&[AggregateKey], Read),
        decide: impl Fn(&Loaded<A>, &Histories) -> Result<Vec<A::Command>, E>,
    ) -> Result<Receipt<A>, CommandError>
    where
        A: StoreAggregate<Error: Into<CommandError>>,
        E: Into<CommandError>,
    {
        self.execute_with::<A, A, E>(context, id, leaning, decide, |_, _| Ok(None)).await
    }

    /// As [`Commands::execute_on`], where something follows for another aggregate: `follows` sees the first as the commands
    /// leave it, and returns the id of the other with its command. The events of both are appended together, or none are.
    pub(crate) async fn execute_with<A, B, E>(
        &self,
        context: &Context,
        id: Uuid,
        (others, read): (&[AggregateKey], Read),
        decide: impl Fn(&Loaded<A>, &Histories) -> Result<Vec<A::Command>, E>,
        follows: impl Fn(&A, &Histories) -> Result<Option<(Uuid, B::Command)>, CommandError>,
    ) -> Result<Receipt<A>, CommandError>
    where
        A: StoreAggregate<Error: Into<CommandError>>,
        B: StoreAggregate<Error: Into<CommandError>>,
        E: Into<CommandError>,
    {
        // The first events of appends whose answers were lost: where one of them is found, its append was not.
        let lost = Mutex::default();
        let again = |error: &CommandError| match error {
            CommandError::Conflict => true,
            // Deciding again is safe: an append that went through unseen is found in the history.
            CommandError::Unavailable(JournalError::Database(error)) => journal::broke_off(error),
            _ => false,
        };
        let key = AggregateKey::of::<A>(id);
        let histories = match read {
            Read::All => self.journal.histories(&[others, &[key]].concat()).await?,
            Read::Cached => self.journal.cached(&[others, &[key]].concat()).await?,
            Read::New => self.journal.cached(others).await?,
            Read::Given(histories) => histories,
        };
        let refused = match self.round::<A, B, E>(context, id, (others, histories), &decide, &follows, &lost).await {
            Ok(receipt) => return Ok(receipt),
            Err(error) => error,
        };
        // Whatever a repeat is refused for, the first request was not; the append itself refuses a second answer.
        let round = || async {
            if let Some(receipt) = self.replayed(context).await? {
                return Ok(receipt);
            }
            let histories = self.journal.histories(&[others, &[key]].concat()).await?;
            self.round::<A, B, E>(context, id, (others, histories), &decide, &follows, &lost).await
        };
        if again(&refused) {
            return round.retry(retry_policy()).when(again).await;
        }
        self.replayed(context).await?.ok_or(refused)
    }

    async fn round<A, B, E>(
        &self,
        context: &Context,
        id: Uuid,
        (others, mut histories): (&[AggregateKey], Histories),
        decide: &impl Fn(&Loaded<A>, &Histories) -> Result<Vec<A::Command>, E>,
        follows: &impl Fn(&A, &Histories) -> Result<Option<(Uuid, B::Command)>, CommandError>,
        lost: &Mutex<Vec<(Uuid, String)>>,
    ) -> Result<Receipt<A>, CommandError>
    where
        A: StoreAggregate<Error: Into<CommandError>>,
        B: StoreAggregate<Error: Into<CommandError>>,
        E: Into<CommandError>,
    {
        let is_certain = !histories.is_cached();
        let loaded = histories.take::<A>(id)?;
        let version = loaded.version();
        let uncertain = |error: CommandError| if is_certain { error } else { CommandError::Conflict };
        if loaded.holds_any(&lost.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(Receipt { id, position: None, version, aggregate: loaded.aggregate, replayed: false });
        }
        let commands = decide(&loaded, &histories).map_err(|error| uncertain(error.into()))?;
        let (aggregate, change) = self.change(context, id, loaded, commands).await.map_err(uncertain)?;
        let Some(change) = change else {
            if !is_certain {
                return Err(CommandError::Conflict);
            }
            self.keep_answer(context, AggregateKey::of::<A>(id), version).await?;
            return Ok(Receipt { id, position: None, version, aggregate, replayed: false });
        };
        let version = version.saturating_add(change.events.len());
        let first = change.events.first().map(|event| (event.event_id, event.event_type.clone()));
        let mut leans_on: Vec<_> = others.iter().map(|other| (*other, histories.version(*other))).collect();
        let (mut changes, mut follower) = (vec![change], None);
        if let Some((other, command)) = follows(&aggregate, &histories).map_err(uncertain)? {
            let because = first.as_ref().map(|(event, _)| *event);
            let context = Context { causation: because, ..context.clone() };
            let loaded = histories.take::<B>(other)?;
            let before = loaded.version();
            let (after, change) = self.change(&context, other, loaded, vec![command]).await.map_err(uncertain)?;
            if let Some(change) = change {
                follower = Some((other, before.saturating_add(change.events.len()), after));
                leans_on.retain(|(leant, _)| *leant != change.aggregate);
                changes.push(change);
            }
        }
        let append = Append { changes, leans_on, answer: context.repeatable.clone() };
        let position = match self.journal.append(append).await {
            Err(AppendError::Journal(JournalError::Database(error))) if journal::broke_off(&error) => {
                lost.lock().unwrap_or_else(PoisonError::into_inner).extend(first);
                return Err(JournalError::Database(error).into());
            }
            appended => appended?,
        };
        self.journal.cache(id, version, &aggregate);
        if let Some((id, version, follower)) = follower {
            self.journal.cache(id, version, &follower);
        }
        Ok(Receipt { id, position: Some(position), version, aggregate, replayed: false })
    }

    /// An aggregate as commands leave it, and what happens to it by them.
    async fn change<A>(
        &self,
        context: &Context,
        id: Uuid,
        loaded: Loaded<A>,
        commands: Vec<A::Command>,
    ) -> Result<(A, Option<Change>), CommandError>
    where
        A: StoreAggregate<Error: Into<CommandError>>,
    {
        let version = loaded.version();
        let mut aggregate = loaded.aggregate;
        let sink = EventSink::default();
        for command in commands {
            aggregate.handle(command, &(), &sink).await.map_err(Into::into)?;
        }
        let events = sink.collect().await;
        if events.is_empty() {
            return Ok((aggregate, None));
        }
        let facts: Vec<_> = events.iter().map(|event| A::store_event(id, event.clone())).collect();
        let events = new_events::<A>(context, (id, aggregate.partition(id)), version, events)?;
        let change = Change { aggregate: AggregateKey::of::<A>(id), events, claims: self.vault.claims(&facts).await? };
        Ok((aggregate, Some(change)))
    }

    /// What an equal request came to within the last day, as it was then.
    ///
    /// # Errors
    /// [`CommandError::KeyReused`] where the earlier request under the key was another.
    pub(crate) async fn replayed<A: StoreAggregate>(
        &self,
        context: &Context,
    ) -> Result<Option<Receipt<A>>, CommandError> {
        let Some(request) = &context.repeatable else { return Ok(None) };
        let Some(first) = self.journal.answered(request).await? else { return Ok(None) };
        if first.fingerprint != request.fingerprint {
            return Err(CommandError::KeyReused);
        }
        let (id, version, position) = (first.aggregate_id, first.version, first.position);
        let mut histories = self.journal.histories(&[AggregateKey::of::<A>(id)]).await?;
        let aggregate = histories.take_as_of::<A>(id, version)?.aggregate;
        Ok(Some(Receipt { id, position, version, aggregate, replayed: true }))
    }

    async fn keep_answer(&self, context: &Context, about: AggregateKey, version: usize) -> Result<(), CommandError> {
        let Some(request) = &context.repeatable else { return Ok(()) };
        if self.journal.keep_answer(request, about, version).await? { Ok(()) } else { Err(CommandError::Conflict) }
    }

    /// Folds an aggregate's history.
    pub(crate) async fn load<A: StoreAggregate>(&self, id: Uuid) -> Result<Loaded<A>, CommandError> {
        Ok(self.journal.load(id).await?)
    }
}

impl From<AppendError> for CommandError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict => Self::Conflict,
            AppendError::Claimed(claim) => Self::taken(&claim),
            AppendError::Journal(error) => error.into(),
        }
    }
}

fn new_events<A: StoreAggregate>(
    context: &Context,
    (id, partition): (Uuid, Uuid),
    version: usize,
    events: Vec<A::Event>,
) -> Result<Vec<NewEvent>, CommandError> {
    let metadata = context.metadata(partition);
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
