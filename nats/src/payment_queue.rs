//! The payment queue: each message says that there is something to do for a payment, and is gone once it is done.

use bytes::Bytes;

use crate::connect::{Nats, NatsError, PATIENCE};
use crate::message::Outgoing;

pub(crate) fn subject(payment: &str) -> String {
    format!("payments.process.{payment}")
}

fn message(payment: &str, why: &str, work: Bytes) -> Outgoing {
    Outgoing { subject: subject(payment), id: Some(format!("{payment}:{why}")), headers: vec![], payload: work }
}

impl Nats {
    /// Queues work for a payment. The same work for the same reason is queued once, whoever says so within two minutes.
    ///
    /// # Errors
    /// When the queue did not confirm it.
    pub async fn queue_payment(&self, payment: &str, why: &str, work: Bytes) -> Result<(), NatsError> {
        self.publish(message(payment, why, work), false).await
    }

    /// The same, early: nothing is confirmed. Somebody else queues it for certain, so what is lost costs time only.
    ///
    /// # Errors
    /// When it cannot be sent now.
    pub async fn queue_payment_early(&self, payment: &str, why: &str, work: Bytes) -> Result<(), NatsError> {
        let (subject, headers, payload) = message(payment, why, work).into_parts();
        self.send_unconfirmed(subject, headers, payload, PATIENCE).await
    }
}
