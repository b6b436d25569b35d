//! The Merkle tree over all events (RFC 6962, section 2.1): its leaves are the bodies of the mirror, in their order.
//!
//! A tree keeps one hash for each one bit of its size, so that whoever reads a thousand million events keeps thirty.

use tlog_tiles::tlog::{EMPTY_HASH, node_hash, record_hash};

pub use tlog_tiles::tlog::Hash;

/// The hash of a mirrored body: a leaf of the tree, and what the event after it carries.
#[must_use]
pub fn leaf(body: &[u8]) -> Hash {
    record_hash(body)
}

/// A tree that grows by leaves.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    size: u64,
    /// The roots of the perfect trees that it consists of, the largest first.
    peaks: Vec<Hash>,
}

impl Tree {
    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_and_tell(leaf, |_, _| ());
    }

    /// The same, and tells each perfect tree that is complete by it: its height, from 0 for the leaf, and its root.
    pub(crate) fn push_and_tell(&mut self, leaf: Hash, mut tell: impl FnMut(u8, Hash)) {
        let mut node = leaf;
        tell(0, node);
        for height in (1..=u8::MAX).take(usize::try_from(self.size.trailing_ones()).unwrap_or_default()) {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(left, node);
                tell(height, node);
            }
        }
        self.peaks.push(node);
        self.size = self.size.saturating_add(1);
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let peaks = self.peaks.iter().rev().copied();
        peaks.reduce(|right, left| node_hash(left, right)).unwrap_or(EMPTY_HASH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 as it is written: the left tree is the largest perfect one that is not all of it.
    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => EMPTY_HASH,
            [leaf] => *leaf,
            more => {
                let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
                node_hash(root(left), root(right))
            }
        }
    }

    #[test]
    fn its_root_is_the_one_of_the_rfc_at_every_size() {
        let leaves: Vec<_> = (0..200_u32).map(|n| leaf(&n.to_be_bytes())).collect();
        let mut tree = Tree::default();
        assert_eq!(tree.root(), EMPTY_HASH);
        for (size, leaf) in (1..).zip(&leaves) {
            tree.push(*leaf);
            assert_eq!((tree.size(), tree.root()), (size, root(&leaves[..usize::try_from(size).unwrap()])));
        }
    }
}
