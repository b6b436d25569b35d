//! The notifier: tells the buyer by mail, once per event however often the event is delivered.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use domain::order::OrderEvent;
use domain::payment::PaymentEvent;
use domain::{OrderId, StoreEvent, UserId};
use journal::vault::MailTurn;
use lettre::message::Mailbox;
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use nats::{ConsumerSpec, Delivery, EVENTS, Verdict};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Shared;
use crate::metrics::MAILS;
use crate::mirrored::Mirrored;

const SLOTS: u16 = 8;

/// Where mail goes.
#[derive(Clone)]
pub enum Mailer {
    /// To a mail server.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// Into a folder, one `.eml` file each.
    Folder(AsyncFileTransport<Tokio1Executor>),
}

impl Mailer {
    /// A mailer for a server's URL (`smtps://user:password@host`), or for a folder where there is none.
    ///
    /// # Errors
    /// When the URL is none, or the folder cannot be made.
    pub fn new(smtp_url: Option<&str>, folder: &PathBuf) -> anyhow::Result<Self> {
        if let Some(url) = smtp_url {
            let smtp = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).context("SMTP URL")?;
            return Ok(Self::Smtp(smtp.timeout(Some(Duration::from_secs(20))).build()));
        }
        std::fs::create_dir_all(folder).with_context(|| format!("mail folder {}", folder.display()))?;
        Ok(Self::Folder(AsyncFileTransport::new(folder)))
    }

    async fn send(&self, mail: Message) -> anyhow::Result<()> {
        match self {
            Self::Smtp(smtp) => smtp.send(mail).await.map(drop)?,
            Self::Folder(folder) => folder.send(mail).await.map(drop)?,
        }
        Ok(())
    }
}

/// The notifier.
#[derive(Clone)]
pub struct Notifier {
    /// Use cases and server.
    pub shared: Shared,
    /// Where mail goes.
    pub mailer: Mailer,
    /// Who it comes from.
    pub from: Mailbox,
}

/// A mail's subject and text.
struct Letter {
    to: UserId,
    subject: String,
    text: String,
}

impl Notifier {
    /// Works until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let spec = ConsumerSpec {
            stream: EVENTS,
            name: "notifier".to_owned(),
            subjects: ["events.order.*.OrderCompleted", "events.payment.*.PaymentFailed"].map(str::to_owned).to_vec(),
            max_ack_pending: SLOTS,
            ack_wait: Duration::from_mins(1),
            max_deliver: None,
        };
        let each = |delivery: Delivery| async move { delivery.answer(self.take(&delivery).await).await };
        self.shared.nats.consume(&spec, SLOTS.into(), &stop, each).await;
    }

    async fn take(&self, delivery: &Delivery) -> Verdict {
        let parsed = Mirrored::try_from(delivery).and_then(|mirrored| Ok((mirrored.event()?, mirrored)));
        let (event, id) = match parsed {
            Ok((event, mirrored)) => (event, mirrored.envelope.event_id),
            Err(error) => {
                tracing::error!(%error, sequence = delivery.sequence(), "The notifier cannot read an event; it waits for a newer program");
                return Verdict::Retry(Duration::from_mins(1));
            }
        };
        let Some(letter) = letter(&event) else { return Verdict::Done };
        match self.notify(id, letter).await {
            Ok(verdict) => verdict,
            Err(error) => {
                MAILS.with_label_values(&["failed"]).inc();
                tracing::warn!(event.id = %id, %error, "A mail was not sent; trying again");
                Verdict::Retry(Duration::from_secs(1 << delivery.attempt().min(9)))
            }
        }
    }

    async fn notify(&self, event: Uuid, letter: Letter) -> anyhow::Result<Verdict> {
        let vault = self.shared.commands.vault();
        match vault.begin_mail(event).await? {
            MailTurn::Sent => return Ok(Verdict::Done),
            MailTurn::Wait => return Ok(Verdict::Retry(Duration::from_mins(1))),
            MailTurn::Send => (),
        }
        if let Err(error) = self.send(event, letter).await {
            vault.mail_failed(event).await?;
            return Err(error);
        }
        vault.mail_sent(event).await?;
        Ok(Verdict::Done)
    }

    async fn send(&self, event: Uuid, letter: Letter) -> anyhow::Result<()> {
        // Nobody is left to tell after erasure.
        let Some((profile, _)) = self.shared.commands.profile(letter.to).await? else { return Ok(()) };
        let address = profile.email.as_str().parse().context("address")?;
        let mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(profile.name.as_str().to_owned()), address))
            // The same event is the same message, should a server ever get it twice.
            .message_id(Some(format!("<{event}@ludoteca>")))
            .subject(letter.subject)
            .body(format!("Hello {},\n\n{}\n\nLudoteca\n", profile.name.as_str(), letter.text))?;
        self.mailer.send(mail).await?;
        MAILS.with_label_values(&["sent"]).inc();
        Ok(())
    }
}

fn letter(event: &StoreEvent) -> Option<Letter> {
    match event {
        StoreEvent::Order(order, OrderEvent::OrderCompleted { buyer, total, .. }) => Some(Letter {
            to: *buyer,
            subject: "Your games are in your library".to_owned(),
            text: format!("your order {order} over {total} is complete. The games are in your library now."),
        }),
        StoreEvent::Payment(_, PaymentEvent::PaymentFailed { order, buyer, failure, .. }) => {
            Some(failed(*order, *buyer, &failure.message))
        }
        StoreEvent::Order(..) | StoreEvent::Payment(..) | StoreEvent::User(..) | StoreEvent::Game(..) => None,
    }
}

fn failed(order: OrderId, buyer: UserId, reason: &str) -> Letter {
    Letter {
        to: buyer,
        subject: "Your payment did not go through".to_owned(),
        text: format!(
            "the payment of your order {order} failed: {reason}\nNothing was charged, and you can pay again while \
             the order is open."
        ),
    }
}
