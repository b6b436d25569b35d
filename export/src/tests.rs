//! Exports into folders, and what is read from their files again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use journal::{Chain, CloudEvent, jsonb_text};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{Export, ExportError, Manifest, Part, Reader, flaws_of_files};

thread_local! {
    /// How many writes there may still be before the export is killed; nothing while it lives.
    static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Burns the fuse of this thread's export, which every write and removal asks.
pub(crate) fn write() -> Result<(), ExportError> {
    let left = FUSE.get();
    if left == Some(0) {
        let killed = std::io::Error::other("killed");
        return Err(ExportError::Storage(object_store::Error::Generic { store: "test", source: Box::new(killed) }));
    }
    FUSE.set(left.map(|left| left.saturating_sub(1)));
    Ok(())
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn open(folder: &TempDir) -> Export {
    Export::open(folder.path().to_str().unwrap()).await.unwrap()
}

/// A line of a replay, at noon of a day of November 2026.
fn line(position: u64, (event_type, version): (&str, &str), day: u32, data: &Value) -> Vec<u8> {
    let id = Uuid::from_u128(position.into());
    json!({
        "position": position, "specversion": "1.0", "id": id, "source": "/ludoteca", "type": event_type,
        "subject": format!("any/{id}"), "time": format!("2026-11-{day:02}T12:00:00.000001Z"), "aggregate": "any",
        "aggregateid": id, "aggregateversion": 1, "eventversion": version, "partitionkey": id, "data": data,
    })
    .to_string()
    .into_bytes()
}

fn retired(position: u64, day: u32) -> Vec<u8> {
    line(position, ("GameRetired", "1"), day, &json!({ "type": "GameRetired" }))
}

/// An export of its own for each of some events.
async fn one_by_one(folder: &TempDir, events: &[Vec<u8>]) -> Manifest {
    for event in events {
        let mut export = open(folder).await;
        export.push(event).unwrap();
        export.finish().await.unwrap();
    }
    open(folder).await.manifest().clone()
}

fn read(folder: &Path, part: &Part) -> Vec<RecordBatch> {
    let file = std::fs::File::open(folder.join(&part.path)).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    batches.map(Result::unwrap).collect()
}

fn positions(folder: &Path, parts: &[&Part]) -> Vec<i64> {
    let batches = parts.iter().flat_map(|part| read(folder, part));
    batches.flat_map(|batch| batch["position"].as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn with_events(manifest: &Manifest) -> Vec<&Part> {
    manifest.parts.iter().filter(|part| part.rows > 0).collect()
}

/// What of each event of a part is its own, as JSON.
fn rows(folder: &Path, part: &Part) -> Vec<Value> {
    let mut lines = arrow_json::LineDelimitedWriter::new(Vec::new());
    for batch in read(folder, part) {
        let own: Vec<_> = (10..batch.num_columns()).collect();
        lines.write(&batch.project(&own).unwrap()).unwrap();
    }
    lines.finish().unwrap();
    let lines = String::from_utf8(lines.into_inner()).unwrap();
    lines.lines().map(|line| told(serde_json::from_str(line).unwrap())).collect()
}

/// Without what is empty, and ids without dashes, which is how the writer of JSON has bytes.
fn told(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(name, value)| name != "type" || value == "card" || value == "pix");
            fields.filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, told(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(told).collect(),
        Value::String(text) => match Uuid::try_parse(&text) {
            Ok(id) => json!(id.simple().to_string()),
            Err(_) => json!(text),
        },
        other => other,
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().to_str().unwrap().to_owned());
        }
    }
    found.retain(|file| file.contains(".parquet"));
    found
}

#[tokio::test]
async fn every_form_ever_stored_is_exported_with_nothing_of_it_lost() {
    let (folder, mut export) = (folder(), None);
    let mut expected = BTreeMap::<String, Vec<Value>>::new();
    for (n, entry) in std::fs::read_dir("../domain/corpus").unwrap().enumerate() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        let [event_type, version] = name.split('.').take(2).collect::<Vec<_>>().try_into().unwrap();
        let data: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        if export.is_none() {
            export = Some(open(&folder).await);
        }
        let position = u64::try_from(n).unwrap() + 1;
        export.as_mut().unwrap().push(&line(position, (event_type, version), 30, &data)).unwrap();
        expected.entry(event_type.to_owned()).or_default().push(told(data));
    }
    let manifest = export.unwrap().finish().await.unwrap();
    let exported = with_events(&manifest).into_iter().map(|part| (part.event_type.clone(), rows(folder.path(), part)));
    assert_eq!(exported.collect::<BTreeMap<_, _>>(), expected);
    assert_eq!(manifest.rows(), manifest.last);
}

/// A value without the fields that are null, as the stream has it.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        one => one,
    }
}

#[tokio::test]
async fn every_form_ever_stored_is_read_back_to_the_byte() {
    let (folder, mut chain, mut bodies) = (folder(), Chain::default(), vec![]);
    let mut export = open(&folder).await;
    for entry in std::fs::read_dir("../domain/corpus").unwrap() {
        let file = entry.unwrap().path();
        let mut name = file.file_name().unwrap().to_str().unwrap().split('.');
        let (event_type, version) = (name.next().unwrap(), name.next().unwrap());
        let data = without_nulls(serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap());
        let data = RawValue::from_string(jsonb_text(&data)).unwrap();
        let id = Uuid::from_u128(bodies.len() as u128);
        let aggregate_id = id.to_string();
        let (time, aggregate) = ("2026-11-30T12:00:00.000001Z", journal::aggregate_of(event_type).unwrap());
        let event = CloudEvent {
            partitionkey: Uuid::from_u128(9),
            aggregateversion: 3,
            correlationid: (bodies.len() % 2 == 0).then(|| id.to_string().into()),
            traceparent: (bodies.len() % 3 == 0).then(|| "00-trace-01".into()),
            ..CloudEvent::of((aggregate, &aggregate_id), (event_type, version), (id, time), &data)
        };
        bodies.push(String::from_utf8(chain.body(event).unwrap()).unwrap());
        let line = bodies.last().unwrap().replacen('{', &format!("{{\"position\":{},", bodies.len()), 1);
        export.push(line.as_bytes()).unwrap();
    }
    let manifest = export.finish().await.unwrap();
    let mut reader = Reader::new(folder.path(), &manifest);
    for body in &bodies {
        assert_eq!(&String::from_utf8(reader.next_event().unwrap().unwrap().body).unwrap(), body);
    }
    assert!(reader.next_event().unwrap().is_none());
    assert_eq!(flaws_of_files(folder.path(), &manifest, |_| ()).unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn ids_times_and_money_are_read_as_what_they_are() {
    let (folder, order, buyer) = (folder(), Uuid::from_u128(7), Uuid::from_u128(8));
    let data = json!({ "type": "PaymentInitiated", "order": order, "buyer": buyer, "attempt": 1,
                       "amount": { "amount": 5_990, "currency": "BRL" }, "method": { "type": "pix" } });
    let manifest = one_by_one(&folder, &[line(1, ("PaymentInitiated", "1"), 30, &data)]).await;
    let batch = &read(folder.path(), with_events(&manifest)[0])[0];
    assert_eq!(batch["order"].as_fixed_size_binary().value(0), order.as_bytes());
    assert_eq!(batch["amount"].as_struct()["amount"].as_primitive::<Int64Type>().value(0), 5_990);
    assert_eq!(batch["method"].as_struct()["type"].as_string::<i32>().value(0), "pix");
    assert!(batch["method"].as_struct()["token"].is_null(0));
    let noon = chrono::DateTime::parse_from_rfc3339("2026-11-30T12:00:00.000001Z").unwrap();
    assert_eq!(batch["time"].as_primitive::<TimestampMicrosecondType>().value(0), noon.timestamp_micros());
    assert!(batch.column_by_name("type").is_none(), "the table says it");
}

#[tokio::test]
async fn an_export_goes_on_where_the_last_one_ended_and_brings_the_parts_of_a_day_together_once_it_is_over() {
    let folder = folder();
    let manifest = one_by_one(&folder, &[retired(1, 28), retired(2, 28), retired(3, 29), retired(4, 29)]).await;
    let of_day = |day: &str| -> Vec<_> {
        let is_of = |part: &&Part| part.day.is_some_and(|known| known.to_string() == day);
        manifest.parts.iter().filter(is_of).collect()
    };
    let (over, today) = (of_day("2026-11-28"), of_day("2026-11-29"));
    assert_eq!((over.len(), today.len()), (1, 2), "{manifest:?}");
    assert_eq!(positions(folder.path(), &over), [1, 2]);
    assert_eq!(positions(folder.path(), &today), [3, 4]);
    assert_eq!(files(folder.path()).len(), manifest.parts.len(), "nothing else is left");
}

#[tokio::test]
async fn a_day_of_many_exports_is_a_few_parts() {
    let folder = folder();
    let events: Vec<_> = (1..=20).map(|position| retired(position, 30)).collect();
    let manifest = one_by_one(&folder, &events).await;
    let parts = with_events(&manifest);
    assert!(parts.len() < 8, "{parts:?}");
    assert_eq!(positions(folder.path(), &parts), (1..=20).collect::<Vec<_>>());
}

/// An order with lists, amounts and ids, so that what is brought together has all of them.
fn ordered(position: u64, day: u32) -> Vec<u8> {
    let price = json!({ "amount": 5_990, "currency": "BRL" });
    let lines = json!([{ "game": Uuid::from_u128(9), "title": "Summit", "price": price }]);
    let method = json!({ "type": "card", "token": "pm_card_visa" });
    let buyer = Uuid::from_u128(7);
    let data =
        json!({ "type": "OrderCreated", "buyer": buyer, "lines": lines, "total": price, "payment_method": method });
    line(position, ("OrderCreated", "1"), day, &data)
}

/// What DuckDB would read: the files that `views.sql` names, each of which has to be there.
fn named_by_views(folder: &Path) -> usize {
    let views = std::fs::read_to_string(folder.join("views.sql")).unwrap();
    let named: Vec<_> = views.split('\'').filter(|part| part.ends_with(".parquet")).collect();
    for file in &named {
        assert!(folder.join(file).is_file(), "{file} is named, and gone");
    }
    named.len()
}

#[tokio::test]
async fn an_export_that_is_killed_at_any_write_loses_nothing_and_leaves_nothing() {
    let events: Vec<_> = (1..=10).map(|n| ordered(n, 28)).chain((11..=12).map(|n| ordered(n, 29))).collect();
    for fuse in 0.. {
        let folder = folder();
        // Eight parts of a day that is not over, and then one more, which brings them together.
        one_by_one(&folder, &events[..9]).await;
        FUSE.set(Some(fuse));
        let killed = async {
            let mut export = Export::open(folder.path().to_str().unwrap()).await?;
            for event in &events[9..] {
                export.push(event)?;
            }
            export.finish().await
        };
        let survived = killed.await.is_ok();
        FUSE.set(None);

        let next = open(&folder).await;
        named_by_views(folder.path());
        let rest = events[usize::try_from(next.last()).unwrap()..].to_vec();
        drop(next);
        one_by_one(&folder, &rest).await;
        let manifest = open(&folder).await.manifest().clone();
        assert_eq!(positions(folder.path(), &with_events(&manifest)), (1..=12).collect::<Vec<_>>(), "after {fuse}");
        assert_eq!(named_by_views(folder.path()), manifest.parts.len());
        assert_eq!(files(folder.path()).len(), manifest.parts.len(), "nothing else is left after {fuse}");
        if survived {
            assert!(fuse > 8, "{fuse} writes");
            return;
        }
    }
}

#[tokio::test]
async fn whoever_exports_is_alone_and_leaves_others_files() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("GameRetired")).unwrap();
    let (own, unfinished) = ("GameRetired/mine.parquet", "GameRetired/columns.parquet#1");
    for file in [own, unfinished] {
        std::fs::write(folder.path().join(file), "something").unwrap();
    }
    let export = open(&folder).await;
    let busy = Export::open(folder.path().to_str().unwrap()).await.err().unwrap();
    assert!(matches!(busy, ExportError::Busy(_)), "{busy}");
    export.finish().await.unwrap();
    assert!(folder.path().join(own).exists() && !folder.path().join(unfinished).exists());

    let manifest = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    let newer = manifest.replace("\"format\": 1", "\"format\": 2");
    std::fs::write(folder.path().join("manifest.json"), newer).unwrap();
    let refused = Export::open(folder.path().to_str().unwrap()).await.err().unwrap();
    assert!(matches!(refused, ExportError::AnotherFormat(2)), "{refused}");
}

#[tokio::test]
async fn what_was_written_with_other_columns_stays_as_it_is() {
    let folder = folder();
    let events: Vec<_> = (1..=2).map(|n| ordered(n, 28)).collect();
    one_by_one(&folder, &events).await;
    // As a program would have written it that knew a column less.
    let manifest: Manifest =
        serde_json::from_slice(&std::fs::read(folder.path().join("manifest.json")).unwrap()).unwrap();
    let part = with_events(&manifest)[0].clone();
    let batch = read(folder.path(), &part).remove(0);
    let fewer: Vec<_> = (0..batch.num_columns() - 1).collect();
    let batch = batch.project(&fewer).unwrap();
    std::fs::write(folder.path().join(&part.path), crate::rows::write(&batch.schema(), &[batch]).unwrap()).unwrap();
    let after = one_by_one(&folder, &[ordered(3, 28), ordered(4, 29)]).await;
    let parts = with_events(&after);
    assert!(parts.iter().any(|known| known.path == part.path), "{parts:?}");
    assert_eq!(positions(folder.path(), &parts), [1, 2, 3, 4]);
}

#[tokio::test]
async fn the_manifest_tells_the_hash_of_each_part() {
    use sha2::Digest;
    let folder = folder();
    for part in &one_by_one(&folder, &[retired(1, 30)]).await.parts {
        let file = std::fs::read(folder.path().join(&part.path)).unwrap();
        let hash: String = sha2::Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((hash, file.len() as u64), (part.sha256.clone(), part.bytes));
    }
}

#[tokio::test]
async fn what_is_missing_new_or_of_another_stream_is_refused() {
    let folder = folder();
    one_by_one(&folder, &[retired(1, 30)]).await;
    let mut export = open(&folder).await;
    let gap = export.push(&retired(3, 30)).unwrap_err();
    assert!(matches!(gap, ExportError::Gap { expected: 2, found: 3 }), "{gap}");
    let newer = export.push(&line(2, ("GameRetired", "9"), 30, &json!({ "type": "GameRetired" }))).unwrap_err();
    assert_eq!(
        newer.to_string(),
        "GameRetired, version 9, is newer than this program; export with the version that the store runs"
    );
    let unheard_of = export.push(&line(2, ("GameLent", "1"), 30, &json!({}))).unwrap_err();
    assert!(matches!(unheard_of, ExportError::UnknownForm { .. }), "{unheard_of}");

    export.must_continue(&retired(1, 30)).unwrap();
    let other =
        String::from_utf8(retired(1, 30)).unwrap().replace(&Uuid::from_u128(1).to_string(), &Uuid::nil().to_string());
    let another = export.must_continue(other.as_bytes()).unwrap_err();
    assert!(matches!(another, ExportError::AnotherStream { position: 1 }), "{another}");
    for nowhere in ["", "ftp://host/path", "s3://"] {
        assert!(matches!(Export::open(nowhere).await, Err(ExportError::NoDestination(_))), "{nowhere}");
    }
}
