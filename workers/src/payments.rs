//! The payment worker: takes work from the queue, asks the PSP, and records what it said.
//!
//! Charging is a conversation of two sentences (create, confirm) with a record between them, so that a worker that
//! dies at any point leaves enough for the next one. No answer is never "no": the outcome is unknown until the PSP
//! has been asked.

mod charge;
mod refund;

use std::sync::Arc;
use std::time::Duration;

use domain::checkout::{Errand, errands};
use domain::payment::Payment;
use domain::{OrderId, PaymentId, PaymentWork};
use nats::{ConsumerSpec, Delivery, PAYMENT_WORKER, PAYMENTS, PSP_HEALTH, REDRIVEN_BY, Verdict};
use tokio_util::sync::CancellationToken;

use crate::breaker::Breaker;
use crate::obstacle::Obstacle;
use crate::pause::doubled;
use crate::settlement::Case;
use crate::{PaymentDesk, Shared};

/// What its events and its lines of the text log are signed with.
const BY: &str = "payment-worker";

/// How patient the worker is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often work is delivered before it is dead.
    pub attempts: u16,
    /// The pause after the first attempt; it doubles with each.
    pub pause: Duration,
    /// How long the queue waits for an answer before it delivers again.
    pub ack_wait: Duration,
    /// How many payments are worked on at once.
    pub slots: u16,
}

impl Patience {
    /// How the worker reads the queue.
    #[must_use]
    pub fn consumer(&self) -> ConsumerSpec {
        ConsumerSpec {
            stream: PAYMENTS,
            name: PAYMENT_WORKER.to_owned(),
            subjects: vec![],
            max_ack_pending: self.slots,
            ack_wait: self.ack_wait,
            // The worker itself decides at `attempts`; the server's limit is the net below it.
            max_deliver: Some(self.attempts.saturating_add(3)),
        }
    }
}

/// One delivery of one piece of work. Idempotency keys hold both numbers: a redriven message is another piece.
#[derive(Debug, Clone, Copy)]
struct Try {
    attempt: u64,
    sequence: u64,
}

impl std::fmt::Display for Try {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.sequence, self.attempt)
    }
}

/// The payment worker.
#[derive(Clone)]
pub struct PaymentWorker {
    shared: Shared,
    desk: PaymentDesk,
    patience: Patience,
    breaker: Arc<Breaker>,
}

impl PaymentWorker {
    /// A worker at a desk.
    #[must_use]
    pub fn new(shared: Shared, desk: PaymentDesk, patience: Patience) -> Self {
        let breaker = Arc::new(Breaker::new(desk.psp.clone()));
        Self { shared, desk, patience, breaker }
    }

    /// Works until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let Patience { ack_wait, slots, .. } = self.patience;
        let spec = self.patience.consumer();
        let stop = &stop;
        let each = |delivery: Delivery| async move {
            // What is not answered comes again: stopping in the middle is as safe as dying there.
            let work = delivery.keeping(ack_wait, Box::pin(self.take(&delivery)));
            if let Some(verdict) = stop.run_until_cancelled(work).await {
                delivery.answer(verdict).await;
            }
        };
        tokio::select! {
            () = self.shared.nats.consume(&spec, slots.into(), stop, each) => (),
            () = self.shared.nats.answer(PSP_HEALTH, || self.breaker.word()) => (),
        }
    }

    async fn take(&self, delivery: &Delivery) -> Verdict {
        let Ok(PaymentWork { payment_id: payment, order_id: order }) = serde_json::from_slice(delivery.payload())
        else {
            tracing::error!(subject = delivery.subject(), "Payment work names no payment");
            return Verdict::Terminate("names no payment".to_owned());
        };
        let this = Try { attempt: delivery.attempt(), sequence: delivery.sequence() };
        if let (1, Some(who)) = (this.attempt, delivery.header(REDRIVEN_BY)) {
            let known = self.shared.commands.payment(payment).await;
            let correlation = known.map_or(payment.as_uuid(), |state| state.correlation);
            let context = self.shared.commands.because(BY, payment.as_uuid(), correlation);
            let case = Case { by: BY, context, payment, order, asked: None };
            self.desk.settlement.note(&case, None, &format!("redriven: by {who}"));
        }
        let mut pause = self.patience.pause;
        loop {
            let verdict = match self.work(order, payment, this).await {
                Ok(()) => Ok(Verdict::Done),
                Err(refusal) if refusal.is_refusal() => {
                    tracing::info!(payment.id = %payment, %refusal, "Nothing to do for payment {payment}");
                    Ok(Verdict::Done)
                }
                // Journal or server are in the way, not the PSP: that burns no delivery.
                Err(obstacle @ (Obstacle::Command(_) | Obstacle::Nats(_) | Obstacle::ReadModel(_))) => Err(obstacle),
                Err(obstacle) if this.attempt >= u64::from(self.patience.attempts) => {
                    self.give_up(payment, this, &obstacle).await
                }
                Err(obstacle) => {
                    tracing::warn!(payment.id = %payment, %this, %obstacle, "Payment {payment} will be tried again");
                    Ok(Verdict::Retry(doubled(self.patience.pause, this.attempt)))
                }
            };
            match verdict {
                Ok(verdict) => return verdict,
                Err(error) => tracing::warn!(payment.id = %payment, %this, %error, "Payment {payment} waits"),
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(Duration::from_secs(5));
        }
    }

    /// Looks at the journal and does what is left to do for a payment.
    async fn work(&self, order: OrderId, payment: PaymentId, this: Try) -> Result<(), Obstacle> {
        let state = self.shared.commands.payment_of(order, payment).await?;
        let case = self.shared.case_of((BY, payment.as_uuid()), payment, &state);
        for errand in errands(&state.order, payment, &state.payment) {
            match errand {
                Errand::Charge => self.charge(&case, &state, this).await?,
                Errand::Cancel => self.cancel(&case, this).await?,
                Errand::PayBack => self.refund_all(&case, &state.payment, this).await?,
                Errand::Refund { number } => {
                    self.refund_games(&case, &state.payment, (number, state.order.open_refunds()), this).await?;
                }
            }
        }
        Ok(())
    }

    /// Gives a payment up whose order is no longer to be paid. If the money came after all, it goes back.
    async fn cancel(&self, case: &Case, this: Try) -> Result<(), Obstacle> {
        let known = self.shared.commands.payment(case.payment).await?.payment;
        let Some(psp) = known.reference().map(|reference| reference.as_str().to_owned()) else {
            return Ok(self.desk.settlement.give_up(case).await?);
        };
        let key = format!("{}:cancel:{this}", case.payment);
        match self.breaker.ask(|| self.desk.cancel_or_retrieve(&psp, &key)).await? {
            Some(intent) => {
                self.desk.settlement.apply(case, &intent).await?;
            }
            None => self.desk.settlement.give_up(case).await?,
        }
        let settled = self.shared.commands.payment(case.payment).await?.payment;
        match &settled {
            Payment::Succeeded { .. } => self.refund_all(case, &settled, this).await,
            settled if settled.is_settled() => Ok(()),
            _ => Err(Obstacle::Open),
        }
    }

    /// The last attempt is over: find out or cancel at the PSP, then the dead letter, and only then an end of the work.
    async fn give_up(&self, payment: PaymentId, this: Try, obstacle: &Obstacle) -> Result<Verdict, Obstacle> {
        let (state, case) = self.shared.case((BY, payment.as_uuid()), payment).await?;
        let dead = self.find_out_or_give_up(&case, &state.payment, (this, obstacle)).await?;
        Ok(if dead { Verdict::Terminate("exhausted, see DLQ".to_owned()) } else { Verdict::Done })
    }
}
