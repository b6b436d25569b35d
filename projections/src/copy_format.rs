//! Rows in the text format of PostgreSQL's `COPY` ("COPY", File Formats).

use serde_json::{Map, Value};

/// A line for each row, its columns in the order given; `arrays` are those that Postgres keeps as arrays of texts.
pub(crate) fn lines(columns: &[&str], arrays: &[&str], rows: &[Map<String, Value>]) -> String {
    let mut lines = String::new();
    for row in rows {
        for (n, column) in columns.iter().enumerate() {
            if n > 0 {
                lines.push('\t');
            }
            match row.get(*column) {
                None | Some(Value::Null) => lines.push_str("\\N"),
                Some(Value::String(text)) => escape(text, &mut lines),
                Some(Value::Array(items)) if arrays.contains(column) => escape(&array(items), &mut lines),
                Some(other) => escape(&other.to_string(), &mut lines),
            }
        }
        lines.push('\n');
    }
    lines
}

fn escape(text: &str, into: &mut String) {
    if !text.contains(['\\', '\t', '\n', '\r']) {
        return into.push_str(text);
    }
    for c in text.chars() {
        match c {
            '\\' => into.push_str("\\\\"),
            '\t' => into.push_str("\\t"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            other => into.push(other),
        }
    }
}

/// Each text in quotes, so that none is taken for a null or for two ("Arrays", Array Input and Output Syntax).
fn array(items: &[Value]) -> String {
    let quoted = |item: &Value| {
        let text = item.as_str().unwrap_or_default();
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    };
    format!("{{{}}}", items.iter().map(quoted).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_a_meaning_in_a_line_or_an_array_is_escaped() {
        let row = json!({
            "amount": -5,
            "game": null,
            "lines": [{ "title": "a\tb" }],
            "tags": ["co-op", "say \"hi\" \\"],
            "title": "a\\b\nc"
        });
        let row: Map<String, Value> = serde_json::from_value(row).unwrap();
        let line = ["-5", r"\N", r#"[{"title":"a\\tb"}]"#, r#"{"co-op","say \\"hi\\" \\\\"}"#, r"a\\b\nc"].join("\t");
        assert_eq!(lines(&["amount", "game", "lines", "tags", "title"], &["tags"], &[row]), line + "\n");
    }
}
