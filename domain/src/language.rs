/// The languages that the store speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Portuguese.
    Portuguese,
}

impl Language {
    /// The language of an `Accept-Language` header (RFC 9110, 12.5.4): its first choice decides.
    #[must_use]
    pub fn preferred(header: &str) -> Self {
        if header.trim_start().to_lowercase().starts_with("pt") { Self::Portuguese } else { Self::English }
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
