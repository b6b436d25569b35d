use serde_json::{Value, json};

/// What kind of search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub(super) enum Kind {
    /// A word of a title, half typed.
    #[strum(to_string = "half a word")]
    HalfWord,
    /// A word of a title with a letter left out, within a genre.
    #[strum(to_string = "typo in a genre")]
    TypoInGenre,
    /// A title as it is.
    #[strum(to_string = "exact title")]
    Exact,
    /// The first two thirds of a title.
    #[strum(to_string = "two thirds")]
    TwoThirds,
    #[strum(to_string = "letter left out")]
    LeftOut,
    #[strum(to_string = "letter doubled")]
    Doubled,
    #[strum(to_string = "letters swapped")]
    Swapped,
    #[strum(to_string = "letter wrong")]
    Wrong,
    #[strum(to_string = "space lost")]
    SpaceLost,
    #[strum(to_string = "space added")]
    SpaceAdded,
}

impl Kind {
    /// Searches for words, of which many games have each.
    pub(super) const PLAIN: [Self; 2] = [Self::HalfWord, Self::TypoInGenre];
    /// Searches for one title.
    pub(super) const TITLES: [Self; 8] = [
        Self::Exact,
        Self::TwoThirds,
        Self::LeftOut,
        Self::Doubled,
        Self::Swapped,
        Self::Wrong,
        Self::SpaceLost,
        Self::SpaceAdded,
    ];
}

/// What somebody searches for.
pub(super) struct Question {
    pub(super) text: String,
    pub(super) genre: Option<String>,
    /// The title that was meant.
    pub(super) wanted: Option<String>,
}

/// At which place of an answer a title is; titles that are equal are the same.
pub(super) fn place(answer: &Value, wanted: &str) -> Option<usize> {
    let hits = answer.get("items").and_then(Value::as_array)?;
    hits.iter().position(|hit| hit.get("title").and_then(Value::as_str) == Some(wanted))
}

impl Question {
    pub(super) fn of_gateway(&self, http: &reqwest::Client, url: &str) -> reqwest::RequestBuilder {
        let request = http.get(format!("{url}/jogos/busca")).query(&[("q", &self.text)]);
        match &self.genre {
            Some(genre) => request.query(&[("genre", genre)]),
            None => request,
        }
    }

    /// The request that the gateway's engine makes of it.
    pub(super) fn of_meilisearch(
        &self,
        http: &reqwest::Client,
        url: &str,
        key: &str,
        index: &str,
    ) -> reqwest::RequestBuilder {
        let filter = self.genre.as_ref().map(|genre| format!("genres IN [\"{genre}\"]"));
        let mut queries = vec![json!({
            "indexUid": index, "q": self.text, "filter": filter, "limit": 20, "offset": 0,
            "facets": ["genres", "tags", "platforms", "age_rating"], "matchingStrategy": "all",
        })];
        if filter.is_some() {
            queries.push(json!({
                "indexUid": index, "q": self.text, "limit": 0, "facets": ["genres"], "matchingStrategy": "all",
            }));
        }
        http.post(format!("{url}/multi-search")).bearer_auth(key).json(&json!({ "queries": queries }))
    }
}
