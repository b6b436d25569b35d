//! A batch: what several commands came to, appended in one statement and so in one transaction.

mod rows;

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use self::rows::Rows;
use crate::append::{Append, AppendError, refusal};
use crate::claims::ClaimKey;
use crate::history::AggregateKey;
use crate::position::Position;
use crate::read::position_at;
use crate::writer::Pending;

/// How many commands share a transaction at most.
const LARGEST: usize = 256;
/// For how long the database may take; after that nobody knows what it did, and whoever asked decides again.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Commands that do not touch one another.
#[derive(Default)]
pub(crate) struct Batch {
    commands: Vec<Pending>,
    touched: HashMap<Touched, Exclusive>,
}

/// What no two commands of a batch may touch, unless both only lean on it.
#[derive(PartialEq, Eq, Hash)]
enum Touched {
    Aggregate(AggregateKey),
    Claim(ClaimKey),
    Answer([u8; 32]),
}

type Exclusive = bool;

impl Batch {
    /// A batch of the first commands that get along, and the others, in their order.
    pub(crate) fn of(pending: Vec<Pending>) -> (Self, Vec<Pending>) {
        let mut batch = Self::default();
        let mut rest = vec![];
        for command in pending {
            let touched = touched(&command.append);
            let fits = |(what, exclusive): &(Touched, Exclusive)| {
                batch.touched.get(what).is_none_or(|taken| !taken && !exclusive)
            };
            if batch.commands.len() < LARGEST && touched.iter().all(fits) {
                batch.touched.extend(touched);
                batch.commands.push(command);
            } else {
                rest.push(command);
            }
        }
        (batch, rest)
    }

    /// Appends it and lets everybody know. Where it fails as a whole, each command is appended alone: so nobody fails
    /// for a neighbour. What was appended after all is a conflict then, and found in the history.
    pub(crate) async fn append(self, pool: &PgPool) {
        let appends: Vec<_> = self.commands.iter().map(|command| &command.append).collect();
        match append(pool, &appends).await {
            Ok(outcomes) => {
                for (command, outcome) in self.commands.into_iter().zip(outcomes) {
                    // Whoever does not listen any more has gone.
                    let _ = command.outcome.send(outcome);
                }
            }
            Err(error) => match <[Pending; 1]>::try_from(self.commands) {
                Ok([alone]) => drop(alone.outcome.send(Err(refusal(error)))),
                Err(commands) => {
                    tracing::debug!(%error, commands = commands.len(), "a batch failed; each is appended alone");
                    join_all(commands.into_iter().map(|command| alone(pool, command))).await;
                }
            },
        }
    }
}

async fn alone(pool: &PgPool, command: Pending) {
    let outcome = match append(pool, &[&command.append]).await {
        Ok(outcomes) => outcomes.into_iter().next().unwrap_or(Err(AppendError::Conflict)),
        Err(error) => Err(refusal(error)),
    };
    let _ = command.outcome.send(outcome);
}

fn touched(append: &Append) -> Vec<(Touched, Exclusive)> {
    let leant = append.leans_on.iter().map(|(key, _)| (Touched::Aggregate(*key), false));
    let taken = append.claims.taken.iter().map(|claim| (Touched::Claim(claim.clone()), true));
    let answer = append.answer.iter().map(|answer| (Touched::Answer(answer.key), true));
    leant.chain(taken).chain(answer).chain([(Touched::Aggregate(append.aggregate), true)]).collect()
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
            None => drop(positions.insert(row.try_get::<Uuid, _>("event_id")?, position_at(row)?)),
        }
    }
    let outcome = |(append, n): (&&Append, i32)| match (lost.remove(&n), append.events.last()) {
        (Some(error), _) => Err(error),
        (None, Some(last)) => positions.get(&last.event_id).copied().ok_or(AppendError::Conflict),
        (None, None) => Ok(Position::default()),
    };
    Ok(appends.iter().zip(0..).map(outcome).collect())
}
