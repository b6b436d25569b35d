//! A PSP to try the store with: a real HTTP server that speaks Stripe's wire and moves no money.
//!
//! The payment method decides what happens: `pm_card_visa` succeeds, `pm_card_chargeCustomerFail` is declined, `pix`
//! asks the buyer to act and succeeds by webhook a moment later, `pm_card_timeout` never answers,
//! `pm_card_flaky` answers 500 twice, and the money of `pm_card_pendingRefund` goes back a moment after it was asked for. Any other card is unknown.
//! `PUT /control` makes it slow, silent or wrong, and loses, doubles, delays or reorders webhooks.
//! Idempotency keys replay the first answer, 500s included. Webhooks are signed and tried again until accepted.

mod control;
mod ledger;
mod routes;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use poem::listener::Acceptor;
use secrecy::SecretString;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::dispute::{Dispute, DisputeStatus};
use crate::refund::RefundStatus;
use control::Control;
use ledger::Ledger;
use webhooks::Webhooks;

/// How the sandbox is set up.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// The bearer key that clients must send.
    pub key: SecretString,
    /// Where events are delivered.
    pub webhook_url: String,
    /// What they are signed with.
    pub webhook_secret: SecretString,
    /// How long a Pix payment takes.
    pub pix_delay: Duration,
    /// Where intents are kept over a restart; nowhere if nothing.
    pub file: Option<PathBuf>,
}

/// Serves the sandbox until `stop`.
///
/// # Errors
/// When the file cannot be read or the listener fails.
pub async fn serve(
    config: SandboxConfig,
    acceptor: impl Acceptor + 'static,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let ledger = Ledger::open(config.file.clone())?;
    let webhooks = Webhooks::new(config.webhook_url.clone(), config.webhook_secret.clone(), stop.clone())?;
    let sandbox = Arc::new(Sandbox { config, ledger, webhooks, control: Control::default() });
    for intent in sandbox.ledger.waiting_for_pix() {
        sandbox.clone().pay_by_pix_soon(intent);
    }
    for (intent, refund) in sandbox.ledger.pending_refunds() {
        sandbox.clone().end_refund_soon(intent, refund);
    }
    let server = poem::Server::new_with_acceptor(acceptor);
    server
        .run_with_graceful_shutdown(routes::routes(sandbox), stop.cancelled_owned(), Some(Duration::from_secs(1)))
        .await
}

struct Sandbox {
    config: SandboxConfig,
    ledger: Ledger,
    webhooks: Webhooks,
    control: Control,
}

impl Sandbox {
    fn deliver(&self, kind: &str, object: &impl Serialize) {
        self.webhooks.deliver(kind, object, &self.control.get());
    }

    /// The buyer scans the code and pays, unless the intent was given up meanwhile.
    fn pay_by_pix_soon(self: Arc<Self>, intent: String) {
        tokio::spawn(async move {
            tokio::time::sleep(self.config.pix_delay).await;
            if let Some(paid) = self.ledger.pay_if_waiting(&intent) {
                self.deliver("payment_intent.succeeded", &paid);
            }
        });
    }

    /// The holder of the card tells their bank that they did not agree.
    fn dispute_soon(self: Arc<Self>, intent: String) {
        tokio::spawn(async move {
            tokio::time::sleep(self.config.pix_delay).await;
            let disputed = self.ledger.change(&intent, |entry| {
                let dispute = Dispute {
                    id: new_id("dp"),
                    status: DisputeStatus::Other,
                    amount: entry.left(),
                    created: i64::try_from(seconds_now()).unwrap_or(i64::MAX),
                    reason: "fraudulent".to_owned(),
                    payment_intent: Some(entry.intent.id.clone()),
                };
                (dispute.amount > 0).then(|| entry.dispute.get_or_insert(dispute).clone())
            });
            if let Some(dispute) = disputed.flatten() {
                self.deliver("charge.dispute.created", &dispute);
            }
        });
    }

    /// The bank takes its time to send money back.
    fn end_refund_soon(self: Arc<Self>, intent: String, refund: String) {
        tokio::spawn(async move {
            tokio::time::sleep(self.config.pix_delay).await;
            let ended = self.ledger.change(&intent, |entry| {
                let refund = entry.refunds.iter_mut().find(|known| known.id == refund)?;
                refund.status = RefundStatus::Succeeded;
                Some(refund.clone())
            });
            if let Some(refund) = ended.flatten() {
                self.deliver("refund.updated", &refund);
            }
        });
    }
}

/// Seconds since 1970.
#[must_use]
pub fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// An id as Stripe makes them: a prefix and random characters.
fn new_id(prefix: &str) -> String {
    format!("{prefix}_{:032x}", rand::random::<u128>())
}
