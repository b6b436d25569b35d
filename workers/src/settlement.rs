//! The one door through which what the PSP says becomes events, whoever heard it: payment worker or webhook function.

use commands::{CommandError, Commands, Context};
use domain::payment::{Dispute, DisputeStatus, Failure, NextAction, PspReference};
use domain::{Currency, Money, OrderId, PaymentId};
use psp::{Intent, IntentStatus};

use crate::metrics::OUTCOMES;
use crate::text_log::{Line, TextLog};

/// What an intent's status means for the payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The money came.
    Paid,
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
pub(crate) struct Case<'a> {
    pub(crate) by: &'static str,
    pub(crate) context: &'a Context,
    pub(crate) payment: PaymentId,
    pub(crate) order: OrderId,
}

/// Records outcomes as events, in the text log and in the metrics.
#[derive(Clone)]
pub struct Settlement {
    commands: Commands,
    log: TextLog,
}

impl Settlement {
    /// A settlement through the use cases.
    #[must_use]
    pub fn new(commands: Commands, log: TextLog) -> Self {
        Self { commands, log }
    }

    /// Records what the PSP says of an intent. What is known already changes nothing.
    pub(crate) async fn apply(&self, case: &Case<'_>, intent: &Intent) -> Result<Settled, CommandError> {
        let Case { context, payment, .. } = *case;
        let settled = meaning(intent);
        let (news, outcome) = match &settled {
            Settled::Paid => {
                let reference = reference(&intent.id)?;
                (self.commands.succeed_payment(context, payment, reference).await?, "succeeded")
            }
            Settled::Declined(failure) => {
                (self.commands.fail_payment(context, payment, failure.clone()).await?, "declined")
            }
            Settled::Cancelled => (self.commands.cancel_payment(context, payment).await?, "cancelled"),
            Settled::Waiting => (self.commands.record_pending(context, payment, next_action(intent)).await?, "pending"),
            Settled::Open => (false, "open"),
        };
        if news {
            self.note(case, Some(&intent.id), outcome);
        }
        Ok(settled)
    }

    /// Records that a payment is given up of which the PSP knows nothing.
    pub(crate) async fn give_up(&self, case: &Case<'_>) -> Result<(), CommandError> {
        if self.commands.cancel_payment(case.context, case.payment).await? {
            self.note(case, None, "cancelled");
        }
        Ok(())
    }

    /// Records that the money will not come, for a reason of ours.
    pub(crate) async fn fail(&self, case: &Case<'_>, psp: Option<&str>, failure: Failure) -> Result<(), CommandError> {
        let outcome = format!("failed: {}", failure.code);
        if self.commands.fail_payment(case.context, case.payment, failure).await? {
            self.note(case, psp, &outcome);
        }
        Ok(())
    }

    /// Records where a dispute stands.
    pub(crate) async fn dispute(
        &self,
        case: &Case<'_>,
        dispute: psp::Dispute,
        currency: Currency,
    ) -> Result<(), CommandError> {
        let status = match dispute.status {
            psp::DisputeStatus::Won | psp::DisputeStatus::WarningClosed => DisputeStatus::Won,
            psp::DisputeStatus::Lost => DisputeStatus::Lost,
            psp::DisputeStatus::Other => DisputeStatus::Open,
        };
        let known = Dispute {
            reference: reference(&dispute.id)?,
            amount: Money { amount: dispute.amount, currency },
            reason: dispute.reason.clone(),
            status,
        };
        if self.commands.record_dispute(case.context, case.payment, known).await? {
            let outcome = format!("dispute {status}: {}", dispute.reason);
            self.note(case, dispute.payment_intent.as_deref(), &outcome);
        }
        Ok(())
    }

    /// Writes the line and counts the outcome.
    pub(crate) fn note(&self, case: &Case<'_>, psp: Option<&str>, outcome: &str) {
        let Case { by, context, payment, order } = *case;
        let kind = outcome.split(':').next().unwrap_or(outcome);
        OUTCOMES.with_label_values(&[by, kind]).inc();
        tracing::info!(by, payment.id = %payment, order.id = %order, psp, outcome, "Payment {payment}: {outcome}");
        self.log.write(&Line { what: by, payment, order, psp, outcome, correlation: context.correlation });
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

pub(crate) fn reference(id: &str) -> Result<PspReference, CommandError> {
    PspReference::parse(id).map_err(|_| CommandError::NotFound)
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
