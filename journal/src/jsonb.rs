//! JSON as Postgres writes `jsonb`: whoever has the values of a column has its bytes.
//! <https://www.postgresql.org/docs/15/datatype-json.html>

use serde_json::Value;

/// The text of a `jsonb` value: keys by length and then by their bytes, `", "` and `": "` between them.
#[must_use]
pub fn jsonb_text(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| (name.len(), name.as_bytes()));
            text.push('{');
            for (place, (name, value)) in fields.into_iter().enumerate() {
                separate(place, text);
                scalar(&Value::String(name.clone()), text);
                text.push_str(": ");
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                separate(place, text);
                write(item, text);
            }
            text.push(']');
        }
        one => scalar(one, text),
    }
}

fn separate(place: usize, text: &mut String) {
    if place > 0 {
        text.push_str(", ");
    }
}

/// Postgres escapes in texts what `serde_json` does, in the same way.
fn scalar(value: &Value, text: &mut String) {
    text.push_str(&value.to_string());
}
