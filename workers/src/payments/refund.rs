//! Sending money back: of games that their buyer returned, or all of a payment that nothing was bought with.
//!
//! The PSP's own list is asked before it is told: what an earlier try asked for is never asked for again, whatever
//! became of its answer.

use domain::Money;
use domain::order::OpenRefund;
use domain::payment::{Failure, Payment, Refund};
use psp::{PspError, RefundRequest, RefundStatus};

use super::{PaymentWorker, Try};
use crate::obstacle::Obstacle;
use crate::settlement::{Case, reference};

impl PaymentWorker {
    /// Sends the money of returned games back.
    pub(super) async fn refund_games(
        &self,
        case: &Case,
        paid: &Payment,
        (number, open): (u32, &[OpenRefund]),
        this: Try,
    ) -> Result<(), Obstacle> {
        let asked = open.iter().find(|refund| refund.number == number);
        let (Some(psp), Some(OpenRefund { amount, .. })) = (paid.reference(), asked) else { return Ok(()) };
        match self.pay_back(case, psp.as_str(), *amount, Some(number), this).await {
            Err(Obstacle::Psp(error @ (PspError::Refused { .. } | PspError::Disputed))) => {
                let failure = Failure { code: "refused_by_psp".to_owned(), message: error.to_string() };
                self.keep(case, number, failure).await
            }
            done => done,
        }
    }

    /// Sends back what is left of a payment.
    pub(super) async fn refund_all(&self, case: &Case, paid: &Payment, this: Try) -> Result<(), Obstacle> {
        let Payment::Succeeded { terms, reference, refunded, .. } = paid else { return Ok(()) };
        let left = Money { amount: terms.amount.amount.saturating_sub(refunded.amount), ..terms.amount };
        match self.pay_back(case, reference.as_str(), left, None, this).await {
            // The bank has it. What it decides is heard of, and then this is asked again, or there is nothing left.
            Err(Obstacle::Psp(PspError::Disputed)) => Ok(()),
            done => done,
        }
    }

    async fn pay_back(
        &self,
        case: &Case,
        intent: &str,
        amount: Money,
        number: Option<u32>,
        this: Try,
    ) -> Result<(), Obstacle> {
        let name = number.map_or_else(|| "all".to_owned(), |number| number.to_string());
        let refund =
            self.ask_for_refund(case, &RefundRequest { intent, amount: amount.amount, name: &name }, this).await?;
        match (refund.status, number) {
            (RefundStatus::Succeeded, _) => {
                let known = Refund { reference: reference(&refund.id)?, number };
                if self.shared.commands.refund_payment(&case.context, case.payment, amount, known).await? {
                    self.desk.settlement.note(case, Some(intent), "refunded");
                }
                Ok(())
            }
            // Its webhook or the reconciler brings it up again.
            (RefundStatus::Pending | RefundStatus::RequiresAction, _) => Ok(()),
            (RefundStatus::Failed | RefundStatus::Canceled, Some(number)) => {
                let message = "the bank did not take the money back".to_owned();
                self.keep(case, number, Failure { code: "refund_failed".to_owned(), message }).await
            }
            (_, None) => Err(Obstacle::Open),
        }
    }

    /// The refund of a name: the one that is known to the PSP, or a new one.
    async fn ask_for_refund(
        &self,
        case: &Case,
        request: &RefundRequest<'_>,
        this: Try,
    ) -> Result<psp::Refund, Obstacle> {
        if let Some(known) = self.known_refund(request).await? {
            return Ok(known);
        }
        let key = format!("{}:refund:{}", case.payment, request.name);
        match self.breaker.ask(|| self.desk.psp.refund(request, &key)).await {
            // The key is spent: whoever uses it from now on hears of this failure. Nothing came of it, or it is listed.
            Err(PspError::Faulty { .. }) => {
                if let Some(known) = self.known_refund(request).await? {
                    return Ok(known);
                }
                let fresh = format!("{key}:{this}");
                Ok(self.breaker.ask(|| self.desk.psp.refund(request, &fresh)).await?)
            }
            answer => Ok(answer?),
        }
    }

    async fn known_refund(&self, request: &RefundRequest<'_>) -> Result<Option<psp::Refund>, Obstacle> {
        let refunds = self.breaker.ask(|| self.desk.psp.refunds(request.intent)).await?;
        let same =
            |refund: &psp::Refund| refund.metadata.get(psp::REFUND_NAME).is_some_and(|name| name == request.name);
        Ok(refunds.into_iter().find(same))
    }

    /// The money cannot go back, so the games stay.
    async fn keep(&self, case: &Case, number: u32, failure: Failure) -> Result<(), Obstacle> {
        let outcome = format!("refund failed: {}", failure.code);
        self.shared.commands.fail_refund(&case.context, case.order, number, failure).await?;
        self.desk.settlement.note(case, None, &outcome);
        Ok(())
    }
}
