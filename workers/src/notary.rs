//! The notary: signs what the mirror holds, so that nobody can change it unseen, the store itself included.
//!
//! It reads the mirror from the first event on and keeps the Merkle tree over it (RFC 6962). At intervals it signs the
//! tree's root, which is recorded as an event like any other. It signs nothing that contradicts what was signed before.
//! Two notaries do no harm: of the same events they sign the same.

use std::convert::Infallible;
use std::time::Duration;

use commands::{CommandError, Commands};
use domain::tree_head::{SIGNED, SignedHead};
use journal::{DoubtfulHead, Hash, HeadKey, HeadKeys, Tree, leaf};
use nats::{EVENTS, Nats, NatsError, Replay};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::{NOTARY_HALTED, NOTARY_UNSIGNED};

/// How often the mirror is read.
const POLL: Duration = Duration::from_secs(1);
/// How long to wait after something went wrong.
const PAUSE: Duration = Duration::from_secs(5);

/// How long to wait where something is wrong that people have to look at: all of the mirror is read again then.
const HALTED: Duration = Duration::from_mins(1);

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// The mirror is not what it was when it was signed.
    #[error(
        "the first {size} events of the mirror have the root {found}, and {signed} was signed: some were changed. Nothing is \
         signed until they are as they were; see docs/operations.md, \"The notary halts\""
    )]
    Changed {
        /// How many events.
        size: u64,
        /// The root that was signed.
        signed: String,
        /// The root that they have.
        found: String,
    },
    /// The mirror does not have a message for each position.
    #[error("the mirror has message {found} where {expected} should follow")]
    Gap {
        /// What should follow.
        expected: u64,
        /// What does.
        found: u64,
    },
    /// An event does not follow from the one that was read before it: the mirror is another one now.
    #[error("event {0} of the mirror does not carry the hash of the one that was read before it")]
    Broken(u64),
    /// The newest head of the journal is not by any of its keys, or says something else than its checkpoint.
    #[error("the newest tree head of the journal is not what was signed: {0}")]
    Forged(DoubtfulHead),
    /// The head could not be signed.
    #[error(transparent)]
    Signing(#[from] DoubtfulHead),
    /// The server did not answer.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The journal did not answer, or refused.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// The notary.
pub struct Notary {
    commands: Commands,
    key: HeadKey,
    mirror: Replay,
    tree: Tree,
    /// The hash of the last event of the tree.
    previous: Option<Hash>,
    /// What was signed last, until it was compared with the tree.
    signed: Option<SignedHead>,
    /// How many events are signed.
    covered: u64,
    /// The last event that is no tree head.
    last: u64,
}

impl Notary {
    /// A notary that has read nothing yet.
    ///
    /// # Errors
    /// When the journal does not answer.
    pub async fn open(commands: Commands, nats: &Nats, key: HeadKey) -> Result<Self, NotaryError> {
        let journal = commands.journal();
        journal.publish_head_key(key.public()).await.map_err(CommandError::from)?;
        let signed = journal.newest_head().await.map_err(CommandError::from)?;
        let keys = journal.head_keys().await.map_err(CommandError::from)?.join("\n");
        if let Some(head) = &signed {
            must_be_signed(head, &keys).map_err(NotaryError::Forged)?;
        }
        let mirror = nats.replay(EVENTS, ">", 1).bodies_only();
        let covered = signed.as_ref().map_or(0, SignedHead::size);
        Ok(Self { commands, key, mirror, tree: Tree::default(), previous: None, signed, covered, last: 0 })
    }

    /// Reads what is there. How many events the tree has then.
    ///
    /// # Errors
    /// [`NotaryError`]; where the server did not answer, reading can go on.
    pub async fn read(&mut self) -> Result<u64, NotaryError> {
        loop {
            let batch = self.mirror.next_batch().await?;
            for stored in &batch {
                let expected = self.tree.size().saturating_add(1);
                if stored.sequence != expected {
                    return Err(NotaryError::Gap { expected, found: stored.sequence });
                }
                let Ok(event) = serde_json::from_slice::<Carried<'_>>(&stored.payload) else {
                    return Err(NotaryError::Broken(expected));
                };
                if event.previoushash.map(str::to_owned) != self.previous.map(|hash| hash.to_string()) {
                    return Err(NotaryError::Broken(expected));
                }
                let leaf = leaf(&stored.payload);
                self.previous = Some(leaf);
                self.tree.push(leaf);
                self.compare()?;
                if event.name != SIGNED {
                    self.last = stored.sequence;
                }
            }
            if batch.is_empty() {
                return Ok(self.tree.size());
            }
        }
    }

    /// Signs what was read, where something but tree heads happened since it was signed last. What was signed is not
    /// signed again before [`Self::read`] has met it.
    ///
    /// # Errors
    /// [`NotaryError`].
    pub async fn sign(&mut self) -> Result<Option<SignedHead>, NotaryError> {
        if self.last <= self.covered {
            return Ok(None);
        }
        let head = self.key.sign(&self.tree)?;
        self.commands.sign_tree_head(head.clone()).await?;
        self.covered = head.size();
        Ok(Some(head))
    }

    /// Compares the tree with what was signed, once it is as large.
    fn compare(&mut self) -> Result<(), NotaryError> {
        let Some(head) = self.signed.take_if(|head| head.size() == self.tree.size()) else { return Ok(()) };
        let found = self.tree.root().to_string();
        if head.root() == found {
            return Ok(());
        }
        Err(NotaryError::Changed { size: head.size(), signed: head.root().to_owned(), found })
    }
}

/// What the notary looks at in an event.
#[derive(Deserialize)]
struct Carried<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    previoushash: Option<&'a str>,
}

fn must_be_signed(head: &SignedHead, keys: &str) -> Result<(), DoubtfulHead> {
    let keys = HeadKeys::parse(keys).map_err(|_| DoubtfulHead::Form)?;
    let (size, root) = keys.open(head.checkpoint())?;
    if (size, root.to_string().as_str()) == (head.size(), head.root()) { Ok(()) } else { Err(DoubtfulHead::Form) }
}

impl NotaryError {
    /// Whether what was signed is contradicted, which does not pass by itself.
    fn is_final(&self) -> bool {
        match self {
            Self::Changed { .. } | Self::Gap { .. } | Self::Broken(_) | Self::Forged(_) => true,
            Self::Command(error) => !error.is_passing(),
            Self::Signing(_) | Self::Nats(_) => false,
        }
    }
}

/// Reads and signs until `stop`, each time `every` so long.
pub async fn run(commands: Commands, nats: Nats, key: HeadKey, every: Duration, stop: CancellationToken) {
    while let Some(Err(error)) = stop.run_until_cancelled(work(&commands, &nats, key.clone(), every)).await {
        let is_final = error.is_final();
        NOTARY_HALTED.set(i64::from(is_final));
        tracing::error!(%error, "The notary signs nothing; it starts over");
        stop.run_until_cancelled(tokio::time::sleep(if is_final { HALTED } else { PAUSE })).await;
    }
}

async fn work(commands: &Commands, nats: &Nats, key: HeadKey, every: Duration) -> Result<Infallible, NotaryError> {
    let mut notary = Notary::open(commands.clone(), nats, key).await?;
    let mut due = Instant::now();
    loop {
        let worked = async {
            let size = notary.read().await?;
            NOTARY_HALTED.set(0);
            // Also where signing fails: it rises then.
            NOTARY_UNSIGNED.set(i64::try_from(size.saturating_sub(notary.covered)).unwrap_or(i64::MAX));
            if Instant::now() >= due {
                if let Some(head) = notary.sign().await? {
                    tracing::info!(size = head.size(), root = head.root(), "Signed the tree of {size} events");
                }
                due = Instant::now().checked_add(every).unwrap_or(due);
            }
            Ok(())
        };
        match worked.await {
            Ok(()) => tokio::time::sleep(POLL.min(every)).await,
            Err(error) if NotaryError::is_final(&error) => return Err(error),
            // The tree stays as it is, and reading goes on.
            Err(error) => {
                tracing::warn!(%error, "The notary waits; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
