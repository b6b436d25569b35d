//! Search on Meilisearch.
//!
//! Retired games are not in the index. Facets count past the filter of their own kind, so a search with filters asks
//! several questions in one request. The gateway's key may search and nothing else; the indexer's may write.

mod setup;

use std::collections::HashMap;
use std::time::Duration;

use futures::TryFutureExt;
use meilisearch_sdk::client::Client;
use meilisearch_sdk::documents::DocumentsQuery;
use meilisearch_sdk::errors::ErrorType;
use meilisearch_sdk::indexes::Index;
use meilisearch_sdk::search::{MatchingStrategies, SearchResults, Selectors};
use meilisearch_sdk::task_info::TaskInfo;
use meilisearch_sdk::tasks::Task;
use serde::Deserialize;
use uuid::Uuid;

use super::folded::folded;
use super::{Document, FacetCounts, MOST_RELAXED, Reading, SearchAnswer, SearchError, SearchQuery, Side, Sort, Words};

pub use setup::MeiliKeys;

/// How long a search may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a task of the index may take: Meilisearch works off its tasks one after the other.
const TASK_PATIENCE: Duration = Duration::from_mins(2);
/// How many bytes of text are sent at once, about half of what the server takes.
const MOST: usize = 40 << 20;
const TASK_POLL: Duration = Duration::from_millis(10);
/// The kinds of labels that are counted.
const FACETS: [&str; 4] = ["genres", "tags", "platforms", "age_rating"];

/// Meilisearch, with a key.
#[derive(Clone)]
pub struct Meili {
    client: Client,
    index: String,
    words: Words,
}

/// What is known of a document before it is overwritten.
#[derive(Deserialize)]
struct Held {
    game_id: Uuid,
    sequence: i64,
}

impl Meili {
    /// A server at `url`, and the name of the index in it.
    ///
    /// # Errors
    /// When the key cannot be sent.
    pub fn new(url: &str, key: Option<&str>, index: &str, words: Words) -> Result<Self, SearchError> {
        let client = Client::new(url, key).map_err(SearchError::Meili)?;
        Ok(Self { client, index: index.to_owned(), words })
    }

    fn uid(&self, side: Side) -> String {
        match side {
            Side::Live => self.index.clone(),
            Side::Next => format!("{}_next", self.index),
        }
    }

    fn side(&self, side: Side) -> Index {
        self.client.index(self.uid(side))
    }

    /// With all words; and where nothing has them, without those that tell least.
    pub(super) async fn search(&self, query: &SearchQuery) -> Result<SearchAnswer, SearchError> {
        let found = self.search_all_words(query).await?;
        let relaxed = if found.total > 0 { None } else { self.telling_words(&query.text).await? };
        let mut found = match relaxed {
            Some(text) => self.search_all_words(&SearchQuery { text, ..query.clone() }).await?,
            None => found,
        };
        // Meilisearch corrects typos by itself and does not say so; the hit that fits best does.
        if query.sort == Sort::Relevance && query.offset == 0 {
            found.reading = found.hits.first().and_then(|best| Reading::of(&query.text, best, &self.words));
        }
        Ok(found)
    }

    /// A text without the words that nothing has, or, where something has each, without the one that most games have.
    /// Nothing where nothing would be left.
    async fn telling_words(&self, text: &str) -> Result<Option<String>, SearchError> {
        let text = folded(text);
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() < 2 || words.len() > MOST_RELAXED {
            return Ok(None);
        }
        // A word with a space behind it is not taken for the beginning of another.
        let whole: Vec<String> = words.iter().map(|word| format!("{word} ")).collect();
        let index = self.side(Side::Live);
        let mut asked = self.client.multi_search();
        for word in &whole {
            asked.with_search_query(index.search().with_query(word).with_limit(0).build());
        }
        let answered = timed(PATIENCE, asked.execute::<Document>()).await?;
        let counts: Vec<usize> = answered.results.iter().map(|it| it.estimated_total_hits.unwrap_or(0)).collect();
        let most = counts.iter().enumerate().max_by_key(|(_, games)| **games).map(|(n, _)| n);
        let is_left_out = |n: usize, games: usize| if counts.contains(&0) { games == 0 } else { Some(n) == most };
        let telling = words.iter().zip(&counts).enumerate().filter(|(n, (_, games))| !is_left_out(*n, **games));
        let telling = telling.map(|(_, (word, _))| *word).collect::<Vec<_>>().join(" ");
        Ok(Some(telling).filter(|text| !text.is_empty()))
    }

    async fn search_all_words(&self, query: &SearchQuery) -> Result<SearchAnswer, SearchError> {
        let index = self.side(Side::Live);
        let filters = Filters::of(query);
        let all = filters.except("");
        let sort = sorted(query.sort);
        let mut asked = self.client.multi_search();
        let mut page = index.search();
        page.with_query(&query.text)
            .with_filter(&all)
            .with_sort(sort)
            .with_limit(usize::try_from(query.limit).unwrap_or(0))
            .with_offset(usize::try_from(query.offset).unwrap_or(0))
            .with_facets(Selectors::Some(&FACETS))
            .with_matching_strategy(MatchingStrategies::ALL);
        asked.with_search_query(page.build());
        let own: Vec<(&str, String)> =
            FACETS.into_iter().filter(|facet| filters.has(facet)).map(|facet| (facet, filters.except(facet))).collect();
        let named: Vec<[&str; 1]> = own.iter().map(|(facet, _)| [*facet]).collect();
        for ((_, filter), facet) in own.iter().zip(&named) {
            let mut counts = index.search();
            counts
                .with_query(&query.text)
                .with_filter(filter)
                .with_limit(0)
                .with_facets(Selectors::Some(facet))
                .with_matching_strategy(MatchingStrategies::ALL);
            asked.with_search_query(counts.build());
        }
        let answered = timed(PATIENCE, asked.execute::<Document>()).await?;
        let mut results = answered.results.into_iter();
        let mut answer = results.next().map(answer).unwrap_or_default();
        for ((facet, _), counted) in own.iter().zip(results) {
            *answer.counts(facet) = counts(counted.facet_distribution.as_ref(), facet);
        }
        Ok(answer)
    }

    pub(super) async fn write(
        &self,
        side: Side,
        mut documents: Vec<Document>,
        retired: &[Uuid],
    ) -> Result<(), SearchError> {
        let index = self.side(side);
        if side == Side::Live && !documents.is_empty() {
            let ids: Vec<String> = documents.iter().map(|document| document.game.game_id.to_string()).collect();
            let mut asked = DocumentsQuery::new(&index);
            asked.with_ids(ids.iter().map(String::as_str)).with_fields(["game_id", "sequence"]).with_limit(ids.len());
            let held = timed(TASK_PATIENCE, index.get_documents_with::<Held>(&asked)).await?.results;
            let held: HashMap<Uuid, i64> = held.into_iter().map(|held| (held.game_id, held.sequence)).collect();
            let is_newer = |document: &Document| {
                held.get(&document.game.game_id).is_none_or(|sequence| *sequence < document.game.sequence)
            };
            documents.retain(is_newer);
        }
        while !documents.is_empty() {
            let rest = documents.split_off(fitting(&documents));
            self.done(index.add_or_replace(&documents, Some("game_id"))).await?;
            documents = rest;
        }
        if !retired.is_empty() {
            let ids: Vec<String> = retired.iter().map(Uuid::to_string).collect();
            self.done(index.delete_documents(&ids)).await?;
        }
        Ok(())
    }

    pub(super) async fn documents(&self, offset: i64, limit: i64) -> Result<Vec<Document>, SearchError> {
        let index = self.side(Side::Live);
        let mut asked = DocumentsQuery::new(&index);
        asked.with_offset(usize::try_from(offset).unwrap_or(0)).with_limit(usize::try_from(limit).unwrap_or(0));
        Ok(timed(TASK_PATIENCE, index.get_documents_with::<Document>(&asked)).await?.results)
    }

    /// Waits until a task is done.
    async fn done(
        &self,
        asked: impl Future<Output = Result<TaskInfo, meilisearch_sdk::errors::Error>>,
    ) -> Result<(), SearchError> {
        let client = &self.client;
        let done = asked.and_then(|task| task.wait_for_completion(client, Some(TASK_POLL), Some(TASK_PATIENCE)));
        match timed(TASK_PATIENCE, done).await? {
            Task::Succeeded { .. } => Ok(()),
            Task::Failed { content } if content.error.error_type == ErrorType::InvalidRequest => {
                Err(SearchError::Refused(content.error.to_string()))
            }
            Task::Failed { content } => Err(SearchError::Task(content.error.to_string())),
            Task::Enqueued { .. } | Task::Processing { .. } => Err(SearchError::Task("not done in time".to_owned())),
        }
    }
}

/// How many of the first documents are sent together: one at least.
fn fitting(documents: &[Document]) -> usize {
    let size = |document: &Document| {
        let game = &document.game;
        let labels = game.genres.iter().chain(&game.tags).chain(&game.platforms).map(String::len).sum::<usize>();
        [game.title.len(), game.description.len(), labels, 1_000].into_iter().fold(0, usize::saturating_add)
    };
    let sizes = documents.iter().map(size).scan(0_usize, |sum, size| {
        *sum = sum.saturating_add(size);
        Some(*sum)
    });
    sizes.take_while(|sum| *sum <= MOST).count().max(1)
}

/// The client has no deadline of its own.
async fn timed<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, meilisearch_sdk::errors::Error>>,
) -> Result<T, SearchError> {
    match tokio::time::timeout(patience, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(SearchError::Meili(meilisearch_sdk::errors::Error::Timeout)),
    }
}

/// Conditions, each with the kind of labels that it narrows down.
struct Filters(Vec<(&'static str, String)>);

impl Filters {
    fn of(query: &SearchQuery) -> Self {
        let mut all = Vec::new();
        for (kind, any_of) in [("genres", &query.genres), ("tags", &query.tags), ("platforms", &query.platforms)] {
            if !any_of.is_empty() {
                let any_of: Vec<String> = any_of.iter().map(|label| quoted(label)).collect();
                all.push((kind, format!("{kind} IN [{}]", any_of.join(", "))));
            }
        }
        let bounds = [
            ("age_rating", "age_rating <=", query.age_max.map(i64::from)),
            ("price", "price >=", query.price_min),
            ("price", "price <=", query.price_max),
            ("release_year", "release_year >=", query.year_min.map(i64::from)),
            ("release_year", "release_year <=", query.year_max.map(i64::from)),
        ];
        all.extend(bounds.into_iter().filter_map(|(kind, is, bound)| Some((kind, format!("{is} {}", bound?)))));
        if !query.excluding.is_empty() {
            let ids: Vec<String> = query.excluding.iter().map(|id| quoted(&id.to_string())).collect();
            all.push(("game_id", format!("game_id NOT IN [{}]", ids.join(", "))));
        }
        Self(all)
    }

    fn has(&self, kind: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == kind)
    }

    /// All conditions but those on one kind.
    fn except(&self, kind: &str) -> String {
        let others = self.0.iter().filter(|(known, _)| *known != kind).map(|(_, filter)| filter.as_str());
        others.collect::<Vec<_>>().join(" AND ")
    }
}

/// A text as a filter's value; nothing in it is syntax. Meilisearch knows one escape only, that of the quote, so a
/// backslash cannot be asked for.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "").replace('"', "\\\""))
}

fn sorted(sort: Sort) -> &'static [&'static str] {
    match sort {
        Sort::Relevance => &[],
        Sort::Cheapest => &["price:asc"],
        Sort::MostExpensive => &["price:desc"],
        Sort::Newest => &["release_date:desc"],
        Sort::Popular => &["sales:desc"],
    }
}

fn answer(page: SearchResults<Document>) -> SearchAnswer {
    let facet = |kind| counts(page.facet_distribution.as_ref(), kind);
    let (genres, tags, platforms, age_ratings) =
        (facet("genres"), facet("tags"), facet("platforms"), facet("age_rating"));
    let total = i64::try_from(page.estimated_total_hits.unwrap_or(0)).unwrap_or(i64::MAX);
    let hits = page.hits.into_iter().map(|hit| hit.result.game).collect();
    SearchAnswer { hits, total, genres, tags, platforms, age_ratings, ..SearchAnswer::default() }
}

impl SearchAnswer {
    fn counts(&mut self, facet: &str) -> &mut FacetCounts {
        match facet {
            "genres" => &mut self.genres,
            "tags" => &mut self.tags,
            "platforms" => &mut self.platforms,
            _ => &mut self.age_ratings,
        }
    }
}

fn counts(counted: Option<&HashMap<String, HashMap<String, usize>>>, facet: &str) -> FacetCounts {
    let counted = counted.and_then(|counted| counted.get(facet)).into_iter().flatten();
    counted.map(|(label, games)| (label.clone(), i64::try_from(*games).unwrap_or(i64::MAX))).collect()
}
