//! Catalogue files: CSV with `title, publisher, genres, tags, platforms, release_date, age_rating, price, currency`,
//! and optionally `description` and `developer`. Lists are separated by semicolons, prices are decimal.
//!
//! A game's id comes from its title, so importing a file twice changes nothing.

use anyhow::{Context as _, Result, ensure};
use csv::StringRecord;
use domain::game::{AgeRating, Game, GameDetails, GameError, ReleaseDate};
use domain::{Currency, Description, GameId, Labels, Money, Name, Title};
use futures::{StreamExt, stream};
use journal::AggregateKey;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Actor, CommandError, Commands, GameChange};

/// How many games are put into the catalogue at once.
const AT_ONCE: usize = 16;

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
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Imported {
    /// Games that are new in the catalogue.
    pub new: usize,
    /// Games that were there already.
    pub known: usize,
    /// Lines that were refused, and why.
    pub refused: Vec<String>,
}

/// A file that is no catalogue.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must begin with a line that names the columns {}", COLUMNS.join(", "))]
pub struct NoCatalogue;

/// The columns that a catalogue must have.
const COLUMNS: [&str; 4] = ["title", "age_rating", "price", "currency"];

/// A catalogue file, read.
pub struct Catalogue(Vec<(u64, Result<GameChange>)>);

impl Catalogue {
    /// Reads a file's text. Lines that are no games are kept for the report.
    ///
    /// # Errors
    /// [`NoCatalogue`] where a column is missing without which no line is a game.
    pub fn read(text: &str) -> std::result::Result<Self, NoCatalogue> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().cloned().unwrap_or_default();
        if COLUMNS.iter().any(|column| header.iter().all(|name| name != *column)) {
            return Err(NoCatalogue);
        }
        let game = |(line, record): (u64, csv::Result<StringRecord>)| {
            (
                line,
                record
                    .and_then(|record| record.deserialize::<Row>(Some(&header)))
                    .map_err(Into::into)
                    .and_then(|row| change(&row)),
            )
        };
        Ok(Self(lines(reader).map(game).collect()))
    }

    /// How many lines it has.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.0.len()
    }

    /// Its games, without the lines that are none.
    pub fn games(self) -> impl Iterator<Item = GameChange> {
        self.0.into_iter().filter_map(|(_, game)| game.ok())
    }
}

impl Commands {
    /// Puts the games of a catalogue on sale that are not there yet; single lines are refused by themselves.
    /// `progress` is called after each.
    ///
    /// # Errors
    /// When the journal does not answer, or the actor may not do that; importing again goes on.
    pub async fn import(
        &self,
        actor: Actor,
        catalogue: Catalogue,
        progress: impl Fn(),
    ) -> std::result::Result<Imported, CommandError> {
        let mut outcomes = stream::iter(catalogue.0)
            .map(|(line, game)| async move { (line, self.import_game(actor, game).await) })
            .buffer_unordered(AT_ONCE);
        let (mut imported, mut refused) = (Imported::default(), vec![]);
        while let Some((line, outcome)) = outcomes.next().await {
            progress();
            match outcome? {
                Ok(true) => imported.new = imported.new.saturating_add(1),
                Ok(false) => imported.known = imported.known.saturating_add(1),
                Err(why) => refused.push((line, why)),
            }
        }
        // As they stand in the file, however they were worked off.
        refused.sort_by_key(|(line, _)| *line);
        imported.refused = refused.into_iter().map(|(line, why)| format!("line {line}: {why:#}")).collect();
        Ok(imported)
    }

    /// Whether the game is new, or why it is refused; fails where the next one would fail too.
    async fn import_game(
        &self,
        actor: Actor,
        game: Result<GameChange>,
    ) -> std::result::Result<Result<bool>, CommandError> {
        let game = match game {
            Ok(game) => game,
            Err(refused) => return Ok(Err(refused)),
        };
        let name = format!("catalogue game {}", game.details.title.as_str());
        let id = GameId::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()));
        // Most of a catalogue that is imported again is there.
        if !self.journal.histories(&[AggregateKey::of::<Game>(id.as_uuid())]).await?.is_empty() {
            return Ok(Ok(false));
        }
        match self.create_game(&self.context(actor), id, game).await {
            Ok(_) => Ok(Ok(true)),
            Err(CommandError::Game(GameError::AlreadyCreated)) => Ok(Ok(false)),
            Err(error @ (CommandError::Unavailable(_) | CommandError::Forbidden)) => Err(error),
            Err(refused) => Ok(Err(refused.into())),
        }
    }
}

/// The records with the lines that they begin in, the header being line 1; a text in quotes may go over several.
fn lines(reader: csv::Reader<&[u8]>) -> impl Iterator<Item = (u64, csv::Result<StringRecord>)> {
    let mut records = reader.into_records();
    std::iter::from_fn(move || {
        let line = records.reader().position().line();
        Some((line, records.next()?))
    })
}

fn change(row: &Row) -> Result<GameChange> {
    let labels = |list: &str| Labels::parse(list.split(';').map(clean).filter(|label| !label.is_empty()));
    let release_date = match row.release_date.as_str() {
        "" => None,
        date => Some(date.parse().map(ReleaseDate::parse).context("release_date")?.context("release_date")?),
    };
    let details = GameDetails {
        title: Title::parse(&clean(&row.title)).context("title")?,
        description: Description::parse(&clean(&row.description)).context("description")?,
        developer: Name::parse(&clean(&row.developer)).context("developer")?,
        publisher: Name::parse(&clean(&row.publisher)).context("publisher")?,
        genres: labels(&row.genres).context("genres")?,
        tags: labels(&row.tags).context("tags")?,
        platforms: labels(&row.platforms).context("platforms")?,
        release_date,
        age_rating: AgeRating::parse(row.age_rating).context("age_rating")?,
    };
    let currency = Currency::parse(&row.currency)?;
    let price = Money { amount: minor_units(&row.price, currency).context("price")?, currency };
    Ok(GameChange { details, price })
}

/// Catalogues of the web write `&amp;` where they mean `&`.
fn clean(text: &str) -> String {
    html_escape::decode_html_entities(text).trim().to_owned()
}

/// `59.9` → 5990 in reais, 59 in yen. Not by way of floats: they cannot hold most prices.
fn minor_units(price: &str, currency: Currency) -> Result<i64> {
    let (sign, digits) = price.strip_prefix('-').map_or((1, price), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let decimals = usize::from(currency.decimals());
    let are_digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    ensure!(!whole.is_empty() && are_digits(whole), "must be a number");
    ensure!(part.len() <= decimals && are_digits(part), "must have at most {decimals} decimals");
    let units: i64 = format!("{whole}{part:0<decimals$}").parse().context("must be a number")?;
    Ok(units.saturating_mul(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_price_becomes_minor_units() {
        let brl = |text| minor_units(text, Currency::BRL);
        for (text, units) in [("59.90", 5990), ("59.9", 5990), ("0", 0), ("199", 19_900), ("0.05", 5), ("-0.50", -50)] {
            assert_eq!(brl(text).unwrap(), units, "{text}");
        }
        for text in ["", "-", "1.234", "1.-5", "--1", "x", "92233720368547758.08"] {
            assert!(brl(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_names_the_line_that_its_record_begins_in() {
        let text =
            "title,description,age_rating,price,currency\nSummit,\"two\nlines\",0,1,BRL\nSaltglass,one,0,1,BRL\n";
        let lines: Vec<u64> = Catalogue::read(text).unwrap().0.into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [2, 4]);
    }

    #[test]
    fn a_file_without_the_columns_of_a_catalogue_is_none() {
        for text in ["", "rubbish", "title,price\nSummit,1\n"] {
            assert!(Catalogue::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_currency_has_its_own_decimals() {
        for (currency, text, units) in [("JPY", "1500", 1_500), ("KWD", "1.5", 1_500), ("EUR", "1.5", 150)] {
            assert_eq!(minor_units(text, Currency::parse(currency).unwrap()).unwrap(), units, "{text} {currency}");
        }
        assert!(minor_units("1500.5", Currency::parse("JPY").unwrap()).is_err());
    }

    #[test]
    fn entities_in_titles_are_read_as_what_they_mean() {
        assert_eq!(clean(" Alchemist of the End &amp; the Secret Key "), "Alchemist of the End & the Secret Key");
    }
}
