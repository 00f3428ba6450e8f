//! Standard output and standard error have one writer each in the program, so that no text of a peer passes it by.

use std::collections::BTreeSet;

use crate::source::{self, has_word, report};

/// Files that write to them: the subcommands' output, the logs, and the audit stream, all of which escape hostile characters.
const WRITERS: &[&str] = &[
    "services/mcp-relay/src/output.rs",
    "services/runtime/src/telemetry.rs",
    "services/runtime/src/audit/sink.rs",
    // Standard error of a backend, which the slave reads and escapes like all that the backend writes.
    "services/slave/src/launcher.rs",
    "services/slave/src/launcher/entry.rs",
];

/// What writes to them.
const WAYS: &[&str] = &["print!", "println!", "eprint!", "eprintln!", "dbg!", "stdout()", "stderr()"];

#[test]
fn only_the_writers_of_terminals_write_to_them() {
    let mut faults = BTreeSet::new();
    let shipped =
        |path: &str| path.starts_with("services/") && path.contains("/src/") && !path.contains("/tests/");
    for file in
        source::all().iter().filter(|file| shipped(&file.path) && !WRITERS.contains(&file.path.as_str()))
    {
        for way in WAYS.iter().filter(|way| has_word(file.shipped(), way)) {
            faults.insert(format!("{}: {way}: print with `crate::output`, log with `tracing`", file.path));
        }
    }
    report(&faults);
}

#[test]
fn the_writers_exist() {
    let all = source::all();
    for writer in WRITERS {
        assert!(
            all.iter().any(|file| file.path == *writer && WAYS.iter().any(|way| has_word(&file.code, way))),
            "{writer}"
        );
    }
}
