//! A batch: what several commands came to, appended in one statement and so in one transaction.

mod rows;

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use futures::{StreamExt, stream};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use self::rows::Rows;
use crate::JournalError;
use crate::append::{Append, AppendError, refusal};
use crate::claims::ClaimKey;
use crate::connect::broke_off;
use crate::history::AggregateKey;
use crate::position::Position;
use crate::read::position_at;
use crate::writer::Pending;

/// How many commands share a transaction at most, and how many things they touch: each takes a lock of the server.
const LARGEST: usize = 256;
const MOST_TOUCHED: usize = 512;
/// For how long the database may take; after that nobody knows what it did, and each command is decided again.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many commands of a batch that failed are appended at once.
pub(crate) const AT_ONCE: usize = 4;

/// Commands that do not conflict.
#[derive(Default)]
pub(crate) struct Batch {
    commands: Vec<Pending>,
    touched: HashMap<Touched, Touch>,
}

/// What no two commands of a batch may touch, unless both only lean on it.
#[derive(PartialEq, Eq, Hash)]
enum Touched {
    Aggregate(AggregateKey),
    Claim(ClaimKey),
    Answer([u8; 32]),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Touch {
    Leans,
    Changes,
}

impl Batch {
    /// A batch of the first commands that do not conflict, and the others, in their order.
    pub(crate) fn of(pending: Vec<Pending>) -> (Self, Vec<Pending>) {
        let mut batch = Self::default();
        let mut rest = vec![];
        for command in pending {
            let touched = touched(&command.append);
            let full = batch.commands.len() >= LARGEST || batch.touched.len() >= MOST_TOUCHED;
            let fits = |(what, touch): &(Touched, Touch)| {
                batch.touched.get(what).is_none_or(|other| (*other, *touch) == (Touch::Leans, Touch::Leans))
            };
            if !full && touched.iter().all(fits) {
                batch.touched.extend(touched);
                batch.commands.push(command);
            } else {
                rest.push(command);
            }
        }
        (batch, rest)
    }

    fn alone(command: Pending) -> Self {
        Self { commands: vec![command], touched: HashMap::new() }
    }

    /// Appends it and lets everybody know. Where it is refused as a whole, each command is appended alone, so that nobody
    /// fails for a neighbour. Where nobody knows what became of it, each is decided again and found in the history.
    pub(crate) async fn append(self, pool: &PgPool) {
        let appends: Vec<_> = self.commands.iter().map(|command| &command.append).collect();
        match append(pool, &appends).await {
            Ok(outcomes) => {
                self.commands.into_iter().zip(outcomes).for_each(|(command, outcome)| command.tell(outcome));
            }
            Err(error) if broke_off(&error) => {
                let same = || JournalError::Database(sqlx::Error::Io(io::Error::other(error.to_string())));
                self.commands.into_iter().for_each(|command| command.tell(Err(same().into())));
            }
            Err(error) => match <[Pending; 1]>::try_from(self.commands) {
                Ok([command]) => command.tell(Err(refusal(error))),
                Err(commands) => {
                    tracing::debug!(%error, commands = commands.len(), "A batch was refused; each is appended alone");
                    let alone = |command| Box::pin(Self::alone(command).append(pool));
                    stream::iter(commands).for_each_concurrent(AT_ONCE, alone).await;
                }
            },
        }
    }
}

fn touched(append: &Append) -> Vec<(Touched, Touch)> {
    let leant = append.leans_on.iter().map(|(key, _)| (Touched::Aggregate(*key), Touch::Leans));
    let taken = append.changes.iter().flat_map(|change| &change.claims.taken);
    let taken = taken.map(|claim| (Touched::Claim(claim.clone()), Touch::Changes));
    let answer = append.answer.iter().map(|answer| (Touched::Answer(answer.key), Touch::Changes));
    let changed = append.changes.iter().map(|change| (Touched::Aggregate(change.aggregate), Touch::Changes));
    leant.chain(taken).chain(answer).chain(changed).collect()
}

/// Returns what became of each, in their order.
async fn append(pool: &PgPool, appends: &[&Append]) -> sqlx::Result<Vec<Result<Position, AppendError>>> {
    let rows = Rows::of(appends);
    let query = sqlx::query("select * from journal.append($1, $2, $3, $4, $5, $6)")
        .bind(Json(&rows.events))
        .bind(Json(&rows.locks))
        .bind(Json(&rows.conditions))
        .bind(Json(&rows.taken))
        .bind(Json(&rows.released))
        .bind(Json(&rows.answers));
    let mut connection = pool.acquire().await?;
    match tokio::time::timeout(TIMEOUT, query.fetch_all(&mut *connection)).await {
        Ok(appended) => outcomes(appends, &appended?),
        Err(late) => {
            // What it was asked may still be answered, to nobody.
            drop(connection.detach());
            Err(sqlx::Error::Io(late.into()))
        }
    }
}

fn outcomes(appends: &[&Append], rows: &[PgRow]) -> sqlx::Result<Vec<Result<Position, AppendError>>> {
    let (mut positions, mut lost) = (HashMap::new(), HashMap::new());
    for row in rows {
        match row.try_get::<Option<i32>, _>("lost")? {
            Some(n) => {
                let kind = row.try_get::<Option<String>, _>("claim_kind")?.and_then(|kind| kind.parse().ok());
                let claim = match (kind, row.try_get("claim_key")?) {
                    (Some(kind), Some(key)) => Some(ClaimKey { kind, key }),
                    _ => None,
                };
                lost.insert(n, claim.map_or(AppendError::Conflict, AppendError::Claimed));
            }
            None => {
                positions.insert(row.try_get::<Uuid, _>("event_id")?, position_at(row)?);
            }
        }
    }
    let last = |append: &&Append| append.changes.first()?.events.last().map(|last| last.event_id);
    let outcome = |(append, n): (&&Append, i32)| match (lost.remove(&n), last(append)) {
        (Some(error), _) => Err(error),
        (None, Some(last)) => positions.get(&last).copied().ok_or(AppendError::Conflict),
        (None, None) => Ok(Position::default()),
    };
    Ok(appends.iter().zip(0..).map(outcome).collect())
}
