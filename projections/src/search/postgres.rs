//! Search on Postgres: words and prefixes by `tsvector`, titles as wholes; only where they find too little, words that
//! are a typo or a space away; and only where those find nothing, all words but one.

mod counts;
pub(super) mod index;
mod page;
mod text;
mod vocabulary;

use std::cmp::Reverse;

use sqlx::{PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use self::counts::Counts;
use self::text::{Relaxed, Text};
use self::vocabulary::Vocabulary;
use super::{SearchAnswer, SearchError, SearchQuery, Side, Words};

/// With fewer hits than this, what nothing has is read as what it may have meant.
const TOO_FEW: i64 = 3;
/// How many titles that are a typo away are taken.
const NEAR_TITLES: usize = 20;
/// Of how many candidates they are chosen at most.
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

    pub(super) async fn search(&self, query: &SearchQuery) -> Result<SearchAnswer, SearchError> {
        let table = index::table(&self.pool, Side::Live).await?;
        let (by, counts) = match Text::read(&self.words, &query.text) {
            None => (None, self.count(table, query, None).await?),
            Some(text) => {
                let (by, counts) = self.best_reading(table, query, &text).await?;
                (Some(by), counts)
            }
        };
        let (hits, facets) = tokio::try_join!(
            page::hits(&self.pool, table, query, by.as_ref(), counts.total),
            counts::facets(&self.pool, table, query, by.as_ref(), counts)
        )?;
        Ok(SearchAnswer { hits, total: counts.total, ..facets })
    }

    /// The strictest reading that finds enough; where none does, the one that finds anything at all.
    async fn best_reading(
        &self,
        table: &str,
        query: &SearchQuery,
        text: &Text,
    ) -> Result<(Match, Counts), SearchError> {
        let titles = near_titles(&self.pool, table, &text.compact()).await?;
        let exact = Match { query: text.exact(&self.words), folded: text.folded.clone(), titles };
        let counts = self.count(table, query, Some(&exact)).await?;
        if counts.total >= TOO_FEW {
            return Ok((exact, counts));
        }
        let dictionary = self.vocabulary.read(&self.pool).await?;
        let mut best = (exact, counts);
        for relaxed in [Relaxed::UnknownWords, Relaxed::EveryWord, Relaxed::WordsLeftOut] {
            if best.1.total >= relaxed.where_fewer_than() {
                continue;
            }
            if let Some(query_text) = text.relaxed(relaxed, &self.words, &dictionary) {
                let by = Match { query: query_text, ..best.0.clone() };
                let counts = self.count(table, query, Some(&by)).await?;
                best = (by, counts);
            }
        }
        Ok(best)
    }

    async fn count(&self, table: &str, query: &SearchQuery, by: Option<&Match>) -> Result<Counts, SearchError> {
        Ok(counts::count(&self.pool, table, query, by).await?)
    }
}

/// Titles that differ from what was typed by one letter at most, whatever their spaces. One typo leaves what stands
/// before it or what stands after it as it is, so candidates are found by a beginning or an end.
async fn near_titles(pool: &PgPool, table: &str, compact: &str) -> sqlx::Result<Vec<Uuid>> {
    let letters: Vec<char> = compact.chars().collect();
    let middle = letters.len() / 2;
    if letters.len() < 3 {
        return Ok(Vec::new());
    }
    // Neighbours that changed places may stand on both sides of the middle.
    let start: String = letters.iter().take(middle.saturating_sub(1)).collect();
    let end: String = letters.iter().rev().take(letters.len().saturating_sub(middle).saturating_sub(1)).collect();
    let around = i32::try_from(letters.len()).unwrap_or(i32::MAX);
    let lengths = [around.saturating_sub(1), around, around.saturating_add(1)];
    let candidates: Vec<(Uuid, String, i64)> = sqlx::query_as(&format!(
        "select game_id, compact, sales from {table} where letters = any($1) and compact like $2
         union select game_id, compact, sales from {table} where letters = any($1) and reverse(compact) like $3
         limit {CANDIDATES}"
    ))
    .bind(lengths.as_slice())
    .bind(start + "%")
    .bind(end + "%")
    // Planned for these patterns: a plan for any would not use the index.
    .persistent(false)
    .fetch_all(pool)
    .await?;
    let near =
        candidates.into_iter().map(|(id, title, sales)| (strsim::osa_distance(&title, compact), Reverse(sales), id));
    let mut near: Vec<_> = near.filter(|(typos, ..)| *typos <= 1).collect();
    near.sort_unstable();
    near.truncate(NEAR_TITLES);
    Ok(near.into_iter().map(|(.., id)| id).collect())
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
