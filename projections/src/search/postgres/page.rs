//! The hits of a page, best first.

use sqlx::types::Json;
use sqlx::{PgPool, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use super::super::{Document, SearchError, SearchQuery, Sort};
use super::{Conditions, Match};
use crate::games::GameView;

/// What is new comes first among what sells alike.
const BY_SALES: &str = "sales desc, release_date desc nulls last, game_id";
/// Up to this many matches are ranked in one query; beyond that, the page is filled place by place.
const FEW: i64 = 2_000;

pub(super) async fn hits(
    pool: &PgPool,
    table: &str,
    query: &SearchQuery,
    by: Option<&Match>,
    total: i64,
) -> Result<Vec<GameView>, SearchError> {
    let ids = match by.filter(|_| query.sort == Sort::Relevance) {
        Some(by) if total <= FEW => all_ranked(pool, table, query, by).await?,
        Some(by) => place_by_place(pool, table, query, by).await?,
        None => sorted(pool, table, query, by).await?,
    };
    let rows = sqlx::query(&format!(
        "select document from unnest($1::uuid[]) with ordinality as page (game_id, n)
         join {table}_documents using (game_id) order by n"
    ))
    .bind(ids)
    .fetch_all(pool)
    .await?;
    let documents = rows.iter().map(|row| row.try_get::<Json<Document>, _>("document"));
    Ok(documents.map(|document| document.map(|Json(document)| document.game)).collect::<Result<_, _>>()?)
}

/// Every game by the most telling place where it has the text.
async fn all_ranked(pool: &PgPool, table: &str, query: &SearchQuery, by: &Match) -> sqlx::Result<Vec<Uuid>> {
    // Kept apart, or the limit would make the planner walk through all games by their sales.
    let mut sql = QueryBuilder::new("with found as materialized (select game_id, sales, release_date, case");
    for (n, place) in PLACES.into_iter().enumerate() {
        sql.push(" when ");
        place.condition(&mut sql, by);
        sql.push(format!(" then {n}"));
    }
    sql.push(format!(" end as place from {table} where "));
    let conditions = Conditions { query, by: Some(by) };
    conditions.text(&mut sql);
    conditions.labels_and_bounds(&mut sql);
    sql.push(") select game_id from found order by place, array_position(").push_bind(by.titles.clone());
    sql.push(format!(", game_id), {BY_SALES} limit ")).push_bind(query.limit).push(" offset ").push_bind(query.offset);
    sql.build_query_scalar().persistent(false).fetch_all(pool).await
}

/// Place by place until the page is full: many games need no more than titles.
async fn place_by_place(pool: &PgPool, table: &str, query: &SearchQuery, by: &Match) -> sqlx::Result<Vec<Uuid>> {
    let (skipped, wanted) = (query.offset, query.offset.saturating_add(query.limit));
    let mut ids = Vec::new();
    let mut places_before: Vec<Place> = Vec::new();
    for place in PLACES {
        let left = wanted.saturating_sub(i64::try_from(ids.len()).unwrap_or(i64::MAX));
        if left <= 0 {
            break;
        }
        // Titles have an index; of labels the planner may walk through the best sellers instead.
        let kind = if place.has_an_index() { "materialized" } else { "not materialized" };
        let mut sql = QueryBuilder::new(format!("with found as {kind} (select * from {table} where "));
        place.condition(&mut sql, by);
        for before in &places_before {
            sql.push(" and not ");
            before.condition(&mut sql, by);
        }
        Conditions { query, by: Some(by) }.labels_and_bounds(&mut sql);
        sql.push(") select game_id from found order by ");
        if matches!(place, Place::WholeTitle) {
            sql.push("array_position(").push_bind(by.titles.clone()).push(", game_id), ");
        }
        sql.push(format!("{BY_SALES} limit ")).push_bind(left);
        ids.extend(sql.build_query_scalar::<Uuid>().persistent(false).fetch_all(pool).await?);
        places_before.push(place);
    }
    Ok(ids.into_iter().skip(usize::try_from(skipped).unwrap_or(0)).collect())
}

async fn sorted(pool: &PgPool, table: &str, query: &SearchQuery, by: Option<&Match>) -> sqlx::Result<Vec<Uuid>> {
    let mut sql = QueryBuilder::new(format!("select game_id from {table} where "));
    let conditions = Conditions { query, by };
    conditions.text(&mut sql);
    conditions.labels_and_bounds(&mut sql);
    sql.push(" order by ");
    sql.push(match query.sort {
        Sort::Relevance | Sort::Popular => BY_SALES,
        Sort::Cheapest => "price, sales desc, game_id",
        Sort::MostExpensive => "price desc, sales desc, game_id",
        Sort::Newest => "release_date desc nulls last, sales desc, game_id",
    });
    sql.push(" limit ").push_bind(query.limit).push(" offset ").push_bind(query.offset);
    sql.build_query_scalar().persistent(false).fetch_all(pool).await
}

/// Where a text may stand, from the most telling place to the least.
#[derive(Clone, Copy)]
enum Place {
    /// The whole title is it, or a typo away from it.
    WholeTitle,
    /// The title begins with it.
    Beginning,
    Title,
    Labels,
    Makers,
    Description,
}

const PLACES: [Place; 6] =
    [Place::WholeTitle, Place::Beginning, Place::Title, Place::Labels, Place::Makers, Place::Description];

impl Place {
    /// Whether the text stands there.
    fn condition(self, sql: &mut QueryBuilder<'static, Postgres>, by: &Match) {
        let (column, query) = match self {
            Self::WholeTitle => {
                sql.push("game_id = any(").push_bind(by.titles.clone()).push(")");
                return;
            }
            Self::Beginning => {
                sql.push("folded_title like ").push_bind(format!("{}%", by.folded));
                return;
            }
            Self::Title => ("title_words", by.query.clone()),
            Self::Labels => ("words", weighed(&by.query, "AB")),
            Self::Makers => ("words", weighed(&by.query, "ABC")),
            Self::Description => ("words", by.query.clone()),
        };
        sql.push(format!("{column} @@ to_tsquery('read.titles', ")).push_bind(query).push(")");
    }

    fn has_an_index(self) -> bool {
        matches!(self, Self::WholeTitle | Self::Beginning | Self::Title)
    }
}

/// A query whose words must stand where one of `weights` is given: A in titles, B in labels, C in makers' names.
fn weighed(query: &str, weights: &str) -> String {
    let mut weighed = String::new();
    let mut rest = query;
    while let Some(at) = rest.find(char::is_alphanumeric) {
        let (before, word) = rest.split_at(at);
        let end = word.find(|c: char| !c.is_alphanumeric()).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        let (mark, after) = after.strip_prefix(":*").map_or((":", after), |after| (":*", after));
        weighed.extend([before, word, mark, weights]);
        rest = after;
    }
    weighed + rest
}

impl Conditions<'_> {
    fn labels_and_bounds(&self, sql: &mut QueryBuilder<'static, Postgres>) {
        self.labels(sql, " and ", false);
        self.bounds(sql);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_query_is_weighed() {
        assert_eq!(weighed("((last) & (hav:* | (a <-> b)))", "AB"), "((last:AB) & (hav:*AB | (a:AB <-> b:AB)))");
    }
}
