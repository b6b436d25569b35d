//! `read.games`: the catalogue, with what the search on Postgres needs.

use chrono::{DateTime, NaiveDate, Utc};
use cqrs_es::Aggregate;
use domain::game::{Game, GameDetails, GameEvent};
use domain::{GameId, Price, StoreEvent};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::cursor::{Cursor, Page};
use crate::fact::{ApplyError, Fact, Projection};

/// The projection.
#[derive(Clone)]
pub struct Games;

impl Projection for Games {
    const NAME: &'static str = "games";
    const AGGREGATES: &'static [&'static str] = &[Game::TYPE];

    async fn apply(&self, db: &mut PgConnection, fact: &Fact) -> Result<(), ApplyError> {
        let StoreEvent::Game(game, event) = &fact.event else { return Ok(()) };
        match event {
            GameEvent::GameCreated { details, price } => {
                describe(db, *game, fact, details, Some(*price)).await?;
            }
            GameEvent::GameUpdated { details } => describe(db, *game, fact, details, None).await?,
            GameEvent::GamePriceChanged { price } => {
                sqlx::query("update games set version = $2, price = $3, currency = $4 where game_id = $1")
                    .bind(game.as_uuid())
                    .bind(fact.version)
                    .bind(price.money().amount)
                    .bind(price.money().currency.to_string())
                    .execute(db)
                    .await?;
            }
            GameEvent::GameRetired {} => {
                sqlx::query("update games set version = $2, retired = true where game_id = $1")
                    .bind(game.as_uuid())
                    .bind(fact.version)
                    .execute(db)
                    .await?;
            }
        }
        Ok(())
    }
}

/// The words of a game by weight: title, genres and tags, makers, description.
const WORDS: &str = "setweight(to_tsvector('read.titles', $3), 'A')
    || setweight(to_tsvector('read.titles', array_to_string($7::text[] || $8::text[], ' ')), 'B')
    || setweight(to_tsvector('read.titles', $5 || ' ' || $6), 'C')
    || setweight(to_tsvector('read.titles', $4), 'D')";

async fn describe(
    db: &mut PgConnection,
    game: GameId,
    fact: &Fact,
    details: &GameDetails,
    price: Option<Price>,
) -> sqlx::Result<()> {
    let statement = if price.is_some() {
        format!(
            "insert into games (game_id, version, title, description, developer, publisher, genres, tags, platforms,
                                release_date, age_rating, words, folded_title, price, currency, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, {WORDS}, lower(unaccent($3)), $12, $13, $14)"
        )
    } else {
        format!(
            "update games set version = $2, title = $3, description = $4, developer = $5, publisher = $6, genres = $7,
                              tags = $8, platforms = $9, release_date = $10, age_rating = $11, words = {WORDS},
                              folded_title = lower(unaccent($3))
             where game_id = $1"
        )
    };
    let labels = |labels: &domain::Labels| labels.iter().map(str::to_owned).collect::<Vec<_>>();
    let mut query = sqlx::query(&statement)
        .bind(game.as_uuid())
        .bind(fact.version)
        .bind(details.title.as_str())
        .bind(details.description.as_str())
        .bind(details.developer.as_str())
        .bind(details.publisher.as_str())
        .bind(labels(&details.genres))
        .bind(labels(&details.tags))
        .bind(labels(&details.platforms))
        .bind(details.release_date)
        .bind(i32::from(details.age_rating));
    if let Some(price) = price.map(Price::money) {
        query = query.bind(price.amount).bind(price.currency.to_string()).bind(fact.at);
    }
    query.execute(db).await.map(drop)
}

/// A game as the catalogue shows it.
#[derive(Debug, Clone, FromRow)]
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
    /// Minor units.
    pub price: i64,
    /// ISO 4217.
    pub currency: String,
    /// Whether it is no longer sold.
    pub retired: bool,
    /// How many events it has: its `ETag`.
    pub version: i64,
    /// Since when it is in the catalogue.
    pub created_at: DateTime<Utc>,
}

pub(crate) const COLUMNS: &str = "game_id, title, description, developer, publisher, genres, tags, platforms,
    release_date, age_rating, price, currency, retired, version, created_at";

/// One game, retired or not.
///
/// # Errors
/// When the database does not answer.
pub async fn find(pool: &PgPool, game: GameId) -> sqlx::Result<Option<GameView>> {
    sqlx::query_as(&format!("select {COLUMNS} from read.games where game_id = $1"))
        .bind(game.as_uuid())
        .fetch_optional(pool)
        .await
}

/// Games on sale, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn page(pool: &PgPool, limit: i64, after: Option<Cursor>) -> sqlx::Result<Page<GameView>> {
    let (at, id) = Cursor::or_start(after);
    let rows = sqlx::query_as(&format!(
        "select {COLUMNS} from read.games where not retired and (created_at, game_id) < ($1, $2)
         order by created_at desc, game_id desc limit $3"
    ))
    .bind(at)
    .bind(id)
    .bind(limit.saturating_add(1))
    .fetch_all(pool)
    .await?;
    Ok(Page::of(rows, limit, |game: &GameView| Cursor { at: game.created_at, id: game.game_id }))
}
