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
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub created: i64,
    /// What we told the PSP about it.
    #[serde(default)]
    pub metadata: HashMap<String, String>,
}

/// The name in its metadata under which a refund of the store carries what the store calls it.
pub const REFUND_NAME: &str = "refund";

impl Refund {
    /// Whether money went back without the store having asked for it.
    #[must_use]
    pub fn was_made_elsewhere(&self) -> bool {
        self.status == RefundStatus::Succeeded && !self.metadata.contains_key(REFUND_NAME)
    }
}
