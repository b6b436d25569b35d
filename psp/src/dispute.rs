use serde::{Deserialize, Serialize};

/// Where a dispute stands. <https://docs.stripe.com/api/disputes/object#dispute_object-status>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// The bank decided for the merchant.
    Won,
    /// The bank decided for the buyer.
    Lost,
    /// The bank asked, and was content with the answer; no money was taken.
    WarningClosed,
    /// Not decided yet: `needs_response`, `under_review` and their like.
    #[serde(other, rename = "needs_response")]
    Other,
}

/// A dispute as the PSP describes it; what we do not use is left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dispute {
    /// The PSP's id.
    pub id: String,
    /// Where it stands.
    pub status: DisputeStatus,
    /// Minor units.
    pub amount: i64,
    /// Such as `fraudulent`.
    pub reason: String,
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub created: i64,
    /// The intent that was paid; nothing for charges of other kinds, which are none of ours.
    pub payment_intent: Option<String>,
}
