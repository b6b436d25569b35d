//! Search on Postgres: words and prefixes by `tsvector`; only where they find nothing, trigrams forgive typos.

use sqlx::types::Json;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder, Row};

use super::{FacetCounts, Hit, SearchAnswer, SearchQuery, Sort};
use crate::games::{COLUMNS, GameView};

/// What `ts_headline` puts around a match: private-use characters, turned into tags once the rest is escaped.
const MARK: (char, char) = ('\u{E000}', '\u{E001}');

/// How titles are compared with what was typed.
enum Match {
    /// Every game.
    All,
    /// Every word of the tsquery stands somewhere in the game, the last one perhaps unfinished.
    Words(String),
    /// For each word the title has one like it.
    Similar(Vec<String>),
}

pub(super) async fn search(pool: &PgPool, query: &SearchQuery) -> sqlx::Result<SearchAnswer> {
    let words: Vec<String> = query.text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect();
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return answer(pool, query, &Match::All).await;
    }
    let exact = answer(pool, query, &Match::Words(tsquery(&words))).await?;
    if exact.total > 0 { Ok(exact) } else { answer(pool, query, &Match::Similar(words)).await }
}

/// `witcher`, `3`, `wi` → `witcher & 3 & wi:*`; words of letters and digits are never syntax.
fn tsquery(words: &[String]) -> String {
    format!("{}:*", words.join(" & "))
}

/// `witchr` → a word that has these letters in this order, and perhaps one more between any two.
/// Letters and digits are never syntax.
fn with_gaps(word: &str) -> String {
    let letters: Vec<String> = word.chars().map(String::from).collect();
    format!("\\m{}", letters.join("\\w?"))
}

async fn answer(pool: &PgPool, query: &SearchQuery, by: &Match) -> sqlx::Result<SearchAnswer> {
    let mut summary = matched(query, by);
    summary.push("select (select count(*) from matched) as total");
    for (facet, labels) in [
        ("genres", "unnest(genres)"),
        ("tags", "unnest(tags)"),
        ("platforms", "unnest(platforms)"),
        ("age_ratings", "cast(age_rating as text)"),
    ] {
        summary.push(format!(
            ", (select coalesce(jsonb_object_agg(label, games), '{{}}') from
                 (select {labels} as label, count(*) as games from matched group by label
                  order by games desc, label limit 50) as counted) as {facet}"
        ));
    }
    let row = summary.build().fetch_one(pool).await?;
    let facet = |name| row.try_get::<Json<FacetCounts>, _>(name).map(|Json(counts)| counts);
    Ok(SearchAnswer {
        hits: hits(pool, query, by).await?,
        total: row.try_get("total")?,
        genres: facet("genres")?,
        tags: facet("tags")?,
        platforms: facet("platforms")?,
        age_ratings: facet("age_ratings")?,
    })
}

async fn hits(pool: &PgPool, query: &SearchQuery, by: &Match) -> sqlx::Result<Vec<Hit>> {
    let mut page = matched(query, by);
    page.push("select page.*, ");
    if let Match::Words(tsquery) = by {
        page.push("ts_headline('read.titles', title, to_tsquery('read.titles', ").push_bind(tsquery.clone());
        page.push(format!("), 'HighlightAll=true, StartSel={}, StopSel={}')", MARK.0, MARK.1));
    } else {
        page.push("title");
    }
    page.push(" as highlight from (select * from matched order by ");
    page.push(match query.sort {
        Sort::Relevance => "rank desc, release_date desc nulls last, game_id",
        Sort::Cheapest => "price, rank desc, game_id",
        Sort::Dearest => "price desc, rank desc, game_id",
        Sort::Newest => "release_date desc nulls last, rank desc, game_id",
    });
    page.push(" limit ").push_bind(query.limit).push(" offset ").push_bind(query.offset).push(") as page");
    let rows = page.build().fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let highlight: String = row.try_get("highlight")?;
            let highlight = html_escape::encode_text(&highlight).replace(MARK.0, "<mark>").replace(MARK.1, "</mark>");
            Ok(Hit { game: GameView::from_row(row)?, highlight })
        })
        .collect()
}

/// The games that match the text and all filters, each with its rank.
fn matched(query: &SearchQuery, by: &Match) -> QueryBuilder<'static, Postgres> {
    let mut sql = QueryBuilder::new("with matched as materialized (select ");
    sql.push(COLUMNS).push(", ");
    match by {
        Match::All => {
            sql.push("0");
        }
        Match::Words(tsquery) => {
            sql.push("ts_rank(words, to_tsquery('read.titles', ").push_bind(tsquery.clone()).push("))");
        }
        Match::Similar(words) => {
            let mut sum = sql.separated(" + ");
            for word in words {
                sum.push("word_similarity(lower(unaccent(").push_bind_unseparated(word.clone());
                sum.push_unseparated(")), folded_title)");
                // A word that was typed with letters left out is likelier meant than a shorter one.
                sum.push("(folded_title ~ lower(unaccent(").push_bind_unseparated(with_gaps(word));
                sum.push_unseparated(")))::int");
            }
        }
    }
    sql.push(" as rank from read.games where not retired");
    match by {
        Match::All => (),
        Match::Words(tsquery) => {
            sql.push(" and words @@ to_tsquery('read.titles', ").push_bind(tsquery.clone()).push(")");
        }
        Match::Similar(words) => {
            for word in words {
                sql.push(" and lower(unaccent(").push_bind(word.clone()).push(")) <% folded_title");
            }
        }
    }
    for (column, any_of) in [("genres", &query.genres), ("tags", &query.tags), ("platforms", &query.platforms)] {
        if !any_of.is_empty() {
            sql.push(format!(" and {column} && ")).push_bind(any_of.clone());
        }
    }
    if let Some(least) = query.price_min {
        sql.push(" and price >= ").push_bind(least);
    }
    if let Some(most) = query.price_max {
        sql.push(" and price <= ").push_bind(most);
    }
    if let Some(years) = query.age_max {
        sql.push(" and age_rating <= ").push_bind(years);
    }
    sql.push(") ");
    sql
}
