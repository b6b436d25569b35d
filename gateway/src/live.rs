//! What happens to orders, as it happens: one reader of EVENTS per gateway, and any number of listeners.
//!
//! A notice is a hint and a place: what it means is read from the read models, with the notice's position as
//! `Consistency-Token`. A listener that cannot keep up is let go, and comes back with `Last-Event-ID`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use commands::Commands;
use domain::order::OrderEvent;
use domain::payment::PaymentEvent;
use domain::{OrderId, PaymentId, StoreEvent, UserId};
use futures::{Stream, StreamExt, stream};
use journal::{CloudEvent, Position};
use nats::{EVENTS, Nats, NatsError, Replay, Stored};
use poem::http::StatusCode;
use poem_openapi::Object;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::auth::LIFETIME;
use crate::problem::Problem;

/// How many notices a slow listener may fall behind.
const BACKLOG: usize = 1_024;
/// How many streams one person may have open.
const STREAMS: usize = 8;
const POLL: Duration = Duration::from_millis(40);
const PAUSE: Duration = Duration::from_secs(1);
/// How far back a listener of everything may resume.
const RESUMABLE: u64 = 1_000;
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
    /// Its place among all events.
    pub(crate) sequence: u64,
}

/// A notice, and whom it concerns.
#[derive(Debug)]
pub(crate) struct Happening {
    pub(crate) buyer: UserId,
    pub(crate) order: OrderId,
    pub(crate) notice: Notice,
}

/// The reader and its listeners.
pub(crate) struct Live {
    commands: Commands,
    nats: Nats,
    sender: broadcast::Sender<Arc<Happening>>,
    open: Arc<Mutex<HashMap<UserId, usize>>>,
    payers: Mutex<HashMap<PaymentId, (UserId, OrderId)>>,
    stop: CancellationToken,
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
    pub(crate) fn new(commands: Commands, nats: Nats, stop: CancellationToken) -> Self {
        Self {
            commands,
            nats,
            sender: broadcast::Sender::new(BACKLOG),
            open: Arc::default(),
            payers: Mutex::default(),
            stop,
        }
    }

    /// Reads EVENTS from its end on, until stopped. A server that was away is read on from where it was left.
    pub(crate) async fn run(&self) {
        let reading = async {
            let mut replay = None;
            loop {
                if let Err(error) = self.read(&mut replay).await {
                    tracing::warn!(%error, "Live updates wait for the event stream");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        self.stop.run_until_cancelled(reading).await;
    }

    async fn read(&self, replay: &mut Option<Replay>) -> Result<(), NatsError> {
        let replay = if let Some(replay) = replay {
            replay
        } else {
            let (_, last) = self.nats.extent(EVENTS).await?;
            replay.insert(self.nats.replay(EVENTS, "events.>", last.saturating_add(1)))
        };
        loop {
            let batch = replay.next_batch().await?;
            if batch.is_empty() {
                tokio::time::sleep(POLL).await;
            }
            for stored in batch.iter().filter(|_| self.sender.receiver_count() > 0) {
                if let Some(happening) = self.understand(stored).await {
                    // Nobody may be listening any more.
                    let _ = self.sender.send(Arc::new(happening));
                }
            }
        }
    }

    /// What an event means for an order; nothing for all other events.
    async fn understand(&self, stored: &Stored) -> Option<Happening> {
        let event: CloudEvent<'_> = serde_json::from_slice(&stored.payload).ok()?;
        let aggregate = event.aggregate.as_ref();
        let known =
            StoreEvent::read(aggregate, &event.aggregateid, &event.kind, &event.eventversion, event.data.get()).ok()?;
        let position: Option<Position> = stored.header("Journal-Position").and_then(|position| position.parse().ok());
        let (buyer, order, payment) = match known {
            StoreEvent::Order(order, event) => (buyer(&event), order, None),
            StoreEvent::Payment(payment, PaymentEvent::PaymentInitiated(terms)) => {
                self.remember(payment, terms.buyer, terms.order);
                (terms.buyer, terms.order, Some(payment))
            }
            StoreEvent::Payment(payment, _) => {
                let (buyer, order) = self.payer(payment).await?;
                (buyer, order, Some(payment))
            }
            StoreEvent::User(..) | StoreEvent::Game(..) => return None,
        };
        let notice = Notice {
            kind: event.kind.to_string(),
            order_id: Some(order.to_string()),
            payment_id: payment.map(|payment| payment.to_string()),
            at: event.recorded_at().ok(),
            token: position.map(|position| position.to_string()),
            sequence: stored.sequence,
        };
        Some(Happening { buyer, order, notice })
    }

    /// Payments' events do not all say whose they are: their first one does, and so does the journal.
    async fn payer(&self, payment: PaymentId) -> Option<(UserId, OrderId)> {
        let known = self.payers.lock().unwrap_or_else(PoisonError::into_inner).get(&payment).copied();
        if known.is_some() {
            return known;
        }
        match self.commands.payment(payment).await {
            Ok(state) => state.payment.terms().map(|terms| (terms.buyer, terms.order)),
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
        after: u64,
    ) -> Result<impl Stream<Item = Notice> + use<>, Problem> {
        let live = self.listen(user)?;
        let (_, last) = self.nats.extent(EVENTS).await?;
        let mut past = self.past(&format!("events.order.{order}.*"), (1, last)).await?;
        let failed = past.iter().filter(|happening| happening.notice.kind == "OrderPaymentFailed").count();
        // Not from the read model: it may not have the last payment yet.
        for attempt in 1..=u32::try_from(failed).unwrap_or(u32::MAX).saturating_add(1) {
            let payment = PaymentId::for_attempt(order, attempt);
            past.extend(self.past(&format!("events.payment.{payment}.*"), (after.saturating_add(1), last)).await?);
        }
        past.retain(|happening| happening.notice.sequence > after);
        past.sort_by_key(|happening| happening.notice.sequence);
        Ok(self.joined(past, live, after.max(last), move |happening| happening.order == order))
    }

    /// What happens to somebody's orders; what happened since `after` where that is said. Begins with a notice that
    /// says where it begins.
    pub(crate) async fn person(
        &self,
        user: UserId,
        after: Option<u64>,
    ) -> Result<impl Stream<Item = Notice> + use<>, Problem> {
        let live = self.listen(user)?;
        let (_, last) = self.nats.extent(EVENTS).await?;
        let missed = after.map_or(0, |after| last.saturating_sub(after));
        let begin = last.saturating_sub(missed);
        let kind = if missed > RESUMABLE { "reset" } else { "listening" };
        let sequence = if missed > RESUMABLE { last } else { begin };
        let (order_id, payment_id, at, token) = (None, None, None, None);
        let notice = Notice { kind: kind.to_owned(), order_id, payment_id, at, token, sequence };
        let mut past = vec![Happening { buyer: user, order: OrderId::from_uuid(uuid::Uuid::nil()), notice }];
        if (1..=RESUMABLE).contains(&missed) {
            past.extend(self.past("events.>", (begin.saturating_add(1), last)).await?);
        }
        Ok(self.joined(past, live, last, move |happening| happening.buyer == user))
    }

    /// What is in the stream from one sequence to another.
    async fn past(&self, subject: &str, (from, last): (u64, u64)) -> Result<Vec<Happening>, Problem> {
        let mut replay = self.nats.replay(EVENTS, subject, from);
        let mut past = Vec::new();
        loop {
            let batch = replay.next_batch().await?;
            for stored in batch.iter().filter(|stored| stored.sequence <= last) {
                past.extend(self.understand(stored).await);
            }
            if batch.is_empty() || replay.next_sequence() > last {
                return Ok(past);
            }
        }
    }

    fn listen(&self, user: UserId) -> Result<(broadcast::Receiver<Arc<Happening>>, Seat), Problem> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = open.entry(user).or_default();
        if *taken >= STREAMS {
            let detail = format!("at most {STREAMS} streams may be open; close one first");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail));
        }
        *taken = taken.saturating_add(1);
        Ok((self.sender.subscribe(), Seat { open: self.open.clone(), user }))
    }

    /// What is past, and what comes after the sequence up to which that was read; ends with the access token's life, or with the gateway.
    fn joined<F>(
        &self,
        past: Vec<Happening>,
        live: (broadcast::Receiver<Arc<Happening>>, Seat),
        after: u64,
        wanted: F,
    ) -> impl Stream<Item = Notice> + use<F>
    where
        F: Fn(&Happening) -> bool + Send + 'static,
    {
        let past: Vec<Notice> = past.into_iter().filter(&wanted).map(|happening| happening.notice).collect();
        let coming = stream::unfold((live, wanted), move |((mut receiver, seat), wanted)| async move {
            loop {
                let happening = receiver.recv().await.ok()?;
                if happening.notice.sequence > after && wanted(&happening) {
                    return Some((happening.notice.clone(), ((receiver, seat), wanted)));
                }
            }
        });
        let life = Duration::from_secs(LIFETIME.unsigned_abs());
        stream::iter(past)
            .chain(coming)
            .take_until(Box::pin(tokio::time::sleep(life)))
            .take_until(self.stop.clone().cancelled_owned())
    }
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
