//! The sandbox's memory: intents, refunds and answered idempotency keys, kept in a file of JSON lines.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::routes::Page;
use crate::dispute::{Dispute, DisputeStatus};
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

    /// Whether the bank took the money, or may take it.
    pub(super) fn is_disputed(&self) -> bool {
        let taken = |dispute: &Dispute| matches!(dispute.status, DisputeStatus::Other | DisputeStatus::Lost);
        self.dispute.as_ref().is_some_and(taken)
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

    /// A page of the disputes, the newest first, and whether there is more.
    pub(super) fn disputes(&self, page: &Page) -> (Vec<Dispute>, bool) {
        let mut disputes: Vec<Dispute> =
            self.memory().entries.values().filter_map(|entry| entry.dispute.clone()).collect();
        disputes.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        page.of(disputes.into_iter(), |dispute| (&dispute.id, dispute.created))
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

    /// A page of the intents, the newest first, and whether there is more.
    pub(super) fn intents(&self, page: &Page) -> (Vec<Intent>, bool) {
        let memory = self.memory();
        let newest_first = memory.order.iter().rev().filter_map(|id| memory.entries.get(id));
        let (found, more) = page.of(newest_first.map(|entry| &entry.intent), |intent| (&intent.id, intent.created));
        (found.into_iter().cloned().collect(), more)
    }

    /// A page of the refunds, the newest first, and whether there is more.
    pub(super) fn refunds(&self, page: &Page) -> (Vec<Refund>, bool) {
        let mut refunds: Vec<Refund> = self.memory().entries.values().flat_map(|entry| entry.refunds.clone()).collect();
        refunds.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        page.of(refunds.into_iter(), |refund| (&refund.id, refund.created))
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
