//! `read.games`: the catalogue, and how often each game was sold.

use chrono::{DateTime, NaiveDate, Utc};
use cqrs_es::Aggregate;
use domain::game::{Game, GameDetails, GameEvent, Promotion, ReleaseDate};
use domain::order::{Order, OrderEvent};
use domain::{Currency, GameId, InvalidMoney, Money, Price, StoreEvent};
use journal::once_more;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};
use crate::rows::{Row, Rows};

/// The projection.
#[derive(Clone)]
pub struct Games;

/// A game, and what it will cost when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Catalogued {
    #[serde(flatten)]
    view: GameView,
    /// The promotions that are not over, in the order that they were scheduled in.
    promotions: Vec<Promotion>,
}

/// The primary key of `read.games`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct GameKey {
    game_id: Uuid,
}

impl Row for Catalogued {
    const KEY: &'static [&'static str] = &["game_id"];
    const ARRAYS: &'static [&'static str] = &["genres", "tags", "platforms"];
    type Key = GameKey;

    fn key(&self) -> GameKey {
        GameKey { game_id: self.view.game_id }
    }
}

impl Projection for Games {
    const NAME: &'static str = "games";
    const AGGREGATES: &'static [&'static str] = &[Game::TYPE, Order::TYPE];
    type Row = Catalogued;

    fn keys(&self, fact: &Fact) -> Vec<GameKey> {
        let games = match &fact.event {
            StoreEvent::Game(game, _) => vec![game.as_uuid()],
            StoreEvent::Order(_, event) => sold(event).0,
            StoreEvent::User(..) | StoreEvent::Payment(..) | StoreEvent::TreeHead(..) => vec![],
        };
        games.into_iter().map(|game_id| GameKey { game_id }).collect()
    }

    async fn apply(&self, rows: &mut Rows<Catalogued>, fact: &Fact) -> Result<(), ApplyError> {
        match &fact.event {
            StoreEvent::Game(game, GameEvent::GameCreated { details, price }) => {
                rows.insert(created(*game, details, *price, fact))
            }
            StoreEvent::Game(game, event) => match rows.get_mut(&GameKey { game_id: game.as_uuid() }) {
                Some(known) => known.take(event, fact).map_err(|error| ApplyError::Poison(error.to_string())),
                None => Ok(()),
            },
            StoreEvent::Order(_, event) => {
                let (games, sold) = sold(event);
                for game_id in games {
                    rows.change(&GameKey { game_id }, |Catalogued { view, .. }| {
                        (view.sales, view.sequence) = (view.sales.saturating_add(sold), fact.sequence);
                    });
                }
                Ok(())
            }
            StoreEvent::User(..) | StoreEvent::Payment(..) | StoreEvent::TreeHead(..) => Ok(()),
        }
    }
}

fn created(game: GameId, details: &GameDetails, price: Price, fact: &Fact) -> Catalogued {
    let Money { amount, currency } = price.money();
    let view = GameView {
        game_id: game.as_uuid(),
        title: String::new(),
        description: String::new(),
        developer: String::new(),
        publisher: String::new(),
        genres: vec![],
        tags: vec![],
        platforms: vec![],
        release_date: None,
        age_rating: 0,
        price: amount,
        list_price: amount,
        promotion: None,
        currency: currency.to_string(),
        retired: false,
        version: fact.version,
        created_at: fact.at,
        sales: 0,
        sequence: fact.sequence,
    };
    let mut created = Catalogued { view, promotions: vec![] };
    created.describe(details);
    created
}

impl Catalogued {
    fn take(&mut self, event: &GameEvent, fact: &Fact) -> Result<(), InvalidMoney> {
        match event {
            GameEvent::GameCreated { .. } => (),
            GameEvent::GameUpdated { details } => self.describe(details),
            GameEvent::GamePriceChanged { price } => {
                let Money { amount, currency } = price.money();
                (self.view.list_price, self.view.currency) = (amount, currency.to_string());
            }
            GameEvent::GamePromotionScheduled { promotion } => self.promotions.push(promotion.clone()),
            GameEvent::GamePromotionStarted { number } => {
                let started = self.promotions.iter().find(|promotion| promotion.number == *number);
                self.view.promotion = started.cloned().map(Json);
            }
            GameEvent::GamePromotionEnded { number } | GameEvent::GamePromotionCancelled { number } => {
                self.promotions.retain(|promotion| promotion.number != *number);
                self.view.promotion = self.view.promotion.take().filter(|promotion| promotion.number != *number);
            }
            GameEvent::GameRetired {} => self.view.retired = true,
        }
        self.view.price = self.price()?;
        (self.view.version, self.view.sequence) = (fact.version, fact.sequence);
        Ok(())
    }

    fn describe(&mut self, details: &GameDetails) {
        let labels = |labels: &domain::Labels| labels.iter().map(str::to_owned).collect::<Vec<_>>();
        let view = &mut self.view;
        details.title.as_str().clone_into(&mut view.title);
        details.description.as_str().clone_into(&mut view.description);
        details.developer.as_str().clone_into(&mut view.developer);
        details.publisher.as_str().clone_into(&mut view.publisher);
        (view.genres, view.tags, view.platforms) =
            (labels(&details.genres), labels(&details.tags), labels(&details.platforms));
        view.release_date = details.release_date.map(ReleaseDate::day);
        view.age_rating = i32::from(details.age_rating);
    }

    /// What it costs now, in minor units.
    fn price(&self) -> Result<i64, InvalidMoney> {
        let currency = Currency::parse(&self.view.currency)?;
        let list = Price::parse(Money { amount: self.view.list_price, currency }, currency)?;
        let promoted = self.view.promotion.as_ref().map_or(list, |promotion| promotion.discount.of(list));
        Ok(promoted.money().amount)
    }
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
    #[serde(with = "crate::date")]
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
