//! `ludoteca doctor`: what a store on this machine needs, what is there, and what to do about the difference.
//!
//! `ludoteca up` asks the same before it starts anything, and stops at the first problem.

mod checks;
mod running;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use crate::local::default_data;
use crate::table::{Output, Table};
use crate::up::{env_file, holder};

/// `ludoteca doctor`
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The folder that was given to `up`
    #[arg(long, env = "LUDOTECA_DATA", default_value_os_t = default_data())]
    data: PathBuf,
    /// The port that the gateway is to have, where the store has not been started yet
    #[arg(long, default_value_t = 8080)]
    port: u16,
    #[command(flatten)]
    output: Output,
}

/// Outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
enum Verdict {
    Ok,
    /// It works, but not as it should.
    Warning,
    /// The store cannot start, or does not do its work.
    Problem,
}

/// One check's result.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    /// What there is, and what to do where that is not enough: one sentence.
    found: String,
}

impl Finding {
    /// A finding from a check that says what it found, or in an error what to do.
    fn of(check: &'static str, found: Result<String>) -> Self {
        match found {
            Ok(found) => Self { check, verdict: Verdict::Ok, found },
            Err(problem) => Self { check, verdict: Verdict::Problem, found: format!("{problem:#}") },
        }
    }

    fn warning(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, found: found.into() }
    }
}

/// Looks at everything, and prints it.
///
/// # Errors
/// When there is a problem.
pub async fn run(args: &DoctorArgs) -> Result<()> {
    let data = std::path::absolute(&args.data)?;
    let settings = env_file::read(&data).unwrap_or_default();
    let known_port = settings.get("LUDOTECA_URL").and_then(|url| url.rsplit(':').next()?.parse().ok());
    let mut findings = checks::machine(&data);
    if holder(&data).is_some() {
        findings.extend(running::store(&settings).await);
    } else {
        findings.push(Finding::of("store", Ok("is not running; scripts/up starts it".to_owned())));
        // Its own leftovers may hold the port.
        let port = || checks::port(known_port.unwrap_or(args.port));
        findings.push(checks::left_over(&data).unwrap_or_else(port));
    }
    let mut table = Table::new(["check", "verdict", "found"]);
    for Finding { check, verdict, found } in &findings {
        table.row([json!(check), json!(verdict.to_string()), json!(found)]);
    }
    table.print(args.output);
    match findings.iter().filter(|finding| finding.verdict == Verdict::Problem).count() {
        0 => Ok(()),
        1 => bail!("there is 1 problem"),
        problems => bail!("there are {problems} problems"),
    }
}

/// Refuses a start in a folder where it cannot succeed, before anything is written there.
///
/// # Errors
/// The first problem, in one sentence.
pub fn may_use(data: &std::path::Path) -> Result<()> {
    refuse_problems(checks::machine(data))
}

/// Refuses a start whose gateway could not listen.
///
/// # Errors
/// When the port is taken.
pub(crate) fn may_listen(port: u16) -> Result<()> {
    refuse_problems([checks::port(port)])
}

fn refuse_problems(findings: impl IntoIterator<Item = Finding>) -> Result<()> {
    match findings.into_iter().find(|finding| finding.verdict == Verdict::Problem) {
        Some(problem) => bail!("{}", problem.found),
        None => Ok(()),
    }
}
