//! In which language a problem is told: that of the request's `Accept-Language`. The texts stand in `problems.json`: what a
//! code means by the code; rules of fields, and what else is told with a value in it, by the English, with `{}` for the value.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use domain::Language;
use serde::Deserialize;

tokio::task_local! {
    static CURRENT: Language;
}

/// A text in both languages.
#[derive(Deserialize)]
pub(crate) struct Meaning {
    en: String,
    pt: String,
}

#[derive(Default, Deserialize)]
struct Texts {
    codes: BTreeMap<String, Meaning>,
    sentences: BTreeMap<String, String>,
}

// A test reads it.
static TEXTS: LazyLock<Texts> =
    LazyLock::new(|| serde_json::from_str(include_str!("problems.json")).unwrap_or_default());

/// The language of the request that is being answered.
pub(crate) fn current() -> Language {
    CURRENT.try_with(|language| *language).unwrap_or(Language::English)
}

/// Answers in a language.
pub(crate) async fn speaking<F: Future>(language: Language, answer: F) -> F::Output {
    CURRENT.scope(language, answer).await
}

/// What a code means; nothing where there is no such code.
pub(crate) fn meaning(code: &str) -> Option<&'static Meaning> {
    TEXTS.codes.get(code)
}

impl Meaning {
    /// In one of the languages.
    pub(crate) fn to(&self, language: Language) -> &str {
        match language {
            Language::English => &self.en,
            Language::Portuguese => &self.pt,
        }
    }
}

/// A rule of a field in the language of the request; in English where nobody has translated it.
pub(crate) fn rule(rule: &str) -> String {
    match current() {
        Language::English => rule.to_owned(),
        Language::Portuguese => in_portuguese(rule).unwrap_or_else(|| rule.to_owned()),
    }
}

/// What went wrong this time, in the language of the request; what its code means, where nobody has translated it.
pub(crate) fn detail(detail: String, meaning: &str) -> String {
    match current() {
        Language::English => detail,
        Language::Portuguese => {
            // What has a name in front of it is a rule of that: of a header, of a parameter.
            let named =
                || detail.split_once(' ').and_then(|(name, rule)| Some(format!("{name} {}", in_portuguese(rule)?)));
            in_portuguese(&detail).or_else(named).unwrap_or_else(|| meaning.to_owned())
        }
    }
}

fn in_portuguese(text: &str) -> Option<String> {
    let fitting =
        TEXTS.sentences.iter().filter_map(|(english, portuguese)| Some((english, portuguese, values(english, text)?)));
    // The one that leaves the least to be put in.
    let (_, portuguese, values) = fitting.max_by_key(|(english, ..)| english.len())?;
    let put_in = |text: String, value: &str| {
        // A rule may be told within a sentence.
        text.replacen("{}", &in_portuguese(value).unwrap_or_else(|| value.to_owned()), 1)
    };
    Some(values.into_iter().fold(portuguese.clone(), put_in))
}

/// What stands in a text in place of the `{}` of a template; nothing where it is another text.
fn values<'a>(template: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut fixed = template.split("{}");
    let mut rest = text.strip_prefix(fixed.next()?)?;
    let mut values = Vec::new();
    for fixed in fixed {
        let (value, behind) = if fixed.is_empty() { (rest, "") } else { rest.split_once(fixed)? };
        values.push(value);
        rest = behind;
    }
    rest.is_empty().then_some(values)
}

#[cfg(test)]
mod tests {
    use domain::game::{AgeRating, Percent, ReleaseDate};
    use domain::{BirthDate, Currency, Email, Label, Labels, Money, PersonName, Price, Title, UserId};

    use super::*;

    #[test]
    fn rules_are_told_in_portuguese_with_what_is_put_in() {
        for (english, portuguese) in [
            ("must be a UUID", "precisa ser um UUID"),
            ("must have at most 120 characters", "pode ter no máximo 120 caracteres"),
            ("must be between 1950 and 2100", "precisa estar entre 1950 e 2100"),
            ("must be 1 to 100 percent", "precisa ser de 1 a 100 por cento"),
            ("must be one of 0, 10, 12, 14, 16, 18", "precisa ser 0, 10, 12, 14, 16 ou 18"),
            ("must be in BRL, the store's currency", "precisa estar em BRL, a moeda da loja"),
            ("must be one of card, pix", "precisa ser um destes: card, pix"),
            (
                "the total cannot be charged: must not be negative",
                "o total não pode ser cobrado: não pode ser negativo",
            ),
            ("the id of the path must be a UUID", "o id do caminho precisa ser um UUID"),
        ] {
            assert_eq!(in_portuguese(english).as_deref(), Some(portuguese));
        }
        assert_eq!(in_portuguese("must be blue"), None);
    }

    #[test]
    fn every_rule_of_a_field_has_portuguese_words() {
        let day = |text: &str| text.parse().unwrap();
        let rules = [
            Title::parse("").unwrap_err().to_string(),
            PersonName::parse(&"x".repeat(200)).unwrap_err().to_string(),
            Label::parse("a\u{7}").unwrap_err().to_string(),
            Labels::parse((0..40).map(|n| n.to_string())).unwrap_err().to_string(),
            Email::parse("nowhere").unwrap_err().to_string(),
            BirthDate::parse(day("2999-01-01"), day("2026-01-01")).unwrap_err().to_string(),
            BirthDate::parse(day("1800-01-01"), day("2026-01-01")).unwrap_err().to_string(),
            AgeRating::parse(17).unwrap_err().to_string(),
            ReleaseDate::parse(day("1900-01-01")).unwrap_err().to_string(),
            Currency::parse("real").unwrap_err().to_string(),
            UserId::parse("7").unwrap_err().to_string(),
            Percent::try_from(200).unwrap_err().to_string(),
            Price::parse(Money { amount: -1, currency: Currency::BRL }, Currency::BRL).unwrap_err().to_string(),
            Price::parse(Money { amount: i64::MAX, currency: Currency::BRL }, Currency::BRL).unwrap_err().to_string(),
            "soon".parse::<journal::Position>().unwrap_err().to_string(),
            commands::Password::parse("short", &[]).unwrap_err().to_string(),
            commands::Password::parse("passwordpassword1", &[]).unwrap_err().to_string(),
        ];
        for rule in rules {
            assert!(in_portuguese(&rule).is_some(), "{rule}");
        }
    }
}
