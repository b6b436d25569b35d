use std::collections::HashMap;

use ludoteca::client::http;
use reqwest::RequestBuilder;
use serde_json::Value;

use super::TestApp;

/// The key that the store has at the PSP.
pub const PSP_KEY: &str = "sk_test_sandbox";

async fn answer(request: RequestBuilder) -> Value {
    let answer = request.bearer_auth(PSP_KEY).send().await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// What the tests ask of the PSP itself, past the store.
impl TestApp {
    fn psp(&self, path: &str) -> String {
        format!("{}{path}", self.payment.psp_url)
    }

    async fn intents(&self) -> Vec<Value> {
        let (mut intents, mut after) = (Vec::new(), String::new());
        loop {
            let page = answer(http().unwrap().get(self.psp(&format!("/v1/payment_intents?limit=100{after}")))).await;
            intents.extend(page["data"].as_array().unwrap().iter().cloned());
            match (page["has_more"].as_bool(), intents.last()) {
                (Some(true), Some(last)) => after = format!("&starting_after={}", last["id"].as_str().unwrap()),
                _ => return intents,
            }
        }
    }

    /// What the PSP holds: for each payment, how many intents succeeded.
    pub async fn charges(&self) -> HashMap<String, usize> {
        let mut charges = HashMap::new();
        for intent in self.intents().await.iter().filter(|intent| intent["status"] == "succeeded") {
            *charges.entry(intent["metadata"]["payment_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        charges
    }

    /// How much the PSP has sent back, or is about to, of all that was paid.
    pub async fn refunded(&self) -> i64 {
        let mut sum = 0;
        for intent in self.intents().await.iter().filter(|intent| intent["status"] == "succeeded") {
            let path = format!("/v1/refunds?payment_intent={}", intent["id"].as_str().unwrap());
            let page = answer(http().unwrap().get(self.psp(&path))).await;
            let refunds = page["data"].as_array().unwrap().iter();
            sum += refunds.map(|refund| refund["amount"].as_i64().unwrap()).sum::<i64>();
        }
        sum
    }

    /// A refund that the PSP knows and the store has not heard of.
    pub async fn refund_at_the_psp(&self, intent: &str, amount: i64, name: &str) {
        let amount = amount.to_string();
        let form = [("payment_intent", intent), ("amount", &amount), ("metadata[refund]", name)];
        answer(http().unwrap().post(self.psp("/v1/refunds")).form(&form)).await;
    }

    /// Money that somebody sends back in the PSP's own dashboard, for a payment.
    pub async fn refund_in_the_dashboard(&self, payment: &str, amount: i64) {
        let intents = self.intents().await;
        let intent = intents.iter().find(|intent| intent["metadata"]["payment_id"] == payment).unwrap();
        let form = [("payment_intent", intent["id"].as_str().unwrap().to_owned()), ("amount", amount.to_string())];
        answer(http().unwrap().post(self.psp("/v1/refunds")).form(&form)).await;
    }

    /// Every dispute that the PSP knows of.
    pub async fn disputes_at_the_psp(&self) -> Vec<Value> {
        let page = answer(http().unwrap().get(self.psp("/v1/disputes?limit=100"))).await;
        page["data"].as_array().unwrap().clone()
    }

    /// Gives the PSP evidence, upon which the bank decides a dispute.
    pub async fn decide_dispute(&self, dispute: &Value, evidence: &str) {
        let url = self.psp(&format!("/v1/disputes/{}", dispute["id"].as_str().unwrap()));
        answer(http().unwrap().post(url).form(&[("evidence[uncategorized_text]", evidence)])).await;
    }

    /// What the PSP answers to a POST of a form.
    pub async fn ask_psp(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let request = http().unwrap().post(format!("{}{path}", self.payment.psp_url)).bearer_auth(PSP_KEY).form(form);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Makes the PSP behave like this from now on.
    pub async fn psp_behaves(&self, behaviour: Value) {
        answer(http().unwrap().put(self.psp("/control")).json(&behaviour)).await;
    }

    /// How often the PSP was asked since its behaviour was last set.
    pub async fn psp_requests(&self) -> u64 {
        answer(http().unwrap().get(self.psp("/control"))).await["requests"].as_u64().unwrap()
    }

    /// Where the PSP has a payment's intent; nothing where it has none.
    pub async fn psp_status(&self, payment: &str) -> String {
        let intents = self.intents().await;
        let status = intents.iter().find(|intent| intent["metadata"]["payment_id"] == payment);
        status.map_or_else(String::new, |intent| intent["status"].as_str().unwrap().to_owned())
    }
}
