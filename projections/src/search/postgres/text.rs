//! What was typed, as Postgres' text search wants it: each word with what else it may mean.

use sqlx::PgPool;

use super::super::Words;

/// How many words a misspelt one may mean.
const MEANT: usize = 20;
/// From how many letters on a word may have one typo, and two: those of Meilisearch's defaults.
const TYPOS: (usize, usize) = (5, 9);

/// A text with a space for everything that is no letter and no digit.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect()
}

/// The words of a search.
pub(super) struct Text {
    /// In lower case and without accents.
    pub(super) folded: String,
    words: Vec<String>,
}

impl Text {
    /// Nothing where no word was typed.
    pub(super) async fn read(pool: &PgPool, known: &Words, typed: &str) -> sqlx::Result<Option<Self>> {
        let folded: String = sqlx::query_scalar("select lower(unaccent($1))").bind(typed).fetch_one(pool).await?;
        // Afterwards, for `½` becomes `1/2` and `⑴` becomes `(1)`.
        let folded = plain(&folded);
        let all: Vec<String> = folded.split_whitespace().map(str::to_owned).collect();
        let telling: Vec<String> = all.iter().filter(|word| !known.stop_words.contains(word)).cloned().collect();
        let words = if telling.is_empty() { all } else { telling };
        let folded = folded.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(if words.is_empty() { None } else { Some(Self { folded, words }) })
    }

    /// Every word stands somewhere, the last one perhaps unfinished; or a synonym does.
    pub(super) fn exact(&self, known: &Words) -> String {
        let alternatives = self.words.iter().map(|word| vec![word.clone()]);
        self.query(known, &alternatives.collect::<Vec<_>>())
    }

    /// As [`Self::exact`], with each word also as what it may have been meant to be; and the same with what is likely:
    /// letters are left out more often than added. Nothing where that adds nothing.
    pub(super) async fn forgiving(&self, pool: &PgPool, known: &Words) -> sqlx::Result<Option<(String, String)>> {
        let mut alternatives = Vec::new();
        for (n, word) in self.words.iter().enumerate() {
            let last = n.saturating_add(1) == self.words.len();
            let mut meant = vec![word.clone()];
            meant.extend(similar(pool, word, last).await?);
            alternatives.push(meant);
        }
        let more = alternatives.iter().any(|meant| meant.len() > 1);
        Ok(more.then(|| {
            let all = self.query(known, &alternatives);
            for (meant, typed) in alternatives.iter_mut().zip(&self.words) {
                meant.retain(|word| word.chars().count() >= typed.chars().count());
            }
            (all, self.query(known, &alternatives))
        }))
    }

    /// Words of letters and digits are never syntax. The last word that was typed may be unfinished.
    fn query(&self, known: &Words, alternatives: &[Vec<String>]) -> String {
        let phrase = |phrase: &String| phrase.split_whitespace().collect::<Vec<_>>().join(" <-> ");
        let last = alternatives.len().saturating_sub(1);
        let every = alternatives.iter().enumerate().map(|(n, meant)| {
            let synonyms = meant.iter().filter_map(|word| known.synonyms.get(word)).flatten();
            let words = meant.iter().enumerate().map(|(m, word)| match (n == last, m) {
                (true, 0) => format!("{word}:*"),
                _ => word.clone(),
            });
            format!("({})", words.chain(synonyms.map(phrase)).collect::<Vec<_>>().join(" | "))
        });
        let together = every.collect::<Vec<_>>().join(" & ");
        match known.synonyms.get(&self.words.join(" ")).filter(|_| self.words.len() > 1) {
            None => together,
            Some(phrases) => format!("({together}) | {}", phrases.iter().map(phrase).collect::<Vec<_>>().join(" | ")),
        }
    }
}

/// Words that the index has and that differ by as many typos as a word of this length may have.
async fn similar(pool: &PgPool, word: &str, unfinished: bool) -> sqlx::Result<Vec<String>> {
    let letters = word.chars().count();
    let typos = if letters >= TYPOS.1 { 2 } else { usize::from(letters >= TYPOS.0) };
    if typos == 0 || word.len() > 60 {
        return Ok(Vec::new());
    }
    // Two neighbours that changed places are one typo, but two edits to Levenshtein.
    let edits = i32::try_from(typos.saturating_add(1)).unwrap_or(3);
    let letters = i32::try_from(letters).unwrap_or(i32::MAX);
    let near: Vec<String> = sqlx::query_scalar(
        "select word from read.search_words
         where (letters between $2 - $3 and $2 + $3 and levenshtein_less_equal(word, $1, $3) <= $3)
            or ($4 and letters > $2 + $3 and left(word, 1) = left($1, 1)
                and levenshtein_less_equal(left(word, $2), $1, $3) <= $3)
         order by levenshtein_less_equal(word, $1, $3), word limit 200",
    )
    .bind(word)
    .bind(letters)
    .bind(edits)
    .bind(unfinished)
    .fetch_all(pool)
    .await?;
    let within = |candidate: &str| strsim::osa_distance(candidate, word) <= typos;
    let (whole, others): (Vec<String>, Vec<String>) = near
        .into_iter()
        .filter(|other| other != word && other.chars().all(char::is_alphanumeric))
        .partition(|candidate| within(candidate));
    // Beginnings only where no whole word is near: they mean so much that they mean little.
    let begins = |candidate: &String| {
        let start = |letters: i32| candidate.chars().take(usize::try_from(letters).unwrap_or(0)).collect::<String>();
        [letters.saturating_sub(1), letters, letters.saturating_add(1)].iter().any(|n| within(&start(*n)))
    };
    let meant = if whole.is_empty() && unfinished { others.into_iter().filter(begins).collect() } else { whole };
    Ok(meant.into_iter().take(MEANT).collect())
}
