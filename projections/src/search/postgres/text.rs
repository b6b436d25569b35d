//! What was typed, as Postgres' text search wants it: each word with what else it may mean.

use super::super::Words;
use super::super::folded::folded;
use super::vocabulary::Dictionary;

/// The words of a search.
pub(super) struct Text {
    /// In lower case and without accents.
    pub(super) folded: String,
    /// Those that tell something.
    words: Vec<String>,
}

/// How a search is relaxed, step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relaxed {
    /// Words that the index does not have may be misspelt; words may be joined or split.
    UnknownWords,
    /// Any word may be misspelt.
    EveryWord,
    /// And what tells least is left out.
    WordsLeftOut,
}

/// What a word may mean: lexemes, or what must stand together.
type Meanings = Vec<String>;

impl Text {
    /// Nothing where no word was typed.
    pub(super) fn read(known: &Words, typed: &str) -> Option<Self> {
        let folded = folded(typed);
        let all: Vec<String> = folded.split_whitespace().map(str::to_owned).collect();
        let telling: Vec<String> = all.iter().filter(|word| !known.stop_words.contains(word)).cloned().collect();
        let words = if telling.is_empty() { all } else { telling };
        if words.is_empty() { None } else { Some(Self { folded, words }) }
    }

    /// Without spaces.
    pub(super) fn compact(&self) -> String {
        self.folded.replace(' ', "")
    }

    /// Every word stands somewhere, the last one perhaps unfinished; or a synonym does.
    pub(super) fn exact(&self, known: &Words) -> String {
        self.or_synonym(known, &all(self.all_themselves(known)))
    }

    /// What else may have been meant; nothing where that is the same.
    pub(super) fn relaxed(&self, how: Relaxed, known: &Words, dictionary: &Dictionary) -> Option<String> {
        let words = self.words.iter().enumerate();
        let meanings: Vec<Meanings> = words
            .map(|(n, word)| match how {
                Relaxed::UnknownWords if dictionary.has(word) => self.itself(known, n, word),
                _ => self.meanings(known, dictionary, n, word),
            })
            .collect();
        let apart = all(meanings.clone());
        let together = self.words.windows(2).enumerate();
        let together = together.filter_map(|(n, pair)| joined(&meanings, n, pair, dictionary));
        let query = self.or_synonym(known, &any(std::iter::once(apart).chain(together).collect()));
        (query != self.or_synonym(known, &any(vec![all(self.all_themselves(known))]))).then_some(query)
    }

    /// A query for each word by itself, as what it may have meant.
    pub(super) fn each_word(&self, known: &Words, dictionary: &Dictionary) -> Vec<String> {
        let words = self.words.iter().enumerate();
        words.map(|(n, word)| format!("({})", self.meanings(known, dictionary, n, word).join(" | "))).collect()
    }

    fn all_themselves(&self, known: &Words) -> Vec<Meanings> {
        self.words.iter().enumerate().map(|(n, word)| self.itself(known, n, word)).collect()
    }

    /// A word as it was typed. Words of letters and digits are never syntax.
    fn itself(&self, known: &Words, n: usize, word: &str) -> Meanings {
        let last = n.saturating_add(1) == self.words.len();
        let typed = if last { format!("{word}:*") } else { word.to_owned() };
        let synonyms = known.synonyms.get(word).into_iter().flatten().map(|synonym| phrase(synonym));
        std::iter::once(typed).chain(synonyms).collect()
    }

    fn meanings(&self, known: &Words, dictionary: &Dictionary, n: usize, word: &str) -> Meanings {
        let last = n.saturating_add(1) == self.words.len();
        let near = dictionary.near(word, last);
        let synonyms = near.iter().filter_map(|word| known.synonyms.get(word)).flatten().map(|synonym| phrase(synonym));
        let split = dictionary.split(word).into_iter().map(|(one, two)| format!("({one} & {two})"));
        let others: Meanings = synonyms.chain(split).collect();
        self.itself(known, n, word).into_iter().chain(near.clone()).chain(others).collect()
    }

    /// All words together may have a synonym as well.
    fn or_synonym(&self, known: &Words, query: &str) -> String {
        match known.synonyms.get(&self.words.join(" ")).filter(|_| self.words.len() > 1) {
            None => query.to_owned(),
            Some(phrases) => {
                any(std::iter::once(query.to_owned()).chain(phrases.iter().map(|it| phrase(it))).collect())
            }
        }
    }
}

/// The same meanings with word `n` and the next one together, or apart at another place; nothing where there is no such
/// word.
fn joined(meanings: &[Meanings], n: usize, pair: &[String], dictionary: &Dictionary) -> Option<String> {
    let both = pair.concat();
    let together = dictionary.has(&both).then(|| both.clone());
    let moved = dictionary.split(&both).into_iter().filter(|(one, _)| pair.first() != Some(one));
    let moved = moved.map(|(one, two)| format!("({one} & {two})"));
    let pair: Meanings = together.into_iter().chain(moved).collect();
    let (before, after) = (meanings.iter().take(n), meanings.iter().skip(n.saturating_add(2)));
    (!pair.is_empty()).then(|| all(before.cloned().chain([pair]).chain(after.cloned()).collect()))
}

fn phrase(words: &str) -> String {
    format!("({})", words.split_whitespace().collect::<Vec<_>>().join(" <-> "))
}

fn any(readings: Vec<String>) -> String {
    readings.iter().map(|reading| format!("({reading})")).collect::<Vec<_>>().join(" | ")
}

fn all(words: Vec<Meanings>) -> String {
    words.iter().map(|meanings| format!("({})", meanings.join(" | "))).collect::<Vec<_>>().join(" & ")
}
