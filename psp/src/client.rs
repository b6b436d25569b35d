use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use crate::dispute::Dispute;
use crate::error::PspError;
use crate::intent::{Intent, Method};
use crate::list::{Listed, Page};
use crate::refund::{REFUND_NAME, Refund};

/// The version of Stripe's API that this client was written against.
const API_VERSION: &str = "2024-06-20";

/// A PSP that speaks Stripe's wire.
#[derive(Clone)]
pub struct PspClient {
    http: reqwest::Client,
    base: reqwest::Url,
    key: SecretString,
}

/// What a new payment intent is for.
#[derive(Debug, Clone)]
pub struct NewIntent<'a> {
    /// Our payment's id; comes back in webhooks.
    pub payment: String,
    /// Our order's id.
    pub order: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// How the buyer pays.
    pub method: &'a Method,
}

/// What is to go back.
#[derive(Debug, Clone)]
pub struct RefundRequest<'a> {
    /// The intent that was paid.
    pub intent: &'a str,
    /// Minor units.
    pub amount: i64,
    /// What we call it; comes back in lists.
    pub name: &'a str,
}

impl PspClient {
    /// A client for the PSP at `base` (such as `https://api.stripe.com`), which waits at most `timeout` for an answer.
    ///
    /// # Errors
    /// When `base` is no address, or no TLS can be had.
    pub fn new(base: &str, key: SecretString, timeout: Duration) -> Result<Self, PspError> {
        // A second installation is refused, which is as good as the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(Duration::from_secs(3))
            // Its key is for the PSP alone.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| PspError::of_transport(&error))?;
        let base = http.get(base).build().map_err(|error| PspError::of_transport(&error))?.url().clone();
        Ok(Self { http, base, key })
    }

    /// Tells the PSP of a payment. Charges nothing yet.
    ///
    /// # Errors
    /// [`PspError`].
    pub async fn create_intent(&self, new: &NewIntent<'_>, idempotency_key: &str) -> Result<Intent, PspError> {
        let amount = new.amount.to_string();
        let currency = new.currency.to_lowercase();
        let mut form = vec![
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("metadata[payment_id]", &new.payment),
            ("metadata[order_id]", &new.order),
        ];
        match new.method {
            Method::Card(token) => {
                form.extend([("payment_method", token.as_str()), ("payment_method_types[]", "card")]);
            }
            Method::Pix => form.extend([("payment_method_data[type]", "pix"), ("payment_method_types[]", "pix")]),
        }
        self.post(&["payment_intents"], &form, idempotency_key).await
    }

    /// Charges.
    ///
    /// # Errors
    /// [`PspError`]; after [`PspError::Unknown`] the money may have moved.
    pub async fn confirm(&self, intent: &str, idempotency_key: &str) -> Result<Intent, PspError> {
        self.post(&["payment_intents", intent, "confirm"], &[], idempotency_key).await
    }

    /// Where an intent stands. Strongly consistent.
    ///
    /// # Errors
    /// [`PspError`].
    pub async fn retrieve(&self, intent: &str) -> Result<Intent, PspError> {
        self.send(self.http.get(self.at(&["payment_intents", intent]))).await
    }

    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        list: &str,
        query: &[(&str, String)],
    ) -> Result<Page<T>, PspError> {
        self.send(self.http.get(self.at(&[list])).query(query)).await
    }

    /// Whether the PSP answers and takes our key.
    ///
    /// # Errors
    /// [`PspError`].
    pub async fn probe(&self) -> Result<(), PspError> {
        self.page::<Intent>(Intent::LIST, &[("limit", "1".to_owned())]).await.map(drop)
    }

    /// Gives an intent up; it cannot succeed afterwards.
    ///
    /// # Errors
    /// [`PspError::Refused`] where it has succeeded already.
    pub async fn cancel(&self, intent: &str, idempotency_key: &str) -> Result<Intent, PspError> {
        self.post(&["payment_intents", intent, "cancel"], &[], idempotency_key).await
    }

    /// Sends money back.
    ///
    /// # Errors
    /// [`PspError`].
    pub async fn refund(&self, refund: &RefundRequest<'_>, idempotency_key: &str) -> Result<Refund, PspError> {
        let amount = refund.amount.to_string();
        let name = format!("metadata[{REFUND_NAME}]");
        let form = [("payment_intent", refund.intent), ("amount", &amount), (&name, refund.name)];
        self.post(&["refunds"], &form, idempotency_key).await
    }

    /// What of an intent was, or is to be, sent back; at most a hundred, as many games as an order holds twice.
    ///
    /// # Errors
    /// [`PspError`].
    pub async fn refunds(&self, intent: &str) -> Result<Vec<Refund>, PspError> {
        let query = [("payment_intent", intent.to_owned()), ("limit", "100".to_owned())];
        Ok(self.page(Refund::LIST, &query).await?.data)
    }

    /// Where a dispute stands.
    ///
    /// # Errors
    /// [`PspError`].
    pub async fn dispute(&self, dispute: &str) -> Result<Dispute, PspError> {
        self.send(self.http.get(self.at(&["disputes", dispute]))).await
    }

    /// An address of the PSP's API. Ids come from outside: whatever is no letter, digit or underscore cannot lead elsewhere.
    fn at(&self, path: &[&str]) -> reqwest::Url {
        let tame = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let path = path.iter().map(|part| part.chars().map(tame).collect::<String>());
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().push("v1").extend(path);
        }
        url
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], form: &[(&str, &str)], key: &str) -> Result<T, PspError> {
        let request = self.http.post(self.at(path)).header("Idempotency-Key", key).form(form);
        self.send(request).await
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, PspError> {
        let request = request.bearer_auth(self.key.expose_secret()).header("Stripe-Version", API_VERSION);
        let answer = request.send().await.map_err(|error| PspError::of_transport(&error))?;
        let status = answer.status();
        let retry_after = answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.parse().ok());
        let body = answer.text().await.map_err(|error| PspError::Unknown(error.to_string()))?;
        if !status.is_success() {
            return Err(PspError::of_answer(status.as_u16(), retry_after, &body));
        }
        serde_json::from_str(&body).map_err(|error| PspError::Unknown(format!("unreadable answer: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_from_outside_leads_nowhere_else() {
        for base in ["https://psp.example", "https://psp.example/"] {
            let client = PspClient::new(base, "sk".to_owned().into(), Duration::from_secs(1)).unwrap();
            for (id, path) in [
                ("du_1A", "/v1/disputes/du_1A"),
                ("../refunds?x=1#", "/v1/disputes/___refunds_x_1_"),
                ("..", "/v1/disputes/__"),
            ] {
                assert_eq!(client.at(&["disputes", id]).as_str(), format!("https://psp.example{path}"));
            }
        }
        assert!(PspClient::new("nowhere", "sk".to_owned().into(), Duration::from_secs(1)).is_err());
    }
}
