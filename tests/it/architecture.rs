use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Who may use whom, as ARCHITECTURE.md draws it.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("domain", &[]),
    ("journal", &["domain"]),
    ("export", &["journal"]),
    ("nats", &[]),
    ("psp", &[]),
    ("commands", &["domain", "journal"]),
    ("projections", &["domain", "journal"]),
    ("workers", &["domain", "journal", "nats", "psp", "commands", "projections"]),
    ("gateway", &["domain", "journal", "nats", "psp", "commands", "projections"]),
    ("ludoteca", &["domain", "journal", "nats", "psp", "commands", "projections", "workers", "gateway", "export"]),
];

#[test]
fn dependencies_point_down_the_list_of_crates_only() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let allowed: HashMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    assert_eq!(metadata.packages.len(), allowed.len(), "every crate has its place in the list");
    for package in &metadata.packages {
        let mine = allowed[package.name.as_str()];
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            let known = allowed.contains_key(dependency.name.as_str());
            assert!(!known || mine.contains(&dependency.name.as_str()), "{} uses {}", package.name, dependency.name);
        }
    }
}

/// What the domain may lean on: data, text and arithmetic.
const PURE: [&str; 11] = [
    "chrono",
    "cqrs-es",
    "email_address",
    "idna",
    "serde",
    "serde_json",
    "strum",
    "thiserror",
    "unicode-normalization",
    "unicode-security",
    "uuid",
];

#[test]
fn the_domain_does_no_io() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let domain = metadata.packages.iter().find(|package| package.name.as_str() == "domain").unwrap();
    for dependency in domain.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
        assert!(PURE.contains(&dependency.name.as_str()), "domain uses {}", dependency.name);
    }
    let io = [
        "std::fs",
        "std::net",
        "std::env",
        "std::io",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "Utc::now",
    ];
    let sources = domain.manifest_path.parent().unwrap().join("src");
    let is_test =
        |file: &Path| file.ends_with("tests.rs") || file.parent().is_some_and(|folder| folder.ends_with("tests"));
    for (file, text) in sources_in(sources.as_std_path()).into_iter().filter(|(file, _)| !is_test(file)) {
        for word in io {
            assert!(!text.contains(word), "{} speaks of {word}", file.display());
        }
    }
}

fn sources_in(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        if path.is_dir() { sources_in(&path) } else { vec![(path.clone(), std::fs::read_to_string(&path).unwrap())] }
    };
    entries.flat_map(read).collect()
}

#[test]
fn every_workspace_dependency_has_its_reason() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, table) = manifest.split_once("[workspace.dependencies]").unwrap();
    let (table, _) = table.split_once("\n[").unwrap();
    let ours: Vec<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let mut before = "";
    for line in table.lines() {
        let name = line.split([' ', '.']).next().unwrap();
        // Our own need none, others each their own.
        if !line.is_empty() && !line.starts_with('#') && !ours.contains(&name) {
            assert!(before.starts_with('#'), "no reason above: {line}");
        }
        before = line;
    }
}
