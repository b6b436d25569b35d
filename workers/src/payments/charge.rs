use domain::PaymentId;
use domain::payment::{Failure, Payment, PaymentMethod, PspReference, Terms};
use psp::{Intent, Method, NewIntent, PspError};

use super::{DeadLetterClass, PaymentWorker, Trouble, context};
use crate::settlement::{Case, Settled, reference};

impl PaymentWorker {
    /// Charges a payment, from wherever an earlier try left it.
    pub(super) async fn charge(&self, case: &Case<'_>, terms: &Terms, attempt: u64) -> Result<(), Trouble> {
        let Some((psp, fresh)) = self.submitted(case, terms, attempt).await? else { return Ok(()) };
        // An earlier try may have been charged and not heard of it: ask before saying "confirm" again.
        let known = if fresh { None } else { Some(self.when_well(|| self.desk.psp.retrieve(psp.as_str())).await?) };
        let settled = match known {
            Some(intent) => self.desk.settlement.apply(case, &intent).await?,
            None => Settled::Open,
        };
        match settled {
            Settled::Open => self.confirm(case, &psp, attempt).await,
            settled => self.conclude(case, settled, attempt).await,
        }
    }

    /// The PSP's reference, recorded before anything is charged; and whether it is new.
    /// Nothing where the PSP will not have such a payment.
    async fn submitted(
        &self,
        case: &Case<'_>,
        terms: &Terms,
        attempt: u64,
    ) -> Result<Option<(PspReference, bool)>, Trouble> {
        let known = |payment: &Payment| payment.reference().cloned();
        if let Some(psp) = known(&self.shared.commands.payment(case.payment).await?.payment) {
            return Ok(Some((psp, false)));
        }
        let method = match &terms.method {
            PaymentMethod::Card { token } => Method::Card(token.as_str().to_owned()),
            PaymentMethod::Pix => Method::Pix,
        };
        let new = NewIntent {
            payment: case.payment.to_string(),
            order: case.order.to_string(),
            amount: terms.amount.amount,
            currency: terms.amount.currency.to_string(),
            method: &method,
        };
        // A key of its own for each attempt: a key replays a 500 for a day. An intent that is not recorded is
        // never confirmed, so a second one charges nothing.
        let key = format!("{}:create:{attempt}", case.payment);
        let intent = match self.when_well(|| self.desk.psp.create_intent(&new, &key)).await {
            Err(PspError::Refused { message, .. }) => {
                let failure = Failure { code: "refused_by_psp".to_owned(), message };
                self.desk.settlement.fail(case, None, failure.clone()).await?;
                self.conclude(case, Settled::Declined(failure), attempt).await?;
                return Ok(None);
            }
            created => created?,
        };
        let psp = reference(&intent.id)?;
        match self.shared.commands.submit_payment(case.context, case.payment, psp.clone()).await {
            Ok(()) => Ok(Some((psp, true))),
            // Another worker was first; its intent is the one that counts.
            Err(error) => match known(&self.shared.commands.payment(case.payment).await?.payment) {
                Some(psp) => Ok(Some((psp, false))),
                None => Err(error.into()),
            },
        }
    }

    async fn confirm(&self, case: &Case<'_>, psp: &PspReference, attempt: u64) -> Result<(), Trouble> {
        let key = format!("{}:confirm:{attempt}", case.payment);
        let intent = match self.when_well(|| self.desk.psp.confirm(psp.as_str(), &key)).await {
            Ok(intent) => intent,
            Err(PspError::Declined { code, message }) => {
                let failure = Failure { code, message };
                self.desk.settlement.fail(case, Some(psp.as_str()), failure.clone()).await?;
                return self.conclude(case, Settled::Declined(failure), attempt).await;
            }
            Err(error) => {
                self.desk.settlement.note(case, Some(psp.as_str()), &format!("unknown: attempt {attempt}, {error}"));
                self.when_well(|| self.desk.psp.retrieve(psp.as_str())).await?
            }
        };
        match self.desk.settlement.apply(case, &intent).await? {
            Settled::Open => Err(Trouble::Open),
            settled => self.conclude(case, settled, attempt).await,
        }
    }

    /// A refusal of the bank is for people to see; everything else needs nothing more from us.
    async fn conclude(&self, case: &Case<'_>, settled: Settled, attempt: u64) -> Result<(), Trouble> {
        match settled {
            Settled::Declined(Failure { code, message }) => {
                let cause = format!("{code}: {message}");
                if let Err(error) = self.bury(case.payment, DeadLetterClass::Declined, attempt, &cause).await {
                    tracing::error!(%error, payment.id = %case.payment, "The dead letter of a declined payment was not kept");
                }
                Ok(())
            }
            Settled::Paid | Settled::Cancelled | Settled::Waiting | Settled::Open => Ok(()),
        }
    }

    /// Ends a payment whose tries are used up; whether its outcome is the PSP's own, so that no dead letter is due.
    pub(super) async fn find_out_or_cancel(&self, payment: PaymentId) -> Result<bool, Trouble> {
        let state = self.shared.commands.payment(payment).await?;
        let context = context(payment, &state);
        let state = state.payment;
        let Some(terms) = state.terms() else { return Ok(true) };
        let case = Case { by: "worker", context: &context, payment, order: terms.order };
        let exhausted = |message: String| Failure { code: "exhausted".to_owned(), message };
        let Some(psp) = state.reference() else {
            if !state.is_settled() {
                let failure = exhausted("the payment provider did not answer".to_owned());
                self.desk.settlement.fail(&case, None, failure).await?;
            }
            return Ok(false);
        };
        let intent: Intent = match self.desk.psp.cancel(psp.as_str(), &format!("{payment}:give-up")).await {
            Err(PspError::Refused { .. } | PspError::Unknown(_)) => self.desk.psp.retrieve(psp.as_str()).await?,
            cancelled => cancelled?,
        };
        if intent.status == psp::IntentStatus::Canceled {
            let failure =
                exhausted("the payment provider gave no certain answer, so the payment was cancelled".to_owned());
            self.desk.settlement.fail(&case, Some(psp.as_str()), failure).await?;
            return Ok(false);
        }
        Ok(self.desk.settlement.apply(&case, &intent).await? != Settled::Open)
    }
}
