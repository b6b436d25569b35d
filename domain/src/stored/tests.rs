//! `domain/corpus` holds an example of every form that an event was ever stored in: `<type>.<version>[.<variant>].json`.
//! It only grows.

mod schemas;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::version;
use crate::{StoreEvent, UnreadableEvent, event_names};

const SOMEBODY: &str = "00000000-0000-0000-0000-000000000001";

struct Entry {
    name: String,
    event_type: String,
    version: usize,
    payload: String,
}

fn corpus() -> Vec<Entry> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut entries: Vec<Entry> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let mut parts = name.split('.');
            let event_type = parts.next().unwrap().to_owned();
            let version = parts.next().unwrap().parse().unwrap();
            Entry { event_type, version, payload: std::fs::read_to_string(&path).unwrap(), name }
        })
        .collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}

fn aggregate_of(event_type: &str) -> &'static str {
    event_names().into_iter().find(|(_, names)| names.contains(&event_type)).unwrap().0
}

fn read(Entry { event_type, version, payload, .. }: &Entry) -> Result<StoreEvent, UnreadableEvent> {
    StoreEvent::read(aggregate_of(event_type), SOMEBODY, event_type, &version.to_string(), payload)
}

fn written(event: &StoreEvent) -> Value {
    match event {
        StoreEvent::User(_, event) => serde_json::to_value(event),
        StoreEvent::Game(_, event) => serde_json::to_value(event),
        StoreEvent::Order(_, event) => serde_json::to_value(event),
        StoreEvent::Payment(_, event) => serde_json::to_value(event),
        StoreEvent::TreeHead(_, event) => serde_json::to_value(event),
    }
    .unwrap()
}

#[test]
fn every_version_of_every_event_type_is_in_the_corpus() {
    let corpus = corpus();
    let names = event_names().map(|(_, names)| names).concat();
    for event_type in names {
        for version in 1..=version(event_type) {
            let kept = corpus.iter().any(|entry| entry.event_type == event_type && entry.version == version);
            assert!(kept, "domain/corpus has no {event_type}.{version}.json");
        }
    }
}

#[test]
fn every_form_ever_stored_is_read_as_what_it_meant() {
    let read: BTreeMap<String, StoreEvent> =
        corpus().iter().map(|entry| (entry.name.clone(), read(entry).expect(&entry.name))).collect();
    insta::assert_debug_snapshot!(read);
}

#[test]
fn what_is_written_today_has_the_form_that_the_corpus_has() {
    for entry in corpus().iter().filter(|entry| entry.version == version(&entry.event_type)) {
        let kept: Value = serde_json::from_str(&entry.payload).unwrap();
        assert_eq!(written(&read(entry).unwrap()), kept, "{}", entry.name);
    }
}

#[test]
fn a_version_newer_than_the_program_is_not_guessed_at() {
    for foreign in ["0", "2", "two", ""] {
        let read = StoreEvent::read("game", SOMEBODY, "GameRetired", foreign, r#"{"type":"GameRetired"}"#);
        assert!(matches!(read, Err(UnreadableEvent::Version { .. })), "{foreign}: {read:?}");
    }
}
