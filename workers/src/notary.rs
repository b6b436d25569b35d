//! The notary: signs what the mirror holds, so that nobody can change it unseen, the store itself included.
//!
//! It reads the mirror from the first event on and keeps the Merkle tree over it (RFC 6962). At intervals it signs the
//! tree's root, which is recorded as an event like any other. It signs nothing that contradicts what was signed before.
//! Two notaries do no harm: of the same events they sign the same.

use std::time::Duration;

use commands::{CommandError, Commands};
use domain::tree_head::{SIGNED, SignedHead};
use journal::{DoubtfulHead, HeadKey, Tree, leaf};
use nats::{EVENTS, Nats, NatsError, Replay};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::{NOTARY_HALTED, NOTARY_SIZE};

/// How often the mirror is read.
const POLL: Duration = Duration::from_secs(1);
/// How long to wait after something went wrong.
const PAUSE: Duration = Duration::from_secs(5);

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
    /// The mirror has not a message for each position.
    #[error("the mirror has message {found} where {expected} should follow")]
    Gap {
        /// What should follow.
        expected: u64,
        /// What does.
        found: u64,
    },
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
        let mirror = nats.replay(EVENTS, ">", 1).bodies_only();
        let covered = signed.as_ref().map_or(0, SignedHead::size);
        Ok(Self { commands, key, mirror, tree: Tree::default(), signed, covered, last: 0 })
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
                self.tree.push(leaf(&stored.payload));
                self.compare()?;
                if !is_tree_head(&stored.payload) {
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

/// Reads and signs until `stop`, each time `every` so long.
pub async fn run(commands: Commands, nats: Nats, key: HeadKey, every: Duration, stop: CancellationToken) {
    while let Some(ended) = stop.run_until_cancelled(work(&commands, &nats, key.clone(), every)).await {
        let is_halted = matches!(ended, Err(NotaryError::Changed { .. } | NotaryError::Gap { .. }));
        NOTARY_HALTED.set(i64::from(is_halted));
        if let Err(error) = ended {
            tracing::error!(%error, "The notary signs nothing; it begins anew");
        }
        stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
    }
}

async fn work(commands: &Commands, nats: &Nats, key: HeadKey, every: Duration) -> Result<(), NotaryError> {
    let mut notary = Notary::open(commands.clone(), nats, key).await?;
    let mut due = Instant::now();
    loop {
        let size = match notary.read().await {
            // The tree stays as it is, and reading goes on.
            Err(NotaryError::Nats(error)) => {
                tracing::warn!(%error, "The notary cannot read the mirror; trying again");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            read => read?,
        };
        NOTARY_SIZE.set(i64::try_from(size).unwrap_or(i64::MAX));
        NOTARY_HALTED.set(0);
        if Instant::now() >= due {
            if let Some(head) = notary.sign().await? {
                tracing::info!(size = head.size(), root = head.root(), "Signed the tree of {} events", head.size());
            }
            due = Instant::now().checked_add(every).unwrap_or(due);
        }
        tokio::time::sleep(POLL.min(every)).await;
    }
}

fn is_tree_head(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(rename = "type")]
        name: &'a str,
    }
    serde_json::from_slice::<Named<'_>>(body).is_ok_and(|event| event.name == SIGNED)
}
