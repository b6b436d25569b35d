use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use commands::{Catalogue, GameChange, Receipt};
use domain::game::{AgeRating, GameDetails, ReleaseDate};
use domain::{Description, GameId, Labels, Name, Title};
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::{Json, PlainText};
use poem_openapi::{ApiRequest, ApiResponse, Object, OpenApi};
use projections::games::GameView;

use super::Tag;
use super::promotions::PromotionDto;
use crate::Store;
use crate::auth::{SignedIn, Visitor};
use crate::extract::{self, ConsistencyToken, IdempotencyKey, IfMatch, MoneyDto};
use crate::problem::Problem;
use crate::strict::{Str, Whole};
use crate::wrong::Wrong;

pub(crate) struct Games;

/// What a game is to be.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct NewGame {
    /// 1 to 120 characters.
    title: Str,
    #[oai(default)]
    description: Str,
    #[oai(default)]
    developer: Str,
    #[oai(default)]
    publisher: Str,
    #[oai(default)]
    genres: Vec<Str>,
    #[oai(default)]
    tags: Vec<Str>,
    #[oai(default)]
    platforms: Vec<Str>,
    release_date: Option<NaiveDate>,
    /// One of 0, 10, 12, 14, 16, 18.
    age_rating: Whole,
    price: MoneyDto,
}

/// A game of the catalogue.
#[derive(Object)]
pub(crate) struct Game {
    id: String,
    title: String,
    description: String,
    developer: String,
    publisher: String,
    genres: Vec<String>,
    tags: Vec<String>,
    platforms: Vec<String>,
    release_date: Option<NaiveDate>,
    age_rating: i32,
    /// What it costs now.
    price: MoneyDto,
    /// What it costs without a promotion.
    list_price: MoneyDto,
    /// The promotion that holds now.
    #[oai(skip_serializing_if_is_none)]
    promotion: Option<PromotionDto>,
    /// Whether it is no longer sold.
    retired: bool,
    version: i64,
    /// How often it was sold, net of refunds, as far as that is projected.
    #[oai(skip_serializing_if_is_none)]
    sales: Option<i64>,
}

#[derive(Object)]
struct GamePage {
    items: Vec<Game>,
    next: Option<String>,
}

#[derive(ApiResponse)]
enum Created {
    #[oai(status = 201)]
    Game(
        Json<Game>,
        #[oai(header = "Location")] String,
        #[oai(header = "ETag")] String,
        #[oai(header = "Consistency-Token")] Option<String>,
        #[oai(header = "Idempotent-Replayed")] Option<String>,
    ),
}

#[derive(ApiResponse)]
enum Found {
    #[oai(status = 200)]
    Game(Json<Game>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum Changed {
    #[oai(status = 200)]
    Game(Json<Game>, #[oai(header = "ETag")] String, #[oai(header = "Consistency-Token")] Option<String>),
}

#[derive(ApiResponse)]
enum Retired {
    #[oai(status = 204)]
    NoContent(#[oai(header = "Consistency-Token")] Option<String>),
}

/// A catalogue file.
#[derive(ApiRequest)]
enum CatalogueFile {
    /// With a header line; lists are separated by semicolons, prices are decimal.
    #[oai(content_type = "text/csv")]
    Csv(PlainText<String>),
}

/// What an import came to.
#[derive(Object)]
struct Imported {
    new: usize,
    known: usize,
    /// Lines that are no games, and why.
    refused: Vec<String>,
}

#[derive(ApiResponse)]
enum Import {
    #[oai(status = 200)]
    Done(Json<Imported>, #[oai(header = "Idempotent-Replayed")] Option<String>),
}

#[OpenApi(prefix_path = "/jogos", tag = "Tag::Games")]
impl Games {
    /// Put the games of a catalogue on sale that are not there yet, for admins: a CSV file of at most 4 MiB.
    #[oai(path = "/importacao", method = "post", operation_id = "importGames")]
    async fn import(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        body: CatalogueFile,
        #[oai(name = "Idempotency-Key")] idempotency_key: IdempotencyKey,
    ) -> Result<Import, Problem> {
        actor.must_be_admin()?;
        let CatalogueFile::Csv(PlainText(text)) = body;
        let context = extract::context(&store, actor, "/jogos/importacao", &idempotency_key, &text)?;
        let first = store.commands.first_report::<commands::Imported>(&context).await?;
        let replayed = extract::replayed(first.is_some());
        let imported = if let Some(first) = first {
            first
        } else {
            let catalogue = Catalogue::read(&text).map_err(|rule| Problem::field("catalogue", rule))?;
            let imported = store.commands.import(actor, catalogue, || ()).await?;
            store.commands.keep_report(&context, imported).await?
        };
        let commands::Imported { new, known, refused } = imported;
        Ok(Import::Done(Json(Imported { new, known, refused }), replayed))
    }

    /// The games on sale, newest first. Admins can list retired games instead with `retired=true`.
    #[oai(path = "/", method = "get", operation_id = "listGames")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        visitor: Visitor,
        /// Retired games only; for admins.
        retired: Query<Option<bool>>,
        limit: Query<Option<i64>>,
        cursor: Query<Option<String>>,
        #[oai(name = "Consistency-Token")] consistency_token: ConsistencyToken,
    ) -> Result<Json<GamePage>, Problem> {
        let retired = retired.0 == Some(true);
        if retired {
            visitor.must_be_admin()?;
        }
        let (limit, after) = extract::page(&limit, &cursor)?;
        extract::caught_up(&store, &consistency_token, "games").await?;
        let page = projections::games::page(store.pool(), retired, limit, after).await?;
        let now = store.commands.clock().now();
        let items = page.items.into_iter().map(|view| Game::at(view, now)).collect();
        Ok(Json(GamePage { items, next: page.next.map(projections::Cursor::encode) }))
    }

    /// A game. Its `ETag` is needed to change it.
    #[oai(path = "/:id", method = "get", operation_id = "getGame")]
    async fn get(
        &self,
        store: Data<&Arc<Store>>,
        id: Path<String>,
        #[oai(name = "Consistency-Token")] consistency_token: ConsistencyToken,
    ) -> Result<Found, Problem> {
        let game = extract::path_id(GameId::parse(&id))?;
        extract::caught_up(&store, &consistency_token, "games").await?;
        let view = projections::games::find(store.pool(), game).await?.ok_or_else(Problem::not_found)?;
        let etag = extract::etag(view.version);
        Ok(Found::Game(Json(Game::at(view, store.commands.clock().now())), etag))
    }

    /// Put a game into the catalogue, for admins.
    #[oai(path = "/", method = "post", operation_id = "createGame")]
    async fn create(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        body: Json<NewGame>,
        #[oai(name = "Idempotency-Key")] idempotency_key: IdempotencyKey,
    ) -> Result<Created, Problem> {
        actor.must_be_admin()?;
        let change = body.parse()?;
        let context = extract::context(&store, actor, "/jogos", &idempotency_key, &body.0)?;
        let id = GameId::from_uuid(store.commands.clock().new_id());
        let receipt = store.commands.create_game(&context, id, change).await?;
        let (id, replayed) = (GameId::from_uuid(receipt.id), extract::replayed(receipt.replayed));
        let (game, etag) =
            (body.0.into_game(id, &receipt, store.commands.clock().now()), extract::etag(receipt.version));
        Ok(Created::Game(Json(game), format!("/jogos/{id}"), etag, extract::token(receipt.position), replayed))
    }

    /// Describe and price a game anew, for admins who have seen its current version.
    #[oai(path = "/:id", method = "put", operation_id = "updateGame")]
    async fn update(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        body: Json<NewGame>,
        #[oai(name = "If-Match")] if_match: IfMatch,
    ) -> Result<Changed, Problem> {
        actor.must_be_admin()?;
        let id = extract::path_id(GameId::parse(&id))?;
        let seen = extract::required_version(&if_match)?;
        let receipt = store.commands.update_game(&store.commands.context(actor), id, seen, body.parse()?).await?;
        let (game, etag) =
            (body.0.into_game(id, &receipt, store.commands.clock().now()), extract::etag(receipt.version));
        Ok(Changed::Game(Json(game), etag, extract::token(receipt.position)))
    }

    /// Take a game off sale, for admins who have seen its current version. Those who own it keep it.
    #[oai(path = "/:id", method = "delete", operation_id = "retireGame")]
    async fn retire(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        #[oai(name = "If-Match")] if_match: IfMatch,
    ) -> Result<Retired, Problem> {
        actor.must_be_admin()?;
        let id = extract::path_id(GameId::parse(&id))?;
        let seen = extract::required_version(&if_match)?;
        let receipt = store.commands.retire_game(&store.commands.context(actor), id, seen).await?;
        Ok(Retired::NoContent(extract::token(receipt.position)))
    }
}

impl NewGame {
    fn parse(&self) -> Result<GameChange, Problem> {
        let mut wrong = Wrong::default();
        let title = wrong.check("title", Title::parse(&self.title));
        let description = wrong.check("description", Description::parse(&self.description));
        let developer = wrong.check("developer", Name::parse(&self.developer));
        let publisher = wrong.check("publisher", Name::parse(&self.publisher));
        let genres = wrong.check("genres", Labels::parse(&self.genres));
        let tags = wrong.check("tags", Labels::parse(&self.tags));
        let platforms = wrong.check("platforms", Labels::parse(&self.platforms));
        let release_date = wrong.check("release_date", self.release_date.map(ReleaseDate::parse).transpose());
        let age_rating = wrong.check("age_rating", AgeRating::parse(self.age_rating.to_i32()));
        let price = wrong.check("price.currency", self.price.parse());
        let details = || {
            Some(GameDetails {
                title: title?,
                description: description?,
                developer: developer?,
                publisher: publisher?,
                genres: genres?,
                tags: tags?,
                platforms: platforms?,
                release_date: release_date?,
                age_rating: age_rating?,
            })
        };
        wrong.values_or_problem(details().zip(price).map(|(details, price)| GameChange { details, price }))
    }

    fn into_game(self, id: GameId, receipt: &Receipt<domain::game::Game>, now: DateTime<Utc>) -> Game {
        let version = receipt.version;
        let (price, promotion) = match &receipt.aggregate {
            domain::game::Game::Listed { price, promotions, .. } => {
                let holds = promotions.at(now).cloned();
                (Some(holds.as_ref().map_or(*price, |promotion| promotion.discount.of(*price))), holds)
            }
            domain::game::Game::New | domain::game::Game::Retired => (None, None),
        };
        let texts = |labels: Vec<Str>| labels.into_iter().map(|label| label.0).collect();
        Game {
            id: id.to_string(),
            title: self.title.trim().to_owned(),
            description: self.description.0,
            developer: self.developer.0,
            publisher: self.publisher.0,
            genres: texts(self.genres),
            tags: texts(self.tags),
            platforms: texts(self.platforms),
            release_date: self.release_date,
            age_rating: self.age_rating.to_i32(),
            list_price: self.price.clone(),
            promotion: promotion.map(PromotionDto::from),
            price: price.map_or(self.price, |price| price.money().into()),
            retired: false,
            version: i64::try_from(version).unwrap_or(i64::MAX),
            sales: None,
        }
    }
}

impl Game {
    /// A game as it is at a moment.
    pub(super) fn at(view: GameView, now: DateTime<Utc>) -> Self {
        // One that ran out a moment ago is not noted as such yet.
        let promotion = view.promotion.map(|promotion| promotion.0).filter(|known| known.holds_at(now));
        let price = if promotion.is_some() { view.price } else { view.list_price };
        let money = |amount| MoneyDto::of(amount, view.currency.clone());
        Self {
            price: money(price),
            list_price: money(view.list_price),
            promotion: promotion.map(PromotionDto::from),
            id: view.game_id.to_string(),
            title: view.title,
            description: view.description,
            developer: view.developer,
            publisher: view.publisher,
            genres: view.genres,
            tags: view.tags,
            platforms: view.platforms,
            release_date: view.release_date,
            age_rating: view.age_rating,
            retired: view.retired,
            version: view.version,
            sales: Some(view.sales),
        }
    }
}
