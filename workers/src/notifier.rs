//! The notifier: tells people by mail, once per event however often the event is delivered.
//!
//! What is to be told is noted in the vault's outbox first, so that a mail server that fails delays its own mail only:
//! each mail is tried again by itself, and becomes a dead letter when nothing helps.

mod letters;

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::order::OrderEvent;
use domain::payment::PaymentEvent;
use domain::user::UserEvent;
use domain::{Email, StoreEvent, UserId};
use futures::future::join_all;
use journal::vault::MailEntry;
use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use nats::{ConsumerSpec, DeadLetter, Delivery, EVENTS, MAIL_QUEUE, Verdict};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::letters::{Letter, Reader};
use crate::Shared;
use crate::metrics::MAILS;
use crate::mirrored::Mirrored;

/// How many mails each sender takes from the outbox and sends at once.
const AT_ONCE: u16 = 8;
const SENDERS: usize = 2;
/// How often an idle sender looks for mail at least.
const POLL: Duration = Duration::from_secs(1);
/// How long a mail may take.
const PATIENCE: Duration = Duration::from_secs(45);
/// For how long a mail is its sender's: longer than it may take.
const LEASE: Duration = Duration::from_mins(1);
/// How long a mail waits for others. Each round costs a dozen statements, and whoever waits for the event that the mail
/// tells of comes first.
const GATHER: Duration = Duration::from_millis(100);
/// How many events are noted at once.
const SLOTS: u16 = 64;

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
    /// When the URL is invalid, or the folder cannot be made.
    pub fn new(smtp_url: Option<&str>, folder: &PathBuf) -> anyhow::Result<Self> {
        if let Some(url) = smtp_url {
            let smtp = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).context("SMTP URL")?;
            return Ok(Self::Smtp(smtp.timeout(Some(Duration::from_secs(20))).build()));
        }
        // Names and addresses stand in it, in clear.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("mail folder {}", folder.display()))?;
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
    /// Where the storefront is, for links.
    pub store_url: String,
    /// How often, and with which pauses.
    pub patience: MailPatience,
    /// Wakes the senders.
    pub noted: Arc<Notify>,
}

/// How often a mail is tried, and how long the pause after the first try is; it doubles with each.
#[derive(Debug, Clone, Copy)]
pub struct MailPatience {
    /// Tries before it becomes a dead letter.
    pub attempts: i32,
    /// The first pause.
    pub pause: Duration,
}

impl Notifier {
    /// How it reads events.
    #[must_use]
    pub fn consumer() -> ConsumerSpec {
        let subjects = [
            "events.user.UserRegistered.*",
            "events.user.UserRegistrationRepeated.*",
            "events.user.UserProfileChanged.*",
            "events.user.UserEmailChangeRequested.*",
            "events.user.UserEmailConfirmationRequested.*",
            "events.user.UserPasswordChanged.*",
            "events.user.UserPasswordResetRequested.*",
            "events.user.UserAuthenticatorAdded.*",
            "events.user.UserAuthenticatorRemoved.*",
            "events.user.UserRecoveryCodeUsed.*",
            "events.user.UserLoggedInOnNewDevice.*",
            "events.user.UserApiKeyMade.*",
            "events.order.OrderCompleted.*",
            "events.payment.PaymentFailed.*",
            "events.payment.PaymentRefunded.*",
        ];
        ConsumerSpec {
            stream: EVENTS,
            name: "notifier".to_owned(),
            subjects: subjects.map(str::to_owned).to_vec(),
            max_ack_pending: SLOTS,
            ack_wait: Duration::from_mins(1),
            max_deliver: None,
        }
    }

    /// Works until `stop`: one loop notes what is to be told, others tell it.
    ///
    /// # Errors
    /// When a part of it panicked; the others stop.
    pub async fn run(&self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let (sender, stop) = (self.clone(), stop.clone());
            senders.spawn(async move { sender.send_all(&stop).await });
        }
        let stopping = &stop;
        let each = |deliveries: Vec<Delivery>| async move {
            let wait = if deliveries.len() < usize::from(SLOTS) { GATHER } else { Duration::ZERO };
            if stopping.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
                self.note_all(&deliveries).await;
            }
        };
        let ended = async {
            while let Some(ended) = senders.join_next().await {
                ended.context("a sender panicked")?;
            }
            Ok(())
        };
        let consumer = Self::consumer();
        let noting = async {
            self.shared.nats.consume_batches(&consumer, SLOTS.into(), &stop, each).await;
            Ok(())
        };
        tokio::try_join!(noting, ended).map(drop)
    }

    async fn note_all(&self, deliveries: &[Delivery]) {
        let mut noted = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            match Mirrored::try_from(delivery) {
                Ok(Mirrored { envelope, .. }) => noted.push((delivery, (envelope.event_id, envelope.sequence))),
                Err(error) => {
                    tracing::error!(%error, sequence = delivery.sequence(), "The notifier cannot read an event; it waits for a newer program");
                    delivery.answer(Verdict::Retry(Duration::from_mins(1))).await;
                }
            }
        }
        if noted.is_empty() {
            return;
        }
        let events: Vec<_> = noted.iter().map(|(_, event)| *event).collect();
        let verdict = match self.shared.commands.vault().keep_mail(&events).await {
            Ok(()) => Verdict::Done,
            Err(error) => {
                tracing::warn!(%error, mails = events.len(), "Mails were not noted; trying again");
                Verdict::Retry(POLL)
            }
        };
        self.noted.notify_waiters();
        for (delivery, _) in noted {
            delivery.answer(verdict.clone()).await;
        }
    }

    async fn send_all(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            // Subscribed before the look, so that no notification is missed.
            let noted = self.noted.notified();
            match self.run_once().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "The notifier pauses"),
            }
            let woken = tokio::time::timeout(POLL, noted);
            let _ = stop.run_until_cancelled(woken).await;
        }
    }

    /// Sends the next mails that are due; whether there were any.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub async fn run_once(&self) -> anyhow::Result<bool> {
        let vault = self.shared.commands.vault();
        let entries = vault.next_mails(LEASE, AT_ONCE.into()).await?;
        let found = !entries.is_empty();
        // All of them go on until the last is done: one that is put aside would keep the connection that it holds.
        let sent = join_all(entries.into_iter().map(|entry| self.send(entry))).await;
        let sent: Vec<Uuid> = sent.into_iter().flatten().collect();
        if !sent.is_empty()
            && let Err(error) = vault.mails_sent(&sent).await
        {
            tracing::warn!(%error, mails = sent.len(), "Could not record mails as sent; they may be sent again");
        }
        Ok(found)
    }

    /// Sends a mail, and returns its event where it was sent.
    async fn send(&self, entry: MailEntry) -> Option<Uuid> {
        let told = tokio::time::timeout(PATIENCE, self.tell(&entry)).await;
        match told.unwrap_or_else(|_| Err(anyhow::anyhow!("the mail server did not answer in time"))) {
            Ok(()) => Some(entry.event_id),
            Err(error) => {
                MAILS.with_label_values(&["failed"]).inc();
                let error = format!("{error:#}");
                let left = self.patience.attempts.saturating_sub(entry.attempts);
                tracing::warn!(event.id = %entry.event_id, attempt = entry.attempts, error, "A mail was not sent");
                let wait = self.patience.pause.saturating_mul(1 << entry.attempts.clamp(1, 12).saturating_sub(1));
                if let Err(error) = self.put_back(&entry, &error, (left > 0).then_some(wait)).await {
                    tracing::warn!(event.id = %entry.event_id, %error, "A mail that was not sent waits for its lease to end");
                }
                None
            }
        }
    }

    /// Puts a mail back until `wait` is over; without a wait it becomes a dead letter.
    async fn put_back(&self, entry: &MailEntry, error: &str, wait: Option<Duration>) -> anyhow::Result<()> {
        if wait.is_none() {
            self.bury(entry, error).await?;
        }
        Ok(self.shared.commands.vault().mail_failed(entry.event_id, error, wait).await?)
    }

    /// Makes what could not be sent visible.
    async fn bury(&self, entry: &MailEntry, error: &str) -> anyhow::Result<()> {
        let letter = DeadLetter {
            queue: MAIL_QUEUE.to_owned(),
            class: "undeliverable".to_owned(),
            key: entry.event_id.to_string(),
            cause: error.to_owned(),
            attempts: u64::try_from(entry.attempts)?,
            first_at: entry.noted_at.to_rfc3339(),
            failed_at: self.shared.commands.clock().now().to_rfc3339(),
            work: entry.event_id.to_string().into(),
        };
        self.shared.nats.bury(letter).await?;
        MAILS.with_label_values(&["dead"]).inc();
        Ok(())
    }

    async fn tell(&self, entry: &MailEntry) -> anyhow::Result<()> {
        let stored = self.shared.nats.message(EVENTS, u64::try_from(entry.sequence)?).await?;
        let mirrored = Mirrored::try_from(&stored.context("the event is not in the mirror")?)?;
        anyhow::ensure!(mirrored.envelope.event_id == entry.event_id, "another event stands at its place");
        let event = mirrored.event()?;
        let Some(to) = self.addressee(&event).await? else { return Ok(()) };
        // Nobody is left to tell after erasure.
        let Some((profile, _)) = self.shared.commands.profile(to).await? else { return Ok(()) };
        let language = self.shared.commands.vault().language(to).await?;
        let reader = Reader { language, name: profile.name.as_str(), store: &self.store_url };
        let Some(address) = self.address(&event, profile.email.clone()).await? else { return Ok(()) };
        let Some(letter) = self.letter(&reader, &event, &address).await? else { return Ok(()) };
        let id = entry.event_id.to_string();
        let is_asked_for = matches!(event, StoreEvent::User(_, UserEvent::UserEmailChangeRequested { .. }));
        if is_asked_for && profile.email != address {
            // Before the link goes out: the owner may not be the one who asked.
            let warning = reader.address_asked_for();
            self.post(&format!("{id}.warning"), reader.name, &profile.email, &warning).await?;
        }
        self.post(&id, reader.name, &address, &letter).await
    }

    async fn post(&self, id: &str, name: &str, address: &Email, letter: &Letter) -> anyhow::Result<()> {
        let mailbox = address.as_str().parse().context("address")?;
        let mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(name.to_owned()), mailbox))
            // The same event is the same message, should a server ever get it twice.
            .message_id(Some(format!("<{id}@ludoteca>")))
            .subject(letter.subject.clone())
            .multipart(MultiPart::alternative_plain_html(letter.text()?, letter.html()?))?;
        // Servers quote the address in what they refuse; it must not outlive the person in a dead letter or a log.
        let unnamed =
            |error: anyhow::Error| anyhow::anyhow!(format!("{error:#}").replace(address.as_str(), "(the address)"));
        self.mailer.send(mail).await.map_err(unnamed)?;
        MAILS.with_label_values(&["sent"]).inc();
        Ok(())
    }

    /// Where a letter goes, to somebody who has an address; nowhere where nobody is to be told.
    async fn address(&self, event: &StoreEvent, current: Email) -> anyhow::Result<Option<Email>> {
        let commands = &self.shared.commands;
        Ok(match event {
            StoreEvent::User(_, UserEvent::UserProfileChanged { address_changed: false, .. }) => None,
            // Whoever takes an account over by its address must not be the only one to hear of it.
            StoreEvent::User(user, UserEvent::UserProfileChanged { profile, .. }) => {
                commands.former_address(*user, profile).await?.filter(|former| *former != current)
            }
            StoreEvent::User(user, UserEvent::UserEmailChangeRequested { address }) => {
                commands.address_asked_for(*user, address).await?
            }
            _ => Some(current),
        })
    }

    async fn addressee(&self, event: &StoreEvent) -> anyhow::Result<Option<UserId>> {
        Ok(match event {
            StoreEvent::User(
                user,
                UserEvent::UserRegistered { .. }
                | UserEvent::UserRegistrationRepeated {}
                | UserEvent::UserProfileChanged { .. }
                | UserEvent::UserEmailChangeRequested { .. }
                | UserEvent::UserEmailConfirmationRequested {}
                | UserEvent::UserPasswordChanged { .. }
                | UserEvent::UserPasswordResetRequested { .. }
                | UserEvent::UserAuthenticatorAdded { .. }
                | UserEvent::UserAuthenticatorRemoved { .. }
                | UserEvent::UserRecoveryCodeUsed {}
                | UserEvent::UserLoggedInOnNewDevice { .. }
                | UserEvent::UserApiKeyMade { .. },
            ) => Some(*user),
            StoreEvent::Order(_, OrderEvent::OrderCompleted { buyer, .. })
            | StoreEvent::Payment(_, PaymentEvent::PaymentFailed { buyer, .. }) => Some(*buyer),
            StoreEvent::Payment(_, PaymentEvent::PaymentRefunded { order, .. }) => {
                self.shared.commands.order(*order).await?.buyer()
            }
            StoreEvent::User(..)
            | StoreEvent::Order(..)
            | StoreEvent::Payment(..)
            | StoreEvent::Game(..)
            | StoreEvent::TreeHead(..) => None,
        })
    }

    async fn letter(&self, reader: &Reader<'_>, event: &StoreEvent, to: &Email) -> anyhow::Result<Option<Letter>> {
        let link = |user: &UserId| self.shared.commands.confirmation_link(*user, to);
        Ok(match event {
            StoreEvent::User(user, UserEvent::UserRegistered { .. }) => Some(reader.welcome(&link(user))),
            StoreEvent::User(_, UserEvent::UserRegistrationRepeated {}) => Some(reader.registered_already()),
            StoreEvent::User(_, UserEvent::UserProfileChanged { .. }) => Some(reader.address_changed()),
            StoreEvent::User(
                user,
                UserEvent::UserEmailChangeRequested { .. } | UserEvent::UserEmailConfirmationRequested {},
            ) => Some(reader.confirm_address(&link(user))),
            StoreEvent::User(_, UserEvent::UserPasswordChanged { .. }) => Some(reader.password_changed()),
            StoreEvent::User(user, UserEvent::UserPasswordResetRequested { request, .. }) => {
                Some(reader.password_forgotten(&self.shared.commands.reset_link(*user, *request)))
            }
            StoreEvent::User(_, UserEvent::UserAuthenticatorAdded { kind, .. }) => {
                Some(reader.authenticator_added(*kind))
            }
            StoreEvent::User(_, UserEvent::UserAuthenticatorRemoved { .. }) => Some(reader.authenticator_removed()),
            StoreEvent::User(_, UserEvent::UserApiKeyMade { .. }) => Some(reader.api_key_made()),
            StoreEvent::User(_, UserEvent::UserRecoveryCodeUsed {}) => Some(reader.recovery_code_used()),
            StoreEvent::User(_, UserEvent::UserLoggedInOnNewDevice { session }) => {
                let place = self.shared.commands.place_of(*session).await?;
                Some(reader.logged_in_on_new_device(place.as_ref()))
            }
            StoreEvent::Order(order, OrderEvent::OrderCompleted { total, .. }) => {
                let bought = self.shared.commands.ordered(*order).await?;
                Some(reader.receipt(*order, &bought, *total))
            }
            StoreEvent::Payment(_, PaymentEvent::PaymentFailed { order, failure, .. }) => {
                Some(reader.payment_failed(*order, &failure.message))
            }
            StoreEvent::Payment(_, PaymentEvent::PaymentRefunded { order, amount, .. }) => {
                Some(reader.refund(*order, *amount))
            }
            StoreEvent::User(..)
            | StoreEvent::Order(..)
            | StoreEvent::Payment(..)
            | StoreEvent::Game(..)
            | StoreEvent::TreeHead(..) => None,
        })
    }
}
