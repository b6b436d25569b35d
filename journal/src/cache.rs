//! The aggregates that this process read or wrote lately, bounded in number, so that they are not read again.
//!
//! Another process may have moved one on meanwhile. So a cached aggregate is good for one thing only: to decide what is
//! then appended. The append names the versions that it was decided on, and is refused where one has moved. What would
//! refuse or do nothing is decided on what is read.

use std::any::Any;
use std::sync::Arc;

use domain::StoreAggregate;
use moka::sync::Cache;
use uuid::Uuid;

use crate::history::AggregateKey;

/// How many aggregates are kept; a game with a long description takes some kilobytes.
const CAPACITY: u64 = 8_192;

/// An aggregate as its first `version` events left it.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) version: usize,
    aggregate: Arc<dyn Any + Send + Sync>,
}

impl Snapshot {
    pub(crate) fn aggregate<A: StoreAggregate>(&self) -> Option<A> {
        self.aggregate.downcast_ref::<A>().cloned()
    }
}

/// The cache.
#[derive(Debug, Clone)]
pub(crate) struct AggregateCache(Cache<AggregateKey, Snapshot>);

impl Default for AggregateCache {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl AggregateCache {
    pub(crate) fn get(&self, key: &AggregateKey) -> Option<Snapshot> {
        self.0.get(key)
    }

    /// What does not exist is not kept: anybody can ask for that, without end.
    pub(crate) fn keep<A: StoreAggregate>(&self, id: Uuid, version: usize, aggregate: &A) {
        if version > 0 {
            let aggregate = Arc::new(aggregate.clone());
            self.0.insert(AggregateKey::of::<A>(id), Snapshot { version, aggregate });
        }
    }
}
