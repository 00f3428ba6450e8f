//! `mcp-relay install`: the copy, and what is said where there can be none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{run, text};

#[test]
fn the_copy_is_the_program_and_replaces_one_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcp-relay");
    for _ in 0..2 {
        let output = run(&["install", folder.path().to_str().unwrap()], &[]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), format!("{}\n", path.display()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }
    let copy = Command::new(&path).arg("--version").output().unwrap();
    assert_eq!(copy.stdout, run(&["--version"], &[]).stdout);

    // A copy that runs is busy to be written to: it can be replaced all the same, also by itself.
    let output = Command::new(&path).args(["install", folder.path().to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn what_stands_in_the_way_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("mcp-relay")).unwrap();
    for (place, word) in
        [("/nowhere", "no folder"), (folder.path().to_str().unwrap(), "is a folder"), ("/proc", "/proc")]
    {
        let output = run(&["install", place], &[]);
        assert_eq!(output.status.code(), Some(1), "{place}");
        assert!(text(&output.stderr).contains(word), "{}", text(&output.stderr));
    }
    assert_eq!(run(&["install"], &[]).status.code(), Some(64));
}
