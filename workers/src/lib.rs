//! What runs beside the gateway. Every step here is safe to run twice.
//!
//! A worker that decides nothing (relay, projector, indexer, checkout, notifier, notary) moves facts to where they are needed;
//! the three that speak with the PSP (payment worker, webhook function, reconciler) settle payments through one door.

mod breaker;
mod checkout;
mod dlq_watcher;
mod indexer;
mod lane;
pub mod metrics;
mod mirrored;
mod notary;
mod notifier;
mod obstacle;
mod pause;
mod payments;
mod projector;
mod reconciler;
mod relay;
mod settlement;
mod text_log;
mod webhooks;

use commands::{CommandError, Commands, PaymentState};
use domain::payment::Failure;
use domain::{OrderId, PaymentId, PaymentWork};
use nats::{Nats, NatsError};
use psp::{Intent, PspClient, PspError, RefundStatus};
use uuid::Uuid;

use crate::obstacle::Obstacle;
use crate::settlement::Case;

pub use checkout::Checkout;
pub use dlq_watcher::DlqWatcher;
pub use indexer::Indexer;
pub use mirrored::Mirrored;
pub use notary::{Notary, NotaryError, run as sign_heads};
pub use notifier::{MailPatience, Mailer, Notifier};
pub use payments::{Patience, PaymentWorker};
pub use projector::run as project;
pub use reconciler::{Reconciler, Vigilance};
pub use relay::{Relay, RelayError, Step};
pub use settlement::Settlement;
pub use text_log::TextLog;
pub use webhooks::WebhookFunction;

/// What the workers that carry out commands share.
#[derive(Clone)]
pub struct Shared {
    /// The use cases.
    pub commands: Commands,
    /// The server.
    pub nats: Nats,
}

/// What the workers that speak with the PSP share.
#[derive(Clone)]
pub struct PaymentDesk {
    /// The PSP.
    pub psp: PspClient,
    /// How outcomes are recorded.
    pub settlement: Settlement,
}

impl Shared {
    /// A payment as the journal knows it, and the case that a part of the store makes of it.
    pub(crate) async fn case(
        &self,
        why: (&'static str, Uuid),
        payment: PaymentId,
    ) -> Result<(PaymentState, Case), CommandError> {
        let state = self.commands.payment(payment).await?;
        let case = self.case_of(why, payment, &state);
        Ok((state, case))
    }

    pub(crate) fn case_of(&self, (by, cause): (&'static str, Uuid), payment: PaymentId, state: &PaymentState) -> Case {
        let context = self.commands.because(by, cause, state.correlation);
        Case { by, context, payment, order: state.terms.order, asked: Some(state.terms.amount) }
    }

    /// Puts work into the payment queue; its worker looks at the journal to see what is to be done. The same work for
    /// the same reason is queued once.
    pub(crate) async fn enqueue(&self, payment_id: PaymentId, order_id: OrderId, why: &str) -> Result<(), NatsError> {
        let work = PaymentWork { payment_id, order_id };
        self.nats.queue_payment(&payment_id.to_string(), why, work.to_json().into()).await
    }
}

impl PaymentDesk {
    /// Records a dispute as the PSP has it, for whoever heard of it; whether it is about a payment of this store. The
    /// PSP's account may serve others.
    pub(crate) async fn record_dispute(
        &self,
        shared: &Shared,
        why: (&'static str, Uuid),
        dispute: psp::Dispute,
    ) -> Result<bool, Obstacle> {
        let Some(intent) = dispute.payment_intent.as_deref() else { return Ok(false) };
        let intent = self.psp.retrieve(intent).await?;
        let named = intent.metadata.get("payment_id").and_then(|id| PaymentId::parse(id).ok());
        let Some(payment) = named else { return Ok(false) };
        let (state, case) = match shared.case(why, payment).await {
            Err(CommandError::NotFound) => return Ok(false),
            found => found?,
        };
        if !state.payment.is_settled() {
            return Err(Obstacle::Early);
        }
        self.settlement.dispute(&case, dispute, state.terms.amount.currency).await?;
        Ok(true)
    }

    /// Whether all the money of an intent that brought other money than was asked for went back. The payment fails then.
    pub(crate) async fn is_over(&self, case: &Case, intent: &str) -> Result<bool, Obstacle> {
        let (intent, refunds) = (self.psp.retrieve(intent).await?, self.psp.refunds(intent).await?);
        let back = refunds.iter().filter(|refund| refund.status == RefundStatus::Succeeded);
        let back = back.fold(0_i64, |sum, refund| sum.saturating_add(refund.amount));
        if back < intent.amount_received.unwrap_or(intent.amount) {
            return Ok(false);
        }
        let message = "other money came than was asked for, and went back".to_owned();
        self.settlement.fail(case, Some(&intent.id), Failure { code: "difference".to_owned(), message }).await?;
        Ok(true)
    }

    /// Cancels an intent, or finds out what it came to instead. Nothing where the PSP does not know it, or no longer:
    /// nothing can be charged by it, and if it was after all, the PSP's list of charges tells.
    pub(crate) async fn cancel_or_retrieve(&self, psp: &str, key: &str) -> Result<Option<Intent>, PspError> {
        let known = match self.psp.cancel(psp, key).await {
            Err(PspError::Refused { .. } | PspError::Unknown(_) | PspError::Faulty { .. }) => {
                self.psp.retrieve(psp).await
            }
            cancelled => cancelled,
        };
        match known {
            Err(PspError::Refused { status: 404, .. }) => Ok(None),
            known => known.map(Some),
        }
    }
}
