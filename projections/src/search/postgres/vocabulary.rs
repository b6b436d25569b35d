//! Every word that titles, labels and makers have: what a misspelt, joined or split word may have meant.

use std::sync::{Arc, LazyLock};

use fst::{IntoStreamer, Set, Streamer};
use levenshtein_automata::LevenshteinAutomatonBuilder;
use sqlx::PgPool;
use tokio::sync::Mutex;

use super::super::SearchError;
use super::super::folded::typos;

// Made once: that takes long, while an automaton for a word is made of it at once.
static ONE_TYPO: LazyLock<LevenshteinAutomatonBuilder> = LazyLock::new(|| LevenshteinAutomatonBuilder::new(1, true));
static TWO_TYPOS: LazyLock<LevenshteinAutomatonBuilder> = LazyLock::new(|| LevenshteinAutomatonBuilder::new(2, true));

/// How many words a misspelt one may mean.
const MEANT: usize = 20;

/// The words of the index, kept in memory; they only become more.
#[derive(Clone, Default)]
pub(super) struct Vocabulary(Arc<Mutex<Known>>);

struct Known {
    words: Arc<Dictionary>,
    /// The number of the last word.
    last: i64,
}

impl Default for Known {
    fn default() -> Self {
        Self { words: Arc::new(Dictionary(Set::default())), last: -1 }
    }
}

/// Sorted words, searched by automata.
pub(super) struct Dictionary(Set<Vec<u8>>);

impl Vocabulary {
    /// All words that the index has by now.
    pub(super) async fn read(&self, pool: &PgPool) -> Result<Arc<Dictionary>, SearchError> {
        let mut known = self.0.lock().await;
        // One writer at a time gives the numbers, so none comes later than a higher one.
        let new: Vec<(String, i64)> = sqlx::query_as("select word, n from read.search_words where n > $1")
            .bind(known.last)
            .fetch_all(pool)
            .await?;
        if let Some(last) = new.iter().map(|(_, n)| *n).max() {
            let mut words: Vec<String> = known.words.0.stream().into_strs()?;
            words.extend(new.into_iter().map(|(word, _)| word));
            words.sort_unstable();
            words.dedup();
            *known = Known { words: Arc::new(Dictionary(Set::from_iter(words)?)), last };
        }
        Ok(known.words.clone())
    }
}

impl Dictionary {
    pub(super) fn has(&self, word: &str) -> bool {
        self.0.contains(word)
    }

    /// Words that are as near as a word of this length allows, the nearest first. Of an unfinished word beginnings are
    /// compared only if no whole word is near: prefixes match too many words to be useful.
    pub(super) fn near(&self, word: &str, is_unfinished: bool) -> Vec<String> {
        let most = typos(word.chars().count());
        let whole = (1..=most).map(|typos| self.within(word, typos, false)).find(|near| !near.is_empty());
        match whole {
            Some(near) => near,
            None if is_unfinished && most > 0 => self.within(word, 1, true),
            None => Vec::new(),
        }
    }

    /// A joined word as two that there are, in every way. Of single letters there are too many.
    pub(super) fn split(&self, word: &str) -> Vec<(String, String)> {
        let places = word.char_indices().map(|(at, _)| at);
        let pairs = places.filter_map(|at| word.split_at_checked(at));
        let pairs = pairs.filter(|(one, two)| one.chars().nth(1).is_some() && two.chars().nth(1).is_some());
        let pairs = pairs.filter(|(one, two)| self.has(one) && self.has(two));
        pairs.map(|(one, two)| (one.to_owned(), two.to_owned())).collect()
    }

    fn within(&self, word: &str, typos: u8, is_unfinished: bool) -> Vec<String> {
        let builder = if typos > 1 { &*TWO_TYPOS } else { &*ONE_TYPO };
        let automaton = if is_unfinished { builder.build_prefix_dfa(word) } else { builder.build_dfa(word) };
        let mut found = self.0.search(&automaton).into_stream();
        let mut near = Vec::new();
        while let Some(bytes) = found.next() {
            near.extend(std::str::from_utf8(bytes).ok().filter(|other| *other != word).map(str::to_owned));
        }
        // Letters are left out more often than added.
        near.sort_by_key(|other| (strsim::osa_distance(other, word), other.len() < word.len()));
        near.truncate(MEANT);
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary() -> Dictionary {
        Dictionary(Set::from_iter(["book", "constellation", "haven", "invicta", "lantern", "terra", "the"]).unwrap())
    }

    #[test]
    fn short_words_may_have_a_typo_and_long_ones_two() {
        let near = |word: &str| dictionary().near(word, false);
        assert_eq!(
            (near("bok"), near("th"), near("lantren")),
            (vec!["book".to_owned()], vec![], vec!["lantern".to_owned()])
        );
        assert_eq!(near("constelatoin"), ["constellation"]);
        assert_eq!(near("havn"), ["haven"]);
        assert_eq!(dictionary().near("constalla", true), ["constellation"]);
    }

    #[test]
    fn joined_words_come_apart() {
        assert_eq!(dictionary().split("terrainvicta"), [("terra".to_owned(), "invicta".to_owned())]);
        assert_eq!(dictionary().split("zebra"), []);
    }
}
