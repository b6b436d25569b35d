//! A tree head: the root of the Merkle tree over all events up to a position, as the store signed it (RFC 6962).
//!
//! Its id follows from its size, so that there is one root for each size: a second one is refused, not recorded.

use serde::{Deserialize, Serialize};

use crate::aggregate::aggregate;

pub(crate) mod stored;
#[cfg(test)]
mod tests;

/// The signed statement that the events 1 to `size` have the root `root`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SignedHead {
    /// How many events it is about: those at the positions 1 to this one.
    size: u64,
    /// The root of the tree over them, in base64.
    root: String,
    /// Both of them as they were signed: a checkpoint as <https://c2sp.org/tlog-checkpoint> has it.
    checkpoint: String,
}

/// Why a text is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a signed checkpoint: origin, size, root, an empty line, signatures")]
pub struct InvalidCheckpoint;

impl SignedHead {
    /// Takes the size and the root from a checkpoint. Whether its signature is good, is not looked at.
    ///
    /// # Errors
    /// [`InvalidCheckpoint`] for any other text.
    pub fn parse(checkpoint: String) -> Result<Self, InvalidCheckpoint> {
        let mut lines = checkpoint.lines().skip(1);
        let (Some(size), Some(root), Some(""), Some(_)) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(InvalidCheckpoint);
        };
        let (size, root) = (size.parse().map_err(|_| InvalidCheckpoint)?, root.to_owned());
        Ok(Self { size, root, checkpoint })
    }

    /// How many events it is about.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree over them, in base64.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// What was signed, with its signatures.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }
}

/// A tree head.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum TreeHead {
    /// Nothing was signed for this size.
    #[default]
    Unsigned,
    /// What was signed.
    Signed(SignedHead),
}

/// What can be asked of a tree head.
#[derive(Debug, Clone)]
pub enum TreeHeadCommand {
    /// To keep what was signed.
    Sign(SignedHead),
}

/// What happened to a tree head.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr, strum::VariantNames)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum TreeHeadEvent {
    /// The store signed which events there were, and no others, up to a position.
    TreeHeadSigned(SignedHead),
}

/// What [`TreeHeadEvent::TreeHeadSigned`] is called.
pub const SIGNED: &str = "TreeHeadSigned";

/// Why a tree head refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum TreeHeadError {
    /// Another root was signed for the same events: some of them were changed.
    #[error("the first {size} events had the root {signed} when they were signed, and have {found} now")]
    RootChanged {
        /// How many events.
        size: u64,
        /// The root that was signed.
        signed: String,
        /// The root that they have now.
        found: String,
    },
}

aggregate!(TreeHead, "treehead", TreeHeadCommand, TreeHeadEvent, TreeHeadError, stored::Stored);

impl TreeHead {
    /// What happens when `command` reaches a tree head in this state.
    ///
    /// # Errors
    /// [`TreeHeadError`] where another root was signed.
    pub fn decide(&self, command: TreeHeadCommand) -> Result<Vec<TreeHeadEvent>, TreeHeadError> {
        let TreeHeadCommand::Sign(head) = command;
        match self {
            Self::Unsigned => Ok(vec![TreeHeadEvent::TreeHeadSigned(head)]),
            Self::Signed(known) if known.root == head.root => Ok(vec![]),
            Self::Signed(known) => {
                let (size, signed, found) = (known.size, known.root.clone(), head.root);
                Err(TreeHeadError::RootChanged { size, signed, found })
            }
        }
    }

    /// The state after an event.
    pub fn evolve(&mut self, event: TreeHeadEvent) {
        let TreeHeadEvent::TreeHeadSigned(head) = event;
        *self = Self::Signed(head);
    }
}
