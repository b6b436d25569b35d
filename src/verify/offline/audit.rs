//! What is found out about a copy of the stream while it is read, event by event.

use std::collections::BTreeMap;

use domain::tree_head::SIGNED;
use journal::{Hash, HeadKeys, Tree, leaf};
use serde::Deserialize;

/// How much has to be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Everything but the tree heads at the end.
    All,
    /// Everything to a position.
    To(u64),
}

/// What came out.
pub(super) struct Verdict {
    /// The last position to which everything is as it was signed.
    pub(super) proved: u64,
    /// The root to there, in base64.
    pub(super) root: String,
    /// How many events there are.
    pub(super) events: u64,
    /// What is wrong.
    pub(super) flaws: Vec<String>,
}

/// An audit under way.
#[derive(Default)]
pub(super) struct Audit {
    tree: Tree,
    /// What the next event must carry.
    previous: Option<Hash>,
    /// The roots that were signed, by their sizes.
    signed: BTreeMap<u64, Hash>,
    proved: u64,
    root: String,
    /// The last position of an event that is no tree head.
    last: u64,
    flaws: Vec<String>,
    /// Whether an event is missing or foreign: from there on no root can be right.
    is_broken: bool,
}

/// What an audit looks at in an event.
#[derive(Deserialize)]
struct Carried<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    previoushash: Option<&'a str>,
}

impl Audit {
    /// Notes what is wrong.
    pub(super) fn flaws(&mut self, flaws: impl IntoIterator<Item = String>) {
        self.flaws.extend(flaws);
    }

    /// Notes a tree head of the copy, if it was signed by one of the keys.
    pub(super) fn believe(&mut self, keys: &HeadKeys, position: u64, checkpoint: &str) {
        match keys.open(checkpoint) {
            Ok((size, _)) if size >= position => {
                self.flaws.push(format!("event {position} is a tree head of {size} events, of which it is one itself"));
            }
            Ok((size, root)) => _ = self.expect(size, root),
            Err(error) => self.flaws.push(format!("event {position} is a tree head that is not believed: {error}")),
        }
    }

    /// Notes what a size must come to; that it has to be proved to there.
    pub(super) fn expect(&mut self, size: u64, root: Hash) -> Claim {
        if self.signed.insert(size, root).is_some_and(|known| known != root) {
            self.flaws.push(format!("two roots were signed of {size} events: {root} is one"));
        }
        Claim::To(size)
    }

    /// Takes the next event; whether it makes sense to go on.
    pub(super) fn take(&mut self, position: u64, body: &[u8]) -> bool {
        let expected = self.tree.size().saturating_add(1);
        if position != expected {
            self.flaws.push(format!("event {position} stands where {expected} should follow"));
            self.is_broken = true;
            return false;
        }
        let Ok(carried) = serde_json::from_slice::<Carried<'_>>(body) else {
            self.flaws.push(format!("event {position} is no event"));
            self.is_broken = true;
            return false;
        };
        if carried.previoushash.map(str::to_owned) != self.previous.map(|hash| hash.to_string()) {
            let before = position.saturating_sub(1);
            self.flaws.push(format!(
                "event {before} has not the hash that event {position} carries: one of both was changed"
            ));
        }
        if carried.name != SIGNED {
            self.last = position;
        }
        let leaf = leaf(body);
        self.previous = Some(leaf);
        self.tree.push(leaf);
        self.compare();
        true
    }

    fn compare(&mut self) {
        let (size, root) = (self.tree.size(), self.tree.root());
        match self.signed.get(&size) {
            Some(signed) if *signed == root => (self.proved, self.root) = (size, root.to_string()),
            Some(signed) => {
                // Everything after it has another root as well, and need not be told.
                let first = self.proved.saturating_add(1);
                self.flaws.push(format!(
                    "one of the events {first} to {size} is not as it was signed: their root is {root}, and {signed} was signed"
                ));
                self.signed.clear();
            }
            None => (),
        }
    }

    /// What came out of it.
    pub(super) fn finish(mut self, claim: Claim) -> Verdict {
        let events = self.tree.size();
        let wanted = match claim {
            Claim::All => self.last,
            Claim::To(to) => to,
        };
        if events < wanted {
            self.flaws.push(format!("the copy ends at event {events}, and has to reach {wanted}"));
        } else if self.proved < wanted && self.flaws.is_empty() {
            let first = self.proved.saturating_add(1);
            self.flaws.push(format!(
                "events {first} to {wanted} are proved by no tree head: copy more, give one with --head, or say --to {}",
                self.proved
            ));
        }
        Verdict { proved: self.proved, root: self.root, events, flaws: self.flaws }
    }
}
