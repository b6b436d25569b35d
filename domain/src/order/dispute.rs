//! What a disputed payment means for the games.

use super::{Order, OrderEvent};
use crate::PaymentId;
use crate::payment::DisputeStatus;

/// What becomes of games whose payment is disputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum DisputePolicy {
    /// They are taken from the library at once, and come back if the bank decides for the store.
    Suspend,
    /// They stay until the bank decides for the buyer.
    RevokeWhenLost,
    /// They stay whatever the bank decides.
    Keep,
}

impl Order {
    pub(super) fn dispute(&self, payment: PaymentId, status: DisputeStatus, policy: DisputePolicy) -> Vec<OrderEvent> {
        let Self::Completed { buyer, lines, payment: paid_by, suspended, .. } = self else {
            // Whatever was paid back or never handed over cannot be taken.
            return vec![];
        };
        if *paid_by != Some(payment) || lines.is_empty() {
            return vec![];
        }
        let (buyer, games) = (*buyer, lines.iter().map(|line| line.game).collect());
        match (status, policy, suspended) {
            (DisputeStatus::Open, DisputePolicy::Suspend, false) => vec![OrderEvent::OrderSuspended { buyer, games }],
            (DisputeStatus::Won, _, true) => vec![OrderEvent::OrderReinstated { buyer, games }],
            (DisputeStatus::Lost, DisputePolicy::Suspend | DisputePolicy::RevokeWhenLost, _)
            | (DisputeStatus::Lost, DisputePolicy::Keep, true) => vec![OrderEvent::OrderRevoked { buyer, games }],
            (DisputeStatus::Open | DisputeStatus::Won, _, _) | (DisputeStatus::Lost, DisputePolicy::Keep, false) => {
                vec![]
            }
        }
    }
}
