//! Catalogue files: CSV with `title, publisher, genres, tags, platforms, release_date, age_rating, price, currency`,
//! and optionally `description` and `developer`. Lists are separated by semicolons, prices are decimal.
//!
//! A game's id comes from its title, so importing a file twice changes nothing.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use commands::{Actor, CommandError, Commands, Context, GameChange};
use domain::game::{AgeRating, GameDetails, GameError};
use domain::{Currency, Description, GameId, Labels, Money, Name, Title};
use futures::{StreamExt, stream};
use serde::Deserialize;
use uuid::Uuid;

use crate::progress;

/// How many games are put into the catalogue at once.
const AT_ONCE: usize = 16;

/// The invented games that come with the store.
const DEMO: &str = include_str!("../catalog/demo.csv");

#[derive(Debug, Deserialize)]
struct Row {
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    developer: String,
    #[serde(default)]
    publisher: String,
    #[serde(default)]
    genres: String,
    #[serde(default)]
    tags: String,
    #[serde(default)]
    platforms: String,
    #[serde(default)]
    release_date: String,
    age_rating: i32,
    price: String,
    currency: String,
}

/// What an import came to.
#[derive(Debug, Default)]
pub struct Imported {
    /// Games that are new in the catalogue.
    pub new: usize,
    /// Games that were there already.
    pub known: usize,
    /// Lines that were refused, and why.
    pub refused: Vec<String>,
}

/// Imports a file, or the demo catalogue where there is none.
///
/// # Errors
/// When the file cannot be read or the journal does not answer; single lines are refused by themselves.
pub async fn import(commands: &Commands, file: Option<&Path>) -> Result<Imported> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("catalogue {}", file.display()))?,
        None => DEMO.to_owned(),
    };
    let rows: Vec<(usize, csv::Result<Row>)> =
        csv::Reader::from_reader(text.as_bytes()).into_deserialize().enumerate().collect();
    let bar = progress::bar("importing games", rows.len() as u64);
    let mut outcomes = stream::iter(rows)
        .map(|(index, row)| async move { (index, import_row(commands, row).await) })
        .buffer_unordered(AT_ONCE);
    let mut imported = Imported::default();
    while let Some((index, outcome)) = outcomes.next().await {
        bar.inc(1);
        match outcome {
            Ok(true) => imported.new = imported.new.saturating_add(1),
            Ok(false) => imported.known = imported.known.saturating_add(1),
            // Line 1 is the header.
            Err(error) => imported.refused.push(format!("line {}: {error:#}", index.saturating_add(2))),
        }
    }
    bar.finish_and_clear();
    Ok(imported)
}

/// Whether the game is new.
async fn import_row(commands: &Commands, row: csv::Result<Row>) -> Result<bool> {
    let row = row?;
    let title = clean(&row.title);
    let id = GameId::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("catalogue game {title}").as_bytes()));
    let change = change(&row, &title)?;
    match commands.create_game(&Context::new(Actor::System("import")), id, change).await {
        Ok(_) => Ok(true),
        Err(CommandError::Game(GameError::AlreadyCreated)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn change(row: &Row, title: &str) -> Result<GameChange> {
    let labels = |list: &str| Labels::parse(list.split(';').map(clean).filter(|label| !label.is_empty()));
    let release_date = match row.release_date.as_str() {
        "" => None,
        date => Some(date.parse().context("release_date")?),
    };
    let details = GameDetails {
        title: Title::parse(title).context("title")?,
        description: Description::parse(&clean(&row.description)).context("description")?,
        developer: Name::parse(&clean(&row.developer)).context("developer")?,
        publisher: Name::parse(&clean(&row.publisher)).context("publisher")?,
        genres: labels(&row.genres).context("genres")?,
        tags: labels(&row.tags).context("tags")?,
        platforms: labels(&row.platforms).context("platforms")?,
        release_date,
        age_rating: AgeRating::parse(row.age_rating).context("age_rating")?,
    };
    let price = Money { amount: minor_units(&row.price).context("price")?, currency: Currency::parse(&row.currency)? };
    Ok(GameChange { details, price })
}

/// Catalogues of the web write `&amp;` where they mean `&`.
fn clean(text: &str) -> String {
    html_escape::decode_html_entities(text).trim().to_owned()
}

/// `59.9` → 5990. Not by way of floats: they cannot hold most prices.
fn minor_units(price: &str) -> Result<i64> {
    let (whole, cents) = price.split_once('.').unwrap_or((price, ""));
    ensure!(cents.len() <= 2 && cents.bytes().all(|digit| digit.is_ascii_digit()), "must have at most two decimals");
    let cents: i64 = format!("{cents:0<2}").parse()?;
    let whole: i64 = whole.parse()?;
    whole.checked_mul(100).and_then(|units| units.checked_add(cents)).context("too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_price_becomes_minor_units() {
        for (text, units) in [("59.90", 5990), ("59.9", 5990), ("0", 0), ("199", 19_900), ("0.05", 5)] {
            assert_eq!(minor_units(text).unwrap(), units, "{text}");
        }
        for text in ["", "1.234", "1.-5", "x", "92233720368547758.08"] {
            assert!(minor_units(text).is_err(), "{text}");
        }
    }

    #[test]
    fn entities_in_titles_are_read_as_what_they_mean() {
        assert_eq!(clean(" Alchemist of the End &amp; the Secret Key "), "Alchemist of the End & the Secret Key");
    }

    #[test]
    fn every_game_of_the_demo_catalogue_is_good() {
        let mut reader = csv::Reader::from_reader(DEMO.as_bytes());
        let rows: Vec<Row> = reader.deserialize().map(Result::unwrap).collect();
        assert!(rows.len() >= 55, "about sixty games, not {}", rows.len());
        for row in rows {
            change(&row, &row.title).unwrap();
        }
    }
}
