//! Dates in JSON as Postgres reads and writes them: before 1 CE and after 9999 others write them otherwise.
//! <https://www.postgresql.org/docs/15/datatype-datetime.html>

use chrono::{Datelike, NaiveDate};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const BEFORE_CHRIST: &str = " BC";

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
pub(crate) fn serialize<S: Serializer>(date: &Option<NaiveDate>, serializer: S) -> Result<S::Ok, S::Error> {
    date.map(text).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| D::Error::custom(format!("{text:?} is no date")))
}

fn text(date: NaiveDate) -> String {
    let (year, era) = match date.year() {
        year @ 1.. => (year, ""),
        // There is no year 0.
        year => (1_i32.saturating_sub(year), BEFORE_CHRIST),
    };
    format!("{year:04}-{:02}-{:02}{era}", date.month(), date.day())
}

fn parse(text: &str) -> Option<NaiveDate> {
    let (day, before_christ) = match text.strip_suffix(BEFORE_CHRIST) {
        Some(day) => (day, true),
        None => (text, false),
    };
    // Others put a sign before the years that Postgres writes otherwise, and know a year 0.
    let (day, negative) = match day.strip_prefix('-') {
        Some(day) => (day, true),
        None => (day.trim_start_matches('+'), false),
    };
    let mut parts = day.split('-');
    let year: i32 = parts.next()?.parse().ok()?;
    let year = match (before_christ, negative) {
        (true, _) => 1_i32.checked_sub(year)?,
        (false, true) => year.checked_neg()?,
        (false, false) => year,
    };
    NaiveDate::from_ymd_opt(year, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_date_is_written_as_postgres_writes_it_and_read_back() {
        let dates = [
            ((2026, 11, 28), "2026-11-28"),
            ((987, 1, 2), "0987-01-02"),
            ((10_000, 1, 1), "10000-01-01"),
            ((0, 12, 31), "0001-12-31 BC"),
            ((-43, 3, 15), "0044-03-15 BC"),
        ];
        for ((year, month, day), written) in dates {
            let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
            assert_eq!(text(date), written);
            assert_eq!((parse(written), parse(&date.to_string())), (Some(date), Some(date)));
        }
        assert_eq!(parse("soon"), None);
    }
}
