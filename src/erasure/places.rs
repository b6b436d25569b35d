use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use export::{Reader, manifest_of};
use futures::TryStreamExt;
use nats::{ADVISORIES, DLQ, EVENTS, Nats, PAYMENTS};
use sqlx::PgPool;

use super::known::Known;

/// A place that was searched.
pub(super) struct Searched {
    /// Which.
    pub(super) place: String,
    /// How much was in it, as a phrase.
    pub(super) extent: String,
    /// How often something of the person was in it.
    pub(super) found: u64,
}

/// Every row of every table of the store.
pub(super) async fn database(owner: &PgPool, known: &Known) -> Result<Vec<Searched>> {
    let tables: Vec<(String, String)> = sqlx::query_as(
        "select schemaname::text, tablename::text from pg_tables
         where schemaname in ('journal', 'read', 'vault', 'past', 'public') order by 1, 2",
    )
    .fetch_all(owner)
    .await?;
    let mut searched = Vec::new();
    for (schema, table) in tables {
        let (mut rows, mut found) = (0_u64, 0_u64);
        let query = format!("select kept::text from {schema}.\"{table}\" as kept");
        let mut stream = sqlx::query_scalar::<_, String>(&query).fetch(owner);
        while let Some(row) = stream.try_next().await? {
            rows = rows.saturating_add(1);
            found = found.saturating_add(known.is_in(row.as_bytes()).into());
        }
        searched.push(Searched { place: format!("{schema}.{table}"), extent: format!("{rows} rows"), found });
    }
    Ok(searched)
}

/// Every message of every stream: subject, headers and body.
pub(super) async fn streams(nats: &Nats, known: &Known) -> Result<Vec<Searched>> {
    let mut searched = Vec::new();
    for stream in [EVENTS, PAYMENTS, DLQ, ADVISORIES] {
        let (mut messages, mut found) = (0_u64, 0_u64);
        let mut replay = nats.replay(stream, ">", 1);
        loop {
            let batch = replay.next_batch().await?;
            if batch.is_empty() {
                break;
            }
            for message in &batch {
                messages = messages.saturating_add(1);
                let around = format!("{} {:?}", message.subject, message.headers);
                let is_in = known.is_in(&message.payload) || known.is_in(around.as_bytes());
                found = found.saturating_add(is_in.into());
            }
        }
        searched.push(Searched { place: format!("stream {stream}"), extent: format!("{messages} messages"), found });
    }
    Ok(searched)
}

/// Every byte of every file below a folder; and, where it is an export, what its columns hold.
pub(super) fn folder(folder: &Path, known: &Known) -> Result<Searched> {
    let (mut files, mut events, mut found) = (0_u64, 0_u64, 0_u64);
    let mut open = vec![folder.to_owned()];
    while let Some(inner) = open.pop() {
        let is_export = inner.join("manifest.json").is_file();
        for entry in std::fs::read_dir(&inner).with_context(|| inner.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            files = files.saturating_add(1);
            let is_in = std::fs::File::open(&path).and_then(|file| known.is_in_file(&file));
            found = found.saturating_add(is_in.with_context(|| path.display().to_string())?.into());
            let is_packed = path.extension().is_some_and(|kind| kind == "parquet");
            ensure!(
                !is_packed || of_export(&path, folder),
                "{} is packed, and of no export: it cannot be searched",
                path.display()
            );
        }
        if is_export {
            let mut reader = Reader::new(&inner, &manifest_of(&inner)?);
            while let Some(event) = reader.next_event()? {
                events = events.saturating_add(1);
                found = found.saturating_add(known.is_in(&event.body).into());
            }
        }
    }
    let extent =
        if events == 0 { format!("{files} files") } else { format!("{files} files, {events} exported events") };
    Ok(Searched { place: format!("folder {}", folder.display()), extent, found })
}

/// Whether a part lies below an export's manifest, within the folder that is searched.
fn of_export(part: &Path, folder: &Path) -> bool {
    let within = part.ancestors().skip(1).take_while(|above| above.starts_with(folder));
    within.map(Path::to_owned).any(|above: PathBuf| above.join("manifest.json").is_file())
}
