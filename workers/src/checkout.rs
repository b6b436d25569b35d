//! The process manager of a purchase: has done what follows from an order, and decides nothing.
//!
//! An event only says whose turn it is; what follows is read from where the order and its payments stand
//! (`domain::checkout`). What belongs to one order is in one lane, and so strictly one after another.

use std::time::Duration;

use anyhow::bail;
use domain::checkout::Errand;
use domain::{OrderId, PaymentId, UserId};
use futures::future::join_all;
use nats::{ConsumerSpec, Delivery, EVENTS, Verdict};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::lane::LANES;
use crate::mirrored::Mirrored;

/// What may have something follow.
const TRIGGERS: [&str; 10] = [
    "order.OrderCancelled",
    "order.OrderRefundRequested",
    "payment.PaymentInitiated",
    "payment.PaymentSucceeded",
    "payment.PaymentFailed",
    "payment.PaymentCancelled",
    "payment.PaymentRefunded",
    "payment.PaymentDisputed",
    "payment.PaymentDisputeClosed",
    "user.UserErased",
];

/// The process manager.
#[derive(Clone)]
pub struct Checkout(pub Shared);

impl Checkout {
    /// A consumer for each lane, with one message in flight.
    #[must_use]
    pub fn consumers() -> Vec<ConsumerSpec> {
        let consumer = |lane| ConsumerSpec {
            stream: EVENTS,
            name: format!("checkout-{lane}"),
            subjects: TRIGGERS.map(|trigger| format!("events.{trigger}.{lane}")).to_vec(),
            max_ack_pending: 1,
            ack_wait: Duration::from_secs(30),
            max_deliver: None,
        };
        LANES.map(consumer).to_vec()
    }

    /// Works until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let each = |delivery: Delivery| async move { delivery.answer(self.take(&delivery).await).await };
        let lanes = Self::consumers();
        join_all(lanes.iter().map(|lane| self.0.nats.consume(lane, 1, &stop, each))).await;
    }

    /// What cannot be done now is tried again until it can: the others of its lane wait, the other lanes do not.
    async fn take(&self, delivery: &Delivery) -> Verdict {
        match self.follow_up(delivery).await {
            Ok(()) => Verdict::Done,
            Err(obstacle) => {
                let (sequence, attempt) = (delivery.sequence(), delivery.attempt());
                tracing::warn!(%obstacle, sequence, attempt, "Checkout will try again");
                Verdict::Retry(Duration::from_millis(200 << attempt.min(7)))
            }
        }
    }

    async fn follow_up(&self, delivery: &Delivery) -> anyhow::Result<()> {
        let mirrored = Mirrored::try_from(delivery)?;
        let Mirrored { envelope, correlation, partition } = mirrored;
        let context = self.0.commands.because("checkout", envelope.event_id, correlation);
        let commands = &self.0.commands;
        match envelope.aggregate.as_str() {
            "order" | "payment" => {
                let order = OrderId::from_uuid(partition);
                match envelope.event_type.as_str() {
                    // Its worker looks at what it is to do.
                    "PaymentInitiated" => {
                        let payment = PaymentId::parse(&envelope.aggregate_id)?;
                        return Ok(self.0.enqueue(payment, order, &Errand::Charge.to_string()).await?);
                    }
                    "PaymentSucceeded"
                        if commands.is_completed_by(order, PaymentId::parse(&envelope.aggregate_id)?) =>
                    {
                        return Ok(());
                    }
                    "PaymentDisputeClosed" => commands.give_up_orders_like(&context, order).await?,
                    _ => (),
                }
                for (payment, errand) in commands.follow_up(&context, order).await? {
                    self.0.enqueue(payment, order, &errand.to_string()).await?;
                }
            }
            // The key goes with the person, even if the gateway died before it could destroy it.
            "user" => {
                let user = UserId::from_uuid(partition);
                commands.vault().forget(user).await?;
                commands.give_up_orders_of(&context, user).await?;
            }
            other => bail!("nothing follows from an event of {other}"),
        }
        Ok(())
    }
}
