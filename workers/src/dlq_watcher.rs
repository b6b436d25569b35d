//! Two nets under the payment worker, for work whose worker died at every delivery and so could not bury it.
//!
//! The server says that a message ran out of deliveries once, and keeps the message: what it said is caught in a
//! stream, and where even that got lost, a sweep finds messages that are stored but that nobody will be given again.
//! What the payment came to, the reconciler asks; here its work only gets to where people see it.

use std::collections::HashSet;
use std::time::Duration;

use domain::PaymentWork;
use domain::checkout::errands;
use nats::{ADVISORIES, ConsumerSpec, Delivery, PAYMENT_WORKER, PAYMENTS, Verdict};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::obstacle::Obstacle;
use crate::settlement::{Case, DeadLetterClass, Settlement};

/// How long an advisory may take, and how long it waits for another try.
const PATIENCE: Duration = Duration::from_secs(10);
const SLOTS: u16 = 4;

/// The watcher.
#[derive(Clone)]
pub struct DlqWatcher {
    /// Use cases and server.
    pub shared: Shared,
    /// How outcomes are written down.
    pub settlement: Settlement,
    /// How often to sweep.
    pub every: Duration,
}

/// What the server says when it gives up on a message.
/// <https://docs.nats.io/running-a-nats-service/nats_admin/monitoring/jetstream_advisories>
#[derive(Debug, Deserialize)]
struct Advisory {
    stream_seq: u64,
    deliveries: u64,
}

impl DlqWatcher {
    /// How it reads what the server says of the payment queue.
    #[must_use]
    pub fn consumer() -> ConsumerSpec {
        ConsumerSpec {
            stream: ADVISORIES,
            name: "dlq-watcher".to_owned(),
            subjects: vec!["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.PAYMENTS.*".to_owned()],
            max_ack_pending: SLOTS,
            ack_wait: PATIENCE,
            max_deliver: None,
        }
    }

    /// Works until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::join!(self.watch(&stop), self.sweep_again_and_again(&stop));
    }

    async fn watch(&self, stop: &CancellationToken) {
        let each = |delivery: Delivery| async move {
            let verdict = match serde_json::from_slice::<Advisory>(delivery.payload()) {
                Ok(Advisory { stream_seq, deliveries }) => match self.bury(stream_seq, Some(deliveries)).await {
                    Ok(()) => Verdict::Done,
                    Err(error) => {
                        tracing::warn!(%error, sequence = stream_seq, "Work without a worker is buried later");
                        Verdict::Retry(PATIENCE)
                    }
                },
                Err(error) => {
                    tracing::error!(%error, "An advisory cannot be read; the sweep finds its message");
                    Verdict::Terminate("unreadable".to_owned())
                }
            };
            delivery.answer(verdict).await;
        };
        self.shared.nats.consume(&Self::consumer(), SLOTS.into(), stop, each).await;
    }

    async fn sweep_again_and_again(&self, stop: &CancellationToken) {
        let mut seen = HashSet::new();
        while stop.run_until_cancelled(tokio::time::sleep(self.every)).await.is_some() {
            match self.sweep(&seen).await {
                Ok(stuck) => seen = stuck,
                Err(error) => tracing::debug!(%error, "The payment queue cannot be swept now"),
            }
        }
    }

    /// Buries what was stuck at the last sweep and is still; returns what is stuck now. What its worker is about to answer
    /// looks stuck for a moment.
    async fn sweep(&self, seen: &HashSet<u64>) -> Result<HashSet<u64>, Obstacle> {
        let stuck: HashSet<u64> = self.shared.nats.stuck(PAYMENTS, PAYMENT_WORKER).await?.into_iter().collect();
        for sequence in stuck.intersection(seen) {
            self.bury(*sequence, None).await?;
        }
        Ok(stuck)
    }

    /// The dead letter first, then the end of the message: dying in between does both again, to the same effect.
    async fn bury(&self, sequence: u64, deliveries: Option<u64>) -> Result<(), Obstacle> {
        let nats = &self.shared.nats;
        let Some(message) = nats.message(PAYMENTS, sequence).await? else { return Ok(()) };
        let Ok(work) = serde_json::from_slice::<PaymentWork>(&message.payload) else {
            tracing::error!(sequence, subject = message.subject, "Payment work names no payment");
            return Ok(nats.remove(PAYMENTS, sequence).await?);
        };
        let payment = work.payment_id;
        let known = match self.shared.commands.payment(payment).await {
            Err(error) if error.is_passing() => return Err(error.into()),
            known => known,
        };
        if known.as_ref().is_ok_and(|known| errands(&known.order, payment, &known.payment).is_empty()) {
            // Its worker died after all was done.
            return Ok(nats.remove(PAYMENTS, sequence).await?);
        }
        let correlation = known.map_or(payment.as_uuid(), |state| state.correlation);
        let context = self.shared.commands.because("dlq-watcher", payment.as_uuid(), correlation);
        let case = Case { by: "dlq-watcher", context, payment, order: work.order_id, asked: None };
        let cause = "its worker died at every delivery";
        self.settlement.bury(&case, DeadLetterClass::Exhausted, deliveries.unwrap_or_default(), cause).await?;
        nats.remove(PAYMENTS, sequence).await?;
        Ok(())
    }
}
