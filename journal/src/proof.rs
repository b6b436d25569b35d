//! Proofs that an event is in the tree that was signed (RFC 6962, section 2.1.1), as text:
//! <https://github.com/C2SP/C2SP/blob/main/tlog-proof.md>

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;

use tlog_tiles::tlog::{Error, HashReader, prove_record, stored_hash_index};

use crate::tree::{Hash, Tree};

/// A proof under way: it is given the leaves in order, and keeps of them what the proof consists of.
pub struct Proof {
    index: u64,
    size: u64,
    tree: Tree,
    /// By their place among all hashes of the tree; those that are still to come are none.
    needed: HashMap<u64, Option<Hash>>,
}

impl Proof {
    /// A proof of the event at a position, from 1, in the tree of the first `size` events.
    ///
    /// # Errors
    /// When the position is not in the tree.
    pub fn of(position: u64, size: u64) -> Result<Self, Error> {
        let beyond = || Error::InvalidInput("the event is not in the tree".to_owned());
        let index = position.checked_sub(1).filter(|index| *index < size).ok_or_else(beyond)?;
        let asked = Asked::default();
        prove_record(size, index, &asked)?;
        let needed = asked.0.into_inner().into_iter().map(|place| (place, None)).collect();
        Ok(Self { index, size, tree: Tree::default(), needed })
    }

    /// Takes the next leaf; whether more are needed.
    pub fn push(&mut self, leaf: Hash) -> bool {
        let index = self.tree.size();
        let needed = &mut self.needed;
        self.tree.push_and_tell(leaf, |level, node| {
            let place = stored_hash_index(level, index >> level);
            if let Some(hash) = needed.get_mut(&place) {
                *hash = Some(node);
            }
        });
        self.tree.size() < self.size
    }

    /// The root of the leaves that were taken.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The proof, with the checkpoint of the tree that it is of.
    ///
    /// # Errors
    /// When leaves are missing.
    pub fn to_text(&self, checkpoint: &str) -> Result<String, Error> {
        let mut text = format!("c2sp.org/tlog-proof@v1\nindex {}\n", self.index);
        for hash in prove_record(self.size, self.index, self)? {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{hash}");
        }
        text.push('\n');
        text.push_str(checkpoint);
        Ok(text)
    }
}

impl HashReader for Proof {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, Error> {
        let known = |place| self.needed.get(place).copied().flatten().ok_or(Error::IndexesNotInTree);
        places.iter().map(known).collect()
    }
}

/// Notes which hashes a proof consists of.
#[derive(Default)]
struct Asked(RefCell<Vec<u64>>);

impl HashReader for Asked {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, Error> {
        self.0.borrow_mut().extend(places);
        Ok(vec![Hash::default(); places.len()])
    }
}

#[cfg(test)]
mod tests {
    use tlog_tiles::tlog::check_record;

    use super::*;
    use crate::tree::leaf;

    #[test]
    fn every_event_of_trees_of_all_shapes_is_proved() {
        let leaves: Vec<_> = (0..70_u8).map(|n| leaf(&[n])).collect();
        for size in 1..=leaves.len() {
            let mut tree = Tree::default();
            leaves[..size].iter().for_each(|leaf| tree.push(*leaf));
            for position in 1..=size {
                let (position, size) = (position as u64, size as u64);
                let mut proof = Proof::of(position, size).unwrap();
                let mut left = leaves.iter();
                while proof.push(*left.next().unwrap()) {}
                let text = proof.to_text("checkpoint\n").unwrap();
                let hashes = text.lines().skip(2).take_while(|line| !line.is_empty());
                let hashes: Vec<_> = hashes.map(|hash| Hash::parse_hash(hash).unwrap()).collect();
                let leaf = leaves[usize::try_from(position).unwrap() - 1];
                check_record(&hashes, size, tree.root(), position - 1, leaf).unwrap();
            }
        }
    }

    #[test]
    fn what_is_not_in_the_tree_has_no_proof() {
        assert!(Proof::of(0, 5).is_err() && Proof::of(6, 5).is_err());
        assert!(Proof::of(2, 5).unwrap().to_text("").is_err(), "no leaf was read");
    }
}
