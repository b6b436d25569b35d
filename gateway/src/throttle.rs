//! Login attempts are limited per account and per address, the same whether the account exists or not.

use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::problem::Problem;

/// How many login attempts are allowed in a minute.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For one account.
    pub per_account: NonZeroU32,
    /// From one address.
    pub per_address: NonZeroU32,
}

pub(crate) struct Throttle {
    accounts: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

/// Above this many keys, those that are not limited any more are forgotten.
const CROWD: usize = 10_000;

impl Throttle {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            accounts: RateLimiter::keyed(Quota::per_minute(limits.per_account)),
            addresses: RateLimiter::keyed(Quota::per_minute(limits.per_address)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts an attempt.
    pub(crate) fn admit(&self, account: Option<&str>, address: &str) -> Result<(), Problem> {
        self.check(&self.addresses, address)?;
        account.map_or(Ok(()), |account| self.check(&self.accounts, account))
    }

    fn check(&self, limiter: &DefaultKeyedRateLimiter<String>, key: &str) -> Result<(), Problem> {
        if limiter.len() > CROWD {
            limiter.retain_recent();
        }
        limiter.check_key(&key.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            Problem::throttled(wait.as_secs().saturating_add(1))
        })
    }
}
