/// The languages that the store speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Portuguese.
    Portuguese,
}

impl Language {
    /// The language of an `Accept-Language` header (RFC 9110, 12.5.4): of those that there are, the one that weighs most,
    /// and the first of such.
    #[must_use]
    pub fn preferred(header: &str) -> Self {
        let choices = header.split(',').filter_map(|choice| {
            let (tag, weight) = choice.split_once(';').unwrap_or((choice, "q=1"));
            let language = match tag.trim().to_lowercase() {
                tag if tag.starts_with("pt") => Self::Portuguese,
                tag if tag.starts_with("en") => Self::English,
                _ => return None,
            };
            Some((language, weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).unwrap_or_default()))
        });
        let better = |best: (Self, f32), choice: (Self, f32)| if choice.1 > best.1 { choice } else { best };
        choices.fold((Self::English, 0.0), better).0
    }

    /// As in `lang="…"`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Portuguese => "pt-BR",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Language::{self, English, Portuguese};

    #[test]
    fn of_the_languages_that_there_are_the_heaviest_is_spoken() {
        for (header, language) in [
            ("", English),
            ("pt-BR,pt;q=0.9,en;q=0.8", Portuguese),
            ("pt;q=0.1, en", English),
            ("fr, pt-BR;q=0.5", Portuguese),
            ("en, pt", English),
            ("pt;q=0", English),
            ("de", English),
        ] {
            assert_eq!(Language::preferred(header), language, "{header}");
        }
    }
}
