use crate::money::Money;

/// Why a payment refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum PaymentError {
    /// The attempt runs already, on other terms.
    #[error("this payment was begun already")]
    PaymentInProgress,
    /// No payment has this id.
    #[error("there is no such payment")]
    UnknownPayment,
    /// The PSP has not been asked yet.
    #[error("this payment was not submitted to the PSP yet")]
    NotSubmitted,
    /// The PSP speaks of another charge.
    #[error("the PSP knows this payment by another reference")]
    OtherReference,
    /// It ended already.
    #[error("this payment is settled")]
    PaymentSettled,
    /// There is nothing to give back.
    #[error("this payment did not succeed")]
    NotSucceeded,
    /// More than was paid.
    #[error("{refunded} of {paid} went back already; {asked} more is too much")]
    RefundTooLarge {
        /// What was paid.
        paid: Money,
        /// What went back so far.
        refunded: Money,
        /// What was asked now.
        asked: Money,
    },
}
