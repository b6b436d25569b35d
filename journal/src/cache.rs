//! The aggregates that this process read or wrote lately, bounded in number, so that they are not read again.
//!
//! Another process may have moved one on meanwhile. So a cached aggregate is good for two things only. It may decide what
//! is then appended: the append names the versions that it was decided on, and is refused where one has moved. And it may
//! answer whether something was ever so, where every later change is an event of its own. Whatever else would refuse or do
//! nothing is decided on what is read.

use std::any::Any;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::StoreAggregate;
use lru::LruCache;
use uuid::Uuid;

use crate::history::AggregateKey;

/// How many aggregates are kept; a game with a long description takes some kilobytes.
const CAPACITY: NonZeroUsize = match NonZeroUsize::new(8_192) {
    Some(capacity) => capacity,
    None => NonZeroUsize::MIN,
};

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

/// The aggregates by their keys; the least used give way.
#[derive(Debug, Clone)]
pub(crate) struct AggregateCache(Arc<Mutex<LruCache<AggregateKey, Snapshot>>>);

impl Default for AggregateCache {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(CAPACITY))))
    }
}

impl AggregateCache {
    pub(crate) fn get(&self, key: &AggregateKey) -> Option<Snapshot> {
        self.cache().get(key).cloned()
    }

    fn cache(&self) -> MutexGuard<'_, LruCache<AggregateKey, Snapshot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an aggregate, unless a later version of it is there. What does not exist is not kept: anybody can ask for
    /// that, without end.
    pub(crate) fn keep<A: StoreAggregate>(&self, id: Uuid, version: usize, aggregate: &A) {
        if version == 0 {
            return;
        }
        let (key, aggregate) = (AggregateKey::of::<A>(id), Arc::new(aggregate.clone()));
        let mut cache = self.cache();
        if cache.peek(&key).is_none_or(|known| known.version <= version) {
            cache.put(key, Snapshot { version, aggregate });
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Game;

    use super::*;

    #[test]
    fn an_older_read_that_comes_late_takes_nothing_back() {
        let (cache, id) = (AggregateCache::default(), Uuid::from_u128(7));
        cache.keep(id, 2, &Game::Retired);
        cache.keep(id, 1, &Game::New);
        let kept = cache.get(&AggregateKey::of::<Game>(id)).unwrap();
        assert_eq!((kept.version, kept.aggregate::<Game>()), (2, Some(Game::Retired)));
        cache.keep(Uuid::nil(), 0, &Game::New);
        assert!(cache.get(&AggregateKey::of::<Game>(Uuid::nil())).is_none(), "what does not exist is not kept");
    }
}
