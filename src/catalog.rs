//! Catalogue files on disk, and the invented games that come with the store.

use std::path::Path;

use anyhow::{Context as _, Result};
use commands::{Actor, Catalogue, Commands, Imported};

use crate::progress;

const DEMO: &str = include_str!("../catalog/demo.csv");

/// Reads a file, or the demo catalogue where there is none.
///
/// # Errors
/// When the file cannot be read.
pub fn read(file: Option<&Path>) -> Result<Catalogue> {
    let text = match file {
        Some(file) => &std::fs::read_to_string(file).with_context(|| format!("catalogue {}", file.display()))?,
        None => DEMO,
    };
    Catalogue::read(text).context("the catalogue")
}

/// Imports a file, or the demo catalogue where there is none.
///
/// # Errors
/// When the file cannot be read or the journal does not answer; single lines are refused by themselves.
pub async fn import(commands: &Commands, file: Option<&Path>) -> Result<Imported> {
    let catalogue = read(file)?;
    let bar = progress::bar("importing games", catalogue.lines() as u64);
    let imported = commands.import(Actor::System("import"), catalogue, || bar.inc(1)).await?;
    bar.finish_and_clear();
    Ok(imported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_game_of_the_demo_catalogue_is_good() {
        let catalogue = read(None).unwrap();
        let lines = catalogue.lines();
        assert!(lines >= 55, "about sixty games, not {lines}");
        assert_eq!(catalogue.games().count(), lines);
    }
}
