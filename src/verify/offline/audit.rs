//! What is found out about a copy of the stream while it is read, event by event.

use std::collections::{BTreeMap, BTreeSet};

use domain::TreeHeadId;
use domain::tree_head::{SIGNED, SignedHead};
use journal::{CloudEvent, Hash, HeadKeys, Tree, leaf};
use serde::Deserialize;
use uuid::Uuid;

/// How many flaws are kept; a copy may have one for each event.
const KEPT: usize = 20;

/// How much has to be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Everything, but for the tree head that proves it.
    All,
    /// Everything to a position.
    To(u64),
}

/// The outcome.
pub(super) struct Verdict {
    /// The last position up to which everything is as it was signed.
    pub(super) proved: u64,
    /// The root up to there, in base64.
    pub(super) root: String,
    /// How many events there are.
    pub(super) events: u64,
    /// The first flaws.
    pub(super) flaws: Vec<String>,
    /// How many there are.
    pub(super) flawed: usize,
    /// What was to be proved and is not, though nothing is wrong with it.
    pub(super) unproved: Option<String>,
}

#[derive(Default)]
pub(super) struct Audit {
    tree: Tree,
    /// What the next event must carry.
    previous: Option<Hash>,
    /// The roots that were signed, by their sizes.
    signed: BTreeMap<u64, Hash>,
    /// Where the copy's own tree heads stand.
    heads: BTreeSet<u64>,
    proved: u64,
    root: String,
    flaws: Vec<String>,
    flawed: usize,
}

/// What an audit looks at in every event.
#[derive(Deserialize)]
struct Carried<'a> {
    previoushash: Option<&'a str>,
}

/// What it looks at in a tree head.
#[derive(Deserialize)]
struct HeadEvent {
    aggregateid: Uuid,
    data: SignedHead,
}

impl Audit {
    pub(super) fn flaw(&mut self, flaw: String) {
        if self.flaws.len() < KEPT {
            self.flaws.push(flaw);
        }
        self.flawed = self.flawed.saturating_add(1);
    }

    pub(super) fn is_flawed(&self) -> bool {
        self.flawed > 0
    }

    /// Takes a tree head of the copy for true if it was signed by one of the keys.
    pub(super) fn believe(&mut self, keys: &HeadKeys, position: u64, body: &[u8]) {
        let Ok(HeadEvent { aggregateid, data }) = serde_json::from_slice(body) else {
            return self.flaw(format!("event {position} says that it is {SIGNED}, and is not"));
        };
        let is_as_written = serde_json::from_slice::<CloudEvent<'_>>(body)
            .and_then(|event| serde_json::to_vec(&event))
            .is_ok_and(|written| written == body);
        let stated = SignedHead::parse(data.checkpoint().to_owned());
        if !is_as_written || stated.as_ref() != Ok(&data) || aggregateid != TreeHeadId::of_size(data.size()).as_uuid() {
            return self.flaw(format!("event {position} is a tree head that says something else than its checkpoint"));
        }
        match keys.open(data.checkpoint()) {
            Ok((size, _)) if size >= position => {
                self.flaw(format!("event {position} is a tree head of {size} events, and would be one of them itself"));
            }
            Ok((size, root)) => {
                self.heads.insert(position);
                self.expect(size, root);
            }
            Err(error) => self.flaw(format!("event {position} is a tree head that is not believed: {error}")),
        }
    }

    /// Notes the root that so many events must come to.
    pub(super) fn expect(&mut self, size: u64, root: Hash) {
        if self.signed.insert(size, root).is_some_and(|known| known != root) {
            self.flaw(format!("two different roots were signed of {size} events"));
        }
    }

    /// Takes the next event; whether it makes sense to go on.
    pub(super) fn take(&mut self, position: u64, body: &[u8]) -> bool {
        let expected = self.tree.size().saturating_add(1);
        if position != expected {
            self.flaw(format!("event {position} stands where {expected} should follow"));
            return false;
        }
        let Ok(carried) = serde_json::from_slice::<Carried<'_>>(body) else {
            self.flaw(format!("event {position} is not an event"));
            return false;
        };
        if carried.previoushash.map(str::to_owned) != self.previous.map(|hash| hash.to_string()) {
            let before = position.saturating_sub(1);
            self.flaw(format!(
                "event {position} carries another hash than event {before} has: one of the two was changed"
            ));
        }
        let leaf = leaf(body);
        self.previous = Some(leaf);
        self.tree.push(leaf);
        self.compare();
        true
    }

    /// Compares the tree with what was signed of as many events.
    fn compare(&mut self) {
        let size = self.tree.size();
        let Some(signed) = self.signed.get(&size).copied() else { return };
        let root = self.tree.root();
        if root == signed {
            (self.proved, self.root) = (size, root.to_string());
            return;
        }
        let first = self.proved.saturating_add(1);
        self.flaw(format!(
            "at least one of the events {first} to {size} is not as it was signed: their root is {root}, and {signed} was signed"
        ));
        // Whatever follows has another root as well, which says nothing more.
        self.signed.clear();
    }

    /// Holds what was proved to what had to be: the claim, and so many events at least.
    pub(super) fn finish(mut self, claim: Claim, at_least: u64) -> Verdict {
        let (events, proved) = (self.tree.size(), self.proved);
        // What proves everything before it is proved itself by the next one.
        let after = self.heads.range(proved.saturating_add(1)..).count();
        let ends_with_heads = u64::try_from(after) == Ok(events.saturating_sub(proved));
        let wanted = match claim {
            Claim::All if ends_with_heads => proved,
            Claim::All => events,
            Claim::To(to) => to,
        };
        let wanted = wanted.max(at_least);
        let first = proved.saturating_add(1);
        let mut unproved = None;
        if self.flawed == 0 && events < wanted {
            self.flaw(format!("the copy ends at event {events}, and has to reach {wanted}"));
        } else if self.flawed == 0 && proved == 0 {
            unproved =
                Some("the copy has no tree head yet: copy again in a minute, or give a head with --head".to_owned());
        } else if self.flawed == 0 && proved < wanted {
            unproved = Some(format!(
                "no tree head proves event {first} to {wanted}: copy again in a minute, or say --to {proved} if so many will do"
            ));
        }
        let Self { root, flaws, flawed, .. } = self;
        Verdict { proved, root, events, flaws, flawed, unproved }
    }
}
