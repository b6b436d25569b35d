//! Finding games: what a search asks and what every engine answers.

mod postgres;

use std::collections::BTreeMap;

use sqlx::PgPool;

use crate::games::GameView;

/// In which order hits come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// Best match first.
    #[default]
    Relevance,
    /// Cheapest first.
    Cheapest,
    /// Dearest first.
    Dearest,
    /// Latest release first.
    Newest,
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
    /// In which order.
    pub sort: Sort,
    /// How many hits at most.
    pub limit: i64,
    /// How many hits to pass over.
    pub offset: i64,
}

/// A game that was found.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The game.
    pub game: GameView,
    /// Its title as HTML, with what matched in `<mark>`.
    pub highlight: String,
}

/// How many of the games that were found carry each label.
pub type FacetCounts = BTreeMap<String, i64>;

/// What was found.
#[derive(Debug, Clone)]
pub struct SearchAnswer {
    /// The hits of this page.
    pub hits: Vec<Hit>,
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
}

/// The engine that answers searches.
#[derive(Clone)]
pub enum SearchEngine {
    /// Postgres' own text search and trigrams.
    Postgres(PgPool),
}

impl SearchEngine {
    /// The engine's name, as clients see it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
        }
    }

    /// Searches.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn search(&self, query: &SearchQuery) -> sqlx::Result<SearchAnswer> {
        match self {
            Self::Postgres(pool) => postgres::search(pool, query).await,
        }
    }
}
