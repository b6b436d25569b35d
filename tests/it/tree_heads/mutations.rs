//! Copies that somebody has tampered with: each is found, whatever was done to it.

use std::path::{Path, PathBuf};

use export::Manifest;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Copy, copy, said, signed_store};

const SEED: u64 = 20_261_201;

/// What somebody does to a file without a thought of how it is made.
#[derive(Debug, Clone, Copy)]
enum Blunt {
    FlipBit,
    DropByte,
    AddByte,
}

impl Blunt {
    const ALL: [Self; 3] = [Self::FlipBit, Self::DropByte, Self::AddByte];

    fn of(self, bytes: &[u8], chance: &mut StdRng, before: usize) -> Vec<u8> {
        let (mut bytes, at) = (bytes.to_vec(), chance.gen_range(0..before));
        match self {
            Self::FlipBit => bytes[at] ^= 1 << chance.gen_range(0..8),
            Self::DropByte => _ = bytes.remove(at),
            Self::AddByte => bytes.insert(at, chance.r#gen()),
        }
        bytes
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files = files.into_iter().flat_map(|path| if path.is_dir() { self::files(&path) } else { vec![path] }).collect();
    files.retain(|file| !file.ends_with(".lock"));
    files.sort();
    files
}

/// Whatever is asked for.
async fn must_be_found(copy: &Copy, files: &Path, what: &str) {
    must_be_found_with_head(copy, files, what).await;
    let found = copy.verify(files, &[]).await;
    assert!(!found.status.success(), "seed {SEED}: not found: {what}\n{}", said(&found));
}

/// What is whole in itself is found by what was kept elsewhere.
async fn must_be_found_with_head(copy: &Copy, files: &Path, what: &str) {
    let head = copy.head.to_str().unwrap();
    for more in [&["--head", head][..], &["--to", &copy.size.to_string()]] {
        let found = copy.verify(files, more).await;
        assert!(!found.status.success(), "seed {SEED}: not found with {more:?}: {what}\n{}", said(&found));
    }
}

#[tokio::test]
async fn twenty_seeded_mutations_of_an_export_are_all_found() {
    let app = signed_store().await;
    let copy = copy(&app).await;
    let mut chance = StdRng::seed_from_u64(SEED);
    let all = files(&copy.export);
    for number in 0..14 {
        let file = all.choose(&mut chance).unwrap();
        let (known, blunt) = (std::fs::read(file).unwrap(), Blunt::ALL[number % 3]);
        std::fs::write(file, blunt.of(&known, &mut chance, known.len())).unwrap();
        must_be_found(&copy, &copy.export, &format!("{blunt:?} in {}", file.display())).await;
        std::fs::write(file, known).unwrap();
    }
    for _ in 0..3 {
        let file = all.choose(&mut chance).unwrap();
        let known = std::fs::read(file).unwrap();
        std::fs::remove_file(file).unwrap();
        must_be_found(&copy, &copy.export, &format!("{} is gone", file.display())).await;
        std::fs::write(file, known).unwrap();
    }
    let added = copy.export.join("GameCreated/day=2026-01-01");
    std::fs::create_dir_all(&added).unwrap();
    std::fs::write(added.join("000000000001-000000000001.parquet"), "more").unwrap();
    must_be_found(&copy, &copy.export, "a file more").await;
    std::fs::remove_dir_all(added).unwrap();

    // Two that are made with care: everything fits together, but it is not what was signed.
    for (what, forged) in
        [("a price", forged(&copy, "5990", "5991")), ("a tree head", forged(&copy, "\"size\": ", "\"size\": 1"))]
    {
        let folder = app.folder().join(format!("forged {what}"));
        let mut export = export::Export::open(folder.to_str().unwrap()).await.unwrap();
        forged.lines().for_each(|line| export.push(line.as_bytes()).unwrap());
        export.finish().await.unwrap();
        must_be_found(&copy, &folder, what).await;
    }

    let whole = copy.verify(&copy.export, &[]).await;
    assert!(whole.status.success(), "as it was, it is proved: {}", said(&whole));
}

/// The manifest as it would be if a part were what somebody made of it.
fn name_anew(copy: &Copy, path: &str) {
    let place = copy.export.join("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&std::fs::read(&place).unwrap()).unwrap();
    let file = std::fs::read(copy.export.join(path)).unwrap();
    let part = manifest.parts.iter_mut().find(|part| part.path == path).unwrap();
    part.bytes = file.len() as u64;
    part.sha256 = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(place, serde_json::to_string_pretty(&manifest).unwrap() + "\n").unwrap();
}

#[tokio::test]
async fn whatever_is_flipped_in_a_part_is_found_also_where_the_manifest_fits() {
    let app = signed_store().await;
    let copy = copy(&app).await;
    let mut chance = StdRng::seed_from_u64(SEED);
    let manifest = std::fs::read(copy.export.join("manifest.json")).unwrap();
    let parts: Vec<String> =
        serde_json::from_slice::<Manifest>(&manifest).unwrap().parts.into_iter().map(|part| part.path).collect();
    let parts: Vec<_> = parts
        .iter()
        .filter(|part| ["GameCreated", "OrderCompleted", "TreeHeadSigned"].iter().any(|kind| part.starts_with(kind)))
        .collect();
    for _ in 0..40 {
        let part = *parts.choose(&mut chance).unwrap();
        let place = copy.export.join(part);
        let known = std::fs::read(&place).unwrap();
        std::fs::write(&place, Blunt::FlipBit.of(&known, &mut chance, known.len())).unwrap();
        name_anew(&copy, part);
        must_be_found(&copy, &copy.export, part).await;
        std::fs::write(&place, known).unwrap();
        std::fs::write(copy.export.join("manifest.json"), &manifest).unwrap();
    }
    let whole = copy.verify(&copy.export, &[]).await;
    assert!(whole.status.success(), "as it was, it is proved: {}", said(&whole));
}

#[tokio::test]
async fn every_word_of_a_manifest_is_held_to_what_it_is_about() {
    let app = signed_store().await;
    let copy = copy(&app).await;
    let place = copy.export.join("manifest.json");
    let known: Value = serde_json::from_slice(&std::fs::read(&place).unwrap()).unwrap();
    let part =
        known["parts"].as_array().unwrap().iter().position(|part| part["type"] == "GameCreated" && part["rows"] == 2);
    let part = format!("/parts/{}", part.unwrap());
    for (field, value) in [
        ("/source", json!("/elsewhere")),
        ("/first", json!(2)),
        ("/last", json!(1)),
        ("/last_event/id", json!("00000000-0000-0000-0000-000000000001")),
        ("/last_event/subject", json!("game/1")),
        ("/last_event/aggregateversion", json!(7)),
        (&format!("{part}/type"), json!("GameUpdated")),
        (&format!("{part}/day"), json!("2026-01-01")),
        (&format!("{part}/first"), json!(1)),
        (&format!("{part}/last"), json!(3)),
        (&format!("{part}/rows"), json!(1)),
        (&format!("{part}/bytes"), json!(1)),
        (&format!("{part}/sha256"), json!("0")),
        (&format!("{part}/versions"), json!(["1", "2"])),
    ] {
        let mut changed: Manifest = serde_json::from_value(known.clone()).unwrap();
        let mut value_of = serde_json::to_value(&changed).unwrap();
        *value_of.pointer_mut(field).unwrap() = value;
        changed = serde_json::from_value(value_of).unwrap();
        let text = serde_json::to_string_pretty(&changed).unwrap() + "\n";
        std::fs::write(&place, text).unwrap();
        must_be_found(&copy, &copy.export, field).await;
    }
}

#[tokio::test]
async fn what_is_added_at_the_end_is_not_proved_by_what_stands_before_it() {
    let app = signed_store().await;
    let copy = copy(&app).await;
    let known = std::fs::read_to_string(&copy.lines).unwrap();
    let last = known.lines().last().unwrap();
    let body = format!("{{{}", last.split_once(',').unwrap().1);
    let hash = Sha256::new().chain_update([0]).chain_update(&body).finalize();
    let hash = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, hash);
    let position = copy.size + 2;
    let added = format!(
        "{{\"position\":{position},\"type\":\"TreeHeadSigned\",\"previoushash\":\"{hash}\",\"data\":{{\"anything\":1}}}}\n"
    );
    std::fs::write(&copy.lines, format!("{known}{added}")).unwrap();
    must_be_found(&copy, &copy.lines, "a tree head that is none").await;
    std::fs::write(&copy.lines, "").unwrap();
    must_be_found(&copy, &copy.lines, "nothing").await;
}

fn forged(copy: &Copy, from: &str, to: &str) -> String {
    let lines = std::fs::read_to_string(&copy.lines).unwrap();
    assert!(lines.contains(from), "{from}");
    lines.replace(from, to)
}

#[tokio::test]
async fn twenty_seeded_mutations_of_a_copy_of_the_stream_are_all_found() {
    let app = signed_store().await;
    let copy = copy(&app).await;
    let mut chance = StdRng::seed_from_u64(SEED);
    let known = std::fs::read_to_string(&copy.lines).unwrap();
    let lines: Vec<&str> = known.split_inclusive('\n').collect();
    // What comes after the last tree head is proved by none, and is its own event.
    let signed: usize = lines[..usize::try_from(copy.size).unwrap()].iter().map(|line| line.len()).sum();
    for number in 0..14 {
        let blunt = Blunt::ALL[number % 3];
        std::fs::write(&copy.lines, blunt.of(known.as_bytes(), &mut chance, signed)).unwrap();
        must_be_found(&copy, &copy.lines, &format!("{blunt:?}")).await;
    }
    let at = chance.gen_range(1..lines.len() - 2);
    let with = |change: &dyn Fn(&mut Vec<&str>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        lines.concat()
    };
    std::fs::write(&copy.lines, with(&|lines| lines.truncate(at))).unwrap();
    must_be_found_with_head(&copy, &copy.lines, "the end is gone").await;
    let careful = [
        ("a line is gone", with(&|lines| _ = lines.remove(at))),
        ("a line is there twice", with(&|lines| lines.insert(at, lines[at]))),
        ("two lines have changed places", with(&|lines| lines.swap(at, at + 1))),
        ("a line is gone, and those behind it have moved up", renumbered(&with(&|lines| _ = lines.remove(at)))),
        ("a price, with all hashes made anew", rechained(&known.replace("5990", "5991"))),
    ];
    for (what, copied) in careful {
        std::fs::write(&copy.lines, copied).unwrap();
        must_be_found(&copy, &copy.lines, what).await;
    }
    std::fs::write(&copy.lines, &known).unwrap();
    let whole = copy.verify(&copy.lines, &[]).await;
    assert!(whole.status.success(), "as it was, it is proved: {}", said(&whole));
}

fn renumbered(lines: &str) -> String {
    let number =
        |(number, line): (usize, &str)| format!("{{\"position\":{},{}\n", number + 1, line.split_once(',').unwrap().1);
    lines.lines().enumerate().map(number).collect()
}

/// The same events with hashes that fit, as somebody would make them who forges a whole stream.
fn rechained(lines: &str) -> String {
    let mut before: Option<String> = None;
    let mut forged = String::new();
    for line in lines.lines() {
        let (position, body) = line.split_once(',').unwrap();
        let mut body = format!("{{{body}");
        if let Some(hash) = &before {
            let carried = serde_json::from_str::<Value>(&body).unwrap()["previoushash"].as_str().unwrap().to_owned();
            body = body.replace(&carried, hash);
        }
        let hash = Sha256::new().chain_update([0]).chain_update(&body).finalize();
        before = Some(base64::Engine::encode(&base64::prelude::BASE64_STANDARD, hash));
        forged.extend([position, ",", &body[1..], "\n"]);
    }
    forged
}
