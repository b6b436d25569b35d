use serde::{Deserialize, Serialize};

use crate::{OrderId, PaymentId};

/// An item of the payment queue: look at this payment and do what is left to do for it.
/// What that is, the journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentWork {
    /// Which payment.
    pub payment_id: PaymentId,
    /// For which order.
    pub order_id: OrderId,
}

impl PaymentWork {
    /// As it stands in the queue.
    #[must_use]
    pub fn to_json(self) -> Vec<u8> {
        // Two ids have nothing that could fail to be written.
        serde_json::to_vec(&self).unwrap_or_default()
    }
}
