//! A buyer's bank takes money back because the buyer says that they did not agree to the charge. The PSP argues; weeks
//! later the bank decides. <https://docs.stripe.com/disputes/how-disputes-work>

use serde::{Deserialize, Serialize};

use super::{Payment, PaymentError, PaymentEvent, PspReference};
use crate::money::Money;

/// Where a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum DisputeStatus {
    /// Nobody has decided yet.
    Open,
    /// The bank decided for the store: the money stays.
    Won,
    /// The bank decided for the buyer: the money is gone.
    Lost,
}

/// A dispute as the PSP describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispute {
    /// The PSP's id of it.
    pub reference: PspReference,
    /// How much is disputed.
    pub amount: Money,
    /// Why, in the PSP's word, such as `fraudulent`.
    pub reason: String,
    /// Where it stands.
    pub status: DisputeStatus,
}

impl Payment {
    /// Where it stands with all of its disputes: a lost one outweighs an open one, an open one what was won.
    #[must_use]
    pub fn dispute_standing(&self) -> Option<DisputeStatus> {
        let Self::Succeeded { disputes, .. } = self else { return None };
        let weight = |status: &DisputeStatus| match status {
            DisputeStatus::Won => 0,
            DisputeStatus::Open => 1,
            DisputeStatus::Lost => 2,
        };
        disputes.iter().map(|(_, status)| *status).max_by_key(weight)
    }

    /// Whether the buyer's bank has taken the money back, or may.
    #[must_use]
    pub fn is_with_the_bank(&self) -> bool {
        matches!(self.dispute_standing(), Some(DisputeStatus::Open | DisputeStatus::Lost))
    }

    /// What is news about a dispute, however often and in whatever order it is reported.
    pub(super) fn dispute(&self, dispute: Dispute) -> Result<Vec<PaymentEvent>, PaymentError> {
        let Self::Succeeded { terms, disputes, .. } = self else { return Err(PaymentError::NotSucceeded) };
        let Dispute { reference, amount, reason, status } = dispute;
        let known = disputes.iter().find(|(known, _)| *known == reference).map(|(_, status)| *status);
        let (order, buyer) = (terms.order, terms.buyer);
        let mut events = Vec::new();
        if known.is_none() {
            let dispute = reference.clone();
            events.push(PaymentEvent::PaymentDisputed { order, buyer, dispute, amount, reason });
        }
        if status != DisputeStatus::Open && known.is_none_or(|known| known == DisputeStatus::Open) {
            events.push(PaymentEvent::PaymentDisputeClosed { order, dispute: reference, outcome: status });
        }
        Ok(events)
    }
}
