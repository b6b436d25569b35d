//! Search on Postgres: words and prefixes by `tsvector`; only where they find too little, words that are a typo away.

pub(super) mod index;
mod text;

use sqlx::types::Json;
use sqlx::{PgPool, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use self::text::Text;
use super::{
    Document, FACET_VALUES, FacetCounts, Hit, MARK, SearchAnswer, SearchError, SearchQuery, Side, Sort, Words, marked,
};

/// With fewer hits than this, typos are looked for.
const TOO_FEW: i64 = 3;

/// Of how many games labels are counted at most; from there on they are estimated, for counting all takes as long as
/// finding them.
const SAMPLE: i64 = 2_000;

/// What the text must match, and what it had better match.
struct Match {
    /// A query of the text search.
    query: String,
    /// The same with what is likeliest meant.
    likely: String,
    folded: String,
}

pub(super) async fn search(pool: &PgPool, words: &Words, query: &SearchQuery) -> Result<SearchAnswer, SearchError> {
    let table = index::table(pool, Side::Live).await?;
    let Some(text) = Text::read(pool, words, &query.text).await? else {
        return answer(pool, table, query, None).await;
    };
    let exact = text.exact(words);
    let by = Match { likely: exact.clone(), query: exact, folded: text.folded.clone() };
    let found = answer(pool, table, query, Some(&by)).await?;
    if found.total >= TOO_FEW {
        return Ok(found);
    }
    match text.forgiving(pool, words).await? {
        None => Ok(found),
        Some((forgiving, likely)) => {
            let by = Match { query: forgiving, likely, ..by };
            answer(pool, table, query, Some(&by)).await
        }
    }
}

async fn answer(
    pool: &PgPool,
    table: &str,
    query: &SearchQuery,
    by: Option<&Match>,
) -> Result<SearchAnswer, SearchError> {
    let mut sql = matched(table, query, by);
    sql.push(format!(
        ", size as materialized
             (select count(*) as games, count(*) filter (where genre and tag and platform and age) as total from matched),
           counted as materialized
             (select genres, tags, platforms, age_rating, genre, tag, platform, age from matched limit {SAMPLE})
         select (select total from size) as total, (select games from size) > {SAMPLE} as estimated"
    ));
    // Each count passes over the filter of its own kind, so that a buyer sees what else there is to choose.
    for (facet, labels, others) in [
        ("genres", "unnest(genres)", "tag and platform and age"),
        ("tags", "unnest(tags)", "genre and platform and age"),
        ("platforms", "unnest(platforms)", "genre and tag and age"),
        ("age_ratings", "cast(age_rating as text)", "genre and tag and platform"),
    ] {
        sql.push(format!(
            ", (select coalesce(jsonb_object_agg(label, games), '{{}}') from
                 (select {labels} as label, round(count(*) * greatest((select games from size) / {SAMPLE}.0, 1)) as games
                  from counted where {others} group by label
                  order by games desc, label limit {FACET_VALUES}) as labels) as {facet}"
        ));
    }
    sql.push(", array(select game_id from matched where genre and tag and platform and age order by ");
    sql.push(match query.sort {
        Sort::Relevance => "rank desc, sales desc, release_date desc nulls last, game_id",
        Sort::Cheapest => "price, rank desc, sales desc, game_id",
        Sort::Dearest => "price desc, rank desc, sales desc, game_id",
        Sort::Newest => "release_date desc nulls last, rank desc, sales desc, game_id",
        Sort::Popular => "sales desc, rank desc, release_date desc nulls last, game_id",
    });
    sql.push(" limit ").push_bind(query.limit).push(" offset ").push_bind(query.offset).push(") as page");
    // Planned each time for what is asked: a plan for any words would read the words anew for each game.
    let row = sql.build().persistent(false).fetch_one(pool).await?;
    let facet = |name| row.try_get::<Json<FacetCounts>, _>(name).map(|Json(counts)| counts);
    Ok(SearchAnswer {
        facets_estimated: row.try_get("estimated")?,
        hits: hits(pool, table, row.try_get("page")?, by).await?,
        total: row.try_get("total")?,
        genres: facet("genres")?,
        tags: facet("tags")?,
        platforms: facet("platforms")?,
        age_ratings: facet("age_ratings")?,
    })
}

async fn hits(pool: &PgPool, table: &str, page: Vec<Uuid>, by: Option<&Match>) -> Result<Vec<Hit>, SearchError> {
    let highlight = match by {
        None => "document ->> 'title'".to_owned(),
        Some(_) => format!(
            "ts_headline('read.titles', document ->> 'title', to_tsquery('read.titles', $2),
                         'HighlightAll=true, StartSel={}, StopSel={}')",
            MARK.0, MARK.1
        ),
    };
    let rows = sqlx::query(&format!(
        "select document, {highlight} as highlight from unnest($1::uuid[]) with ordinality as page (game_id, n)
         join {table}_documents using (game_id) where $2 is not null order by n"
    ))
    .bind(page)
    .bind(by.map_or("", |by| by.query.as_str()))
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let Json(document): Json<Document> = row.try_get("document")?;
            Ok(Hit { game: document.game, highlight: marked(row.try_get("highlight")?) })
        })
        .collect()
}

/// The games that match the text, the price and the year; and whether each matches the filters that have counts.
fn matched(table: &str, query: &SearchQuery, by: Option<&Match>) -> QueryBuilder<'static, Postgres> {
    let mut sql = QueryBuilder::new("with matched as materialized (select game_id, genres, tags, platforms,");
    sql.push(" age_rating, price, sales, release_date, ");
    for (column, name, any_of) in
        [("genres", "genre", &query.genres), ("tags", "tag", &query.tags), ("platforms", "platform", &query.platforms)]
    {
        if any_of.is_empty() {
            sql.push("true");
        } else {
            sql.push(format!("{column} && ")).push_bind(any_of.clone());
        }
        sql.push(format!(" as {name}, "));
    }
    match query.age_max {
        None => sql.push("true"),
        Some(years) => sql.push("age_rating <= ").push_bind(years),
    };
    sql.push(" as age, ");
    match by {
        None => sql.push("0"),
        Some(by) => {
            sql.push("(folded_title = ").push_bind(by.folded.clone()).push(")::int * 8");
            sql.push(" + starts_with(folded_title, ").push_bind(by.folded.clone()).push(")::int * 4");
            // The same twice, where nothing is forgiven, would tell nothing apart.
            if by.likely != by.query {
                sql.push(" + (title_words @@ to_tsquery('read.titles', ")
                    .push_bind(by.likely.clone())
                    .push("))::int * 2");
            }
            sql.push(" + (title_words @@ to_tsquery('read.titles', ").push_bind(by.query.clone()).push("))::int")
        }
    };
    sql.push(format!(" as rank from {table} where true"));
    if let Some(by) = by {
        sql.push(" and words @@ to_tsquery('read.titles', ").push_bind(by.query.clone()).push(")");
    }
    if let Some(least) = query.price_min {
        sql.push(" and price >= ").push_bind(least);
    }
    if let Some(most) = query.price_max {
        sql.push(" and price <= ").push_bind(most);
    }
    if let Some(first) = query.year_min {
        sql.push(" and release_date >= make_date(").push_bind(first).push(", 1, 1)");
    }
    if let Some(last) = query.year_max {
        sql.push(" and release_date <= make_date(").push_bind(last).push(", 12, 31)");
    }
    if !query.excluding.is_empty() {
        sql.push(" and game_id <> all(").push_bind(query.excluding.clone()).push(")");
    }
    sql.push(") ");
    sql
}
