//! Search on Postgres: words and prefixes by `tsvector`, titles as wholes; only where they find too little, words that
//! are a typo or a space away; and only where those find nothing, all words but one.

mod counts;
pub(super) mod index;
mod page;
mod text;
mod vocabulary;

use std::cmp::Reverse;

use journal::{POOLED, broke_off};
use sqlx::{PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use self::counts::Counts;
use self::text::{Relaxed, Text};
use self::vocabulary::{Dictionary, Vocabulary};
use super::{MOST_RELAXED, Reading, SearchAnswer, SearchError, SearchQuery, Side, Words};

/// Below this many hits, unknown words are corrected.
const TOO_FEW: i64 = 3;
/// How many titles that are a typo away are shown.
const NEAR_TITLES: usize = 20;
/// How many candidates are compared.
const CANDIDATES: i64 = 2_000;

/// Postgres as a search engine. Cheap to clone.
#[derive(Clone)]
pub struct PostgresSearch {
    pub(super) pool: PgPool,
    pub(super) words: Words,
    vocabulary: Vocabulary,
}

/// What the text must match.
#[derive(Clone)]
struct Match {
    /// A query of the text search.
    query: String,
    /// What a title may begin with.
    folded: String,
    /// Games whose whole title is what was typed, or a typo away from it; the best first.
    titles: Vec<Uuid>,
}

impl PostgresSearch {
    /// Search in the database of `pool`.
    #[must_use]
    pub fn new(pool: PgPool, words: Words) -> Self {
        Self { pool, words, vocabulary: Vocabulary::default() }
    }

    /// Asked once more as a whole for each connection that turns out to be dead.
    pub(super) async fn search(&self, query: &SearchQuery) -> Result<SearchAnswer, SearchError> {
        for _ in 0..POOLED {
            match self.search_once(query).await {
                Err(SearchError::Postgres(error)) if broke_off(&error) => (),
                answered => return answered,
            }
        }
        self.search_once(query).await
    }

    async fn search_once(&self, query: &SearchQuery) -> Result<SearchAnswer, SearchError> {
        let table = index::table(&self.pool, Side::Live).await?;
        let (by, counts, relaxed) = match Text::read(&self.words, &query.text) {
            None => (None, self.count(table, query, None).await?, false),
            Some(text) => {
                let (by, counts, relaxed) = self.best_reading(table, query, &text).await?;
                (Some(by), counts, relaxed)
            }
        };
        let (hits, facets) = tokio::try_join!(
            page::hits(&self.pool, table, query, by.as_ref(), counts.total),
            counts::facets(&self.pool, table, query, by.as_ref(), counts)
        )?;
        let reading = hits.first().filter(|_| relaxed).and_then(|best| Reading::of(&query.text, best, &self.words));
        Ok(SearchAnswer { hits, reading, total: counts.total, ..facets })
    }

    /// The strictest reading that finds enough, else the one that finds anything at all; and whether it is relaxed.
    async fn best_reading(
        &self,
        table: &str,
        query: &SearchQuery,
        text: &Text,
    ) -> Result<(Match, Counts, bool), SearchError> {
        let (same, near) = near_titles(&self.pool, table, &text.compact()).await?;
        let exact = Match { query: text.exact(&self.words), folded: text.folded.clone(), titles: same };
        let counts = self.count(table, query, Some(&exact)).await?;
        if counts.total >= TOO_FEW {
            return Ok((exact, counts, false));
        }
        let dictionary = self.vocabulary.read(&self.pool).await?;
        let titles = exact.titles.iter().copied().chain(near).collect();
        let forgiving = Match { titles, ..exact };
        let counts = self.count(table, query, Some(&forgiving)).await?;
        let mut best = (forgiving, counts);
        for relaxed in [Relaxed::UnknownWords, Relaxed::EveryWord, Relaxed::WordsLeftOut] {
            if best.1.total >= relaxed.where_fewer_than() {
                continue;
            }
            let query_text = match relaxed {
                Relaxed::WordsLeftOut => self.without_the_least_telling(table, text, &dictionary).await?,
                _ => text.relaxed(relaxed, &self.words, &dictionary),
            };
            if let Some(query_text) = query_text {
                let by = Match { query: query_text, ..best.0.clone() };
                let counts = self.count(table, query, Some(&by)).await?;
                best = (by, counts);
            }
        }
        Ok((best.0, best.1, true))
    }

    /// Without the words that nothing has; or, if something has each, without the one that most games have.
    async fn without_the_least_telling(
        &self,
        table: &str,
        text: &Text,
        dictionary: &Dictionary,
    ) -> Result<Option<String>, SearchError> {
        let words = text.each_word(&self.words, dictionary);
        if !(2..=MOST_RELAXED).contains(&words.len()) {
            return Ok(None);
        }
        let counts: Vec<i64> = sqlx::query_scalar(&format!(
            "select (select count(*) from {table} where words @@ to_tsquery('read.titles', word))
             from unnest($1::text[]) with ordinality as typed (word, n) order by n"
        ))
        .bind(&words)
        .fetch_all(&self.pool)
        .await?;
        let most = counts.iter().enumerate().max_by_key(|(_, games)| **games).map(|(n, _)| n);
        let is_left_out = |n: usize, games: i64| if counts.contains(&0) { games == 0 } else { Some(n) == most };
        let telling = words.iter().zip(&counts).enumerate().filter(|(n, (_, games))| !is_left_out(*n, **games));
        let telling: Vec<&str> = telling.map(|(_, (word, _))| word.as_str()).collect();
        Ok((!telling.is_empty()).then(|| telling.join(" & ")))
    }

    async fn count(&self, table: &str, query: &SearchQuery, by: Option<&Match>) -> Result<Counts, SearchError> {
        Ok(counts::count(&self.pool, table, query, by).await?)
    }
}

/// Titles that are what was typed, and titles that differ by one letter, whatever their spaces. One typo leaves what stands
/// before it or what stands after it as it is, so candidates are found by a beginning or an end.
async fn near_titles(pool: &PgPool, table: &str, compact: &str) -> sqlx::Result<(Vec<Uuid>, Vec<Uuid>)> {
    let letters: Vec<char> = compact.chars().collect();
    let middle = letters.len() / 2;
    if letters.len() < 3 {
        return Ok((Vec::new(), Vec::new()));
    }
    // Neighbours that changed places may stand on both sides of the middle.
    let start: String = letters.iter().take(middle.saturating_sub(1)).collect();
    let end: String = letters.iter().rev().take(letters.len().saturating_sub(middle).saturating_sub(1)).collect();
    let around = i32::try_from(letters.len()).unwrap_or(i32::MAX);
    let lengths = [around.saturating_sub(1), around, around.saturating_add(1)];
    let candidates: Vec<(Uuid, String, i64)> = sqlx::query_as(&format!(
        "select * from (
           select game_id, compact, sales from {table} where letters = any($1) and compact like $2
           union select game_id, compact, sales from {table} where letters = any($1) and reverse(compact) like $3
         ) as candidates order by compact = $4 desc limit {CANDIDATES}"
    ))
    .bind(lengths.as_slice())
    .bind(start + "%")
    .bind(end + "%")
    .bind(compact)
    // Planned for these patterns: a plan for any would not use the index.
    .persistent(false)
    .fetch_all(pool)
    .await?;
    let near =
        candidates.into_iter().map(|(id, title, sales)| (strsim::osa_distance(&title, compact), Reverse(sales), id));
    let mut near: Vec<_> = near.filter(|(typos, ..)| *typos <= 1).collect();
    near.sort_unstable();
    near.truncate(NEAR_TITLES);
    let same = near.iter().take_while(|(typos, ..)| *typos == 0).count();
    let others = near.split_off(same);
    let ids = |titles: Vec<(usize, _, Uuid)>| titles.into_iter().map(|(.., id)| id).collect();
    Ok((ids(near), ids(others)))
}

impl Relaxed {
    /// With how many hits of the reading before a search need not be relaxed like this.
    fn where_fewer_than(self) -> i64 {
        match self {
            Self::UnknownWords => TOO_FEW,
            Self::EveryWord | Self::WordsLeftOut => 1,
        }
    }
}

/// Conditions of a search, after a `where`.
struct Conditions<'a> {
    query: &'a SearchQuery,
    by: Option<&'a Match>,
}

impl Conditions<'_> {
    /// The text, wherever it stands.
    fn text(&self, sql: &mut QueryBuilder<'static, Postgres>) {
        match self.by {
            None => sql.push("true"),
            Some(by) if by.titles.is_empty() => {
                sql.push("words @@ to_tsquery('read.titles', ").push_bind(by.query.clone()).push(")")
            }
            Some(by) => {
                sql.push("(words @@ to_tsquery('read.titles', ").push_bind(by.query.clone());
                sql.push(") or game_id = any(").push_bind(by.titles.clone()).push("))")
            }
        };
    }

    /// Price, year, and games to leave out.
    fn bounds(&self, sql: &mut QueryBuilder<'static, Postgres>) {
        if let Some(least) = self.query.price_min {
            sql.push(" and price >= ").push_bind(least);
        }
        if let Some(most) = self.query.price_max {
            sql.push(" and price <= ").push_bind(most);
        }
        if let Some(first) = self.query.year_min {
            sql.push(" and release_date >= make_date(").push_bind(first).push(", 1, 1)");
        }
        if let Some(last) = self.query.year_max {
            sql.push(" and release_date <= make_date(").push_bind(last).push(", 12, 31)");
        }
        if !self.query.excluding.is_empty() {
            sql.push(" and game_id <> all(").push_bind(self.query.excluding.clone()).push(")");
        }
    }

    /// One condition for each kind of label, `true` where none is chosen: its name, and itself.
    fn labels(&self, sql: &mut QueryBuilder<'static, Postgres>, separator: &str, named: bool) {
        let SearchQuery { genres, tags, platforms, age_max, .. } = self.query;
        for (column, name, any_of) in
            [("genres", "genre", genres), ("tags", "tag", tags), ("platforms", "platform", platforms)]
        {
            sql.push(separator);
            if any_of.is_empty() {
                sql.push("true");
            } else {
                sql.push(format!("{column} && ")).push_bind(any_of.clone());
            }
            if named {
                sql.push(format!(" as {name}"));
            }
        }
        sql.push(separator);
        match age_max {
            None => sql.push("true"),
            Some(years) => sql.push("age_rating <= ").push_bind(*years),
        };
        if named {
            sql.push(" as age");
        }
    }
}
