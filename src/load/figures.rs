//! What a run came to, as named figures, so that two runs can be laid side by side.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;

use super::mix::{Action, actions};
use super::{Measured, Used};
use crate::table::{Output, Table};

/// Named figures, in the order in which they are printed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures(Vec<(String, f64)>);

#[derive(Deserialize)]
struct Row {
    figure: String,
    value: f64,
}

impl Figures {
    /// What clients waited for.
    pub(crate) fn of(measured: &Measured) -> Self {
        let mut figures = Self::default();
        for action in actions() {
            let done = measured.done(action);
            if done > 0.0 {
                figures.add(format!("{action}s per second"), done / measured.took.as_secs_f64());
            }
        }
        for ((action, lap), histogram) in &measured.waits {
            for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
                #[expect(clippy::cast_precision_loss, reason = "microseconds of a wait fit a float")]
                let milliseconds = histogram.value_at_quantile(quantile) as f64 / 1_000.0;
                figures.add(format!("{action}: {lap}, {name}, ms"), milliseconds);
            }
        }
        figures
    }

    pub(crate) fn add(&mut self, figure: String, value: f64) {
        self.0.push((figure, value));
    }

    /// Adds those of a part of the run.
    pub(crate) fn add_all(&mut self, part: &str, figures: &Self) {
        self.0.extend(figures.0.iter().map(|(figure, value)| (format!("{part}: {figure}"), *value)));
    }

    /// What each action cost, purchases above all.
    pub(crate) fn add_cost(&mut self, measured: &Measured, before: &Used, after: &Used) {
        let done: f64 = actions().map(|action| measured.done(action)).sum();
        let mut all = 0.0;
        for (name, after) in &after.cpu {
            let Some((_, before)) = before.cpu.iter().find(|(known, _)| known == name) else { continue };
            let used = after - before;
            all += used;
            self.add(format!("CPU of {name}, ms per action"), used * 1_000.0 / done);
        }
        self.add("cores in use".to_owned(), all / measured.took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "counts of some minutes fit a float")]
        let each = |after: i64, before: i64| after.saturating_sub(before) as f64 / done;
        self.add("commits that write, per action".to_owned(), each(after.commits, before.commits));
        if let (Some(after), Some(before)) = (after.statements, before.statements) {
            self.add("statements per action".to_owned(), each(after.0, before.0));
            self.add("reads of histories, per action".to_owned(), each(after.1, before.1));
        } else {
            eprintln!(
                "SKIPPED: statements (add shared_preload_libraries = 'pg_stat_statements' to postgresql.conf, start again, and \
                 create extension pg_stat_statements)"
            );
        }
        self.add("resident memory of the store, MB".to_owned(), after.resident);
    }

    /// Reads what `--json` printed.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let name = || format!("figures of an earlier run in {}", file.display());
        let rows: Vec<Row> =
            serde_json::from_str(&std::fs::read_to_string(file).with_context(name)?).with_context(name)?;
        Ok(Self(rows.into_iter().map(|row| (row.figure, row.value)).collect()))
    }

    /// A figure by its name.
    pub(crate) fn get(&self, figure: &str) -> Option<f64> {
        self.0.iter().find(|(name, _)| name == figure).map(|(_, value)| *value)
    }

    /// Prints them, beside those of an earlier run.
    pub(crate) fn print(&self, earlier: Option<&Self>, output: Output) {
        let Some(earlier) = earlier else {
            let mut table = Table::new(["figure", "value"]);
            for (figure, value) in &self.0 {
                table.row([json!(figure), json!(value)]);
            }
            return table.print(output);
        };
        let mut table = Table::new(["figure", "before", "value", "ratio"]);
        for (figure, value) in &self.0 {
            let before = earlier.get(figure);
            table.row([json!(figure), json!(before), json!(value), json!(before.map(|before| value / before))]);
        }
        table.print(output);
    }
}

impl Measured {
    /// How often something was done.
    fn done(&self, action: Action) -> f64 {
        let mut laps = self.waits.iter().filter(|((of, _), _)| *of == action).map(|(_, histogram)| histogram.len());
        #[expect(clippy::cast_precision_loss, reason = "a count of actions fits a float")]
        let done = laps.next().unwrap_or_default() as f64;
        done
    }
}
