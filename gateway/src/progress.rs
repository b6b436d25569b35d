//! How far each read model is, as its projector says: a read that waits for its own write costs Postgres nothing while
//! it waits.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use journal::Position;
use nats::{Nats, PROJECTED};
use projections::consistency::{self, PATIENCE, Standing};
use sqlx::PgPool;
use tokio::sync::watch;

const PAUSE: Duration = Duration::from_secs(1);
/// How long a read waits for the word before it asks Postgres, where the mirror is known to hold what it waits for.
const SOON: Duration = Duration::from_millis(100);

/// What was heard of the read models, by their names.
#[derive(Debug, Default, Clone)]
pub struct Progress(Arc<watch::Sender<HashMap<String, Position>>>);

/// What the mirror's own progress is called beside that of the read models.
const MIRROR: &str = "mirror";

impl Progress {
    /// Listens for as long as it is awaited.
    pub(crate) async fn listen(&self, nats: &Nats) -> Infallible {
        loop {
            match nats.questions(PROJECTED).await {
                Ok(mut words) => {
                    while let Some(word) = words.next().await {
                        self.hear(&word);
                    }
                }
                Err(error) => tracing::debug!(%error, "Nobody says how far read models are"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn hear(&self, word: &str) {
        let Some((names, position)) = word.rsplit_once(' ') else { return };
        let Ok(position) = position.parse::<Position>() else { return };
        self.reaches(names, position);
    }

    /// Takes note of how far the mirror was read: what stands there was recorded, and read models come to it.
    pub(crate) fn mirrored(&self, position: Position) {
        self.reaches(MIRROR, position);
    }

    fn reaches(&self, names: &str, position: Position) {
        self.0.send_modify(|known| {
            for name in names.split(' ') {
                let furthest = known.entry(name.to_owned()).or_default();
                *furthest = position.max(*furthest);
            }
        });
    }

    fn has(known: &HashMap<String, Position>, projection: &str, position: Position) -> bool {
        known.get(projection).is_some_and(|furthest| *furthest >= position)
    }

    /// Waits for a while until a read model has passed a position, and returns where it stands to it then.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn wait(&self, pool: &PgPool, projection: &str, position: Position) -> sqlx::Result<Standing> {
        // From before the question on, so that nothing is missed that is said while it is asked.
        let mut heard = self.0.subscribe();
        if Self::has(&heard.borrow(), projection, position) {
            return Ok(Standing::Passed);
        }
        // What the mirror holds is mostly in the read models before Postgres could say so.
        if Self::has(&heard.borrow(), MIRROR, position) {
            let soon = heard.wait_for(|known| Self::has(known, projection, position));
            if tokio::time::timeout(SOON, soon).await.is_ok() {
                return Ok(Standing::Passed);
            }
        }
        match consistency::standing(pool, projection, position).await? {
            Standing::Behind => (),
            known => return Ok(known),
        }
        let passed = heard.wait_for(|known| Self::has(known, projection, position));
        if tokio::time::timeout(PATIENCE, passed).await.is_ok() {
            return Ok(Standing::Passed);
        }
        // The word may have got lost.
        consistency::standing(pool, projection, position).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_comes_late_takes_nothing_back() {
        let progress = Progress::default();
        for word in ["games orders 1:7:3", "orders games 1:5:2", "nonsense", "library soon"] {
            progress.hear(word);
        }
        let known = progress.0.borrow();
        let at = |text: &str| text.parse::<Position>().unwrap();
        assert!(Progress::has(&known, "games", at("1:7:3")) && !Progress::has(&known, "games", at("1:7:4")));
        assert!(!Progress::has(&known, "library", at("1:1:1")));
    }
}
