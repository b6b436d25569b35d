use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// How the buyer pays, in the PSP's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// A card known by a token such as `pm_card_visa`.
    Card(String),
    /// An instant transfer by QR code.
    Pix,
}

/// Where a payment intent stands. <https://docs.stripe.com/payments/paymentintents/lifecycle>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum IntentStatus {
    /// No method, or the last one was declined.
    RequiresPaymentMethod,
    /// Ready to be charged.
    RequiresConfirmation,
    /// The buyer has to do something.
    RequiresAction,
    /// The bank is at it.
    Processing,
    /// Paid.
    Succeeded,
    /// Given up.
    Canceled,
    /// A status that this store has no use for.
    #[serde(other)]
    Other,
}

/// A payment intent as the PSP describes it; what we do not use is left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Intent {
    /// The PSP's id.
    pub id: String,
    /// Where it stands.
    pub status: IntentStatus,
    /// Minor units.
    pub amount: i64,
    /// What came of it, in minor units; where the PSP does not say so, all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_received: Option<i64>,
    /// Lower-case ISO 4217.
    pub currency: String,
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub created: i64,
    /// What we told the PSP about it.
    #[serde(default)]
    pub metadata: HashMap<String, String>,
    /// Why the last charge did not go through.
    #[serde(default)]
    pub last_payment_error: Option<PaymentError>,
    /// What the buyer has to do.
    #[serde(default)]
    pub next_action: Option<NextAction>,
}

/// A declined charge.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PaymentError {
    /// Such as `card_declined`.
    pub code: Option<String>,
    /// Such as `insufficient_funds`.
    pub decline_code: Option<String>,
    /// A sentence for people.
    pub message: Option<String>,
}

/// What the buyer has to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NextAction {
    /// Such as `pix_display_qr_code`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code to show.
    #[serde(default)]
    pub pix_display_qr_code: Option<PixCode>,
}

/// A Pix code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PixCode {
    /// The text behind the QR code.
    pub data: String,
    /// Until when it works, in seconds since 1970.
    pub expires_at: i64,
}
