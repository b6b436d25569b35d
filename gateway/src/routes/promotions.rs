use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::game::{Discount, Percent, Promotion};
use domain::{Game, GameId};
use journal::AggregateKey;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::Tag;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract::{self, IdempotencyKey, MoneyDto};
use crate::problem::Problem;
use crate::strict::Whole;

pub(crate) struct Promotions;

/// What is to be cheaper, and when.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct NewPromotion {
    /// So much less, 1 to 100; or else a price.
    #[oai(skip_serializing_if_is_none)]
    percent: Option<Whole>,
    /// Another price; or else a percentage.
    #[oai(skip_serializing_if_is_none)]
    price: Option<MoneyDto>,
    /// From this moment on (RFC 3339).
    starts_at: DateTime<Utc>,
    /// Until just before this one.
    ends_at: DateTime<Utc>,
}

/// A discount for a time.
#[derive(Object)]
#[oai(rename = "Promotion")]
pub(crate) struct PromotionDto {
    /// Its number within the game, from 1.
    number: u32,
    percent: Option<i32>,
    price: Option<MoneyDto>,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
}

#[derive(Object)]
struct PromotionList {
    items: Vec<PromotionDto>,
}

#[derive(ApiResponse)]
enum Scheduled {
    /// It will begin by itself, and end.
    #[oai(status = 201)]
    Promotion(
        Json<PromotionDto>,
        #[oai(header = "Consistency-Token")] Option<String>,
        #[oai(header = "Idempotent-Replayed")] Option<String>,
    ),
}

#[derive(ApiResponse)]
enum Cancelled {
    #[oai(status = 204)]
    NoContent(#[oai(header = "Consistency-Token")] Option<String>),
}

#[OpenApi(tag = "Tag::Games")]
impl Promotions {
    /// The promotions of a game that are not over, for admins.
    #[oai(path = "/jogos/:id/promocoes", method = "get", operation_id = "listPromotions")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<Json<PromotionList>, Problem> {
        actor.must_be_admin()?;
        let game = extract::path_id(GameId::parse(&id))?;
        let mut promotions = projections::games::promotions(store.pool(), game).await?;
        if promotions.is_none() {
            // It may be on its way.
            extract::known(&store, AggregateKey::of::<Game>(game.as_uuid()), "games").await?;
            promotions = projections::games::promotions(store.pool(), game).await?;
        }
        let promotions = promotions.ok_or_else(Problem::not_found)?;
        Ok(Json(PromotionList { items: promotions.into_iter().map(PromotionDto::from).collect() }))
    }

    /// Ask less for a game for a time, for admins.
    #[oai(path = "/jogos/:id/promocoes", method = "post", operation_id = "schedulePromotion")]
    async fn schedule(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        body: Json<NewPromotion>,
        #[oai(name = "Idempotency-Key")] idempotency_key: IdempotencyKey,
    ) -> Result<Scheduled, Problem> {
        actor.must_be_admin()?;
        let game = extract::path_id(GameId::parse(&id))?;
        let (discount, window) =
            (body.discount(&store)?, (extract::moment(body.starts_at), extract::moment(body.ends_at)));
        let route = format!("/jogos/{game}/promocoes");
        let context = extract::context(&store, actor, &route, &idempotency_key, &body.0)?;
        let receipt = store.commands.schedule_promotion(&context, game, discount, window).await?;
        let (starts_at, ends_at) = window;
        let promotion = Promotion { number: receipt.aggregate.last_promotion(), discount, starts_at, ends_at };
        let (token, replayed) = (extract::token(receipt.position), extract::replayed(receipt.replayed));
        Ok(Scheduled::Promotion(Json(promotion.into()), token, replayed))
    }

    /// Take a promotion back, whether it has begun or not, for admins.
    #[oai(path = "/jogos/:id/promocoes/:number", method = "delete", operation_id = "cancelPromotion")]
    async fn cancel(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        number: Path<u32>,
    ) -> Result<Cancelled, Problem> {
        actor.must_be_admin()?;
        let game = extract::path_id(GameId::parse(&id))?;
        let receipt = store.commands.cancel_promotion(&store.commands.context(actor), game, number.0).await?;
        Ok(Cancelled::NoContent(extract::token(receipt.position)))
    }
}

impl NewPromotion {
    fn discount(&self, store: &Store) -> Result<Discount, Problem> {
        match (self.percent, &self.price) {
            (Some(percent), None) => Percent::try_from(percent.to_i32())
                .map(Discount::Percent)
                .map_err(|rule| Problem::field("percent", rule)),
            (None, Some(price)) => Ok(Discount::Price(store.commands.price(price.of_field("price")?)?)),
            (Some(_), Some(_)) | (None, None) => Err(Problem::field("percent", "or price must be given, one of them")),
        }
    }
}

impl From<Promotion> for PromotionDto {
    fn from(promotion: Promotion) -> Self {
        let Promotion { number, discount, starts_at, ends_at } = promotion;
        let (percent, price) = match discount {
            Discount::Percent(percent) => (Some(percent.into()), None),
            Discount::Price(price) => (None, Some(price.money().into())),
        };
        Self { number, percent, price, starts_at, ends_at }
    }
}
