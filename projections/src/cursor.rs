use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, Utc};
use uuid::Uuid;

/// Where a page ended: the time and id of its last row. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The row's time.
    pub at: DateTime<Utc>,
    /// The row's id, which orders rows of one time.
    pub id: Uuid,
}

/// A text that no page gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a cursor that an earlier page gave")]
pub struct InvalidCursor;

impl Cursor {
    /// The text that clients pass back.
    #[must_use]
    pub fn encode(self) -> String {
        let bytes = [self.at.timestamp_micros().to_be_bytes().as_slice(), self.id.as_bytes()].concat();
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads it again.
    ///
    /// # Errors
    /// [`InvalidCursor`].
    pub fn decode(text: &str) -> Result<Self, InvalidCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let (micros, id) = bytes.split_at_checked(8).ok_or(InvalidCursor)?;
        let micros = i64::from_be_bytes(micros.try_into().map_err(|_| InvalidCursor)?);
        let at = DateTime::from_timestamp_micros(micros).ok_or(InvalidCursor)?;
        // Postgres knows no such times, and no page ends there.
        if !(1..=9_999).contains(&at.year()) {
            return Err(InvalidCursor);
        }
        Ok(Self { at, id: Uuid::from_slice(id).map_err(|_| InvalidCursor)? })
    }

    /// What to start after: everything, where there is no cursor.
    pub(crate) fn or_start(cursor: Option<Self>) -> (DateTime<Utc>, Uuid) {
        cursor.map_or((DateTime::<Utc>::MAX_UTC, Uuid::max()), |cursor| (cursor.at, cursor.id))
    }
}

/// Some rows, and where the next ones begin.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; nothing on the last one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of `limit` rows from one row more, which tells whether there is a next page.
    pub(crate) fn of(mut items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> Cursor) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}
