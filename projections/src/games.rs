//! `read.games`: the catalogue, and how often each game was sold.

use chrono::{DateTime, NaiveDate, Utc};
use cqrs_es::Aggregate;
use domain::game::{Game, GameDetails, GameEvent, Promotion, ReleaseDate};
use domain::order::{Order, OrderEvent};
use domain::{Currency, GameId, InvalidMoney, Money, Price, StoreEvent};
use journal::once_more;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};

/// The projection.
#[derive(Clone)]
pub struct Games;

impl Projection for Games {
    const NAME: &'static str = "games";
    const AGGREGATES: &'static [&'static str] = &[Game::TYPE, Order::TYPE];

    async fn apply(&self, db: &mut PgConnection, fact: &Fact) -> Result<(), ApplyError> {
        let (game, event) = match &fact.event {
            StoreEvent::Game(game, event) => (game, event),
            StoreEvent::Order(_, event) => return Ok(count_sales(db, fact, event).await?),
            StoreEvent::User(..) | StoreEvent::Payment(..) => return Ok(()),
        };
        match event {
            GameEvent::GameCreated { details, price } => {
                describe(db, *game, fact, details, Some(*price)).await?;
            }
            GameEvent::GameUpdated { details } => describe(db, *game, fact, details, None).await?,
            GameEvent::GamePriceChanged { .. }
            | GameEvent::GamePromotionScheduled { .. }
            | GameEvent::GamePromotionStarted { .. }
            | GameEvent::GamePromotionEnded { .. }
            | GameEvent::GamePromotionCancelled { .. } => reprice(db, *game, fact, event).await?,
            GameEvent::GameRetired {} => {
                sqlx::query("update games set version = $2, sequence = $3, retired = true where game_id = $1")
                    .bind(game.as_uuid())
                    .bind(fact.version)
                    .bind(fact.sequence)
                    .execute(db)
                    .await?;
            }
        }
        Ok(())
    }
}

async fn describe(
    db: &mut PgConnection,
    game: GameId,
    fact: &Fact,
    details: &GameDetails,
    price: Option<Price>,
) -> sqlx::Result<()> {
    let statement = if price.is_some() {
        "insert into games (game_id, version, sequence, title, description, developer, publisher, genres, tags,
                            platforms, release_date, age_rating, price, list_price, currency, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14, $15)"
    } else {
        "update games set version = $2, sequence = $3, title = $4, description = $5, developer = $6, publisher = $7,
                          genres = $8, tags = $9, platforms = $10, release_date = $11, age_rating = $12
         where game_id = $1"
    };
    let labels = |labels: &domain::Labels| labels.iter().map(str::to_owned).collect::<Vec<_>>();
    let mut query = sqlx::query(statement)
        .bind(game.as_uuid())
        .bind(fact.version)
        .bind(fact.sequence)
        .bind(details.title.as_str())
        .bind(details.description.as_str())
        .bind(details.developer.as_str())
        .bind(details.publisher.as_str())
        .bind(labels(&details.genres))
        .bind(labels(&details.tags))
        .bind(labels(&details.platforms))
        .bind(details.release_date.map(ReleaseDate::day))
        .bind(i32::from(details.age_rating));
    if let Some(price) = price.map(Price::money) {
        query = query.bind(price.amount).bind(price.currency.to_string()).bind(fact.at);
    }
    query.execute(db).await.map(drop)
}

/// What a game costs, and when that changes.
#[derive(FromRow)]
struct Pricing {
    list_price: i64,
    currency: String,
    promotion: Option<Json<Promotion>>,
    promotions: Json<Vec<Promotion>>,
}

impl Pricing {
    fn evolve(&mut self, event: &GameEvent) {
        let ahead = &mut self.promotions.0;
        match event {
            GameEvent::GamePriceChanged { price } => {
                self.list_price = price.money().amount;
                self.currency = price.money().currency.to_string();
            }
            GameEvent::GamePromotionScheduled { promotion } => ahead.push(promotion.clone()),
            GameEvent::GamePromotionStarted { number } => {
                self.promotion = ahead.iter().find(|promotion| promotion.number == *number).cloned().map(Json);
            }
            GameEvent::GamePromotionEnded { number } | GameEvent::GamePromotionCancelled { number } => {
                ahead.retain(|promotion| promotion.number != *number);
                self.promotion = self.promotion.take().filter(|promotion| promotion.number != *number);
            }
            GameEvent::GameCreated { .. } | GameEvent::GameUpdated { .. } | GameEvent::GameRetired {} => (),
        }
    }

    /// What it costs now, in minor units.
    fn price(&self) -> Result<i64, InvalidMoney> {
        let currency = Currency::parse(&self.currency)?;
        let list = Price::parse(Money { amount: self.list_price, currency }, currency)?;
        let promoted = self.promotion.as_ref().map_or(list, |promotion| promotion.discount.of(list));
        Ok(promoted.money().amount)
    }
}

async fn reprice(db: &mut PgConnection, game: GameId, fact: &Fact, event: &GameEvent) -> Result<(), ApplyError> {
    let query = "select list_price, currency, promotion, promotions from games where game_id = $1";
    let mut pricing: Pricing = sqlx::query_as(query).bind(game.as_uuid()).fetch_one(&mut *db).await?;
    pricing.evolve(event);
    let price = pricing.price().map_err(|error| ApplyError::Poison(error.to_string()))?;
    sqlx::query(
        "update games set version = $2, sequence = $3, price = $4, list_price = $5, currency = $6, promotion = $7,
                          promotions = $8 where game_id = $1",
    )
    .bind(game.as_uuid())
    .bind(fact.version)
    .bind(fact.sequence)
    .bind(price)
    .bind(pricing.list_price)
    .bind(pricing.currency)
    .bind(pricing.promotion)
    .bind(pricing.promotions)
    .execute(db)
    .await?;
    Ok(())
}

/// The games whose number of sales an event changed, and by how much each.
#[must_use]
pub fn sold(event: &OrderEvent) -> (Vec<Uuid>, i64) {
    match event {
        OrderEvent::PurchaseCompleted { line, .. } => (vec![line.game.as_uuid()], 1),
        OrderEvent::OrderRefunded { games, .. } | OrderEvent::OrderRevoked { games, .. } => {
            (games.iter().map(|game| game.as_uuid()).collect(), -1)
        }
        OrderEvent::OrderCreated { .. }
        | OrderEvent::OrderPaymentFailed { .. }
        | OrderEvent::OrderCompleted { .. }
        | OrderEvent::OrderRefundRequested { .. }
        | OrderEvent::OrderRefundFailed { .. }
        | OrderEvent::OrderSuspended { .. }
        | OrderEvent::OrderReinstated { .. }
        | OrderEvent::OrderCancelled { .. } => (vec![], 0),
    }
}

async fn count_sales(db: &mut PgConnection, fact: &Fact, event: &OrderEvent) -> sqlx::Result<()> {
    let (games, sold) = sold(event);
    if games.is_empty() {
        return Ok(());
    }
    sqlx::query("update games set sales = sales + $2, sequence = $3 where game_id = any($1)")
        .bind(games)
        .bind(sold)
        .bind(fact.sequence)
        .execute(db)
        .await
        .map(drop)
}

/// A game as the catalogue shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub struct GameView {
    /// Which.
    pub game_id: Uuid,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// Who made it.
    pub developer: String,
    /// Who brought it out.
    pub publisher: String,
    /// Its genres.
    pub genres: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Where it runs.
    pub platforms: Vec<String>,
    /// When it came out.
    pub release_date: Option<NaiveDate>,
    /// The least age of a buyer, in years.
    pub age_rating: i32,
    /// What it costs now, in minor units.
    pub price: i64,
    /// What it costs without a promotion, in minor units.
    #[serde(default)]
    pub list_price: i64,
    /// The promotion that holds.
    #[serde(default)]
    pub promotion: Option<Json<Promotion>>,
    /// ISO 4217.
    pub currency: String,
    /// Whether it is no longer sold.
    pub retired: bool,
    /// How many events it has: its `ETag`.
    pub version: i64,
    /// Since when it is in the catalogue.
    pub created_at: DateTime<Utc>,
    /// How often it was sold, net of refunds.
    pub sales: i64,
    /// The place in the mirror of the last event that changed any of this.
    pub sequence: i64,
}

pub(crate) const COLUMNS: &str = "game_id, title, description, developer, publisher, genres, tags, platforms,
    release_date, age_rating, price, list_price, promotion, currency, retired, version, created_at, sales, sequence";

/// One game, retired or not.
///
/// # Errors
/// When the database does not answer.
pub async fn find(pool: &PgPool, game: GameId) -> sqlx::Result<Option<GameView>> {
    let sql = format!("select {COLUMNS} from read.games where game_id = $1");
    once_more(|| sqlx::query_as(&sql).bind(game.as_uuid()).fetch_optional(pool)).await
}

/// Games on sale, or those no longer sold, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn page(pool: &PgPool, retired: bool, limit: i64, after: Option<Cursor>) -> sqlx::Result<Page<GameView>> {
    let (at, id) = Cursor::or_start(after);
    // Not as a parameter: the index of those on sale is a partial one.
    let which = if retired { "retired" } else { "not retired" };
    let sql = format!(
        "select {COLUMNS} from read.games where {which} and (created_at, game_id) < ($1, $2)
         order by created_at desc, game_id desc limit $3"
    );
    let rows =
        once_more(|| sqlx::query_as(&sql).bind(at).bind(id).bind(limit.saturating_add(1)).fetch_all(pool)).await?;
    Ok(Page::of(rows, limit, |game: &GameView| Cursor { at: game.created_at, id: game.game_id }))
}

/// These games, retired or not.
///
/// # Errors
/// When the database does not answer.
pub async fn these(pool: &PgPool, games: &[Uuid]) -> sqlx::Result<Vec<GameView>> {
    let sql = format!("select {COLUMNS} from read.games where game_id = any($1)");
    once_more(|| sqlx::query_as(&sql).bind(games).fetch_all(pool)).await
}

/// The promotions of a game that are not over, in the order that they were scheduled in.
///
/// # Errors
/// When the database does not answer.
pub async fn promotions(pool: &PgPool, game: GameId) -> sqlx::Result<Option<Vec<Promotion>>> {
    let found: Option<Json<Vec<Promotion>>> = once_more(|| {
        sqlx::query_scalar("select promotions from read.games where game_id = $1")
            .bind(game.as_uuid())
            .fetch_optional(pool)
    })
    .await?;
    Ok(found.map(|Json(promotions)| promotions))
}

/// Games with a promotion that has begun or ended by now, as far as nobody has noted it.
///
/// # Errors
/// When the database does not answer.
pub async fn promotions_due(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<Vec<GameId>> {
    let games: Vec<Uuid> = once_more(|| {
        sqlx::query_scalar(
            "select game_id from read.games where promotions <> '[]' and not retired and exists (
           select from jsonb_array_elements(promotions) as ahead
           where (ahead ->> 'ends_at')::timestamptz <= $1
              or ((ahead ->> 'starts_at')::timestamptz <= $1
                  and promotion ->> 'number' is distinct from ahead ->> 'number'))",
        )
        .bind(now)
        .fetch_all(pool)
    })
    .await?;
    Ok(games.into_iter().map(GameId::from_uuid).collect())
}
