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
