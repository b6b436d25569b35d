//! What the program is told: the command line, the environment, and secrets in files.

use std::ffi::OsString;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;

/// What stands in `.env.example`, to be replaced.
const PLACEHOLDER: &str = "change-me";
/// What tests and tutorials use.
const KNOWN: [&str; 1] = ["whsec_test"];

/// Reads it all.
///
/// # Errors
/// What is wrong with it, as clap says it.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    let mut program = Cli::command();
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let path = subcommands(&program, &arguments);
    let chosen = path.iter().fold(&program, |command, name| command.find_subcommand(name).unwrap_or(command));
    let read: Result<Vec<_>, String> = secrets(chosen).filter_map(|(name, long, _)| from_file(&name, &long)).collect();
    let ids: Vec<_> = secrets(chosen).map(|(name, _, id)| (name, id)).collect();
    match read {
        Ok(read) => arguments.extend(read),
        Err(problem) => return Err(program.error(ErrorKind::ValueValidation, problem)),
    }
    let matches = program.try_get_matches_from_mut(arguments)?;
    let deepest = path.iter().fold(&matches, |matches, name| matches.subcommand_matches(name).unwrap_or(matches));
    // A local store is nobody's but its owner's.
    let ids = ids.into_iter().filter(|_| path.first().is_none_or(|command| command != "up"));
    for (name, id) in ids {
        if let Some(problem) = unfit(&name, &id, deepest) {
            return Err(program.error(ErrorKind::ValueValidation, problem));
        }
    }
    Cli::from_arg_matches(&matches)
}

/// The names of the subcommands that the arguments choose.
fn subcommands(program: &Command, arguments: &[OsString]) -> Vec<String> {
    let (mut path, mut command) = (Vec::new(), program);
    for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        if let Some(found) = command.find_subcommand(argument) {
            path.push(found.get_name().to_owned());
            command = found;
        }
    }
    path
}

/// The secrets that a command takes: as the environment calls them, as the command line does, and by their ids.
fn secrets(command: &Command) -> impl Iterator<Item = (String, String, String)> {
    let secret = |argument: &Arg| {
        let name = argument.get_env().filter(|_| argument.is_hide_env_values_set())?.to_str()?;
        Some((name.to_owned(), argument.get_long()?.to_owned(), argument.get_id().to_string()))
    };
    command.get_arguments().filter_map(secret)
}

/// The argument that a secret in a file stands for: the file is named by `NAME_FILE`, as Docker and Kubernetes mount it.
fn from_file(name: &str, long: &str) -> Option<Result<OsString, String>> {
    let file = std::env::var_os(format!("{name}_FILE")).filter(|file| !file.is_empty())?;
    if std::env::var_os(name).is_some() {
        return Some(Err(format!("{name} and {name}_FILE are both set; keep one")));
    }
    let read = std::fs::read_to_string(&file);
    Some(match read {
        Ok(secret) => Ok(format!("--{long}={}", secret.trim_end_matches(['\r', '\n'])).into()),
        Err(error) => Err(format!("{name}_FILE: {}: {error}", file.to_string_lossy())),
    })
}

/// Why a secret is none.
fn unfit(name: &str, id: &str, matches: &ArgMatches) -> Option<String> {
    let values = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
    let mut values = values.filter_map(|value| value.to_str());
    let is_known = |value: &str| value.contains(PLACEHOLDER) || KNOWN.contains(&value) || is_one_byte(value);
    values.any(is_known).then(|| format!("{name} is one that everybody knows; choose a secret of your own"))
}

/// Whether a key is the same byte over and over, such as 32 zeros.
fn is_one_byte(value: &str) -> bool {
    let bytes = BASE64_STANDARD.decode(value).unwrap_or_default();
    bytes.len() >= 16 && bytes.iter().all(|byte| Some(byte) == bytes.first())
}
