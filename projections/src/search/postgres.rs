//! Search on Postgres: words and prefixes by `tsvector`; only where they find nothing, trigrams forgive typos.

use sqlx::types::Json;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder, Row};

use super::{FacetCounts, Hit, SearchAnswer, SearchQuery, Sort};
use crate::games::{COLUMNS, GameView};

/// What `ts_headline` puts around a match: private-use characters, turned into tags once the rest is escaped.
const MARK: (char, char) = ('\u{E000}', '\u{E001}');

/// How titles are compared with what was typed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    /// Every game.
    All,
    /// Every word stands somewhere in the game, the last one perhaps unfinished.
    Words,
    /// The title has something like it.
    Similar,
}

pub(super) async fn search(pool: &PgPool, query: &SearchQuery) -> sqlx::Result<SearchAnswer> {
    let words = words(&query.text);
    if words.is_empty() {
        return answer(pool, query, "", Match::All).await;
    }
    let exact = answer(pool, query, &words, Match::Words).await?;
    if exact.total > 0 { Ok(exact) } else { answer(pool, query, query.text.trim(), Match::Similar).await }
}

/// `witcher 3 wi` → `witcher & 3 & wi:*`, with nothing left that a tsquery could trip over.
fn words(text: &str) -> String {
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut query = words.join(" & ");
    if !query.is_empty() {
        query.push_str(":*");
    }
    query
}

async fn answer(pool: &PgPool, query: &SearchQuery, text: &str, by: Match) -> sqlx::Result<SearchAnswer> {
    let mut summary = matched(query, text, by);
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
        hits: hits(pool, query, text, by).await?,
        total: row.try_get("total")?,
        genres: facet("genres")?,
        tags: facet("tags")?,
        platforms: facet("platforms")?,
        age_ratings: facet("age_ratings")?,
    })
}

async fn hits(pool: &PgPool, query: &SearchQuery, text: &str, by: Match) -> sqlx::Result<Vec<Hit>> {
    let mut page = matched(query, text, by);
    page.push("select page.*, ");
    if by == Match::Words {
        page.push("ts_headline('read.titles', title, to_tsquery('read.titles', ").push_bind(text.to_owned());
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
fn matched(query: &SearchQuery, text: &str, by: Match) -> QueryBuilder<'static, Postgres> {
    let mut sql = QueryBuilder::new("with matched as materialized (select ");
    sql.push(COLUMNS).push(", ");
    match by {
        Match::All => sql.push("0"),
        Match::Words => sql.push("ts_rank(words, to_tsquery('read.titles', ").push_bind(text.to_owned()).push("))"),
        Match::Similar => {
            sql.push("word_similarity(lower(unaccent(").push_bind(text.to_owned()).push(")), folded_title)")
        }
    };
    sql.push(" as rank from read.games where not retired");
    match by {
        Match::All => &mut sql,
        Match::Words => sql.push(" and words @@ to_tsquery('read.titles', ").push_bind(text.to_owned()).push(")"),
        Match::Similar => sql.push(" and lower(unaccent(").push_bind(text.to_owned()).push(")) <% folded_title"),
    };
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
