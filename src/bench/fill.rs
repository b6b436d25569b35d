//! A journal as a store of some years would have it.

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use journal::Position;

use super::Bench;
use crate::progress;

/// The events of one purchase, from the order to the library.
const PURCHASE: u32 = 6;
/// How many games there are, and how many people; each buys every game at most once.
const GAMES: u32 = 1_000;
const PURCHASES_EACH: u32 = 10;
/// How many purchases go into one transaction.
const BATCH: usize = 1_000;

const GAME: &str = r"
    insert into journal.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
    select 'game', md5('game' || n)::uuid::text, 1, 'GameCreated', '1',
           jsonb_build_object('type', 'GameCreated', 'price', jsonb_build_object('amount', 5990, 'currency', 'BRL'),
             'details', jsonb_build_object('title', 'Game ' || n, 'description', repeat('The tide brings strangers. ', 10),
               'developer', 'Seven Gulls', 'publisher', '', 'genres', '[]'::jsonb, 'tags', '[]'::jsonb,
               'platforms', '[]'::jsonb, 'release_date', null, 'age_rating', 0)),
           '{}'
    from generate_series(0, $1 - 1) as n";

const PURCHASED: &str = r#"
    insert into journal.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
    select kind, id::text, sequence, type, '1', jsonb_build_object('type', type) || payload,
           jsonb_build_object('actor', 'system:bench', 'command_id', gen_random_uuid(), 'correlation_id', order_id,
                              'partition_key', order_id)
    from generate_series($1, $2) as n
    cross join lateral (select md5('order' || n)::uuid as order_id, md5('payment' || n)::uuid as payment_id,
                               md5('buyer' || n / $3)::uuid as buyer, md5('game' || n % $4)::uuid as game,
                               '{"amount": 5990, "currency": "BRL"}'::jsonb as price,
                               '{"type": "card", "token": "pm_card_visa"}'::jsonb as method) as p
    cross join lateral (select jsonb_build_object('game', game, 'title', 'Game ' || n % $4, 'price', price) as line) as l
    cross join lateral (values
      (1, 'order', order_id, 1, 'OrderCreated', jsonb_build_object('buyer', buyer, 'lines', jsonb_build_array(line),
                                                                   'total', price, 'payment_method', method)),
      (2, 'payment', payment_id, 1, 'PaymentInitiated', jsonb_build_object('order', order_id, 'buyer', buyer, 'attempt', 1,
                                                                           'amount', price, 'method', method)),
      (3, 'payment', payment_id, 2, 'PaymentSubmitted', jsonb_build_object('reference', 'pi_' || n)),
      (4, 'payment', payment_id, 3, 'PaymentSucceeded', jsonb_build_object('order', order_id, 'reference', 'pi_' || n,
                                                                           'late', false)),
      (5, 'order', order_id, 2, 'PurchaseCompleted', jsonb_build_object('buyer', buyer, 'line', line)),
      (6, 'order', order_id, 3, 'OrderCompleted', jsonb_build_object('buyer', buyer, 'payment', payment_id, 'total', price))
    ) as event (step, kind, id, sequence, type, payload)
    order by n / 50, step, n"#;

/// Fills the journal with a catalogue and purchases, `events` in all or a few more.
pub(super) async fn fill(bench: &Bench, events: u32) -> Result<()> {
    sqlx::query(GAME).bind(i64::from(GAMES)).execute(&bench.owner).await?;
    let purchases = events.saturating_sub(GAMES).div_ceil(PURCHASE);
    let bar: ProgressBar = progress::bar("filling the journal", u64::from(purchases));
    for first in (0..purchases).step_by(BATCH) {
        let last = first.saturating_add(u32::try_from(BATCH)?).min(purchases).saturating_sub(1);
        sqlx::query(PURCHASED)
            .bind(i64::from(first))
            .bind(i64::from(last))
            .bind(i64::from(PURCHASES_EACH))
            .bind(i64::from(GAMES))
            .execute(&bench.owner)
            .await?;
        bar.set_position(u64::from(last));
    }
    bar.finish_and_clear();
    sqlx::query("vacuum analyze journal.events").execute(&bench.owner).await?;
    bench.journal.committed_after(Position::default(), 1).await?.first().context("the journal stayed empty")?;
    Ok(())
}
