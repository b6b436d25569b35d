use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Labels, Text};
use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};
use projections::search::{self, SearchQuery, Sort, reindex};

use super::Tag;
use super::games::Game;
use crate::Store;
use crate::auth::Visitor;
use crate::extract::{self, ConsistencyToken};
use crate::problem::Problem;

pub(crate) struct Search;

/// In which order hits come.
#[derive(Clone, Copy, Enum)]
#[oai(rename = "Sort", rename_all = "snake_case")]
enum SortDto {
    Relevance,
    Cheapest,
    Dearest,
    Newest,
    Popular,
}

/// A game that was found.
#[derive(Object)]
struct Hit {
    #[oai(flatten)]
    game: Game,
    /// The title as HTML, with what matched in `<mark>`.
    highlight: String,
    /// Whether the buyer who asks has it.
    owned: bool,
}

/// How many of the games that were found carry each label.
#[derive(Object)]
struct Facets {
    genres: BTreeMap<String, i64>,
    tags: BTreeMap<String, i64>,
    platforms: BTreeMap<String, i64>,
    age_ratings: BTreeMap<String, i64>,
}

/// What was searched for instead of what was typed.
#[derive(Object)]
#[oai(rename = "Reading")]
struct ReadingDto {
    /// The words that were found instead.
    text: String,
    /// Words that were dropped because no game matches them all.
    without: Vec<String>,
}

#[derive(Object)]
#[oai(rename = "SearchResult")]
struct Answer {
    items: Vec<Hit>,
    /// How the words were read where not all of them were found as they were typed.
    #[oai(skip_serializing_if_is_none)]
    reading: Option<ReadingDto>,
    /// On all pages.
    total: i64,
    facets: Facets,
    /// Whether the facets' counts are estimated, for too much was found to count it all.
    facets_estimated: bool,
    took_ms: f64,
    engine: String,
}

/// How long a search waits for the index at most: it is the catalogue's newest change that it waits for, not the
/// reader's own.
const PATIENCE: Duration = Duration::from_millis(300);
/// How far into the hits a page may begin.
const DEEPEST: i64 = 10_000;
/// The years that a filter may name.
const YEARS: RangeInclusive<i32> = 1950..=2200;

#[OpenApi(prefix_path = "/jogos", tag = "Tag::Games")]
impl Search {
    /// Find games by words, beginnings of words, or something like them. Filters may repeat: any of them counts.
    /// Facets count what the other filters leave. With an access token the buyer's own games are marked.
    #[oai(path = "/busca", method = "get", operation_id = "searchGames")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the query")]
    async fn search(
        &self,
        store: Data<&Arc<Store>>,
        visitor: Visitor,
        q: Query<Option<String>>,
        #[oai(default)] genre: Query<Vec<String>>,
        #[oai(default)] tag: Query<Vec<String>>,
        #[oai(default)] platform: Query<Vec<String>>,
        price_min: Query<Option<i64>>,
        price_max: Query<Option<i64>>,
        age_max: Query<Option<i32>>,
        /// The first year of release.
        year_min: Query<Option<i32>>,
        /// The last year of release.
        year_max: Query<Option<i32>>,
        /// Leave the buyer's own games out.
        exclude_owned: Query<Option<bool>>,
        sort: Query<Option<SortDto>>,
        limit: Query<Option<i64>>,
        offset: Query<Option<i64>>,
        #[oai(name = "Consistency-Token")] consistency_token: ConsistencyToken,
    ) -> Result<Json<Answer>, Problem> {
        let labels =
            |name, labels: Vec<String>| Labels::parse(labels).map(Vec::from).map_err(|rule| Problem::field(name, rule));
        let text = Text::<0, 200>::parse(&q.0.unwrap_or_default()).map_err(|rule| Problem::field("q", rule))?;
        let offset = offset.0.unwrap_or(0);
        if !(0..=DEEPEST).contains(&offset) {
            return Err(Problem::field("offset", format!("must be 0 to {DEEPEST}")));
        }
        for (name, year) in [("year_min", year_min.0), ("year_max", year_max.0)] {
            if year.is_some_and(|year| !YEARS.contains(&year)) {
                return Err(Problem::field(name, format!("must be {} to {}", YEARS.start(), YEARS.end())));
            }
        }
        let pool = store.pool();
        let owned = match visitor.buyer() {
            Some(user) => projections::library::owned(pool, user).await?,
            None => HashSet::new(),
        };
        let excluding = if exclude_owned.0 == Some(true) { owned.iter().copied().collect() } else { Vec::new() };
        let query = SearchQuery {
            excluding,
            year_min: year_min.0,
            year_max: year_max.0,
            text: text.into(),
            genres: labels("genre", genre.0)?,
            tags: labels("tag", tag.0)?,
            platforms: labels("platform", platform.0)?,
            price_min: price_min.0,
            price_max: price_max.0,
            age_max: age_max.0,
            sort: sort.0.map_or(Sort::Relevance, Sort::from),
            limit: extract::page_limit(&limit)?,
            offset,
        };
        if consistency_token.is_some() {
            extract::caught_up(&store, &consistency_token, "games").await?;
            reindex::wait_until_caught_up(pool, PATIENCE).await?;
        }
        let begun = Instant::now();
        let found = store.search.search(&query).await.map_err(|error| Problem::unavailable("the search", &error))?;
        let now = store.commands.clock().now();
        let items = found.hits.into_iter().map(|game| Hit {
            owned: owned.contains(&game.game_id),
            highlight: search::highlight(&query.text, &game.title),
            game: Game::at(game, now),
        });
        let reading = found.reading.map(|search::Reading { text, without }| ReadingDto { text, without });
        let facets = Facets {
            genres: found.genres,
            tags: found.tags,
            platforms: found.platforms,
            age_ratings: found.age_ratings,
        };
        let took_ms = begun.elapsed().as_secs_f64() * 1_000.0;
        let engine = store.search.name().to_owned();
        let (total, facets_estimated) = (found.total, found.facets_estimated);
        Ok(Json(Answer { items: items.collect(), reading, total, facets, facets_estimated, took_ms, engine }))
    }
}

impl From<SortDto> for Sort {
    fn from(sort: SortDto) -> Self {
        match sort {
            SortDto::Relevance => Self::Relevance,
            SortDto::Cheapest => Self::Cheapest,
            SortDto::Dearest => Self::MostExpensive,
            SortDto::Newest => Self::Newest,
            SortDto::Popular => Self::Popular,
        }
    }
}
