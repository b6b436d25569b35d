//! `read.library`: who owns which game.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::order::{Order, OrderEvent};
use domain::{GameId, OrderId, StoreEvent, UserId};
use journal::once_more;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};
use crate::rows::{Row, Rows};

/// The projection.
#[derive(Clone)]
pub struct Library;

/// A game on somebody's shelf, out of reach or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shelved {
    user_id: Uuid,
    game_id: Uuid,
    order_id: Uuid,
    title: String,
    acquired_at: DateTime<Utc>,
    suspended: bool,
}

/// The primary key of `read.library`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ShelfKey {
    user_id: Uuid,
    game_id: Uuid,
}

impl Row for Shelved {
    const KEY: &'static [&'static str] = &["user_id", "game_id"];
    type Key = ShelfKey;

    fn key(&self) -> ShelfKey {
        ShelfKey { user_id: self.user_id, game_id: self.game_id }
    }
}

impl Projection for Library {
    const NAME: &'static str = "library";
    const AGGREGATES: &'static [&'static str] = &[Order::TYPE];
    type Row = Shelved;

    fn keys(&self, fact: &Fact) -> Vec<ShelfKey> {
        let StoreEvent::Order(_, event) = &fact.event else { return vec![] };
        match event {
            OrderEvent::PurchaseCompleted { buyer, line } => keys(*buyer, &[line.game]),
            OrderEvent::OrderSuspended { buyer, games }
            | OrderEvent::OrderReinstated { buyer, games }
            | OrderEvent::OrderRevoked { buyer, games }
            | OrderEvent::OrderRefunded { buyer, games, .. } => keys(*buyer, games),
            OrderEvent::OrderCreated { .. }
            | OrderEvent::OrderPaymentFailed { .. }
            | OrderEvent::OrderCompleted { .. }
            | OrderEvent::OrderRefundRequested { .. }
            | OrderEvent::OrderRefundFailed { .. }
            | OrderEvent::OrderCancelled { .. } => vec![],
        }
    }

    async fn apply(&self, rows: &mut Rows<Shelved>, fact: &Fact) -> Result<(), ApplyError> {
        let StoreEvent::Order(order, event) = &fact.event else { return Ok(()) };
        match event {
            OrderEvent::PurchaseCompleted { buyer, line } => rows.insert(Shelved {
                user_id: buyer.as_uuid(),
                game_id: line.game.as_uuid(),
                order_id: order.as_uuid(),
                title: line.title.as_str().to_owned(),
                acquired_at: fact.at,
                suspended: false,
            })?,
            OrderEvent::OrderSuspended { buyer, games } => suspend(rows, *order, keys(*buyer, games), true),
            OrderEvent::OrderReinstated { buyer, games } => suspend(rows, *order, keys(*buyer, games), false),
            OrderEvent::OrderRefunded { buyer, games, .. } | OrderEvent::OrderRevoked { buyer, games } => {
                for key in keys(*buyer, games) {
                    // What was bought again since belongs to another order.
                    if rows.get_mut(&key).is_some_and(|shelved| shelved.order_id == order.as_uuid()) {
                        rows.remove(&key);
                    }
                }
            }
            OrderEvent::OrderCreated { .. }
            | OrderEvent::OrderPaymentFailed { .. }
            | OrderEvent::OrderCompleted { .. }
            | OrderEvent::OrderRefundRequested { .. }
            | OrderEvent::OrderRefundFailed { .. }
            | OrderEvent::OrderCancelled { .. } => (),
        }
        Ok(())
    }
}

fn keys(buyer: UserId, games: &[GameId]) -> Vec<ShelfKey> {
    games.iter().map(|game| ShelfKey { user_id: buyer.as_uuid(), game_id: game.as_uuid() }).collect()
}

fn suspend(rows: &mut Rows<Shelved>, order: OrderId, keys: Vec<ShelfKey>, suspended: bool) {
    for key in keys {
        rows.change(&key, |shelved| {
            if shelved.order_id == order.as_uuid() {
                shelved.suspended = suspended;
            }
        });
    }
}

/// A game on somebody's shelf, as they see it.
#[derive(Debug, Clone, FromRow)]
pub struct ShelfView {
    /// Which game.
    pub game_id: Uuid,
    /// Its title when it was bought.
    pub title: String,
    /// The order that it came by.
    pub order_id: Uuid,
    /// Since when.
    pub acquired_at: DateTime<Utc>,
}

/// A person's games, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn page(pool: &PgPool, owner: UserId, limit: i64, after: Option<Cursor>) -> sqlx::Result<Page<ShelfView>> {
    let (at, id) = Cursor::or_start(after);
    let rows = once_more(|| {
        sqlx::query_as(
            "select game_id, title, order_id, acquired_at from read.library
         where user_id = $1 and not suspended and (acquired_at, game_id) < ($2, $3)
         order by acquired_at desc, game_id desc limit $4",
        )
        .bind(owner.as_uuid())
        .bind(at)
        .bind(id)
        .bind(limit.saturating_add(1))
        .fetch_all(pool)
    })
    .await?;
    Ok(Page::of(rows, limit, |shelf: &ShelfView| Cursor { at: shelf.acquired_at, id: shelf.game_id }))
}

/// The games that somebody has, out of reach or not: none of them can be bought again.
///
/// # Errors
/// When the database does not answer.
pub async fn owned(pool: &PgPool, owner: UserId) -> sqlx::Result<HashSet<Uuid>> {
    let games: Vec<Uuid> = once_more(|| {
        sqlx::query_scalar("select game_id from read.library where user_id = $1").bind(owner.as_uuid()).fetch_all(pool)
    })
    .await?;
    Ok(games.into_iter().collect())
}
