//! The whole store against an imitation of Stripe that is not ours. Its quirks: it ignores idempotency keys, sends each
//! webhook once and after a second, none for a failed authentication, and keeps its memory in one file per machine.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use domain::PaymentId;
use domain::payment::PspReference;
use ludoteca::client::http;
use ludoteca::local::free_port;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::{PSP_KEY, Person, TestApp, Wishes, eventually};

/// One at a time: they would share the file.
static TURN: Mutex<()> = Mutex::const_new(());

struct LocalStripe {
    program: PathBuf,
    port: u16,
    running: Child,
    _turn: MutexGuard<'static, ()>,
}

impl LocalStripe {
    /// Starts it with an empty memory; nothing where it is not installed.
    async fn start() -> Option<Self> {
        let Some(peers) = std::env::var_os("PEERS") else {
            println!("SKIPPED: localstripe (scripts/test installs it)");
            return None;
        };
        let (turn, program) = (TURN.lock().await, PathBuf::from(peers).join("localstripe"));
        let port = free_port().unwrap();
        let running = run(&program, port, &["--from-scratch"]);
        let stripe = Self { program, port, running, _turn: turn };
        stripe.answers().await;
        Some(stripe)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn answers(&self) {
        eventually("localstripe answers", || async { http().unwrap().get(self.url()).send().await.is_ok() }).await;
    }

    async fn kill(&mut self) {
        self.running.kill().await.unwrap();
    }

    /// Starts it again with what it knew, or with nothing.
    async fn restart(&mut self, arguments: &[&str]) {
        self.running = run(&self.program, self.port, arguments);
        self.answers().await;
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let request = http().unwrap().request(Method::POST, format!("{}{path}", self.url())).form(form);
        let answer = request.bearer_auth(PSP_KEY).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn delivers_to(&self, url: &str) {
        self.post("/_config/webhooks/store", &[("url", url), ("secret", "whsec_of_tests")]).await;
    }

    /// A card, known by a token as a browser would have got it.
    async fn card(&self, number: &str) -> String {
        let form = [
            ("type", "card"),
            ("card[number]", number),
            ("card[exp_month]", "12"),
            ("card[exp_year]", "2040"),
            ("card[cvc]", "123"),
        ];
        self.post("/v1/payment_methods", &form).await["id"].as_str().unwrap().to_owned()
    }

    /// What the holder of a card answers to their bank.
    async fn authenticate(&self, intent: &str, success: bool) {
        let found = http().unwrap().get(format!("{}/v1/payment_intents/{intent}", self.url())).bearer_auth(PSP_KEY);
        let intent: Value = found.send().await.unwrap().json().await.unwrap();
        let secret = intent["client_secret"].as_str().unwrap();
        let path = format!("/v1/payment_intents/{}/_authenticate", intent["id"].as_str().unwrap());
        self.post(&path, &[("client_secret", secret), ("success", if success { "true" } else { "false" })]).await;
    }
}

fn run(program: &PathBuf, port: u16, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string()]).args(arguments).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A store at localstripe, whose webhooks reach it.
async fn store(stripe: &LocalStripe) -> TestApp {
    let wishes = Wishes {
        psp_url: Some(stripe.url()),
        psp_timeout: Some(Duration::from_secs(5)),
        reconcile_after: Some(Duration::from_millis(500)),
        ..Wishes::default()
    };
    let app = TestApp::start_with(wishes).await;
    stripe.delivers_to(&format!("{}/webhooks/psp", app.url)).await;
    app
}

/// The payment of an order.
async fn payment(buyer: &Person, order: &str) -> String {
    eventually("the order is there", || async { buyer.order(order).await.is_some() }).await;
    buyer.order(order).await.unwrap()["payment_id"].as_str().unwrap().to_owned()
}

/// Waits for a payment's status; its intent.
async fn sees_payment(buyer: &Person, order: &str, status: &str) -> String {
    let path = format!("/pagamento/{}", payment(buyer, order).await);
    eventually(&format!("the payment is {status}"), || async {
        let seen = buyer.get(&path).await.body;
        (seen["status"].as_str().map(str::to_owned), Some(status.to_owned()))
    })
    .await;
    buyer.get(&path).await.body["psp_reference"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_card_is_charged_and_paid_back_and_a_declined_one_is_not_charged() {
    let Some(stripe) = LocalStripe::start().await else { return };
    let app = store(&stripe).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let declined = ana.buy(&[&game], "pm_card_chargeCustomerFail").await;
    ana.sees_order(&declined, "payment_failed").await;
    assert!(app.charges().await.is_empty());

    let body = json!({ "order_id": declined, "payment_method": { "type": "card", "token": "pm_card_visa" } });
    ana.post("/pagamento", &body).await.expect(202);
    ana.sees_order(&declined, "completed").await;
    assert_eq!(app.charges().await.into_values().collect::<Vec<_>>(), [1]);

    ana.post(&format!("/pedidos/{declined}/reembolso"), &json!({})).await.expect(202);
    ana.sees_order(&declined, "refunded").await;
    assert_eq!(app.refunded().await, 5_990);
    app.verify().await;
}

#[tokio::test]
async fn a_card_whose_holder_is_asked_is_settled_by_the_webhook_or_by_asking() {
    let Some(stripe) = LocalStripe::start().await else { return };
    let app = store(&stripe).await;
    let (ana, card) = (app.customer("ana").await, stripe.card("4000002500003155").await);
    let (yes, no) = (app.game("Yes", 100).await, app.game("No", 100).await);
    let (agreed, refused) = (ana.buy(&[&yes], &card).await, ana.buy(&[&no], &card).await);
    let intent = sees_payment(&ana, &agreed, "pending").await;
    stripe.authenticate(&intent, true).await;
    ana.sees_order(&agreed, "completed").await;
    // Of this one no webhook tells.
    let intent = sees_payment(&ana, &refused, "pending").await;
    stripe.authenticate(&intent, false).await;
    ana.sees_order(&refused, "payment_failed").await;
    assert_eq!(app.charges().await.len(), 1);
    app.verify().await;
}

#[tokio::test]
async fn a_debit_that_fails_after_days_fails_the_payment() {
    let Some(stripe) = LocalStripe::start().await else { return };
    let app = store(&stripe).await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let form = [("type", "sepa_debit"), ("sepa_debit[iban]", "DE62370400440532013001")];
    let debit = stripe.post("/v1/payment_methods", &form).await["id"].as_str().unwrap().to_owned();
    let order = ana.buy(&[&game], &debit).await;
    ana.sees_order(&order, "payment_failed").await;
    ana.owns(&[]).await;
    app.verify().await;
}

#[tokio::test]
async fn webhooks_that_go_elsewhere_are_made_up_for_by_asking() {
    let Some(stripe) = LocalStripe::start().await else { return };
    let app = store(&stripe).await;
    stripe.delivers_to("http://127.0.0.1:1/nowhere").await;
    let (ana, card) = (app.customer("ana").await, stripe.card("4000002500003155").await);
    let order = ana.buy(&[&app.game("Summit", 5_990).await], &card).await;
    let intent = sees_payment(&ana, &order, "pending").await;
    stripe.authenticate(&intent, true).await;
    ana.sees_order(&order, "completed").await;
    app.verify().await;
}

/// An order whose worker died after the PSP was told of its payment and before the charge.
async fn created_and_not_confirmed(stripe: &LocalStripe, app: &mut TestApp) -> (Person, String) {
    app.kill_role("payments").await;
    app.kill_role("reconciler").await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    let payment = payment(&ana, &order).await;
    let form = [
        ("amount", "5990"),
        ("currency", "brl"),
        ("payment_method", "pm_card_visa"),
        ("metadata[payment_id]", payment.as_str()),
    ];
    let intent = stripe.post("/v1/payment_intents", &form).await["id"].as_str().unwrap().to_owned();
    let (payment, reference) = (PaymentId::parse(&payment).unwrap(), PspReference::parse(&intent).unwrap());
    let commands = &app.foundation.shared.commands;
    let context = commands.context(commands::Actor::System("test"));
    eventually("it is begun and submitted", || async {
        commands.submit_payment(&context, payment, reference.clone()).await.is_ok()
    })
    .await;
    (ana, order)
}

#[tokio::test]
async fn a_psp_that_dies_between_telling_and_charging_is_waited_for() {
    let Some(mut stripe) = LocalStripe::start().await else { return };
    let mut app = store(&stripe).await;
    let (ana, order) = created_and_not_confirmed(&stripe, &mut app).await;
    stripe.kill().await;
    app.start_role("payments");
    eventually("the work is tried", || async {
        app.foundation.shared.nats.extent(nats::PAYMENTS).await.unwrap().0 == 1
    })
    .await;
    stripe.restart(&[]).await;
    ana.sees_order(&order, "completed").await;
    assert_eq!(app.charges().await.into_values().collect::<Vec<_>>(), [1]);
    app.verify().await;
}

#[tokio::test]
async fn a_psp_that_no_longer_knows_its_own_reference_fails_the_payment_with_a_dead_letter() {
    let Some(mut stripe) = LocalStripe::start().await else { return };
    let mut app = store(&stripe).await;
    let (ana, order) = created_and_not_confirmed(&stripe, &mut app).await;
    stripe.kill().await;
    stripe.restart(&["--from-scratch"]).await;
    app.start_role("payments");
    ana.sees_order(&order, "payment_failed").await;
    app.queue_is_empty().await;
    let letters = app.admin.get("/dlq").await.expect(200);
    assert_eq!((letters["items"].as_array().unwrap().len(), &letters["items"][0]["class"]), (1, &json!("exhausted")));
    // The buyer is not stuck.
    let again = json!({ "order_id": order, "payment_method": { "type": "card", "token": "pm_card_visa" } });
    ana.post("/pagamento", &again).await.expect(202);
    ana.sees_order(&order, "completed").await;
    app.verify().await;
}
