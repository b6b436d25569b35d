//! The one door through which what the PSP says becomes events, whoever heard it: payment worker or webhook function.

use commands::{CommandError, Commands, Context};
use domain::order::Order;
use domain::payment::{Dispute, DisputeStatus, Failure, NextAction, Payment, PspReference, Refund};
use domain::{Currency, Money, OrderId, PaymentId, PaymentWork};
use nats::{DLQ, DeadLetter, Nats, PAYMENTS_QUEUE};
use psp::{Intent, IntentStatus, PspError};

use crate::Shared;
use crate::metrics::OUTCOMES;
use crate::obstacle::Obstacle;
use crate::text_log::{Line, TextLog};

/// Why the work of a payment is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum DeadLetterClass {
    /// The bank said no. For looking at; the buyer may pay again.
    Declined,
    /// No certain answer after all tries.
    Exhausted,
    /// Other money came, or went back, than was asked for.
    Difference,
}

/// What an intent's status means for the payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The money came.
    Paid,
    /// Money came, and not what was asked for: it is for people to look at.
    Differs,
    /// The bank said no.
    Declined(Failure),
    /// Given up at the PSP.
    Cancelled,
    /// It waits for the buyer or the bank.
    Waiting,
    /// Nothing has been charged yet.
    Open,
}

/// Who reports, about what.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) by: &'static str,
    pub(crate) context: Context,
    pub(crate) payment: PaymentId,
    pub(crate) order: OrderId,
    /// What was asked for, where the case is about money that may have come.
    pub(crate) asked: Option<Money>,
}

/// Records outcomes as events, in the text log and in the metrics.
#[derive(Clone)]
pub struct Settlement {
    commands: Commands,
    nats: Nats,
    log: TextLog,
}

impl Settlement {
    /// A settlement through the use cases.
    #[must_use]
    pub fn new(shared: Shared, log: TextLog) -> Self {
        Self { commands: shared.commands, nats: shared.nats, log }
    }

    /// Records what the PSP says of an intent. What is known already changes nothing.
    pub(crate) async fn apply(&self, case: &Case, intent: &Intent) -> Result<Settled, Obstacle> {
        let Case { context, payment, order, .. } = case;
        let (order, payment) = (*order, *payment);
        let settled = meaning(intent);
        let (news, outcome) = match &settled {
            Settled::Paid if case.asked.is_some_and(|asked| !is_what_came(intent, asked)) => {
                self.bury_other_money(case, intent).await?;
                return Ok(Settled::Differs);
            }
            Settled::Paid => {
                let reference = reference(&intent.id)?;
                (self.commands.succeed_payment(context, order, payment, reference).await?, "succeeded")
            }
            Settled::Declined(failure) => {
                (self.commands.fail_payment(context, order, payment, failure.clone()).await?, "declined")
            }
            Settled::Cancelled => (self.commands.cancel_payment(context, payment).await?, "cancelled"),
            Settled::Waiting => (self.commands.record_pending(context, payment, next_action(intent)).await?, "pending"),
            Settled::Open | Settled::Differs => (false, "open"),
        };
        if news {
            self.note(case, Some(&intent.id), outcome);
        }
        Ok(settled)
    }

    /// Makes visible that other money came than was asked for. The payment stays unsettled: nothing is handed over for it.
    async fn bury_other_money(&self, case: &Case, intent: &Intent) -> Result<(), Obstacle> {
        let asked = case.asked.map(|asked| asked.to_string()).unwrap_or_default();
        let came = intent.amount_received.unwrap_or(intent.amount);
        let cause = format!("asked for {asked}, and {came} minor units of {} came ({})", intent.currency, intent.id);
        self.bury_difference(case, &cause).await
    }

    /// A dead letter about money, unless there is one.
    async fn bury_difference(&self, case: &Case, cause: &str) -> Result<(), Obstacle> {
        let class = DeadLetterClass::Difference;
        if self.nats.holds(DLQ, &format!("dlq.{PAYMENTS_QUEUE}.{class}.{}", case.payment)).await? {
            return Ok(());
        }
        self.bury(case, class, 1, cause).await
    }

    /// Records money that somebody sent back at the PSP itself; whether any was news. All of it: the order gives its
    /// games back. A part: nobody here knows for which game, so people look at it. Their letter comes first: who dies in
    /// between finds news again.
    pub(crate) async fn adopt_refunds(&self, case: &Case, refunds: &[psp::Refund]) -> Result<bool, Obstacle> {
        let state = self.commands.payment(case.payment).await?;
        let Payment::Succeeded { terms, refunded, refunds: known, .. } = &state.payment else { return Ok(false) };
        let is_news = |refund: &&psp::Refund| {
            refund.was_made_elsewhere() && known.iter().all(|known| known.reference.as_str() != refund.id)
        };
        let news: Vec<&psp::Refund> = refunds.iter().filter(is_news).collect();
        let back = news.iter().fold(refunded.amount, |sum, refund| sum.saturating_add(refund.amount));
        let bought = matches!(&state.order, Order::Completed { payment: Some(by), .. } if *by == case.payment);
        if !news.is_empty() && bought && back < terms.amount.amount {
            let cause = "a part was refunded at the payment provider, and the games stayed; refund the rest there as \
                         well to take them back";
            self.bury_difference(case, cause).await?;
        }
        for refund in &news {
            let amount = Money { amount: refund.amount, ..terms.amount };
            let made = Refund { reference: reference(&refund.id)?, number: None };
            if self.commands.refund_payment(&case.context, case.payment, amount, made).await? {
                self.note(case, Some(&refund.payment_intent), "refunded: at the payment provider");
            }
        }
        Ok(!news.is_empty())
    }

    /// The dead letter of a payment. Once it is stored, it is stored, however often this is done.
    pub(crate) async fn bury(
        &self,
        case: &Case,
        class: DeadLetterClass,
        attempts: u64,
        cause: &str,
    ) -> Result<(), Obstacle> {
        let Case { payment, order, .. } = *case;
        let first_at = match self.commands.begun_at(payment).await {
            Err(error) if error.is_passing() => return Err(error.into()),
            begun => begun.unwrap_or_else(|_| self.commands.clock().now()),
        };
        let letter = DeadLetter {
            queue: PAYMENTS_QUEUE.to_owned(),
            class: class.to_string(),
            key: payment.to_string(),
            cause: cause.to_owned(),
            attempts,
            first_at: first_at.to_rfc3339(),
            failed_at: self.commands.clock().now().to_rfc3339(),
            work: PaymentWork { payment_id: payment, order_id: order }.to_json().into(),
        };
        self.nats.bury(letter).await?;
        self.note(case, None, &format!("dead letter: {class} after {attempts} attempt(s), {cause}"));
        Ok(())
    }

    /// Records that a payment is given up of which the PSP knows nothing.
    pub(crate) async fn give_up(&self, case: &Case) -> Result<(), CommandError> {
        if self.commands.cancel_payment(&case.context, case.payment).await? {
            self.note(case, None, "cancelled");
        }
        Ok(())
    }

    /// Records that the money will not come, for a reason of ours.
    pub(crate) async fn fail(&self, case: &Case, psp: Option<&str>, failure: Failure) -> Result<(), CommandError> {
        let outcome = format!("failed: {}", failure.code);
        if self.commands.fail_payment(&case.context, case.order, case.payment, failure).await? {
            self.note(case, psp, &outcome);
        }
        Ok(())
    }

    /// Records where a dispute stands.
    pub(crate) async fn dispute(&self, case: &Case, dispute: psp::Dispute, currency: Currency) -> Result<(), Obstacle> {
        let status = decided(dispute.status);
        let known = Dispute {
            reference: reference(&dispute.id)?,
            amount: Money { amount: dispute.amount, currency },
            reason: dispute.reason.clone(),
            status,
        };
        if self.commands.record_dispute(&case.context, case.payment, known).await? {
            let outcome = format!("dispute {status}: {}", dispute.reason);
            self.note(case, dispute.payment_intent.as_deref(), &outcome);
        }
        Ok(())
    }

    /// Removes old lines from the text log.
    pub(crate) fn prune_log(&self) {
        match self.log.prune() {
            Ok(0) => (),
            Ok(gone) => tracing::info!(gone, "Removed {gone} old files of the text log"),
            Err(error) => tracing::warn!(%error, "Old files of the text log stay"),
        }
    }

    /// Writes the line and counts the outcome.
    pub(crate) fn note(&self, case: &Case, psp: Option<&str>, outcome: &str) {
        let Case { by, payment, order, .. } = *case;
        let kind = outcome.split(':').next().unwrap_or(outcome);
        OUTCOMES.with_label_values(&[by, kind]).inc();
        tracing::info!(by, payment.id = %payment, order.id = %order, psp, outcome, "Payment {payment}: {outcome}");
        self.log.write(&Line { what: by, payment, order, psp, outcome, correlation: case.context.correlation });
    }
}

/// Whether a paid intent brought what was asked for.
fn is_what_came(intent: &Intent, asked: Money) -> bool {
    intent.amount_received.unwrap_or(intent.amount) == asked.amount
        && intent.currency.eq_ignore_ascii_case(&asked.currency.to_string())
}

/// What a dispute's status means.
pub(crate) fn decided(status: psp::DisputeStatus) -> DisputeStatus {
    match status {
        psp::DisputeStatus::Won | psp::DisputeStatus::WarningClosed => DisputeStatus::Won,
        psp::DisputeStatus::Lost => DisputeStatus::Lost,
        psp::DisputeStatus::Other => DisputeStatus::Open,
    }
}

/// What an intent's status means.
pub(crate) fn meaning(intent: &Intent) -> Settled {
    match (intent.status, &intent.last_payment_error) {
        (IntentStatus::Succeeded, _) => Settled::Paid,
        (IntentStatus::Canceled, _) => Settled::Cancelled,
        (IntentStatus::RequiresAction | IntentStatus::Processing, _) => Settled::Waiting,
        (IntentStatus::RequiresPaymentMethod, Some(error)) => Settled::Declined(Failure {
            code: error.decline_code.clone().or(error.code.clone()).unwrap_or_else(|| "declined".to_owned()),
            message: error.message.clone().unwrap_or_else(|| "the payment was declined".to_owned()),
        }),
        (IntentStatus::RequiresPaymentMethod | IntentStatus::RequiresConfirmation | IntentStatus::Other, _) => {
            Settled::Open
        }
    }
}

/// The PSP's id of something. One that is none is an answer that cannot be read: nothing is known by it.
pub(crate) fn reference(id: &str) -> Result<PspReference, PspError> {
    PspReference::parse(id).map_err(|rule| PspError::Unknown(format!("unreadable answer: the id {rule}")))
}

fn next_action(intent: &Intent) -> Option<NextAction> {
    let action = intent.next_action.as_ref()?;
    let pix = action.pix_display_qr_code.as_ref();
    Some(NextAction {
        kind: action.kind.clone(),
        code: pix.map(|pix| pix.data.clone()),
        expires_at: pix.and_then(|pix| chrono::DateTime::from_timestamp(pix.expires_at, 0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_none_says_nothing_about_the_payment() {
        for id in ["", &"x".repeat(256)] {
            assert!(matches!(reference(id), Err(PspError::Unknown(_))), "{id}");
        }
    }
}
