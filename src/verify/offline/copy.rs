//! A copy of the stream on this machine: an export, or lines that `replay` wrote.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use domain::tree_head::SIGNED;
use export::{Manifest, Reader, flaws_of_files, manifest_of};
use nats::numbered;
use serde::Deserialize;

/// As long as a line can be: nats-server takes messages of 1 MiB, and the position comes on top.
const LONGEST: u64 = (1 << 20) + 64;

pub(super) enum Copy {
    /// A folder of Parquet.
    Export(PathBuf, Box<Manifest>),
    /// Lines of JSON.
    Lines(PathBuf),
}

/// What an event is called.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(rename = "type")]
    name: &'a str,
}

impl Copy {
    pub(super) fn open(place: &Path) -> Result<Self> {
        if place.is_file() {
            return Ok(Self::Lines(place.to_owned()));
        }
        ensure!(place.is_dir(), "{} must be the folder of an export, or a regular file", place.display());
        let manifest = manifest_of(place).with_context(|| place.display().to_string())?;
        Ok(Self::Export(place.to_owned(), Box::new(manifest)))
    }

    /// How many bytes the files have that [`Self::flaws`] looks at.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Export(_, manifest) => manifest.parts.iter().fold(0, |bytes, part| part.bytes.saturating_add(bytes)),
            Self::Lines(_) => 0,
        }
    }

    /// What is wrong with the files themselves.
    pub(super) fn flaws(&self, read: impl Fn(u64)) -> Result<Vec<String>> {
        match self {
            Self::Export(folder, manifest) => Ok(flaws_of_files(folder, manifest, read)?),
            Self::Lines(_) => Ok(vec![]),
        }
    }

    /// About how many events there are.
    pub(super) fn events(&self) -> Result<u64> {
        match self {
            Self::Export(_, manifest) => Ok(manifest.rows()),
            // A line has some 700 bytes.
            Self::Lines(file) => Ok(std::fs::metadata(file).with_context(|| file.display().to_string())?.len() / 700),
        }
    }

    /// Every event that says that it is a tree head, with where it stands.
    pub(super) fn heads(&self, mut head: impl FnMut(u64, &[u8])) {
        let heads = match self {
            Self::Export(folder, manifest) => {
                let parts = manifest.parts.iter().filter(|part| part.event_type == SIGNED).cloned().collect();
                let manifest = Manifest { parts, ..Manifest::default() };
                Self::Export(folder.clone(), Box::new(manifest))
            }
            Self::Lines(file) => Self::Lines(file.clone()),
        };
        // What cannot be read is reported when everything is.
        let _ = heads.read(|position, body| {
            let may_be_one = std::str::from_utf8(body).is_ok_and(|text| text.contains(SIGNED));
            if may_be_one && serde_json::from_slice::<Named<'_>>(body).is_ok_and(|event| event.name == SIGNED) {
                head(position, body);
            }
            true
        });
    }

    /// Every event in order, until `event` has had enough.
    pub(super) fn read(&self, mut event: impl FnMut(u64, &[u8]) -> bool) -> Result<()> {
        match self {
            Self::Export(folder, manifest) => {
                let mut reader = Reader::new(folder, manifest);
                while let Some(mirrored) = reader.next_event()? {
                    if !event(mirrored.position, &mirrored.body) {
                        break;
                    }
                }
            }
            Self::Lines(file) => {
                let mut lines = BufReader::new(File::open(file).with_context(|| file.display().to_string())?);
                let mut line = Vec::new();
                let mut number = 0_u64;
                while lines.by_ref().take(LONGEST).read_until(b'\n', &mut line)? > 0 {
                    number = number.saturating_add(1);
                    let Some((position, body)) = unnumbered(&line) else {
                        bail!("line {number} is not as `replay` writes lines, unpacked and without --flat");
                    };
                    if !event(position, &body) {
                        break;
                    }
                    line.clear();
                }
            }
        }
        Ok(())
    }
}

/// The place and the body that a line was made of; nothing where it is another line.
fn unnumbered(line: &[u8]) -> Option<(u64, Vec<u8>)> {
    let rest = line.strip_prefix(b"{\"position\":")?;
    let comma = rest.iter().position(|byte| *byte == b',')?;
    let (position, rest) = rest.split_at_checked(comma)?;
    let position = std::str::from_utf8(position).ok()?.parse().ok()?;
    let body = [b"{", rest.strip_prefix(b",")?.strip_suffix(b"\n")?].concat();
    (numbered(position, &body) == line).then_some((position, body))
}
