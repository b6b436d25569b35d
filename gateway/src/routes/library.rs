use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use projections::library::ShelfView;

use super::Tag;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract::{self, ConsistencyToken};
use crate::problem::Problem;

pub(crate) struct Library;

#[derive(Object)]
struct OwnedGame {
    id: String,
    title: String,
}

#[derive(Object)]
pub(super) struct Shelf {
    game: OwnedGame,
    order_id: String,
    acquired_at: DateTime<Utc>,
}

#[derive(Object)]
struct ShelfPage {
    items: Vec<Shelf>,
    next: Option<String>,
}

#[OpenApi(tag = "Tag::Library")]
impl Library {
    /// One's own games, newest first.
    #[oai(path = "/biblioteca", method = "get", operation_id = "listLibrary")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        limit: Query<Option<i64>>,
        cursor: Query<Option<String>>,
        #[oai(name = "Consistency-Token")] consistency_token: ConsistencyToken,
    ) -> Result<Json<ShelfPage>, Problem> {
        let owner = actor.user().ok_or_else(Problem::not_found)?;
        let (limit, after) = extract::page(&limit, &cursor)?;
        extract::caught_up(&store, &consistency_token, "library").await?;
        let page = projections::library::page(store.pool(), owner, limit, after).await?;
        let items = page.items.into_iter().map(Shelf::from);
        Ok(Json(ShelfPage { items: items.collect(), next: page.next.map(projections::Cursor::encode) }))
    }
}

impl From<ShelfView> for Shelf {
    fn from(shelf: ShelfView) -> Self {
        Self {
            game: OwnedGame { id: shelf.game_id.to_string(), title: shelf.title },
            order_id: shelf.order_id.to_string(),
            acquired_at: shelf.acquired_at,
        }
    }
}
