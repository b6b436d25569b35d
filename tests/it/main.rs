//! Integration tests: through the store's front doors, on a real Postgres, a real nats-server and a real PSP sandbox.
//! `scripts/test` starts the Postgres; each test has a database, a nats-server and ports of its own.

#![expect(unreachable_pub, reason = "a test binary has no outside")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on fails"
)]

mod access_log;
mod ages;
mod analysts;
mod api_keys;
mod architecture;
mod archive;
mod bad_input;
mod browser;
mod cache;
mod chaos;
mod clients;
mod compose;
mod confirmations;
mod dead_letters;
mod disputes;
mod edge;
mod erasure;
mod export;
mod faults;
mod forgetting;
mod games;
mod headers;
mod invariants;
mod journal;
mod keys;
mod lanes;
mod limits;
mod live;
mod localstripe;
mod login;
mod lost_answers;
mod notifier;
mod older;
mod operations;
mod orders;
mod passwords;
mod past;
mod payments;
mod projections;
mod promotions;
mod psp_faults;
mod races;
mod readme;
mod reconciler;
mod refunds;
mod relay;
mod repeats;
mod schemathesis;
mod sdk;
mod search;
mod second_factor;
mod security_log;
mod sessions;
mod storefront;
mod support;
mod tls;
mod tree_heads;
mod up;
mod users;
mod webhooks;
