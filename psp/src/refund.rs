use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Whether money went back. <https://docs.stripe.com/api/refunds/object#refund_object-status>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// The bank is at it.
    Pending,
    /// The customer has to do something.
    RequiresAction,
    /// It went back.
    Succeeded,
    /// It did not, and will not.
    Failed,
    /// It was given up.
    Canceled,
}

/// A refund as the PSP describes it; what we do not use is left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refund {
    /// The PSP's id.
    pub id: String,
    /// Where it stands.
    pub status: RefundStatus,
    /// Minor units.
    pub amount: i64,
    /// The intent that was paid.
    pub payment_intent: String,
    /// What we told the PSP about it.
    #[serde(default)]
    pub metadata: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RefundPage {
    pub(crate) data: Vec<Refund>,
}
