use std::fmt;
use std::str::FromStr;

/// Where an event stands in the global order of commits: epoch, transaction, position, compared in that order.
///
/// A serial number alone would not do: it is given out at insert and seen at commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Raised when a dump is restored into a cluster whose transaction ids start over.
    pub epoch: i32,
    /// The transaction that wrote it (`xid8`).
    pub tx_id: u64,
    /// The serial number.
    pub position: i64,
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be epoch:transaction:position, three whole numbers")]
pub struct InvalidPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.epoch, self.tx_id, self.position)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(raw: &str) -> Result<Self, InvalidPosition> {
        let mut parts = raw.split(':');
        let (Some(epoch), Some(tx_id), Some(position), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidPosition);
        };
        Ok(Self {
            epoch: epoch.parse().map_err(|_| InvalidPosition)?,
            tx_id: tx_id.parse().map_err(|_| InvalidPosition)?,
            position: position.parse().map_err(|_| InvalidPosition)?,
        })
    }
}
