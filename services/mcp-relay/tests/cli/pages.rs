//! Tests of the manual pages and the shell completions.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::{run, text};

/// Names of the subcommands below `path`, as its help lists them.
fn subcommands(path: &[&str]) -> Vec<String> {
    let mut args = path.to_vec();
    args.push("-h");
    let help = text(&run(&args, &[]).stdout);
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    let names =
        lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Adds the page names of the command `path` and of all commands below it.
fn add_pages(path: &[&str], pages: &mut BTreeSet<String>) {
    let page = ["mcp-relay"].iter().chain(path).copied().collect::<Vec<_>>().join("-");
    pages.insert(format!("{page}.1"));
    for name in subcommands(path) {
        let mut below = path.to_vec();
        below.push(&name);
        add_pages(&below, pages);
    }
}

/// Returns what groff complains of in a page, and `None` where there is no groff.
fn complaints(page: &Path) -> Option<String> {
    let output =
        Command::new("groff").args(["-Kutf8", "-man", "-Tutf8", "-ww", "-z"]).arg(page).output().ok()?;
    Some(text(&output.stderr))
}

#[test]
fn every_subcommand_has_a_manual_page_that_parses() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["man", "--to", folder.path().to_str().unwrap()], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut expected = BTreeSet::new();
    add_pages(&[], &mut expected);
    assert!(expected.len() > 18 && expected.contains("mcp-relay-routes-explain.1"), "{expected:?}");
    let files = std::fs::read_dir(folder.path()).unwrap();
    let written: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    // clap also writes pages of `help`.
    let missing: Vec<_> = expected.difference(&written).collect();
    assert!(missing.is_empty(), "{missing:?} of {written:?}");
    for name in written {
        let path = folder.path().join(&name);
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page.contains("\n.TH ") || page.starts_with(".TH "), "{name}:\n{page}");
        let complaints = complaints(&path).unwrap_or_default();
        assert!(complaints.is_empty(), "{name}: {complaints}");
    }
}

#[test]
fn the_main_page_is_printed_and_a_missing_folder_refused() {
    let page = text(&run(&["man"], &[]).stdout);
    assert!(page.contains(".TH mcp-relay 1") && page.contains("doctor"), "{page}");
    let output = run(&["man", "--to", "/nonexistent/folder"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is no folder"), "{}", text(&output.stderr));
}

#[test]
fn completions_name_every_subcommand() {
    let names = subcommands(&[]);
    assert!(names.len() > 15, "{names:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&run(&["completions", shell], &[]).stdout);
        for name in &names {
            assert!(script.contains(name.as_str()), "{shell}: {name}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"], &[]).status.code(), Some(64));
}
