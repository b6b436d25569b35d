use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use lru::LruCache;

/// How many callers of a class are remembered; who was not seen for longest is forgotten first.
const CALLERS: NonZeroUsize = match NonZeroUsize::new(16_384) {
    Some(callers) => callers,
    None => NonZeroUsize::MIN,
};

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The request counts, and so many more may follow at once.
    Some(u32),
    /// Nothing, for so long.
    Nothing(Duration),
}

/// What each caller of a class has used of its quota.
pub(super) struct Buckets {
    quota: Quota,
    clock: DefaultClock,
    callers: Mutex<LruCache<u64, Bucket>>,
}

impl Buckets {
    pub(super) fn new(quota: NonZeroU32, window: Duration) -> Self {
        let each = window.checked_div(quota.get()).unwrap_or(window);
        let quota = Quota::with_period(each).unwrap_or(Quota::per_second(quota)).allow_burst(quota);
        Self { quota, clock: DefaultClock::default(), callers: Mutex::new(LruCache::new(CALLERS)) }
    }

    /// Counts one request.
    pub(super) fn take(&self, caller: u64) -> Left {
        self.of(caller, |bucket| match bucket.check() {
            Ok(state) => Left::Some(state.remaining_burst_capacity()),
            Err(until) => Left::Nothing(until.wait_time_from(self.clock.now())),
        })
    }

    /// Counts what another gateway let through, as far as there is anything left to count it against.
    pub(super) fn took(&self, caller: u64, requests: u32) {
        self.of(caller, |bucket| {
            for _ in 0..requests.min(self.quota.burst_size().get()) {
                if bucket.check().is_err() {
                    break;
                }
            }
        });
    }

    fn of<T>(&self, caller: u64, count: impl Fn(&Bucket) -> T) -> T {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        count(callers.get_or_insert(caller, || RateLimiter::direct(self.quota).with_middleware()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(quota: u32) -> Buckets {
        Buckets::new(NonZeroU32::new(quota).unwrap(), Duration::from_mins(1))
    }

    #[test]
    fn each_caller_has_a_quota_of_their_own() {
        let buckets = buckets(2);
        assert_eq!((buckets.take(1), buckets.take(1)), (Left::Some(1), Left::Some(0)));
        assert!(matches!(buckets.take(1), Left::Nothing(wait) if wait <= Duration::from_secs(30)));
        assert_eq!(buckets.take(2), Left::Some(1));
    }

    #[test]
    fn what_another_gateway_let_through_counts_here() {
        let buckets = buckets(3);
        buckets.took(1, 2);
        assert_eq!(buckets.take(1), Left::Some(0));
        buckets.took(1, u32::MAX);
        assert!(matches!(buckets.take(1), Left::Nothing(_)));
    }

    #[test]
    fn a_crowd_of_callers_takes_no_more_room_than_there_is() {
        let buckets = buckets(1);
        for caller in 0..100_000 {
            buckets.take(caller);
        }
        assert_eq!(buckets.callers.lock().unwrap().len(), CALLERS.get());
        assert!(matches!(buckets.take(99_999), Left::Nothing(_)), "who was seen last is remembered");
    }
}
