//! What a command found out, as rows of named values: aligned for people, or as JSON for programs.

use clap::Args;
use serde_json::{Map, Value};

/// How a command prints its table.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Output {
    /// Print one JSON array of objects instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Rows of the same columns.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new<const N: usize>(columns: [&'static str; N]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; one value for each column.
    pub fn row<const N: usize>(&mut self, values: [Value; N]) {
        self.rows.push(values.to_vec());
    }

    /// Prints it to standard output.
    pub fn print(&self, output: Output) {
        if output.json {
            println!("{:#}", self.to_json());
        } else {
            print!("{}", self.to_text());
        }
    }

    fn to_json(&self) -> Value {
        let object = |row: &Vec<Value>| {
            let fields = self.columns.iter().map(|column| (*column).to_owned()).zip(row.iter().cloned());
            Value::Object(fields.collect::<Map<_, _>>())
        };
        Value::Array(self.rows.iter().map(object).collect())
    }

    fn to_text(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let heading = self.columns.iter().map(|column| column.replace('_', " ")).collect();
        let lines: Vec<Vec<String>> =
            std::iter::once(heading).chain(self.rows.iter().map(|row| row.iter().map(cell).collect())).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        let is_number = |column: usize| self.rows.iter().all(|row| row.get(column).is_none_or(Value::is_number));
        let line = |cells: &Vec<String>| {
            let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if is_number(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
        };
        lines.iter().map(line).collect()
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) if float.abs() < 10.0 => format!("{float:.2}"),
            Some(float) if float.abs() < 1_000.0 => format!("{float:.1}"),
            Some(float) => format!("{float:.0}"),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_stand_on_the_right_and_texts_on_the_left() {
        let mut table = Table::new(["engine", "p99_ms"]);
        table.row([json!("postgres"), json!(7.254)]);
        table.row([json!("pg"), json!(1_250.9)]);
        assert_eq!(table.to_text(), "engine    p99 ms\npostgres    7.25\npg          1251\n");
        assert_eq!(table.to_json()[1], json!({ "engine": "pg", "p99_ms": 1_250.9 }));
    }
}
