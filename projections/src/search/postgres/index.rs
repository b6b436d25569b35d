//! The index on Postgres: two tables, one of which is live; each with a table of the documents that it finds.

use serde::Serialize;
use sqlx::types::Json;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::super::folded::folded;
use super::super::{Document, SearchError, Side};

/// The table of a side.
pub(super) async fn table(pool: &PgPool, side: Side) -> sqlx::Result<&'static str> {
    let live: String = sqlx::query_scalar("select side::text from read.search_live").fetch_one(pool).await?;
    Ok(match (live.as_str(), side) {
        ("a", Side::Live) | ("b", Side::Next) => "read.search_a",
        _ => "read.search_b",
    })
}

/// The words of a game by weight: title, labels, makers, description.
const WORDS: &str = "setweight(to_tsvector('read.titles', title), 'A')
    || setweight(to_tsvector('read.titles', labels), 'B')
    || setweight(to_tsvector('read.titles', makers), 'C')
    || setweight(to_tsvector('read.titles', description), 'D')";

/// A document, and its texts as searches compare them: what is typed is split at punctuation too, so `F.I.S.T.` finds
/// itself.
#[derive(Serialize)]
struct Entry<'a> {
    document: &'a Document,
    title: String,
    labels: String,
    makers: String,
    description: String,
}

impl<'a> Entry<'a> {
    fn of(document: &'a Document) -> Self {
        let game = &document.game;
        Self {
            document,
            title: folded(&game.title),
            labels: folded(&[game.genres.join(" "), game.tags.join(" ")].join(" ")),
            makers: folded(&[game.developer.as_str(), &game.publisher].join(" ")),
            description: folded(&game.description),
        }
    }
}

pub(in super::super) async fn write(
    pool: &PgPool,
    side: Side,
    documents: &[Document],
    retired: &[Uuid],
) -> Result<(), SearchError> {
    let table = table(pool, side).await?;
    let mut tx = pool.begin().await?;
    sqlx::query(&format!(
        "with given as materialized (
           select fields.*, given.* from jsonb_to_recordset($1) as given
                    (document jsonb, title text, labels text, makers text, description text),
                  jsonb_to_record(document) as fields
                    (game_id uuid, sequence bigint, genres text[], tags text[], platforms text[], release_date date,
                     age_rating int, price bigint, sales bigint)),
         written as (
           insert into {table} as old
             (game_id, sequence, folded_title, genres, tags, platforms, release_date, age_rating, price, sales, words,
              title_words)
           select game_id, sequence, title, genres, tags, platforms, release_date, age_rating, price,
                  sales, {WORDS}, to_tsvector('read.titles', title)
           from given
           on conflict (game_id) do update set
             sequence = excluded.sequence, folded_title = excluded.folded_title, genres = excluded.genres,
             tags = excluded.tags, platforms = excluded.platforms, release_date = excluded.release_date,
             age_rating = excluded.age_rating, price = excluded.price, sales = excluded.sales, words = excluded.words,
             title_words = excluded.title_words
           where old.sequence < excluded.sequence
           returning game_id, words),
         documented as (
           insert into {table}_documents (game_id, document)
           select game_id, document from given join written using (game_id)
           on conflict (game_id) do update set document = excluded.document)
         insert into read.search_words (word)
         select distinct lexeme from written, unnest(tsvector_to_array(ts_filter(words, '{{a,b,c}}'))) as lexeme
         where octet_length(lexeme) <= 60
         on conflict do nothing"
    ))
    .bind(Json(documents.iter().map(Entry::of).collect::<Vec<_>>()))
    .execute(&mut *tx)
    .await?;
    for table in [table, &format!("{table}_documents")] {
        sqlx::query(&format!("delete from {table} where game_id = any($1)")).bind(retired).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

pub(in super::super) async fn begin(pool: &PgPool) -> Result<(), SearchError> {
    let table = table(pool, Side::Next).await?;
    // Not truncated: a search that began before the last swap may still read it.
    sqlx::query(&format!("delete from {table}_documents")).execute(pool).await?;
    sqlx::query(&format!("delete from {table}")).execute(pool).await?;
    Ok(())
}

pub(in super::super) async fn swap(pool: &PgPool) -> Result<(), SearchError> {
    sqlx::query("update read.search_live set side = case side when 'a' then 'b' else 'a' end").execute(pool).await?;
    Ok(())
}

pub(in super::super) async fn documents(pool: &PgPool, offset: i64, limit: i64) -> Result<Vec<Document>, SearchError> {
    let table = table(pool, Side::Live).await?;
    let rows = sqlx::query(&format!("select document from {table}_documents order by game_id limit $1 offset $2"))
        .bind(limit)
        .bind(offset)
        .fetch_all(pool)
        .await?;
    let documents = rows.iter().map(|row| row.try_get::<Json<Document>, _>("document").map(|Json(document)| document));
    Ok(documents.collect::<Result<_, _>>()?)
}
