//! Explains from the best hit which words of a search were corrected or dropped.

use super::Words;
use super::folded::{folded, is_near};
use crate::games::GameView;

/// Another reading than what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What was searched for instead.
    pub text: String,
    /// Words that were dropped because no game matches them all.
    pub without: Vec<String>,
}

impl Reading {
    /// How the best hit was found; nothing where it has every word as it was typed, the last one perhaps unfinished.
    pub(super) fn of(typed: &str, best: &GameView, known: &Words) -> Option<Self> {
        let typed = folded(typed);
        let (title, compact) = (folded(&best.title), |text: &str| text.replace(' ', ""));
        let words: Vec<&str> =
            typed.split(' ').filter(|word| !known.stop_words.iter().any(|stop| stop == word)).collect();
        let texts = [&best.title, &best.description, &best.developer, &best.publisher];
        let labels = best.genres.iter().chain(&best.tags);
        let found = texts.into_iter().chain(labels).map(|text| folded(text)).collect::<Vec<_>>().join(" ");
        let found: Vec<&str> = found.split(' ').collect();
        let last = words.len().saturating_sub(1);
        let is_meant = |n: usize, word: &str| {
            found.contains(&word)
                || known.synonyms.contains_key(word)
                || (n == last && found.iter().any(|it| it.starts_with(word)))
        };
        if known.synonyms.contains_key(&typed) || words.iter().enumerate().all(|(n, word)| is_meant(n, word)) {
            return None;
        }
        // Spaces and a letter may be wrong at once, which no word shows by itself.
        if strsim::osa_distance(&compact(&typed), &compact(&title)) <= 1 {
            return Some(Self { text: best.title.clone(), without: vec![] });
        }
        let (mut text, mut without) = (Vec::new(), Vec::new());
        for (n, word) in words.iter().enumerate() {
            let near = || found.iter().filter(|it| is_near(word, it)).min_by_key(|it| strsim::osa_distance(word, it));
            let apart = || {
                let mut places = word.char_indices().filter_map(|(at, _)| word.split_at_checked(at));
                places.rfind(|(one, two)| found.contains(one) && found.contains(two))
            };
            match (if is_meant(n, word) { Some(word) } else { near() }, apart()) {
                (Some(meant), _) => text.push(*meant),
                (None, Some((one, two))) => text.extend([one, two]),
                (None, None) if compact(&title).contains(word) => text.push(word),
                (None, None) => without.push((*word).to_owned()),
            }
        }
        (!text.is_empty()).then(|| Self { text: text.join(" "), without })
    }
}

/// A title as HTML, with the words in `<mark>` that a search found.
pub(super) fn highlight(typed: &str, title: &str) -> String {
    let typed = folded(typed);
    let words: Vec<&str> = typed.split(' ').filter(|word| !word.is_empty()).collect();
    let is_found = |word: &str| {
        let word = folded(word);
        let last = words.last().is_some_and(|last| word.starts_with(last));
        !word.is_empty() && (last || words.iter().any(|typed| *typed == word || is_near(typed, &word)))
    };
    let mut html = String::new();
    let mut rest = title;
    while !rest.is_empty() {
        let is_word = rest.starts_with(char::is_alphanumeric);
        let end = rest.find(|c: char| c.is_alphanumeric() != is_word).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let text = html_escape::encode_text(part);
        let (before, after_it) = if is_word && is_found(part) { ("<mark>", "</mark>") } else { ("", "") };
        html.extend([before, &*text, after_it]);
        rest = after;
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(title: &str) -> GameView {
        let text = String::new;
        GameView {
            game_id: uuid::Uuid::nil(),
            title: title.to_owned(),
            description: "A quiet story.".to_owned(),
            developer: text(),
            publisher: text(),
            genres: vec!["Adventure".to_owned()],
            tags: vec![],
            platforms: vec![],
            release_date: None,
            age_rating: 0,
            price: 0,
            list_price: 0,
            promotion: None,
            currency: "BRL".to_owned(),
            retired: false,
            version: 1,
            created_at: chrono::DateTime::UNIX_EPOCH,
            sales: 0,
            sequence: 1,
        }
    }

    fn reading(typed: &str, title: &str) -> Option<(String, Vec<String>)> {
        let known = Words::parse(super::super::words::DEFAULT).unwrap();
        Reading::of(typed, &game(title), &known).map(|reading| (reading.text, reading.without))
    }

    #[test]
    fn what_was_found_as_typed_is_read_as_typed() {
        for typed in ["terra invicta", "Terra inv", "the terra", "terra adventure", "TERRA: quiet"] {
            assert_eq!(reading(typed, "Terra Invicta"), None, "{typed}");
        }
    }

    #[test]
    fn typos_spaces_and_words_that_nothing_has_are_told() {
        let read =
            |text: &str, without: &[&str]| Some((text.to_owned(), without.iter().map(|it| (*it).to_owned()).collect()));
        assert_eq!(reading("TerraInvicta", "Terra Invicta"), read("Terra Invicta", &[]));
        assert_eq!(reading("InvictaTerra", "Terra Invicta"), read("invicta terra", &[]));
        assert_eq!(reading("xyzzyx", "Terra Invicta"), None);
        assert_eq!(reading("last havn", "The Last Haven II"), read("last haven", &[]));
        assert_eq!(reading("haven zebra", "The Last Haven"), read("haven", &["zebra"]));
    }

    #[test]
    fn what_was_found_is_marked_and_the_rest_escaped() {
        assert_eq!(highlight("moves", "<b>Bold</b> Moves"), "&lt;b&gt;Bold&lt;/b&gt; <mark>Moves</mark>");
        assert_eq!(highlight("pao acu", "Pão & Açúcar"), "<mark>Pão</mark> &amp; <mark>Açúcar</mark>");
        assert_eq!(highlight("lantren", "Lantern"), "<mark>Lantern</mark>");
        assert_eq!(highlight("", "Lantern"), "Lantern");
    }
}
