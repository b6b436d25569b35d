//! What the program is told: the command line, the environment, and secrets in files.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, CommandFactory as _, FromArgMatches as _};
use ludoteca::secrets;

use crate::cli::Cli;

/// A secret that a command takes.
struct Secret {
    /// As the environment calls it.
    name: String,
    /// As the command line calls it.
    option: String,
    id: String,
}

impl Secret {
    fn of(argument: &Arg) -> Option<Self> {
        let name = argument.get_env().filter(|_| argument.is_hide_env_values_set())?.to_str()?.to_owned();
        Some(Self { name, option: format!("--{}", argument.get_long()?), id: argument.get_id().to_string() })
    }

    /// The argument that it is given by in a file named by `NAME_FILE`, as Docker and Kubernetes mount secrets.
    fn in_its_file(&self) -> Option<Result<OsString, String>> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let (name, option) = (&self.name, &self.option);
        let file = set(&format!("{name}_FILE"))?;
        if set(name).is_some() {
            return Some(Err(format!("{name} and {name}_FILE are both set; keep one")));
        }
        Some(match std::fs::read_to_string(&file) {
            Ok(secret) => Ok(format!("{option}={}", secret.trim_end_matches(['\r', '\n'])).into()),
            Err(error) => Err(format!("{name}_FILE: {}: {error}", file.display())),
        })
    }

    /// Why what was given is refused.
    fn refusal(&self, matches: &ArgMatches) -> Option<String> {
        let values = matches.try_get_raw(&self.id).ok().flatten().into_iter().flatten();
        let mut values = values.filter_map(|value| value.to_str());
        values
            .any(secrets::everybody_knows)
            .then(|| format!("{} is one that everybody knows; choose a secret of your own", self.name))
    }
}

/// The first subcommand that the command line names.
pub(crate) fn subcommand() -> Option<String> {
    subcommands().into_iter().next()
}

/// The subcommands that the command line names, from the outermost on; whatever else is wrong with it.
fn subcommands() -> Vec<String> {
    let matches = Cli::command().ignore_errors(true).try_get_matches();
    let (mut path, mut matches) = (Vec::new(), matches.ok());
    while let Some((name, inner)) = matches.as_ref().and_then(|matches| matches.subcommand()) {
        path.push(name.to_owned());
        matches = Some(inner.clone());
    }
    path
}

fn secrets(path: &[String]) -> Vec<Secret> {
    let program = Cli::command();
    let chosen = path.iter().fold(&program, |command, name| command.find_subcommand(name).unwrap_or(command));
    chosen.get_arguments().filter_map(Secret::of).collect()
}

/// What secrets stand in files, as arguments. To be read before the settings of a store's folder are, for they count less.
///
/// # Errors
/// When a file cannot be read, or a secret is given twice.
pub(crate) fn secrets_in_files() -> Result<Vec<OsString>, String> {
    secrets(&subcommands()).iter().filter_map(Secret::in_its_file).collect()
}

/// Reads the command line and the environment.
///
/// # Errors
/// What is wrong with them, as clap says it.
pub(crate) fn parse(more: Vec<OsString>) -> Result<Cli, clap::Error> {
    let (mut program, path) = (Cli::command(), subcommands());
    let matches = program.try_get_matches_from_mut(std::env::args_os().chain(more))?;
    let inner = path.iter().fold(&matches, |matches, name| matches.subcommand_matches(name).unwrap_or(matches));
    // A local store is nobody's but its owner's.
    let is_local = path.first().is_some_and(|command| command == "up");
    let refusal = secrets(&path).iter().filter(|_| !is_local).find_map(|secret| secret.refusal(inner));
    match refusal {
        Some(refusal) => Err(program.error(ErrorKind::ValueValidation, refusal)),
        None => Cli::from_arg_matches(&matches),
    }
}
