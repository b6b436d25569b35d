//! How many games were found, and how many of them carry each label.

use sqlx::types::Json;
use sqlx::{PgPool, QueryBuilder, Row};

use super::super::{FACET_VALUES, FacetCounts, SearchAnswer, SearchError, SearchQuery};
use super::{Conditions, Match};

/// Above this many matches, facets are estimated from a sample: counting all takes as long as finding them.
const SAMPLE: i64 = 2_000;

/// How much was found.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    /// Whatever labels are chosen.
    games: i64,
    /// With the labels that are chosen.
    pub(super) total: i64,
}

pub(super) async fn count(pool: &PgPool, table: &str, query: &SearchQuery, by: Option<&Match>) -> sqlx::Result<Counts> {
    let mut sql = QueryBuilder::new("select count(*) as games, count(*) filter (where true");
    let conditions = Conditions { query, by };
    conditions.labels(&mut sql, " and ", false);
    sql.push(format!(") as total from {table} where "));
    conditions.text(&mut sql);
    conditions.bounds(&mut sql);
    let row = sql.build().persistent(false).fetch_one(pool).await?;
    Ok(Counts { games: row.try_get("games")?, total: row.try_get("total")? })
}

/// Each facet ignores its own filter, so that a buyer sees what else there is to choose.
pub(super) async fn facets(
    pool: &PgPool,
    table: &str,
    query: &SearchQuery,
    by: Option<&Match>,
    found: Counts,
) -> Result<SearchAnswer, SearchError> {
    let conditions = Conditions { query, by };
    let mut sql = QueryBuilder::new("with counted as materialized (select genres, tags, platforms, age_rating");
    conditions.labels(&mut sql, ", ", true);
    sql.push(format!(" from {table} where "));
    conditions.text(&mut sql);
    conditions.bounds(&mut sql);
    // A limit would make the planner read the whole table for the few games there are.
    if found.games > SAMPLE {
        sql.push(format!(" limit {SAMPLE}"));
    }
    sql.push(") select ");
    for (n, (facet, labels, others)) in [
        ("genres", "unnest(genres)", "tag and platform and age"),
        ("tags", "unnest(tags)", "genre and platform and age"),
        ("platforms", "unnest(platforms)", "genre and tag and age"),
        ("age_ratings", "cast(age_rating as text)", "genre and tag and platform"),
    ]
    .into_iter()
    .enumerate()
    {
        sql.push(format!(
            "{} (select coalesce(jsonb_object_agg(label, games), '{{}}') from
                 (select {labels} as label, count(*) as games from counted where {others} group by label
                  order by games desc, label limit {FACET_VALUES}) as labels) as {facet}",
            if n == 0 { "" } else { "," }
        ));
    }
    let row = sql.build().persistent(false).fetch_one(pool).await?;
    let facet = |name| row.try_get::<Json<FacetCounts>, _>(name).map(|Json(counts)| scaled(counts, found.games));
    Ok(SearchAnswer {
        genres: facet("genres")?,
        tags: facet("tags")?,
        platforms: facet("platforms")?,
        age_ratings: facet("age_ratings")?,
        facets_estimated: found.games > SAMPLE,
        ..SearchAnswer::default()
    })
}

/// What was counted of a sample, for all.
fn scaled(mut counts: FacetCounts, games: i64) -> FacetCounts {
    if games > SAMPLE {
        for count in counts.values_mut() {
            *count = count.saturating_mul(games).saturating_add(SAMPLE / 2).saturating_div(SAMPLE);
        }
    }
    counts
}
