use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::Datelike;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use uuid::Uuid;

use super::folded::folded;
use super::{SearchEngine, SearchError};
use crate::games::{COLUMNS, GameView};

/// How many documents are read at once.
const PAGE: i64 = 1_000;

/// A game as the index holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The game.
    #[serde(flatten)]
    pub game: GameView,
    /// The year of its release, for filters.
    pub release_year: Option<i32>,
    /// Its title in one word: what finds it with its spaces in other places.
    #[serde(default)]
    pub compact: String,
}

impl From<GameView> for Document {
    fn from(game: GameView) -> Self {
        let compact = folded(&game.title).replace(' ', "");
        Self { release_year: game.release_date.map(|date| date.year()), compact, game }
    }
}

impl Document {
    fn digest(&self) -> Result<u64, serde_json::Error> {
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(self)?.hash(&mut hasher);
        Ok(hasher.finish())
    }
}

/// What the index holds, and what it should hold by the catalogue: a digest of each document.
///
/// # Errors
/// When the engine or the database does not answer.
pub async fn digests(
    engine: &SearchEngine,
    pool: &PgPool,
) -> Result<(HashMap<Uuid, u64>, HashMap<Uuid, u64>), SearchError> {
    let mut held = HashMap::new();
    let mut offset = 0_i64;
    loop {
        let page = engine.documents(offset, PAGE).await?;
        for document in &page {
            held.insert(document.game.game_id, document.digest()?);
        }
        if page.is_empty() {
            break;
        }
        offset = offset.saturating_add(PAGE);
    }
    let mut wanted = HashMap::new();
    let mut after = Uuid::nil();
    loop {
        let page: Vec<GameView> = sqlx::query_as(&format!(
            "select {COLUMNS} from read.games where not retired and game_id > $1 order by game_id limit $2"
        ))
        .bind(after)
        .bind(PAGE)
        .fetch_all(pool)
        .await?;
        let Some(last) = page.last() else { break };
        after = last.game_id;
        for game in page {
            wanted.insert(game.game_id, Document::from(game).digest()?);
        }
    }
    Ok((held, wanted))
}
