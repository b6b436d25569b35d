//! What the store knows of its customers' words: which mean the same, and which mean nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Synonyms and stop words, in lower case and without accents.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// What somebody types, and what else may be meant by it.
    pub synonyms: BTreeMap<String, Vec<String>>,
    /// Words that are passed over, unless nothing else was typed.
    pub stop_words: Vec<String>,
}

impl Words {
    /// Reads them from JSON: `{"synonyms": {"rpg": ["role playing"]}, "stop_words": ["the"]}`.
    ///
    /// # Errors
    /// [`InvalidWords`] when it is not such JSON, or a word is more than letters, digits and spaces.
    pub fn parse(json: &str) -> Result<Self, InvalidWords> {
        let words: Self = serde_json::from_str(json)?;
        let is_plain =
            |text: &&String| text.chars().all(|c| c.is_alphanumeric() || c == ' ') && !text.trim().is_empty();
        let synonyms = words.synonyms.iter().flat_map(|(word, others)| std::iter::once(word).chain(others));
        match synonyms.chain(&words.stop_words).find(|text| !is_plain(text)) {
            Some(text) => Err(InvalidWords::NotPlain(text.clone())),
            None => Ok(words),
        }
    }
}

/// Words that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidWords {
    /// Not the JSON that is wanted.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// More than letters, digits and spaces.
    #[error("`{0}` must be letters, digits and spaces")]
    NotPlain(String),
}

/// The words that the store comes with.
pub const DEFAULT: &str = include_str!("words.json");
