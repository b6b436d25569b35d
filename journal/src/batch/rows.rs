//! A batch as `journal.append` takes it: an array per table, `n` for the command.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::append::{Append, Change};
use crate::claims::ClaimKey;
use crate::history::AggregateKey;

/// The arguments of `journal.append`.
#[derive(Default)]
pub(super) struct Rows<'a> {
    pub(super) events: Vec<EventRow<'a>>,
    pub(super) locks: Vec<LockRow>,
    pub(super) conditions: Vec<ConditionRow>,
    pub(super) taken: Vec<ClaimRow<'a>>,
    pub(super) released: Vec<ClaimRow<'a>>,
    pub(super) answers: Vec<AnswerRow>,
}

#[derive(Serialize)]
pub(super) struct EventRow<'a> {
    n: usize,
    event_id: Uuid,
    kind: &'static str,
    id: Uuid,
    sequence: i64,
    #[serde(rename = "type")]
    event_type: &'a str,
    version: &'a str,
    payload: &'a Value,
    metadata: &'a Value,
}

#[derive(Serialize)]
pub(super) struct LockRow {
    kind: &'static str,
    id: String,
    own: bool,
}

#[derive(Serialize)]
pub(super) struct ConditionRow {
    n: usize,
    kind: &'static str,
    id: Uuid,
    version: usize,
}

#[derive(Serialize)]
pub(super) struct ClaimRow<'a> {
    n: usize,
    kind: &'static str,
    key: Option<&'a str>,
    holder: Uuid,
}

#[derive(Serialize)]
pub(super) struct AnswerRow {
    n: usize,
    key: String,
    fingerprint: String,
    caller: Option<Uuid>,
    kind: &'static str,
    id: Uuid,
    version: i64,
}

impl<'a> Rows<'a> {
    pub(super) fn of(appends: &[&'a Append]) -> Self {
        let mut rows = Self::default();
        for (n, append) in appends.iter().enumerate() {
            rows.add(n, append, appends.len() == 1);
        }
        rows
    }

    fn add(&mut self, n: usize, append: &'a Append, alone: bool) {
        append.changes.iter().for_each(|change| self.change(n, change, alone));
        for (AggregateKey { kind, id }, version) in &append.leans_on {
            let (kind, id, version) = (*kind, *id, *version);
            self.locks.push(LockRow { kind, id: id.to_string(), own: false });
            self.conditions.push(ConditionRow { n, kind, id, version });
        }
        let (Some(answer), Some(first)) = (&append.answer, append.changes.first()) else { return };
        let (Some(last), AggregateKey { kind, id }) = (first.events.last(), first.aggregate) else { return };
        self.locks.push(LockRow { kind: "answer", id: bytea(&answer.key), own: true });
        self.answers.push(AnswerRow {
            n,
            key: bytea(&answer.key),
            fingerprint: bytea(&answer.fingerprint),
            caller: answer.caller.map(domain::UserId::as_uuid),
            kind,
            id,
            version: last.sequence,
        });
    }

    fn change(&mut self, n: usize, Change { aggregate, events, claims }: &'a Change, alone: bool) {
        let AggregateKey { kind, id } = *aggregate;
        self.events.extend(events.iter().map(|event| EventRow {
            n,
            event_id: event.event_id,
            kind,
            id,
            sequence: event.sequence,
            event_type: &event.event_type,
            version: &event.event_version,
            payload: &event.payload,
            metadata: &event.metadata,
        }));
        let Some(first) = events.first() else { return };
        self.locks.push(LockRow { kind, id: id.to_string(), own: true });
        // What a lone command decided on its own aggregate the primary key guards, unless a claim of its own, taken by an
        // earlier try whose answer was lost, stood in front of it.
        if !alone || !claims.taken.is_empty() {
            let version = usize::try_from(first.sequence.saturating_sub(1)).unwrap_or_default();
            self.conditions.push(ConditionRow { n, kind, id, version });
        }
        // What is looked for and then taken is locked in between, or the loser of a race would fail its whole batch.
        let lock = |taken: &ClaimKey| LockRow { kind: taken.kind.into(), id: taken.key.clone(), own: true };
        self.locks.extend(claims.taken.iter().map(lock));
        let claim = |kind, key| ClaimRow { n, kind, key, holder: id };
        self.taken.extend(claims.taken.iter().map(|taken| claim(taken.kind.into(), Some(&*taken.key))));
        self.released.extend(claims.released.iter().map(|given| claim(given.kind().into(), given.key())));
    }
}

/// Bytes as Postgres reads them from text. <https://www.postgresql.org/docs/15/datatype-binary.html>
fn bytea(bytes: &[u8]) -> String {
    bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}
