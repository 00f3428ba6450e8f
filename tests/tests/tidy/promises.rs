//! The table of promises in docs/secure/threat-model.md: each test that it names exists.

use std::collections::BTreeSet;

use crate::source::{has_word, read, report, root};

const DOCUMENT: &str = "docs/secure/threat-model.md";

/// Cells of the rows of the table under the heading.
fn rows() -> Vec<Vec<String>> {
    let text = read(DOCUMENT);
    let (_, section) = text.split_once("\n## Promises and the tests that hold them\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    section.lines().filter(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

/// Tests that a cell names: `file::function` in backquotes.
fn tests_in(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    cell.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::"))
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let mut faults = BTreeSet::new();
    let mut seen = 0;
    for row in rows() {
        for (file, name) in tests_in(&row[2]) {
            seen += 1;
            let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
            if !has_word(&text, &format!("fn {name}")) {
                faults.insert(format!("{DOCUMENT}, {:?}: {file} has no fn {name}", row[0]));
            }
        }
    }
    let lines = read(DOCUMENT).lines().filter(|line| tests_in(line).next().is_some()).count();
    assert_eq!(lines, rows().len(), "{DOCUMENT}: each promise is in the table and names its tests");
    report(&faults);
    assert!(seen >= 8, "the table names its tests in another way now");
}

#[test]
fn every_promise_is_in_the_table() {
    let rows = rows();
    for promise in [
        "A code acts only as itself",
        "No slave can say anything about a call that it was not given",
        "A name belongs to its provider",
        "No stranger's address is served without a key",
        "No client, slave or stranger monopolises the proxy",
        "Backends cannot read secrets nor outlive",
        "Secrets appear nowhere",
        "Every call is attributed by proof",
        "Revocation within 5 s",
        "Text from peers does not control terminals",
        "Key rollout and upgrades keep sessions",
        "Releases come from pinned inputs",
    ] {
        let row = rows.iter().find(|row| row[0].starts_with(promise));
        let row = row.unwrap_or_else(|| panic!("{DOCUMENT} has no promise {promise:?}"));
        assert_eq!(row.len(), 4, "{DOCUMENT}, {promise:?}: four cells, not {row:?}");
    }
}
