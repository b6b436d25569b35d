//! The process manager of a purchase: turns an event into the next command and decides nothing.

use std::time::Duration;

use commands::{CommandError, Context};
use domain::order::OrderEvent;
use domain::payment::{DisputeStatus, Failure, PaymentEvent};
use domain::user::UserEvent;
use domain::{OrderId, PaymentId, StoreEvent};
use nats::{ConsumerSpec, Delivery, EVENTS, Verdict};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::mirrored::Mirrored;
use crate::obstacle::Obstacle;

const SLOTS: u16 = 32;

/// The process manager.
#[derive(Clone)]
pub struct Checkout(pub Shared);

impl Checkout {
    /// Works until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let spec = ConsumerSpec {
            stream: EVENTS,
            name: "checkout".to_owned(),
            subjects: [
                "events.order.*.OrderCreated",
                "events.order.*.OrderCancelled",
                "events.order.*.OrderRefundRequested",
                "events.payment.*.PaymentInitiated",
                "events.payment.*.PaymentSucceeded",
                "events.payment.*.PaymentFailed",
                "events.payment.*.PaymentCancelled",
                "events.payment.*.PaymentRefunded",
                "events.payment.*.PaymentDisputed",
                "events.payment.*.PaymentDisputeClosed",
                "events.user.*.UserErased",
            ]
            .map(str::to_owned)
            .to_vec(),
            max_ack_pending: SLOTS,
            ack_wait: Duration::from_secs(30),
            max_deliver: None,
        };
        let each = |delivery: Delivery| async move { delivery.answer(self.take(&delivery).await).await };
        self.0.nats.consume(&spec, SLOTS.into(), &stop, each).await;
    }

    async fn take(&self, delivery: &Delivery) -> Verdict {
        let parsed = Mirrored::try_from(delivery).and_then(|mirrored| Ok((mirrored.event()?, mirrored)));
        let (event, mirrored) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::error!(%error, sequence = delivery.sequence(), "Checkout cannot read an event; it waits for a newer program");
                return Verdict::Retry(Duration::from_secs(30));
            }
        };
        let context = Context::because("checkout", mirrored.envelope.event_id, mirrored.correlation);
        match self.on(&context, &event).await {
            Ok(()) => Verdict::Done,
            // A refusal ends the message: what it asks for is done already, or never to be done.
            Err(refusal) if refusal.is_refusal() => {
                tracing::info!(%refusal, event.id = %mirrored.envelope.event_id, "Checkout was refused");
                Verdict::Done
            }
            Err(obstacle) => {
                tracing::warn!(%obstacle, event.id = %mirrored.envelope.event_id, "Checkout will try again");
                Verdict::Retry(Duration::from_millis(200 << delivery.attempt().min(7)))
            }
        }
    }

    async fn on(&self, context: &Context, event: &StoreEvent) -> Result<(), Obstacle> {
        match event {
            StoreEvent::Order(order, event) => self.on_order(context, *order, event).await,
            StoreEvent::Payment(payment, event) => self.on_payment(context, *payment, event).await,
            // The key goes with the person, even if the gateway died before it could destroy it.
            StoreEvent::User(user, UserEvent::UserErased {}) => {
                Ok(self.0.commands.vault().forget(*user).await.map_err(CommandError::from)?)
            }
            StoreEvent::User(
                _,
                UserEvent::UserRegistered { .. }
                | UserEvent::UserProfileChanged { .. }
                | UserEvent::UserRoleChanged { .. },
            )
            | StoreEvent::Game(..) => Ok(()),
        }
    }

    async fn on_order(&self, context: &Context, order: OrderId, event: &OrderEvent) -> Result<(), Obstacle> {
        match event {
            // Happy path
            OrderEvent::OrderCreated { .. } => Ok(self.0.commands.initiate_payment(context, order).await?),
            // Compensation: a payment under way is given up at the PSP, or paid back.
            OrderEvent::OrderCancelled { open_attempt, .. } => {
                Ok(self.0.enqueue(PaymentId::for_attempt(order, *open_attempt), order, "cancel").await?)
            }
            // The money first, then the games
            OrderEvent::OrderRefundRequested { payment: Some(payment), number, amount, .. } if !amount.is_zero() => {
                Ok(self.0.enqueue(*payment, order, &format!("refund:{number}")).await?)
            }
            // Nothing follows
            OrderEvent::OrderRefundRequested { .. }
            | OrderEvent::OrderRefundFailed { .. }
            | OrderEvent::OrderPaymentFailed { .. }
            | OrderEvent::PurchaseCompleted { .. }
            | OrderEvent::OrderCompleted { .. }
            | OrderEvent::OrderRefunded { .. }
            | OrderEvent::OrderSuspended { .. }
            | OrderEvent::OrderReinstated { .. }
            | OrderEvent::OrderRevoked { .. } => Ok(()),
        }
    }

    async fn on_payment(&self, context: &Context, payment: PaymentId, event: &PaymentEvent) -> Result<(), Obstacle> {
        match event {
            // Happy path
            PaymentEvent::PaymentInitiated(terms) => Ok(self.0.enqueue(payment, terms.order, "charge").await?),
            PaymentEvent::PaymentSucceeded { order, late: false, .. } => {
                match self.0.commands.complete_order(context, *order, payment).await {
                    // The order was given up, or paid otherwise: the money goes back.
                    Err(CommandError::Order(_)) => Ok(self.0.enqueue(payment, *order, "refund").await?),
                    completed => Ok(completed?),
                }
            }
            // Compensation
            PaymentEvent::PaymentSucceeded { order, late: true, .. } => {
                Ok(self.0.enqueue(payment, *order, "refund").await?)
            }
            PaymentEvent::PaymentFailed { order, attempt, failure, .. } => {
                Ok(self.0.commands.record_payment_failure(context, *order, *attempt, failure.clone()).await?)
            }
            PaymentEvent::PaymentCancelled { order, attempt } => {
                let failure = Failure { code: "cancelled".into(), message: "the payment was cancelled".into() };
                Ok(self.0.commands.record_payment_failure(context, *order, *attempt, failure).await?)
            }
            PaymentEvent::PaymentRefunded { order, number: Some(number), .. } => {
                Ok(self.0.commands.refund_order(context, *order, *number).await?)
            }
            // The games follow the bank, as far as the store's policy wants it.
            PaymentEvent::PaymentDisputed { order, .. } => {
                Ok(self.0.commands.dispute_order(context, *order, payment, DisputeStatus::Open).await?)
            }
            PaymentEvent::PaymentDisputeClosed { order, outcome, .. } => {
                Ok(self.0.commands.dispute_order(context, *order, payment, *outcome).await?)
            }
            // Nothing follows
            PaymentEvent::PaymentSubmitted { .. }
            | PaymentEvent::PaymentPending { .. }
            | PaymentEvent::PaymentRedriven(_)
            | PaymentEvent::PaymentDiscarded(_)
            | PaymentEvent::PaymentRefunded { number: None, .. } => Ok(()),
        }
    }
}
