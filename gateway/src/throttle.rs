//! Attempts are limited per account and per address, the same whether the account exists or not.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use poem::web::RemoteAddr;

use crate::problem::Problem;
use crate::source::Source;

/// How many attempts are allowed in a minute.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To log in to one account.
    pub per_account: NonZeroU32,
    /// Of each kind from one address.
    pub per_address: NonZeroU32,
}

/// What is attempted. Who does too much of one thing may still do another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Attempt {
    LogIn,
    Register,
    /// To go on with a session, or to end it.
    Session,
    /// To get another password without the old one.
    Reset,
    /// To have a password measured.
    Strength,
}

pub(crate) struct Throttle {
    /// By a hash of what was given as an address: it may be long, and need not be one.
    accounts: DefaultKeyedRateLimiter<u64>,
    hasher: RandomState,
    /// Links to choose another password, by the same.
    resets: DefaultKeyedRateLimiter<u64>,
    /// By where they come from; those that no socket knows count as one.
    sources: DefaultKeyedRateLimiter<(Attempt, Option<Source>)>,
    clock: DefaultClock,
    swept: Mutex<Instant>,
}

/// How many links to choose another password go to one address in an hour.
const RESETS: NonZeroU32 = match NonZeroU32::new(5) {
    Some(resets) => resets,
    None => NonZeroU32::MIN,
};
/// How often it is looked for keys to forget.
const SWEEP: Duration = Duration::from_secs(1);
/// Above this many keys, those that are not limited any more are forgotten.
const CROWD: usize = 10_000;

impl Throttle {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            accounts: RateLimiter::keyed(Quota::per_minute(limits.per_account)),
            resets: RateLimiter::keyed(Quota::per_hour(RESETS)),
            hasher: RandomState::new(),
            sources: RateLimiter::keyed(Quota::per_minute(limits.per_address)),
            clock: DefaultClock::default(),
            swept: Mutex::new(Instant::now()),
        }
    }

    /// Counts an attempt from an address.
    pub(crate) fn admit(&self, attempt: Attempt, from: &RemoteAddr) -> Result<(), Problem> {
        let source = from.as_socket_addr().map(|address| Source::from(address.ip()));
        self.check(&self.sources, (attempt, source))
    }

    /// Counts an attempt to log in to an account.
    pub(crate) fn admit_to(&self, account: &str) -> Result<(), Problem> {
        self.check(&self.accounts, self.hasher.hash_one(account.trim().to_lowercase()))
    }

    /// Counts a link that somebody asks to be sent to an address.
    pub(crate) fn admit_reset_of(&self, account: &str) -> Result<(), Problem> {
        self.check(&self.resets, self.hasher.hash_one(account))
    }

    fn is_time_to_sweep(&self) -> bool {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = swept.elapsed() >= SWEEP;
        if is_time {
            *swept = Instant::now();
        }
        is_time
    }

    fn check<K: Clone + std::hash::Hash + Eq>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: K,
    ) -> Result<(), Problem> {
        if limiter.len() > CROWD && self.is_time_to_sweep() {
            limiter.retain_recent();
        }
        limiter.check_key(&key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            Problem::throttled(wait.as_secs().saturating_add(1))
        })
    }
}
