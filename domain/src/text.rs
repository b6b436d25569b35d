//! Texts with bounds: parsed at the door, trusted inside.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Fewer visible characters than needed.
    #[error("must have at least {min} character(s)")]
    TooShort {
        /// The least there may be.
        min: usize,
    },
    /// More characters than allowed.
    #[error("must have at most {max} characters")]
    TooLong {
        /// The most there may be.
        max: usize,
    },
    /// A character that nobody can see, `\u{0}` included.
    #[error("must not contain control characters")]
    Control,
    /// More entries than a list may have.
    #[error("must have at most {max} entries")]
    TooMany {
        /// The most there may be.
        max: usize,
    },
}

/// `MIN` to `MAX` characters, trimmed, without control characters (line breaks only where `LINES`).
/// Read back as it was recorded, whatever the bounds are today.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Text<const MIN: usize, const MAX: usize, const LINES: bool = false>(String);

/// A game's title as shown in the catalogue.
pub type Title = Text<1, 120>;
/// What a game is about; may have paragraphs.
pub type Description = Text<0, 5000, true>;
/// A developer or a publisher; empty where unknown.
pub type Name = Text<0, 120>;
/// A genre, a tag or a platform.
pub type Label = Text<1, 40>;

impl<const MIN: usize, const MAX: usize, const LINES: bool> Text<MIN, MAX, LINES> {
    /// The least characters that there may be.
    pub const MIN: usize = MIN;
    /// The most characters that there may be.
    pub const MAX: usize = MAX;

    /// Trims and checks.
    ///
    /// # Errors
    /// [`InvalidText`] names the bound that was broken.
    pub fn parse(raw: &str) -> Result<Self, InvalidText> {
        let text = raw.trim();
        // What turns the direction of a line makes it read as another one.
        let turns = |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        let allowed = |c: char| (!c.is_control() && !turns(c)) || (LINES && matches!(c, '\n' | '\r' | '\t'));
        if !text.chars().all(allowed) {
            return Err(InvalidText::Control);
        }
        let is_seen =
            |c: &char| !matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}');
        if text.chars().filter(is_seen).count() < MIN {
            return Err(InvalidText::TooShort { min: MIN });
        }
        if text.chars().count() > MAX {
            return Err(InvalidText::TooLong { max: MAX });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize, const LINES: bool> fmt::Debug for Text<MIN, MAX, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MIN: usize, const MAX: usize, const LINES: bool> From<Text<MIN, MAX, LINES>> for String {
    fn from(text: Text<MIN, MAX, LINES>) -> Self {
        text.0
    }
}

/// At most [`Labels::MAX`] distinct labels, in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Labels(Vec<Label>);

impl Labels {
    /// How many a game may carry of each kind.
    pub const MAX: usize = 30;

    /// Parses each entry and drops repetitions.
    ///
    /// # Errors
    /// [`InvalidText`] for too many entries or the first bad one.
    pub fn parse<S: AsRef<str>>(raw: impl IntoIterator<Item = S>) -> Result<Self, InvalidText> {
        let mut labels: Vec<Label> = Vec::new();
        for entry in raw {
            let label = Label::parse(entry.as_ref())?;
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        if labels.len() > Self::MAX {
            return Err(InvalidText::TooMany { max: Self::MAX });
        }
        Ok(Self(labels))
    }

    /// Each label as text.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Label::as_str)
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.0.into_iter().map(String::from).collect()
    }
}
