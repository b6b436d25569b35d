//! One attempt at paying an order: what the payment service provider (PSP) was asked and what it said.
//!
//! Succeeded is absorbing: nothing that arrives later makes a paid payment unpaid, only refunds follow.
//! Money that arrives after the buyer was told "no" is recorded as late, and goes back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::aggregate::aggregate;
use crate::money::Money;
use crate::text::{InvalidText, Text};
use crate::{OrderId, UserId};

mod command;
mod dispute;
mod error;
mod event;
pub(crate) mod stored;
#[cfg(test)]
mod tests;

pub use command::PaymentCommand;
pub use dispute::{Dispute, DisputeStatus};
pub use error::PaymentError;
pub use event::PaymentEvent;

/// What the PSP calls a payment method that was given to it by the buyer's browser. It begins with a letter, as all of them
/// do (`pm_…`, `tok_…`), so a card's number is none: it would stay in the history for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MethodToken(Text<1, 200>);

/// What is wrong with a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It is too short, too long, or no text.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// It may be the number of a card.
    #[error("must begin with a letter, as tokens of the PSP do; never send a card's number")]
    NoToken,
}

impl MethodToken {
    /// What a token looks like, as a regular expression.
    pub const PATTERN: &str = "^[A-Za-z]";

    /// Trims and checks.
    ///
    /// # Errors
    /// [`InvalidToken`] says what is wrong, and nothing of what was sent.
    pub fn parse(raw: &str) -> Result<Self, InvalidToken> {
        let token = Text::parse(raw)?;
        let is_one = token.as_str().starts_with(|c: char| c.is_ascii_alphabetic());
        if is_one { Ok(Self(token)) } else { Err(InvalidToken::NoToken) }
    }

    /// The token itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// How the buyer pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum PaymentMethod {
    /// A card that the PSP knows by a token.
    Card {
        /// The token.
        token: MethodToken,
    },
    /// An instant bank transfer by QR code.
    Pix,
}

/// Why a payment did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Failure {
    /// The PSP's code, or ours where the PSP said nothing.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// What the buyer has to do before a pending payment can succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NextAction {
    /// What kind of action, in the PSP's words.
    pub kind: String,
    /// The code to show or to copy.
    pub code: Option<String>,
    /// Until when it works.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The facts that stay the same for the whole life of a payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Terms {
    /// What is paid.
    pub order: OrderId,
    /// Who pays.
    pub buyer: UserId,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// How much.
    pub amount: Money,
    /// How.
    pub method: PaymentMethod,
}

/// What somebody did to a dead letter, for those who come after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LetterNote {
    /// What kind of dead letter it was.
    pub class: String,
    /// Why.
    pub reason: Text<0, 200>,
}

/// Money that went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The PSP's id of it.
    pub reference: PspReference,
    /// Which of the order's refunds; none where no order asked for it: nothing was bought with the payment, or somebody
    /// refunded it at the PSP itself.
    pub number: Option<u32>,
}

/// The payment as its history left it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Payment {
    /// Not begun.
    #[default]
    New,
    /// Begun; the PSP may not know of it.
    Initiated(Terms),
    /// The PSP knows of it; nothing is certain.
    Submitted(Terms, PspReference),
    /// It waits for the buyer or the bank.
    Pending(Terms, PspReference, Option<NextAction>),
    /// Paid.
    Succeeded {
        /// What was agreed.
        terms: Terms,
        /// The PSP's id.
        reference: PspReference,
        /// Whether it came after the payment was given up.
        late: bool,
        /// What went back so far.
        refunded: Money,
        /// The refunds that this was.
        refunds: Vec<Refund>,
        /// What the buyer's bank disputes, or did.
        disputes: Vec<(PspReference, DisputeStatus)>,
    },
    /// Refused, and why.
    Failed(Terms, Failure),
    /// Given up.
    Cancelled(Terms),
}

/// The PSP's own id of a payment.
pub type PspReference = Text<1, 255>;

impl Payment {
    /// What was agreed; nothing before it is begun.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        match self {
            Self::New => None,
            Self::Initiated(terms)
            | Self::Submitted(terms, _)
            | Self::Pending(terms, _, _)
            | Self::Succeeded { terms, .. }
            | Self::Failed(terms, _)
            | Self::Cancelled(terms) => Some(terms),
        }
    }

    /// The PSP's id, where the payment still turns on it.
    #[must_use]
    pub fn reference(&self) -> Option<&PspReference> {
        match self {
            Self::New | Self::Initiated(_) | Self::Failed(..) | Self::Cancelled(_) => None,
            Self::Submitted(_, reference) | Self::Pending(_, reference, _) | Self::Succeeded { reference, .. } => {
                Some(reference)
            }
        }
    }

    /// Whether the outcome is known.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Succeeded { .. } | Self::Failed(..) | Self::Cancelled(_))
    }

    /// Whether all of it went back.
    #[must_use]
    pub fn is_all_back(&self) -> bool {
        matches!(self, Self::Succeeded { terms, refunded, .. } if refunded.amount >= terms.amount.amount)
    }

    /// Whether money went back that no refund of the order was.
    #[must_use]
    pub fn refunded_elsewhere(&self) -> bool {
        matches!(self, Self::Succeeded { refunds, .. } if refunds.iter().any(|refund| refund.number.is_none()))
    }

    /// What happens if `command` reaches a payment in this state.
    ///
    /// # Errors
    /// [`PaymentError`] names the rule in the way.
    pub fn decide(&self, command: PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentError> {
        match (self, command) {
            (Self::New, PaymentCommand::Initiate(terms)) => Ok(vec![PaymentEvent::PaymentInitiated(terms)]),
            // The same attempt on the same terms is the same payment.
            (known, PaymentCommand::Initiate(terms)) if known.terms() == Some(&terms) => Ok(vec![]),
            (_, PaymentCommand::Initiate(_)) => Err(PaymentError::PaymentInProgress),
            (Self::New, _) => Err(PaymentError::UnknownPayment),
            (_, PaymentCommand::Submit { reference }) => self.submit(reference),
            (_, PaymentCommand::RecordPending { next_action }) => self.record_pending(next_action),
            (_, PaymentCommand::Succeed { reference }) => self.succeed(reference),
            (_, PaymentCommand::Fail(failure)) => self.fail(failure),
            (_, PaymentCommand::Cancel) => self.cancel(),
            (_, PaymentCommand::RecordDispute(dispute)) => self.dispute(dispute),
            (_, PaymentCommand::Refund { amount, refund }) => self.refund(amount, refund),
            // Whatever became of the payment: that somebody acted is a fact.
            (_, PaymentCommand::Redrive(note)) => Ok(vec![PaymentEvent::PaymentRedriven(note)]),
            (_, PaymentCommand::Discard(note)) => Ok(vec![PaymentEvent::PaymentDiscarded(note)]),
        }
    }

    fn submit(&self, reference: PspReference) -> Result<Vec<PaymentEvent>, PaymentError> {
        match self {
            Self::Initiated(_) => Ok(vec![PaymentEvent::PaymentSubmitted { reference }]),
            Self::Submitted(_, known) | Self::Pending(_, known, _) if *known == reference => Ok(vec![]),
            Self::Submitted(..) | Self::Pending(..) => Err(PaymentError::OtherReference),
            Self::New | Self::Succeeded { .. } | Self::Failed(..) | Self::Cancelled(_) => {
                Err(PaymentError::PaymentSettled)
            }
        }
    }

    fn record_pending(&self, next_action: Option<NextAction>) -> Result<Vec<PaymentEvent>, PaymentError> {
        match self {
            Self::Submitted(..) => Ok(vec![PaymentEvent::PaymentPending { next_action }]),
            Self::Pending(_, _, known) if *known == next_action => Ok(vec![]),
            Self::Pending(..) => Ok(vec![PaymentEvent::PaymentPending { next_action }]),
            Self::Initiated(_) => Err(PaymentError::NotSubmitted),
            Self::New | Self::Succeeded { .. } | Self::Failed(..) | Self::Cancelled(_) => {
                Err(PaymentError::PaymentSettled)
            }
        }
    }

    fn succeed(&self, reference: PspReference) -> Result<Vec<PaymentEvent>, PaymentError> {
        let succeeded = |terms: &Terms, late| {
            Ok(vec![PaymentEvent::PaymentSucceeded { order: terms.order, reference: reference.clone(), late }])
        };
        match self {
            Self::Submitted(_, known) | Self::Pending(_, known, _) | Self::Succeeded { reference: known, .. }
                if *known != reference =>
            {
                Err(PaymentError::OtherReference)
            }
            Self::Submitted(terms, _) | Self::Pending(terms, ..) => succeeded(terms, false),
            // The buyer was told that it failed and may have paid again: this money goes back.
            Self::Failed(terms, _) | Self::Cancelled(terms) => succeeded(terms, true),
            Self::Succeeded { .. } => Ok(vec![]),
            Self::New | Self::Initiated(_) => Err(PaymentError::NotSubmitted),
        }
    }

    fn fail(&self, failure: Failure) -> Result<Vec<PaymentEvent>, PaymentError> {
        match self {
            Self::Initiated(terms) | Self::Submitted(terms, _) | Self::Pending(terms, ..) => {
                let Terms { order, buyer, attempt, .. } = *terms;
                Ok(vec![PaymentEvent::PaymentFailed { order, buyer, attempt, failure }])
            }
            Self::Failed(..) | Self::Cancelled(_) => Ok(vec![]),
            Self::New | Self::Succeeded { .. } => Err(PaymentError::PaymentSettled),
        }
    }

    fn cancel(&self) -> Result<Vec<PaymentEvent>, PaymentError> {
        match self {
            Self::Initiated(terms) | Self::Submitted(terms, _) | Self::Pending(terms, ..) => {
                Ok(vec![PaymentEvent::PaymentCancelled { order: terms.order, attempt: terms.attempt }])
            }
            Self::Failed(..) | Self::Cancelled(_) => Ok(vec![]),
            Self::New | Self::Succeeded { .. } => Err(PaymentError::PaymentSettled),
        }
    }

    fn refund(&self, amount: Money, refund: Refund) -> Result<Vec<PaymentEvent>, PaymentError> {
        let Self::Succeeded { terms, refunded, refunds, .. } = self else {
            return Err(PaymentError::NotSucceeded);
        };
        if refunds.iter().any(|known| known.reference == refund.reference) {
            return Ok(vec![]);
        }
        let fits = refunded.plus(amount).is_ok_and(|sum| amount.amount > 0 && sum.amount <= terms.amount.amount);
        if !fits {
            return Err(PaymentError::RefundTooLarge { paid: terms.amount, refunded: *refunded, asked: amount });
        }
        let Refund { reference, number } = refund;
        Ok(vec![PaymentEvent::PaymentRefunded { order: terms.order, amount, refund: reference, number }])
    }

    /// The state after a fact.
    pub fn evolve(&mut self, event: PaymentEvent) {
        if let PaymentEvent::PaymentInitiated(terms) = event {
            *self = Self::Initiated(terms);
            return;
        }
        let Some(terms) = self.terms().cloned() else { return };
        match event {
            PaymentEvent::PaymentInitiated(_)
            | PaymentEvent::PaymentRedriven(_)
            | PaymentEvent::PaymentDiscarded(_) => (),
            PaymentEvent::PaymentSubmitted { reference } => *self = Self::Submitted(terms, reference),
            PaymentEvent::PaymentPending { next_action } => {
                if let Some(reference) = self.reference().cloned() {
                    *self = Self::Pending(terms, reference, next_action);
                }
            }
            PaymentEvent::PaymentSucceeded { reference, late, .. } => {
                let refunded = Money::zero(terms.amount.currency);
                *self = Self::Succeeded { terms, reference, late, refunded, refunds: vec![], disputes: vec![] };
            }
            PaymentEvent::PaymentFailed { failure, .. } => *self = Self::Failed(terms, failure),
            PaymentEvent::PaymentCancelled { .. } => *self = Self::Cancelled(terms),
            PaymentEvent::PaymentDisputed { dispute, .. } => {
                if let Self::Succeeded { disputes, .. } = self {
                    disputes.push((dispute, DisputeStatus::Open));
                }
            }
            PaymentEvent::PaymentDisputeClosed { dispute, outcome, .. } => {
                if let Self::Succeeded { disputes, .. } = self {
                    disputes.retain(|(known, _)| *known != dispute);
                    disputes.push((dispute, outcome));
                }
            }
            PaymentEvent::PaymentRefunded { amount, refund, number, .. } => {
                if let Self::Succeeded { refunded, refunds, .. } = self
                    && let Ok(sum) = refunded.plus(amount)
                {
                    *refunded = sum;
                    refunds.push(Refund { reference: refund, number });
                }
            }
        }
    }
}

aggregate!(Payment, "payment", PaymentCommand, PaymentEvent, PaymentError, stored::Stored);
