//! The sandbox's memory: intents, refunds and answered idempotency keys, kept in a file of JSON lines.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::dispute::Dispute;
use crate::intent::{Intent, IntentStatus, Method};
use crate::refund::{Refund, RefundStatus};

/// An intent with what only the sandbox knows of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) intent: Intent,
    pub(super) method: Method,
    pub(super) confirmations: u32,
    pub(super) refunds: Vec<Refund>,
    #[serde(default)]
    pub(super) dispute: Option<Dispute>,
}

impl Entry {
    /// What has not gone back, nor is on its way.
    pub(super) fn left(&self) -> i64 {
        let back = self.refunds.iter().filter(|refund| refund.status != RefundStatus::Failed);
        back.fold(self.intent.amount, |left, refund| left.saturating_sub(refund.amount))
    }
}

/// The first answer to an idempotency key, or that it is still being made.
#[derive(Debug, Clone)]
pub(super) enum Answered {
    InFlight,
    Done { request: String, status: u16, body: String },
}

#[derive(Default)]
struct Memory {
    entries: HashMap<String, Entry>,
    order: Vec<String>,
    keys: HashMap<String, Answered>,
    file: Option<File>,
}

pub(super) struct Ledger(Mutex<Memory>);

impl Ledger {
    pub(super) fn open(path: Option<PathBuf>) -> std::io::Result<Self> {
        let mut memory = Memory::default();
        if let Some(path) = path {
            for line in std::fs::read_to_string(&path).unwrap_or_default().lines() {
                memory.put(serde_json::from_str(line)?);
            }
            memory.file = Some(OpenOptions::new().create(true).append(true).open(path)?);
        }
        Ok(Self(Mutex::new(memory)))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn waiting_for_pix(&self) -> Vec<String> {
        let memory = self.memory();
        let waiting = memory.entries.values().filter(|entry| entry.intent.status == IntentStatus::RequiresAction);
        waiting.map(|entry| entry.intent.id.clone()).collect()
    }

    /// Refunds that the bank is at, with their intents.
    pub(super) fn pending_refunds(&self) -> Vec<(String, String)> {
        let memory = self.memory();
        let refunds = memory.entries.values().flat_map(|entry| entry.refunds.iter());
        let pending = refunds.filter(|refund| refund.status == RefundStatus::Pending);
        pending.map(|refund| (refund.payment_intent.clone(), refund.id.clone())).collect()
    }

    pub(super) fn put(&self, entry: Entry) {
        self.memory().record(entry);
    }

    pub(super) fn get(&self, id: &str) -> Option<Entry> {
        self.memory().entries.get(id).cloned()
    }

    /// Changes an intent under the lock; nothing where there is none.
    pub(super) fn change<T>(&self, id: &str, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut memory = self.memory();
        let mut entry = memory.entries.get(id).cloned()?;
        let outcome = change(&mut entry);
        memory.record(entry);
        Some(outcome)
    }

    /// Every dispute.
    pub(super) fn disputes(&self) -> Vec<Dispute> {
        self.memory().entries.values().filter_map(|entry| entry.dispute.clone()).collect()
    }

    /// The dispute of an id.
    pub(super) fn dispute(&self, id: &str) -> Option<Dispute> {
        let memory = self.memory();
        let mut disputes = memory.entries.values().filter_map(|entry| entry.dispute.as_ref());
        disputes.find(|dispute| dispute.id == id).cloned()
    }

    pub(super) fn pay_if_waiting(&self, id: &str) -> Option<Intent> {
        self.change(id, |entry| {
            let waiting = entry.intent.status == IntentStatus::RequiresAction;
            if waiting {
                entry.intent.status = IntentStatus::Succeeded;
                entry.intent.next_action = None;
            }
            waiting.then(|| entry.intent.clone())
        })
        .flatten()
    }

    /// Intents made since, the newest first; those after one of them.
    pub(super) fn list(&self, after: Option<&str>, since: i64, limit: usize) -> (Vec<Intent>, bool) {
        let memory = self.memory();
        let known = after.and_then(|id| memory.order.iter().rev().position(|known| known == id));
        let skipped = known.map_or(0, |index| index.saturating_add(1));
        let newest_first = memory.order.iter().rev().skip(skipped).filter_map(|id| memory.entries.get(id));
        let mut found = newest_first.map(|entry| &entry.intent).take_while(|intent| intent.created >= since);
        let page: Vec<_> = found.by_ref().take(limit).cloned().collect();
        (page, found.next().is_some())
    }

    /// What was answered to this key before; marks it as in flight where nothing was.
    pub(super) fn begin(&self, key: &str) -> Option<Answered> {
        let mut memory = self.memory();
        let known = memory.keys.get(key).cloned();
        if known.is_none() {
            memory.keys.insert(key.to_owned(), Answered::InFlight);
        }
        known
    }

    pub(super) fn finish(&self, key: &str, answer: Answered) {
        self.memory().keys.insert(key.to_owned(), answer);
    }
}

impl Memory {
    fn put(&mut self, entry: Entry) {
        let id = entry.intent.id.clone();
        if self.entries.insert(id.clone(), entry).is_none() {
            self.order.push(id);
        }
    }

    fn record(&mut self, entry: Entry) {
        // One write, so that a process that is killed leaves whole lines.
        if let (Some(file), Ok(line)) = (&mut self.file, serde_json::to_string(&entry))
            && let Err(error) = file.write_all(format!("{line}\n").as_bytes())
        {
            tracing::error!(%error, "The sandbox PSP cannot keep its ledger");
        }
        self.put(entry);
    }
}
