//! Tests of `mcp-relay install`.

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

    // The file of a running program cannot be written, but it can be replaced, also by the program itself.
    let output = Command::new(&path).args(["install", folder.path().to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn errors_name_the_path_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("mcp-relay")).unwrap();
    for (folder, word) in
        [("/nowhere", "no folder"), (folder.path().to_str().unwrap(), "is a folder"), ("/proc", "/proc")]
    {
        let output = run(&["install", folder], &[]);
        assert_eq!(output.status.code(), Some(1), "{folder}");
        assert!(text(&output.stderr).contains(word), "{}", text(&output.stderr));
    }
    assert_eq!(run(&["install"], &[]).status.code(), Some(64));
}
