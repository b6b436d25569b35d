//! Progress that people can see: a bar on a terminal, nothing elsewhere.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar over `total` steps.
#[must_use]
pub fn bar(what: &'static str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>22} {bar:32} {pos}/{len} {rate}/s {eta}");
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    bar.set_style(style.map_or_else(|_| ProgressStyle::default_bar(), with_rate));
    bar.set_message(what);
    bar
}

/// A count without an end.
#[must_use]
pub fn count(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {pos} {rate}/s");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style.map_or_else(|_| ProgressStyle::default_spinner(), with_rate));
    bar.set_message(what);
    bar
}

/// Steps per second as a whole number, by the name `rate`.
fn with_rate(style: ProgressStyle) -> ProgressStyle {
    style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
        // A key that cannot be written is left out; there is nobody to tell.
        let _ = write!(out, "{:.0}", state.per_sec());
    })
}

/// A rate to read: how many a second.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count of some seconds fits a float")]
pub fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(0.001)
}
