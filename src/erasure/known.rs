use aho_corasick::{AhoCorasick, BuildError};
use anyhow::{Result, bail, ensure};

/// Shorter values are found by chance in anything.
const SHORTEST: usize = 4;

/// What was known of a person, in the forms in which it could be kept.
pub(super) struct Known {
    /// How many values there are.
    pub(super) values: usize,
    forms: AhoCorasick,
}

impl Known {
    /// Reads values, one a line.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let values: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        ensure!(!values.is_empty(), "--known has no values; write one a line: name, e-mail address, birth date");
        let short = (1..).zip(&values).find(|(_, value)| value.chars().count() < SHORTEST);
        if let Some((number, _)) = short {
            bail!("value {number} of --known has fewer than {SHORTEST} characters, and would be found by chance");
        }
        Ok(Self { values: values.len(), forms: automaton(&values)? })
    }

    /// Whether any of it is in a text or other bytes.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.is_match(bytes)
    }

    /// Whether any of it is in a file of any size.
    pub(super) fn is_in_file(&self, file: &std::fs::File) -> std::io::Result<bool> {
        self.forms.stream_find_iter(file).next().transpose().map(|found| found.is_some())
    }
}

/// As it is in capitals and small letters, escaped in JSON and in URLs, and in the hex of a `bytea`.
fn automaton(values: &[&str]) -> Result<AhoCorasick, BuildError> {
    let cased = values.iter().flat_map(|value| [(*value).to_owned(), value.to_lowercase(), value.to_uppercase()]);
    let forms = cased.flat_map(|value| [in_json(&value), in_url(&value), hex(&value), value]);
    AhoCorasick::builder().ascii_case_insensitive(true).build(forms)
}

fn in_json(value: &str) -> String {
    let escaped = |unit: u16| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
        Ok(_) | Err(_) => format!("\\u{unit:04x}"),
    };
    value.encode_utf16().map(escaped).collect()
}

fn in_url(value: &str) -> String {
    let escaped = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02x}")
        }
    };
    value.bytes().map(escaped).collect()
}

fn hex(value: &str) -> String {
    value.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_every_form_in_which_it_could_be_kept() {
        let known = Known::parse("Zenóbia of Palmyra\nzenobia@palmyra.example\n").unwrap();
        for kept in [
            "name: ZENÓBIA OF PALMYRA",
            r#"{"name":"Zen\u00f3bia of Palmyra"}"#,
            r#"{"name":"Zen\u00F3bia of Palmyra"}"#,
            "?email=zenobia%40palmyra.example",
            "\\x7a656e6f6269614070616c6d7972612e6578616d706c65",
        ] {
            assert!(known.is_in(kept.as_bytes()), "{kept}");
        }
        assert!(!known.is_in(b"Zenobia"));
    }

    #[test]
    fn what_would_be_found_by_chance_is_refused() {
        assert!(Known::parse("").is_err() && Known::parse("Zenobia\nAna\n").is_err());
    }
}
