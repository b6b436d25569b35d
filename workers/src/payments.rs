//! The payment worker: takes work from the queue, asks the PSP, and records what it said.
//!
//! Charging is a conversation of two sentences (create, confirm) with a record between them, so that a worker that
//! dies at any point leaves enough for the next one. No answer is never "no": the outcome is unknown until the PSP
//! has been asked.

mod charge;

use std::time::Duration;

use commands::{CommandError, Context, PaymentState};
use domain::order::Order;
use domain::payment::Payment;
use domain::{PaymentId, PaymentWork};
use journal::clock;
use nats::{ConsumerSpec, DeadLetter, Delivery, PAYMENTS, Verdict};
use psp::{PspError, RefundRequest};
use tokio_util::sync::CancellationToken;

use crate::metrics::PSP_BLOCKED;
use crate::settlement::{Case, reference};
use crate::{PaymentDesk, Shared};

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

/// What a worker's try came to, if no outcome is known.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Psp(#[from] PspError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("the PSP has not charged yet")]
    Open,
}

/// Why work is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
enum DeadLetterClass {
    /// The bank said no. For looking at; the buyer may pay again.
    Declined,
    /// No certain answer after all tries.
    Exhausted,
}

/// The payment worker.
#[derive(Clone)]
pub struct PaymentWorker {
    /// Use cases and server.
    pub shared: Shared,
    /// PSP and settlement.
    pub desk: PaymentDesk,
    /// How patient it is.
    pub patience: Patience,
}

impl PaymentWorker {
    /// Works until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let Patience { attempts, ack_wait, slots, .. } = self.patience;
        let spec = ConsumerSpec {
            stream: PAYMENTS,
            name: "payment-worker".to_owned(),
            subjects: vec![],
            max_ack_pending: slots,
            ack_wait,
            // The worker itself decides at `attempts`; the server's limit is the net below it.
            max_deliver: Some(attempts.saturating_add(3)),
        };
        let each = |delivery: Delivery| async move {
            let verdict = delivery.keeping(ack_wait, self.take(&delivery)).await;
            delivery.answer(verdict).await;
        };
        self.shared.nats.consume(&spec, slots.into(), &stop, each).await;
    }

    async fn take(&self, delivery: &Delivery) -> Verdict {
        let Ok(PaymentWork { payment_id: payment, .. }) = serde_json::from_slice(delivery.payload()) else {
            tracing::error!(subject = delivery.subject(), "Payment work names no payment");
            return Verdict::Terminate("names no payment".to_owned());
        };
        let attempt = delivery.attempt();
        match self.work(payment, attempt).await {
            Ok(()) => Verdict::Done,
            Err(Trouble::Command(refusal)) if !refusal.is_passing() => {
                tracing::info!(payment.id = %payment, %refusal, "Nothing to do for payment {payment}");
                Verdict::Done
            }
            Err(trouble) if attempt >= u64::from(self.patience.attempts) => {
                self.give_up(payment, attempt, &trouble).await
            }
            Err(trouble) => {
                tracing::warn!(payment.id = %payment, attempt, %trouble, "Payment {payment} will be tried again");
                Verdict::Retry(self.pause(attempt))
            }
        }
    }

    /// Doubles with each attempt, with up to a quarter more, so that many do not come back at once.
    fn pause(&self, attempt: u64) -> Duration {
        let doubled = self.patience.pause.saturating_mul(1 << attempt.saturating_sub(1).min(10));
        let jitter = clock::new_id().as_u128() % 256;
        let share = doubled.saturating_mul(u32::try_from(jitter).unwrap_or(0)).checked_div(1024).unwrap_or_default();
        doubled.saturating_add(share)
    }

    /// Looks at the journal and does what is left to do for a payment.
    async fn work(&self, payment: PaymentId, attempt: u64) -> Result<(), Trouble> {
        let state = self.shared.commands.payment(payment).await?;
        let Some(terms) = state.payment.terms().cloned() else { return Ok(()) };
        let context = context(payment, &state);
        let case = Case { by: "worker", context: &context, payment, order: terms.order };
        match (&state.payment, &state.order) {
            (Payment::Succeeded { late, refunded, .. }, order) => {
                let paid_this = matches!(order, Order::Completed { payment: Some(by), .. } if *by == payment);
                let owed = *late || !(paid_this || matches!(order, Order::Open { .. } | Order::Refunded { .. }));
                if owed && refunded.is_zero() { self.refund(&case, &state.payment).await } else { Ok(()) }
            }
            (Payment::New | Payment::Failed(_) | Payment::Cancelled(_), _) => Ok(()),
            (Payment::Initiated(_) | Payment::Submitted(..) | Payment::Pending(..), Order::Open { .. }) => {
                self.charge(&case, &terms, attempt).await
            }
            (Payment::Initiated(_) | Payment::Submitted(..) | Payment::Pending(..), _) => self.cancel(&case).await,
        }
    }

    /// Gives a payment up whose order is no longer to be paid. If the money came after all, it goes back.
    async fn cancel(&self, case: &Case<'_>) -> Result<(), Trouble> {
        let known = self.shared.commands.payment(case.payment).await?.payment;
        let Some(psp) = known.reference().map(|reference| reference.as_str().to_owned()) else {
            self.shared.commands.cancel_payment(case.context, case.payment).await?;
            self.desk.settlement.note(case, None, "cancelled");
            return Ok(());
        };
        let intent = match self.desk.psp.cancel(&psp, &format!("{}:cancel", case.payment)).await {
            Err(PspError::Refused { .. } | PspError::Unknown(_)) => self.desk.psp.retrieve(&psp).await?,
            cancelled => cancelled?,
        };
        self.desk.settlement.apply(case, &intent).await?;
        let settled = self.shared.commands.payment(case.payment).await?.payment;
        match &settled {
            Payment::Succeeded { .. } => self.refund(case, &settled).await,
            settled if settled.is_settled() => Ok(()),
            _ => Err(Trouble::Open),
        }
    }

    /// Sends all of a payment back.
    async fn refund(&self, case: &Case<'_>, paid: &Payment) -> Result<(), Trouble> {
        let (Some(terms), Some(psp)) = (paid.terms(), paid.reference()) else { return Ok(()) };
        let request = RefundRequest { intent: psp.as_str(), amount: terms.amount.amount };
        let refund = self.desk.psp.refund(&request, &format!("{}:refund", case.payment)).await?;
        let refund = reference(&refund)?;
        self.shared.commands.refund_payment(case.context, case.payment, terms.amount, refund).await?;
        self.desk.settlement.note(case, Some(psp.as_str()), "refunded");
        Ok(())
    }

    /// The last attempt is over: find out or cancel at the PSP, then the dead letter, and only then an end of the work.
    async fn give_up(&self, payment: PaymentId, attempts: u64, trouble: &Trouble) -> Verdict {
        let buried = match self.find_out_or_cancel(payment).await {
            Ok(true) => return Verdict::Done,
            Ok(false) => self.bury(payment, DeadLetterClass::Exhausted, attempts, &trouble.to_string()).await,
            Err(error) if matches!(&error, Trouble::Command(error) if error.is_passing()) => Err(error.into()),
            Err(error) => self.bury(payment, DeadLetterClass::Exhausted, attempts, &error.to_string()).await,
        };
        match buried {
            Ok(()) => Verdict::Terminate("exhausted, see DLQ".to_owned()),
            Err(error) => {
                tracing::error!(payment.id = %payment, %error, "Payment {payment} cannot even be given up; trying again");
                Verdict::Retry(self.pause(attempts))
            }
        }
    }

    /// The dead letter of a payment. Once it is stored, it is stored, however often this is done.
    async fn bury(&self, payment: PaymentId, class: DeadLetterClass, attempts: u64, cause: &str) -> anyhow::Result<()> {
        let state = self.shared.commands.payment(payment).await?;
        let Some(terms) = state.payment.terms() else { return Ok(()) };
        let first_at = self.shared.commands.begun_at(payment).await?;
        let letter = DeadLetter {
            class: class.to_string(),
            key: payment.to_string(),
            cause: cause.to_owned(),
            attempts,
            first_at: first_at.to_rfc3339(),
            failed_at: clock::now().to_rfc3339(),
            work: serde_json::to_vec(&PaymentWork { payment_id: payment, order_id: terms.order })?.into(),
        };
        self.shared.nats.bury(letter).await?;
        let context = context(payment, &state);
        let case = Case { by: "worker", context: &context, payment, order: terms.order };
        let psp = state.payment.reference().map(domain::Text::as_str);
        self.desk.settlement.note(&case, psp, &format!("dead letter: {class} after {attempts} attempt(s), {cause}"));
        Ok(())
    }

    /// While the PSP refuses our key or cannot be reached, nothing can have happened: the work stays in our hands,
    /// no delivery is burnt, and because every slot waits, nothing more is pulled.
    async fn when_well<T, Fut>(&self, ask: impl Fn() -> Fut) -> Result<T, PspError>
    where
        Fut: Future<Output = Result<T, PspError>>,
    {
        let mut pause = Duration::from_millis(500);
        loop {
            match ask().await {
                Err(error @ (PspError::Unauthorised(_) | PspError::NotSent(_))) => {
                    PSP_BLOCKED.set(1.0);
                    tracing::error!(%error, "The PSP cannot be used; payments wait");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(Duration::from_secs(10));
                }
                Err(PspError::Limited(wait)) => tokio::time::sleep(wait).await,
                answer => {
                    PSP_BLOCKED.set(0.0);
                    return answer;
                }
            }
        }
    }
}

fn context(payment: PaymentId, state: &PaymentState) -> Context {
    Context::because("payment-worker", payment.as_uuid(), state.correlation)
}
