use std::collections::HashMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Who may use whom, as ARCHITECTURE.md draws it.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("domain", &[]),
    ("journal", &["domain"]),
    ("nats", &[]),
    ("psp", &[]),
    ("commands", &["domain", "journal"]),
    ("projections", &["domain", "journal"]),
    ("workers", &["domain", "journal", "nats", "psp", "commands", "projections"]),
    ("gateway", &["domain", "journal", "nats", "psp", "commands", "projections"]),
    ("ludoteca", &["domain", "journal", "nats", "psp", "commands", "projections", "workers", "gateway"]),
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

#[test]
fn the_domain_does_no_io() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let domain = metadata.packages.iter().find(|package| package.name.as_str() == "domain").unwrap();
    for dependency in domain.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
        let does_io = ["tokio", "sqlx", "reqwest", "poem", "async-nats", "rand"].contains(&dependency.name.as_str());
        assert!(!does_io, "domain uses {}", dependency.name);
    }
}

#[test]
fn every_workspace_dependency_has_its_reason() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, table) = manifest.split_once("[workspace.dependencies]").unwrap();
    let (table, _) = table.split_once("\n[").unwrap();
    let mut reason = false;
    for line in table.lines() {
        match line.chars().next() {
            None => reason = false,
            Some('#') => reason = true,
            Some(_) => assert!(reason, "no reason above: {line}"),
        }
    }
}
