//! What happens to orders, as it happens: one reader of EVENTS per gateway, and any number of listeners.
//!
//! A notice is a hint and a place: what it means is read from the read models, with the notice's position as
//! `Consistency-Token`. A listener that cannot keep up is let go, and comes back with `Last-Event-ID`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use commands::{CommandError, Commands};
use domain::order::{Order, OrderEvent};
use domain::payment::{Payment, PaymentEvent};
use domain::{OrderId, PaymentId, StoreEvent, UserId};
use futures::{Stream, StreamExt, stream};
use journal::{AggregateKey, CloudEvent, Position, Recorded};
use nats::{Delivery, EVENTS, Nats};
use poem::http::StatusCode;
use poem_openapi::Object;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;
use crate::progress::Progress;

/// How many notices a slow listener may fall behind.
const BACKLOG: usize = 1_024;
/// How many streams one person may have open.
const STREAMS: usize = 8;
/// What may be told.
const TOLD: [&str; 2] = ["events.order.>", "events.payment.>"];
const PAUSE: Duration = Duration::from_secs(1);
/// How far back a listener of everything may resume.
const RESUMABLE: i64 = 1_000;
/// How many payments' payers are remembered.
const PAYERS: usize = 10_000;

/// Something happened to an order.
#[derive(Debug, Clone, Object)]
pub(crate) struct Notice {
    /// The event's name; `listening` at the beginning of a person's stream, `reset` where too much was missed, and everything is to be read again.
    #[oai(rename = "type")]
    pub(crate) kind: String,
    pub(crate) order_id: Option<String>,
    pub(crate) payment_id: Option<String>,
    pub(crate) at: Option<DateTime<Utc>>,
    /// Good as `Consistency-Token` of what is read next.
    pub(crate) token: Option<String>,
    /// Its place among all events; good as `Last-Event-ID`.
    pub(crate) id: String,
}

/// What happened, and whom it concerns.
#[derive(Debug)]
struct Happening {
    position: Position,
    user: UserId,
    /// Which of their orders.
    order: OrderId,
    notice: Notice,
}

/// The reader and its listeners.
pub(crate) struct Live {
    commands: Commands,
    nats: Nats,
    progress: Progress,
    sender: broadcast::Sender<Arc<Happening>>,
    open: Arc<Mutex<HashMap<UserId, usize>>>,
    payers: Mutex<HashMap<PaymentId, (UserId, OrderId)>>,
    stop: CancellationToken,
}

/// Somebody who hears what happens.
struct Listener {
    receiver: broadcast::Receiver<Arc<Happening>>,
    seat: Seat,
}

/// One of the streams that a person may have open.
struct Seat {
    open: Arc<Mutex<HashMap<UserId, usize>>>,
    user: UserId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get(&self.user).map_or(0, |open| open.saturating_sub(1));
        if left == 0 {
            open.remove(&self.user);
        } else {
            open.insert(self.user, left);
        }
    }
}

impl Live {
    pub(crate) fn new(commands: Commands, nats: Nats, progress: Progress, stop: CancellationToken) -> Self {
        Self {
            commands,
            nats,
            progress,
            sender: broadcast::Sender::new(BACKLOG),
            open: Arc::default(),
            payers: Mutex::default(),
            stop,
        }
    }

    /// Follows EVENTS from its end on, until stopped. A server that was away is read on from where it was left.
    pub(crate) async fn run(&self) {
        let Some(last) = self.stop.run_until_cancelled(self.end()).await else { return };
        let mut events = self.nats.follow(EVENTS, &TOLD, last, BACKLOG, self.stop.clone());
        while let Some(batch) = events.next().await {
            if let Some(position) = batch.last().and_then(position) {
                self.progress.mirrored(position);
            }
            for delivery in batch.iter().filter(|_| self.sender.receiver_count() > 0) {
                let event = serde_json::from_slice::<CloudEvent<'_>>(delivery.payload()).ok();
                let Some((event, position)) = event.zip(position(delivery)) else { continue };
                if let Some(happening) = self.understand(&event, position).await {
                    // Nobody may be listening any more.
                    let _ = self.sender.send(Arc::new(happening));
                }
            }
        }
    }

    async fn end(&self) -> u64 {
        loop {
            match self.nats.extent(EVENTS).await {
                Ok((_, last)) => return last,
                Err(error) => tracing::warn!(%error, "Live updates wait for the event stream"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What an event means for somebody's orders; nothing for all other events.
    async fn understand(&self, event: &CloudEvent<'_>, position: Position) -> Option<Happening> {
        let (aggregate, version) = (event.aggregate.as_ref(), event.eventversion.as_ref());
        let known = StoreEvent::read(aggregate, &event.aggregateid, &event.kind, version, event.data.get()).ok()?;
        let (user, order, payment) = match known {
            StoreEvent::Order(order, event) => (buyer(&event), order, None),
            StoreEvent::Payment(payment, PaymentEvent::PaymentInitiated(terms)) => {
                self.remember(payment, terms.buyer, terms.order);
                (terms.buyer, terms.order, Some(payment))
            }
            StoreEvent::Payment(payment, _) => {
                let (buyer, order) = self.payer(payment).await?;
                (buyer, order, Some(payment))
            }
            StoreEvent::User(..) | StoreEvent::Game(..) | StoreEvent::TreeHead(..) => return None,
        };
        let notice = Notice {
            kind: event.kind.to_string(),
            order_id: Some(order.to_string()),
            payment_id: payment.map(|payment| payment.to_string()),
            at: event.recorded_at().ok(),
            token: Some(position.to_string()),
            id: position.to_string(),
        };
        Some(Happening { position, user, order, notice })
    }

    /// Payments' events do not all say whose they are: their first one does, and so does the journal.
    async fn payer(&self, payment: PaymentId) -> Option<(UserId, OrderId)> {
        let known = self.payers.lock().unwrap_or_else(PoisonError::into_inner).get(&payment).copied();
        if known.is_some() {
            return known;
        }
        match self.commands.payment(payment).await {
            Ok(state) => Some((state.terms.buyer, state.terms.order)),
            Err(error) => {
                tracing::warn!(payment.id = %payment, %error, "A notice is lost");
                None
            }
        }
    }

    fn remember(&self, payment: PaymentId, buyer: UserId, order: OrderId) {
        let mut payers = self.payers.lock().unwrap_or_else(PoisonError::into_inner);
        if payers.len() >= PAYERS {
            payers.clear();
        }
        payers.insert(payment, (buyer, order));
    }

    /// What happened to one order so far and since `after`, and then what happens.
    pub(crate) async fn order(
        &self,
        user: UserId,
        order: OrderId,
        after: Position,
    ) -> Result<impl Stream<Item = Notice> + use<>, Problem> {
        let live = self.listen(user)?;
        let journal = self.commands.journal();
        // From here on the mirror tells.
        let horizon = journal.horizon().await.map_err(CommandError::from)?;
        let (known, _) = self.commands.order_with_payments(order).await?;
        let payment = |attempt| PaymentId::for_attempt(order, attempt).as_uuid();
        let mut keys = vec![AggregateKey::of::<Order>(order.as_uuid())];
        keys.extend((1..=known.attempts()).map(|attempt| AggregateKey::of::<Payment>(payment(attempt))));
        let histories = journal.histories(&keys).await.map_err(CommandError::from)?;
        let mut past: Vec<_> = keys.iter().flat_map(|key| histories.of(*key)).collect();
        past.retain(|event| event.position < horizon && event.position > after);
        past.sort_by_key(|event| event.position);
        let past = self.past(&past).await.into_iter().map(|happening| happening.notice).collect();
        let later = move |happening: &Happening| happening.order == order && happening.position > after;
        Ok(self.joined(past, live, horizon, later))
    }

    /// What happens to somebody's orders; what happened since `after` where that is said. Begins with a notice that
    /// says where it begins.
    pub(crate) async fn person(
        &self,
        user: UserId,
        after: Option<Position>,
    ) -> Result<impl Stream<Item = Notice> + use<>, Problem> {
        let live = self.listen(user)?;
        let journal = self.commands.journal();
        let horizon = journal.horizon().await.map_err(CommandError::from)?;
        let missed = match after {
            Some(after) => {
                journal.committed_after(after, RESUMABLE.saturating_add(1)).await.map_err(CommandError::from)?
            }
            None => vec![],
        };
        let too_much = i64::try_from(missed.len()).is_ok_and(|missed| missed > RESUMABLE);
        let (kind, begin) = if too_much { ("reset", horizon) } else { ("listening", after.unwrap_or(horizon)) };
        let (order_id, payment_id, at, token) = (None, None, None, None);
        let mut past = vec![Notice { kind: kind.to_owned(), order_id, payment_id, at, token, id: begin.to_string() }];
        if !too_much {
            let missed: Vec<_> = missed.iter().filter(|event| event.position < horizon).collect();
            let missed = self.past(&missed).await;
            past.extend(
                missed.into_iter().filter(|happening| happening.user == user).map(|happening| happening.notice),
            );
        }
        Ok(self.joined(past, live, horizon, move |happening| happening.user == user))
    }

    /// What is in the journal already.
    async fn past(&self, events: &[&Recorded]) -> Vec<Happening> {
        let mut past = Vec::new();
        for event in events {
            past.extend(self.understand(&event.to_cloud_event(), event.position).await);
        }
        past
    }

    fn listen(&self, user: UserId) -> Result<Listener, Problem> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = open.entry(user).or_default();
        if *taken >= STREAMS {
            let detail = format!("at most {STREAMS} streams may be open; close one first");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail));
        }
        *taken = taken.saturating_add(1);
        Ok(Listener { receiver: self.sender.subscribe(), seat: Seat { open: self.open.clone(), user } })
    }

    /// What is past, and what the mirror tells from a position on; ends with the gateway.
    fn joined<F>(
        &self,
        past: Vec<Notice>,
        live: Listener,
        from: Position,
        wanted: F,
    ) -> impl Stream<Item = Notice> + use<F>
    where
        F: Fn(&Happening) -> bool + Send + 'static,
    {
        let Listener { receiver, seat } = live;
        let coming = stream::unfold((receiver, seat, wanted), move |(mut receiver, seat, wanted)| async move {
            loop {
                let happening = receiver.recv().await.ok()?;
                if happening.position >= from && wanted(&happening) {
                    return Some((happening.notice.clone(), (receiver, seat, wanted)));
                }
            }
        });
        stream::iter(past).chain(coming).take_until(self.stop.clone().cancelled_owned())
    }
}

/// Where an event stands in the journal.
fn position(delivery: &Delivery) -> Option<Position> {
    delivery.header("Journal-Position")?.parse().ok()
}

fn buyer(event: &OrderEvent) -> UserId {
    match event {
        OrderEvent::OrderCreated { buyer, .. }
        | OrderEvent::OrderPaymentFailed { buyer, .. }
        | OrderEvent::PurchaseCompleted { buyer, .. }
        | OrderEvent::OrderCompleted { buyer, .. }
        | OrderEvent::OrderCancelled { buyer, .. }
        | OrderEvent::OrderRefundRequested { buyer, .. }
        | OrderEvent::OrderRefundFailed { buyer, .. }
        | OrderEvent::OrderSuspended { buyer, .. }
        | OrderEvent::OrderReinstated { buyer, .. }
        | OrderEvent::OrderRevoked { buyer, .. }
        | OrderEvent::OrderRefunded { buyer, .. } => *buyer,
    }
}
