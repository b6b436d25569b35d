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
    /// When it is none, or has other fields.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

/// The words that the store comes with.
pub const DEFAULT: &str = include_str!("words.json");
