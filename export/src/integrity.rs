//! Whether the files of an export are those that its manifest names, byte for byte, and no others.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use journal::is_event;
use sha2::{Digest, Sha256};

use crate::destination::LOCK;
use crate::manifest::hex;
use crate::writer::MANIFEST;
use crate::{ExportError, Manifest, Part, views};

/// How much of a file is in memory at once.
const CHUNK: usize = 1 << 20;

/// Reads the manifest of a folder.
///
/// # Errors
/// When there is none, or one of another version.
pub fn manifest_of(folder: &Path) -> Result<Manifest, ExportError> {
    let file = std::fs::read(folder.join(MANIFEST));
    let file = file.map_err(|error| ExportError::Unreadable { path: MANIFEST.to_owned(), error })?;
    let manifest: Manifest = serde_json::from_slice(&file)?;
    manifest.must_be_ours()?;
    Ok(manifest)
}

/// What is wrong with the files of an export, a sentence each; `read` is told of the bytes that were read.
///
/// # Errors
/// When the folder cannot be read.
pub fn flaws_of_files(folder: &Path, manifest: &Manifest, read: impl Fn(u64)) -> io::Result<Vec<String>> {
    let mut flaws = Vec::new();
    let mut written = serde_json::to_vec_pretty(manifest)?;
    written.push(b'\n');
    if std::fs::read(folder.join(MANIFEST))? != written {
        flaws.push(format!("{MANIFEST} is not as an export writes it"));
    }
    let is_any = manifest.last > 0;
    let ends = (manifest.source == Manifest::default().source, manifest.first == u64::from(is_any));
    if ends != (true, true) || manifest.last_event.is_some() != is_any {
        flaws.push(format!("{MANIFEST} does not fit its events"));
    }
    let views = std::fs::read(folder.join(views::FILE)).unwrap_or_default();
    if views != views::of(manifest, "").as_bytes() {
        flaws.push(format!("{} is not as this version of ludoteca writes it into a folder", views::FILE));
    }
    if std::fs::metadata(folder.join(LOCK)).is_ok_and(|lock| lock.len() > 0) {
        flaws.push(format!("{LOCK} is not empty"));
    }
    if manifest.parts.windows(2).any(|two| matches!(two, [one, next] if one >= next)) {
        flaws.push(format!("{MANIFEST} does not name each part once, in order"));
    }
    for part in &manifest.parts {
        if !is_named_as_written(part) {
            flaws.push(format!("{} is a part that no export writes", part.path));
            continue;
        }
        match hash(&folder.join(&part.path), &read) {
            Ok((bytes, sha256)) if (bytes, &sha256) == (part.bytes, &part.sha256) => (),
            Ok(_) => flaws.push(format!("{} is not the file that the manifest names", part.path)),
            Err(error) => flaws.push(format!("{}: {error}", part.path)),
        }
    }
    let named: BTreeSet<&str> = manifest.parts.iter().map(|part| part.path.as_str()).collect();
    for path in files(folder)? {
        if ![MANIFEST, views::FILE, LOCK].contains(&path.as_str()) && !named.contains(path.as_str()) {
            flaws.push(format!("{path} is not named by the manifest"));
        }
    }
    Ok(flaws)
}

/// Whether a part is called as an export calls it, and of a type that there is: `views.sql` is made of both.
pub(crate) fn is_named_as_written(part: &Part) -> bool {
    let Part { event_type, day, first, last, rows, .. } = part;
    let is_whole = match day {
        Some(_) => (1..=*last).contains(first) && *rows > 0,
        None => (*first, *last, *rows, part.versions.len()) == (0, 0, 0, 0),
    };
    is_whole && is_event(event_type) && Part::path(event_type, *day, (*first, *last)) == part.path
}

fn hash(path: &Path, read: impl Fn(u64)) -> io::Result<(u64, String)> {
    // Before it is opened: a pipe would wait for somebody to write to it.
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), 0_u64);
    let mut chunk = vec![0; CHUNK];
    loop {
        let taken = file.read(&mut chunk)?;
        if taken == 0 {
            return Ok((bytes, hex(&hash.finalize())));
        }
        hash.update(chunk.get(..taken).unwrap_or_default());
        let taken = u64::try_from(taken).unwrap_or_default();
        bytes = bytes.saturating_add(taken);
        read(taken);
    }
}

/// The paths of all files below a folder, from there, sorted.
fn files(folder: &Path) -> io::Result<BTreeSet<String>> {
    let (mut files, mut open) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(inner) = open.pop() {
        for entry in std::fs::read_dir(inner)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                files.insert(entry.path().strip_prefix(folder).unwrap_or(&entry.path()).display().to_string());
            }
        }
    }
    Ok(files)
}
