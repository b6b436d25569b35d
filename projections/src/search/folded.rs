//! Text as searches compare it: lower case, without accents, words apart.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// In lower case, without accents, with a space for everything that is no letter and no digit.
#[must_use]
pub(super) fn folded(text: &str) -> String {
    let plain = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    let spaced: String = plain.map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How many typos a word may have: one from three letters on, two from seven.
///
/// Meilisearch's defaults, five and nine, leave one title in three unfound when a short word is misspelt.
pub(super) const TYPOS: (u8, u8) = (3, 7);

/// How many typos a word of so many letters may have.
pub(super) fn typos(letters: usize) -> u8 {
    let (one, two) = TYPOS;
    u8::from(letters >= one.into()).saturating_add(u8::from(letters >= two.into()))
}

/// Whether `typed` may have been meant as `word`.
pub(super) fn is_near(typed: &str, word: &str) -> bool {
    strsim::osa_distance(typed, word) <= typos(typed.chars().count()).into()
}
