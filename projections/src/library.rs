//! `read.library`: who owns which game.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::order::{Order, OrderEvent};
use domain::{GameId, OrderId, StoreEvent, UserId};
use journal::once_more;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};

/// The projection.
#[derive(Clone)]
pub struct Library;

impl Projection for Library {
    const NAME: &'static str = "library";
    const AGGREGATES: &'static [&'static str] = &[Order::TYPE];

    async fn apply(&self, db: &mut PgConnection, fact: &Fact) -> Result<(), ApplyError> {
        let StoreEvent::Order(order, event) = &fact.event else { return Ok(()) };
        match event {
            OrderEvent::PurchaseCompleted { buyer, line } => {
                sqlx::query(
                    "insert into library (user_id, game_id, order_id, title, acquired_at) values ($1, $2, $3, $4, $5)",
                )
                .bind(buyer.as_uuid())
                .bind(line.game.as_uuid())
                .bind(order.as_uuid())
                .bind(line.title.as_str())
                .bind(fact.at)
                .execute(db)
                .await?;
            }
            OrderEvent::OrderSuspended { games, .. } => suspend(db, *order, games, true).await?,
            OrderEvent::OrderReinstated { games, .. } => suspend(db, *order, games, false).await?,
            OrderEvent::OrderRefunded { buyer, games, .. } | OrderEvent::OrderRevoked { buyer, games } => {
                sqlx::query("delete from library where user_id = $1 and game_id = any ($2) and order_id = $3")
                    .bind(buyer.as_uuid())
                    .bind(games.iter().copied().map(GameId::as_uuid).collect::<Vec<_>>())
                    .bind(order.as_uuid())
                    .execute(db)
                    .await?;
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

async fn suspend(db: &mut PgConnection, order: OrderId, games: &[GameId], suspended: bool) -> sqlx::Result<()> {
    sqlx::query("update library set suspended = $3 where order_id = $1 and game_id = any ($2)")
        .bind(order.as_uuid())
        .bind(games.iter().copied().map(GameId::as_uuid).collect::<Vec<_>>())
        .bind(suspended)
        .execute(db)
        .await
        .map(drop)
}

/// A game on somebody's shelf.
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
    let games = sqlx::query_scalar("select game_id from read.library where user_id = $1").bind(owner.as_uuid());
    Ok(games.fetch_all(pool).await?.into_iter().collect())
}
