//! Finding games: what a search asks, what every engine answers, and how its index is kept.
//!
//! Two engines, one contract. An index can be dropped and built again; it decides nothing.

mod document;
mod folded;
mod meili;
mod postgres;
mod reading;
pub mod reindex;
pub mod words;

use std::collections::BTreeMap;

use uuid::Uuid;

pub use document::{Document, digests};
pub use meili::{Meili, MeiliKeys};
pub use postgres::PostgresSearch;
pub use reading::Reading;
pub use words::Words;

use crate::games::GameView;

/// The name that the index has among the checkpoints.
pub const CHECKPOINT: &str = "search";

/// In which order hits come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// Best match first, then what sells, then what is new.
    #[default]
    Relevance,
    /// Cheapest first.
    Cheapest,
    /// Most expensive first.
    MostExpensive,
    /// Latest release first.
    Newest,
    /// Most sold first.
    Popular,
}

/// What is looked for. Several values of one filter mean any of them; filters add up.
#[derive(Debug, Clone, Default)]
pub struct SearchQuery {
    /// Words, the last of which may be half typed; everything where empty.
    pub text: String,
    /// Genres.
    pub genres: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Platforms.
    pub platforms: Vec<String>,
    /// The least price, in minor units.
    pub price_min: Option<i64>,
    /// The highest price, in minor units.
    pub price_max: Option<i64>,
    /// The highest age rating, in years.
    pub age_max: Option<i32>,
    /// The first year of release.
    pub year_min: Option<i32>,
    /// The last year of release.
    pub year_max: Option<i32>,
    /// Games that are left out.
    pub excluding: Vec<Uuid>,
    /// In which order.
    pub sort: Sort,
    /// How many hits at most.
    pub limit: i64,
    /// How many hits to pass over.
    pub offset: i64,
}

/// How many of the games that were found carry each label, whatever of the same kind is filtered by.
pub type FacetCounts = BTreeMap<String, i64>;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct SearchAnswer {
    /// The games of this page.
    pub hits: Vec<GameView>,
    /// How the text was read if not all of it was found as it was typed.
    pub reading: Option<Reading>,
    /// How many there are on all pages.
    pub total: i64,
    /// By genre.
    pub genres: FacetCounts,
    /// By tag.
    pub tags: FacetCounts,
    /// By platform.
    pub platforms: FacetCounts,
    /// By age rating.
    pub age_ratings: FacetCounts,
    /// Whether the counts by label were estimated from a part of what was found.
    pub facets_estimated: bool,
}

/// Longer queries are not relaxed by leaving words out.
const MOST_RELAXED: usize = 8;
/// How many labels of a kind are counted.
const FACET_VALUES: i64 = 50;

/// A title as HTML, with the words in `<mark>` that a search for `text` found.
#[must_use]
pub fn highlight(text: &str, title: &str) -> String {
    reading::highlight(text, title)
}

/// The engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Postgres did not.
    #[error("the search on Postgres: {0}")]
    Postgres(#[from] sqlx::Error),
    /// Meilisearch did not.
    #[error("Meilisearch: {0}")]
    Meili(#[from] meilisearch_sdk::errors::Error),
    /// Meilisearch took a task and could not do it.
    #[error("Meilisearch could not do a task: {0}")]
    Task(String),
    /// Meilisearch will not have a document.
    #[error("Meilisearch refuses a document: {0}")]
    Refused(String),
    /// The index holds what the store did not write.
    #[error("the index holds something unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The words of the index cannot be kept in memory.
    #[error("the words of the index: {0}")]
    Words(#[from] fst::Error),
}

impl SearchError {
    /// Whether the engine is there and will not have what it was given.
    fn is_refusal(&self) -> bool {
        match self {
            // Class 22: data exception. <https://www.postgresql.org/docs/15/errcodes-appendix.html>
            Self::Postgres(sqlx::Error::Database(error)) => {
                // A value that the columns cannot hold, or one that is too long for an index.
                error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
            }
            Self::Refused(_) => true,
            Self::Postgres(_) | Self::Meili(_) | Self::Task(_) | Self::Unreadable(_) | Self::Words(_) => false,
        }
    }
}

/// Which of two indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that is searched.
    Live,
    /// The one that is being built.
    Next,
}

/// The engine that answers searches.
#[derive(Clone)]
pub enum SearchEngine {
    /// Postgres' own text search.
    Postgres(PostgresSearch),
    /// Meilisearch.
    Meili(Meili),
}

impl SearchEngine {
    /// The engine's name, as clients see it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Postgres(..) => "postgres",
            Self::Meili(_) => "meilisearch",
        }
    }

    /// How many games to write at once, where there are many: Meilisearch is quick with large batches only.
    #[must_use]
    pub fn batch(&self) -> u16 {
        match self {
            Self::Postgres(..) => 2_000,
            Self::Meili(_) => 20_000,
        }
    }

    /// Searches.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn search(&self, query: &SearchQuery) -> Result<SearchAnswer, SearchError> {
        match self {
            Self::Postgres(postgres) => postgres.search(query).await,
            Self::Meili(meili) => meili.search(query).await,
        }
    }

    /// Writes games as they are now: what is retired leaves the index, and nothing older overwrites a newer document.
    /// There must be one writer at a time.
    ///
    /// Returns the games that the engine refuses, each with its reason; they are not in the index, all others are.
    ///
    /// # Errors
    /// When the engine does not answer; the same can be written again.
    pub async fn write(&self, side: Side, games: Vec<GameView>) -> Result<Vec<(Uuid, SearchError)>, SearchError> {
        let mut refused = Vec::new();
        let mut waiting = vec![games];
        // One that is refused is found by halves.
        while let Some(mut games) = waiting.pop() {
            match self.put(side, games.clone()).await {
                Ok(()) => (),
                Err(error) if !error.is_refusal() => return Err(error),
                Err(error) => {
                    if let [game] = games.as_slice() {
                        refused.push((game.game_id, error));
                    } else {
                        waiting.push(games.split_off(games.len() / 2));
                        waiting.push(games);
                    }
                }
            }
        }
        Ok(refused)
    }

    async fn put(&self, side: Side, games: Vec<GameView>) -> Result<(), SearchError> {
        let (retired, sold): (Vec<GameView>, Vec<GameView>) = games.into_iter().partition(|game| game.retired);
        let retired: Vec<Uuid> = retired.iter().map(|game| game.game_id).collect();
        let documents: Vec<Document> = sold.into_iter().map(Document::from).collect();
        match self {
            Self::Postgres(PostgresSearch { pool, .. }) => {
                postgres::index::write(pool, side, &documents, &retired).await
            }
            Self::Meili(meili) => meili.write(side, documents, &retired).await,
        }
    }

    /// Empties the index that is being built.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn begin(&self) -> Result<(), SearchError> {
        match self {
            Self::Postgres(PostgresSearch { pool, .. }) => postgres::index::begin(pool).await,
            Self::Meili(meili) => meili.begin().await,
        }
    }

    /// Puts the index that was built, with so many games, in the place of the live one, at once.
    ///
    /// # Errors
    /// When the engine does not answer, or the live index has another number of games afterwards.
    pub async fn swap(&self, games: i64) -> Result<(), SearchError> {
        match self {
            Self::Postgres(PostgresSearch { pool, .. }) => postgres::index::swap(pool).await,
            Self::Meili(meili) => meili.swap(games).await,
        }
    }

    /// Up to `limit` documents of the live index from `offset` on, in a steady order.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn documents(&self, offset: i64, limit: i64) -> Result<Vec<Document>, SearchError> {
        match self {
            Self::Postgres(PostgresSearch { pool, .. }) => postgres::index::documents(pool, offset, limit).await,
            Self::Meili(meili) => meili.documents(offset, limit).await,
        }
    }
}
