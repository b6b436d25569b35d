use commands::PaymentState;
use domain::payment::{Failure, Payment, PaymentMethod, PspReference, Terms};
use psp::{Intent, IntentStatus, Method, NewIntent, PspError};

use super::{PaymentWorker, Try};
use crate::obstacle::Obstacle;
use crate::settlement::{Case, DeadLetterClass, Settled, meaning, reference};

impl PaymentWorker {
    /// Charges a payment, from wherever an earlier try left it.
    pub(super) async fn charge(&self, case: &Case, state: &PaymentState, this: Try) -> Result<(), Obstacle> {
        let submitted = match state.payment.reference() {
            Some(psp) => Some((psp.clone(), false)),
            None => self.submit(case, &state.terms, this).await?,
        };
        let Some((psp, fresh)) = submitted else { return Ok(()) };
        // An earlier try may have been charged and not heard of it: ask before saying "confirm" again.
        let known = if fresh { None } else { Some(self.breaker.ask(|| self.desk.psp.retrieve(psp.as_str())).await?) };
        match known {
            Some(intent) if self.settle(case, &intent, this).await? => Ok(()),
            Some(_) | None => self.confirm(case, &psp, this).await,
        }
    }

    /// The PSP's reference, recorded before anything is charged; and whether it is new.
    /// Nothing where the PSP will not have such a payment.
    async fn submit(&self, case: &Case, terms: &Terms, this: Try) -> Result<Option<(PspReference, bool)>, Obstacle> {
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
        let key = format!("{}:create:{this}", case.payment);
        let intent = match self.breaker.ask(|| self.desk.psp.create_intent(&new, &key)).await {
            Err(PspError::Refused { message, .. }) => {
                let failure = Failure { code: "refused_by_psp".to_owned(), message };
                self.end(case, None, DeadLetterClass::Declined, failure, this).await?;
                return Ok(None);
            }
            created => created?,
        };
        let psp = reference(&intent.id)?;
        match self.shared.commands.submit_payment(&case.context, case.payment, psp.clone()).await {
            Ok(_) => Ok(Some((psp, true))),
            // Another worker was first; its intent is the one that counts.
            Err(error) => match self.shared.commands.payment(case.payment).await?.payment.reference() {
                Some(psp) => Ok(Some((psp.clone(), false))),
                None => Err(error.into()),
            },
        }
    }

    async fn confirm(&self, case: &Case, psp: &PspReference, this: Try) -> Result<(), Obstacle> {
        let key = format!("{}:confirm:{this}", case.payment);
        let intent = match self.breaker.ask(|| self.desk.psp.confirm(psp.as_str(), &key)).await {
            Ok(intent) => intent,
            Err(PspError::Declined { code, message }) => {
                let failure = Failure { code, message };
                return self.end(case, Some(psp.as_str()), DeadLetterClass::Declined, failure, this).await;
            }
            Err(error) => {
                self.desk.settlement.note(
                    case,
                    Some(psp.as_str()),
                    &format!("unknown: attempt {}, {error}", this.attempt),
                );
                self.breaker.ask(|| self.desk.psp.retrieve(psp.as_str())).await?
            }
        };
        if self.settle(case, &intent, this).await? { Ok(()) } else { Err(Obstacle::Open) }
    }

    /// Records what the PSP says; whether it says anything.
    async fn settle(&self, case: &Case, intent: &Intent, this: Try) -> Result<bool, Obstacle> {
        match meaning(intent) {
            Settled::Declined(failure) => {
                self.end(case, Some(&intent.id), DeadLetterClass::Declined, failure, this).await?;
                Ok(true)
            }
            _ => Ok(self.desk.settlement.apply(case, intent).await? != Settled::Open),
        }
    }

    /// Fails a payment for good. The dead letter comes first: a worker that dies in between finds work to do again,
    /// while a failed payment would look like done.
    async fn end(
        &self,
        case: &Case,
        psp: Option<&str>,
        class: DeadLetterClass,
        failure: Failure,
        this: Try,
    ) -> Result<(), Obstacle> {
        self.desk.settlement.bury(case, class, this.attempt, &format!("{}: {}", failure.code, failure.message)).await?;
        Ok(self.desk.settlement.fail(case, psp, failure).await?)
    }

    /// The tries are used up: finds out what the payment came to, or gives it up at the PSP with a dead letter.
    /// Whether there is a dead letter.
    pub(super) async fn find_out_or_give_up(
        &self,
        case: &Case,
        payment: &Payment,
        (this, obstacle): (Try, &Obstacle),
    ) -> Result<bool, Obstacle> {
        let exhausted = |message: &str| Failure { code: "exhausted".to_owned(), message: message.to_owned() };
        let class = DeadLetterClass::Exhausted;
        let Some(psp) = payment.reference() else {
            // Without a reference nothing was ever confirmed, so nothing can have been charged.
            let failure = exhausted("the payment provider did not answer");
            self.end(case, None, class, failure, this).await?;
            return Ok(true);
        };
        if payment.is_settled() {
            // What is left is a refund, and the PSP would not take it.
            self.desk.settlement.bury(case, class, this.attempt, &obstacle.to_string()).await?;
            return Ok(true);
        }
        let key = format!("{}:give-up:{this}", case.payment);
        match self.breaker.ask(|| self.desk.cancel_or_retrieve(psp.as_str(), &key)).await {
            Ok(intent) if intent.as_ref().is_none_or(|intent| intent.status == IntentStatus::Canceled) => {
                let failure = exhausted("the payment provider gave no certain answer, so the payment was cancelled");
                self.end(case, Some(psp.as_str()), class, failure, this).await?;
                Ok(true)
            }
            Ok(Some(intent)) if self.settle(case, &intent, this).await? => Ok(false),
            // Even that is unknown: the payment stays open, and a redrive asks again.
            Ok(_) | Err(_) => {
                self.desk.settlement.bury(case, class, this.attempt, &obstacle.to_string()).await?;
                Ok(true)
            }
        }
    }
}
