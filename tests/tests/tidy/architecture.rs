//! The tables of docs/ARCHITECTURE.md: each file and each test that they name exists.

use std::collections::BTreeSet;
use std::path::Path;

use crate::source::{has_word, read, report, root, walk};

const DOCUMENT: &str = "docs/ARCHITECTURE.md";

/// Rows of the tables under the heading, up to the next heading of the same level, as their last cells.
fn last_cells(heading: &str) -> Vec<String> {
    let text = read(DOCUMENT);
    let (_, section) = text.split_once(&format!("\n{heading}\n")).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let last = |line: &str| line.trim_matches('|').rsplit('|').next().unwrap_or_default().to_owned();
    section.lines().filter(|line| line.starts_with('|')).skip(2).map(last).collect()
}

/// What a cell quotes, with `a/{b,c}.rs` as two paths.
fn quoted(cell: &str) -> Vec<Vec<String>> {
    cell.split('`').skip(1).step_by(2).map(alternatives).collect()
}

fn alternatives(path: &str) -> Vec<String> {
    let parts = path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (inner, after))) => {
            inner.split(',').map(|one| format!("{before}{one}{after}")).collect()
        }
        None => vec![path.to_owned()],
    }
}

/// Every file of the sources, as a path below the root.
fn files() -> Vec<String> {
    let mut files = Vec::new();
    for folder in ["services", "tests", "fuzz"] {
        walk(&root().join(folder), &mut |path| {
            let path = path.strip_prefix(root()).unwrap_or_else(|_| Path::new(""));
            files.push(path.to_string_lossy().into_owned());
        });
    }
    files
}

/// The files that a quoted path means: itself, or those in it if it is a folder; the path may leave out its first folders.
fn meant<'a>(files: &'a [String], path: &str) -> Vec<&'a String> {
    let inner = format!("/{path}");
    files
        .iter()
        .filter(|file| {
            let file = format!("/{file}");
            file.ends_with(&inner) || file.contains(&format!("{inner}/"))
        })
        .collect()
}

fn is_path(text: &str) -> bool {
    text.contains('/') || Path::new(text).extension().is_some_and(|extension| extension == "rs")
}

fn is_test_name(text: &str) -> bool {
    text.matches('_').count() >= 3
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Faults of one cell: paths that lead nowhere, and tests that are in none of the files named last before them.
fn faults_of(cell: &str, files: &[String]) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let mut named: Vec<&String> = Vec::new();
    for group in quoted(cell) {
        let paths: Vec<_> = group.iter().filter(|text| is_path(text)).collect();
        if !paths.is_empty() {
            named.clear();
        }
        for path in paths {
            let found = meant(files, path);
            if found.is_empty() {
                faults.insert(format!("{DOCUMENT} names {path}, which is not there"));
            }
            named.extend(found);
        }
        for name in group.iter().filter(|text| is_test_name(text)) {
            let there = named.iter().any(|file| has_word(&read(file), &format!("fn {name}")));
            if !there {
                faults.insert(format!("{DOCUMENT} names {name}, which is in none of {named:?}"));
            }
        }
    }
    faults
}

#[test]
fn files_and_tests_of_the_architecture_exist() {
    let files = files();
    let mut faults = BTreeSet::new();
    for heading in ["## Code map", "## Invariants"] {
        let cells = last_cells(heading);
        assert!(cells.len() > 20, "{DOCUMENT}, {heading}: the table is there");
        for cell in cells {
            faults.append(&mut faults_of(&cell, &files));
        }
    }
    report(&faults);
}

#[test]
fn invariants_name_their_tests() {
    let without: BTreeSet<_> = last_cells("## Invariants")
        .into_iter()
        .filter(|cell| !quoted(cell).iter().flatten().any(|q| is_path(q)))
        .collect();
    report(&without);
}

/// Dependencies of the workspace that are not crates of it.
fn dependencies() -> Vec<String> {
    let text = read("Cargo.toml");
    let (_, section) = text.split_once("[workspace.dependencies]\n").expect("the section");
    let section = section.split("\n[").next().unwrap_or_default();
    let foreign = section.lines().filter(|line| !line.contains("path ="));
    foreign.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
}

#[test]
fn each_dependency_has_its_reason() {
    let text = read(DOCUMENT);
    let (_, section) = text.split_once("\n## Dependencies and why\n").expect("the section");
    let rows: Vec<&str> =
        section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    let is_named =
        |name: &str| rows.iter().any(|row| row.split([',', ' ', '(', ')', '`']).any(|word| word == name));
    let dependencies = dependencies();
    assert!(dependencies.len() > 40, "the workspace declares its dependencies elsewhere: {dependencies:?}");
    let faults = dependencies.iter().filter(|name| !is_named(name));
    report(&faults.map(|name| format!("{DOCUMENT} has no reason for the dependency {name}")).collect());
}

#[test]
fn what_is_not_there_is_found() {
    let files = ["services/link/src/driver.rs".to_owned(), "tests/tests/tidy/architecture.rs".to_owned()];
    assert!(faults_of("`link/src/{driver,gone}.rs`", &files).iter().all(|fault| fault.contains("gone.rs")));
    assert_eq!(faults_of("`link/src/{driver,gone}.rs`", &files).len(), 1);
    assert!(faults_of("`tidy/architecture.rs`: `what_is_not_there_is_found`", &files).is_empty());
    assert_eq!(faults_of("`tidy/architecture.rs`: `a_test_that_is_gone`", &files).len(), 1);
}
