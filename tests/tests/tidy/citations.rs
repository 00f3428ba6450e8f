//! Comments and code cite files of this repository and public specifications only.

use std::collections::BTreeSet;

use crate::source::{self, report};

/// Documents that are not in this repository, in pieces: this file is read as well.
const OUTSIDE: &[&str] = &[
    concat!("DESIGN", ".md"),
    concat!("EXISTING", ".md"),
    concat!("GLOSSARY", ".md"),
    concat!("shared", "/"),
];

/// Returns whether the line names an issue of the project by its number.
fn cites_issue(line: &str) -> bool {
    let follows = |mark: &str| {
        line.match_indices(mark)
            .any(|(at, _)| line[at + mark.len()..].trim_start().starts_with(|c: char| c.is_ascii_digit()))
    };
    ["issue ", "Issue ", "ISSUE"].iter().any(|mark| follows(mark))
}

#[test]
fn nothing_cites_a_document_outside_the_repository() {
    let mut faults = BTreeSet::new();
    for file in &source::all() {
        for (number, line) in file.text.lines().enumerate() {
            let cited = OUTSIDE.iter().find(|name| line.contains(**name));
            if let Some(name) = cited {
                faults.insert(format!("{}:{}: cites {name}", file.path, number + 1));
            } else if line.trim_start().starts_with("//") && cites_issue(line) {
                faults.insert(format!("{}:{}: cites an issue by its number", file.path, number + 1));
            }
        }
    }
    report(&faults);
}
