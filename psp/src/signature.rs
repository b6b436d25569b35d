//! `Stripe-Signature`: `t=<seconds>,v1=<hex>[,v1=…]`, HMAC-SHA256 over `<t>.<body>` with the whole secret as key.
//! <https://docs.stripe.com/webhooks#verify-manually>
//!
//! Stricter than Stripe's own SDKs in one point: a timestamp from the future is refused as well as an old one.

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// How many seconds a delivery's clock may differ from ours, either way. Stripe's default.
pub const TOLERANCE_SECONDS: u64 = 300;

/// Why a delivery was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// No header, or one without timestamp or signature.
    #[error("the Stripe-Signature header is missing or malformed")]
    Malformed,
    /// Signed too long ago.
    #[error("the signature is too old")]
    TooOld,
    /// Signed in the future.
    #[error("the signature's time lies in the future")]
    FromTheFuture,
    /// No active secret made it.
    #[error("the signature does not match")]
    Mismatch,
}

/// The header for `body`, signed at `seconds` since 1970.
#[must_use]
pub fn sign(body: &[u8], secret: &SecretString, seconds: u64) -> String {
    let signature: String = mac(body, secret, seconds).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={signature}")
}

/// Checks a header against every active secret.
///
/// # Errors
/// [`BadSignature`].
pub fn verify(header: &str, body: &[u8], secrets: &[SecretString], now: u64) -> Result<(), BadSignature> {
    let mut seconds = None;
    let mut candidates = Vec::new();
    for (name, value) in header.split(',').filter_map(|part| part.trim().split_once('=')) {
        match name {
            "t" => seconds = value.parse::<u64>().ok(),
            "v1" => candidates.extend(from_hex(value)),
            _ => (),
        }
    }
    let seconds = seconds.filter(|_| !candidates.is_empty()).ok_or(BadSignature::Malformed)?;
    // Every secret is tried against every signature, whichever matches: the time tells nothing.
    let known = secrets.iter().fold(subtle::Choice::from(0), |known, secret| {
        let expected = mac(body, secret, seconds);
        candidates.iter().fold(known, |known, candidate| known | candidate.as_slice().ct_eq(&expected))
    });
    if !bool::from(known) {
        Err(BadSignature::Mismatch)
    } else if now.saturating_sub(seconds) > TOLERANCE_SECONDS {
        Err(BadSignature::TooOld)
    } else if seconds.saturating_sub(now) > TOLERANCE_SECONDS {
        Err(BadSignature::FromTheFuture)
    } else {
        Ok(())
    }
}

fn mac(body: &[u8], secret: &SecretString, seconds: u64) -> [u8; 32] {
    // HMAC takes keys of any length, so the key cannot be refused.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return [0; 32] };
    mac.chain_update(format!("{seconds}.")).chain_update(body).finalize().into_bytes().into()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    digits?.chunks(2).map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte << 4 | digit)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1"}"#;

    fn secret(text: &str) -> SecretString {
        text.into()
    }

    #[test]
    fn a_signature_of_any_active_secret_is_believed() {
        let header = sign(BODY, &secret("whsec_old"), 1000);
        assert_eq!(verify(&header, BODY, &[secret("whsec_new"), secret("whsec_old")], 1000), Ok(()));
        assert_eq!(verify(&header, BODY, &[secret("whsec_new")], 1000), Err(BadSignature::Mismatch));
    }

    #[test]
    fn any_of_several_signatures_may_match() {
        let good = sign(BODY, &secret("whsec"), 1000);
        let header = good.replace("v1=", "v1=00,v1=");
        assert_eq!(verify(&header, BODY, &[secret("whsec")], 1000), Ok(()));
    }

    #[test]
    fn a_changed_body_or_time_is_not_believed() {
        let header = sign(BODY, &secret("whsec"), 1000);
        assert_eq!(verify(&header, b"{}", &[secret("whsec")], 1000), Err(BadSignature::Mismatch));
        let later = header.replace("t=1000", "t=1001");
        assert_eq!(verify(&later, BODY, &[secret("whsec")], 1000), Err(BadSignature::Mismatch));
    }

    #[test]
    fn the_clock_may_differ_by_five_minutes_either_way() {
        let header = sign(BODY, &secret("whsec"), 1000);
        for (now, verdict) in
            [(1300, Ok(())), (1301, Err(BadSignature::TooOld)), (700, Ok(())), (699, Err(BadSignature::FromTheFuture))]
        {
            assert_eq!(verify(&header, BODY, &[secret("whsec")], now), verdict);
        }
    }

    #[test]
    fn a_header_without_time_or_signature_is_malformed() {
        for header in ["", "t=1000", "v1=00", "t=x,v1=00", "t=1000,v1=zz", "nonsense"] {
            assert_eq!(verify(header, BODY, &[secret("whsec")], 1000), Err(BadSignature::Malformed), "{header}");
        }
    }
}
