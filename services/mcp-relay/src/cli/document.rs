//! docs/reference/cli.md is what `--help` prints. Knows no command by its name but the two whose lists of variables are another page's.
//!
//! `UPDATE_DOCS=1 cargo test -p mcp-relay cli::document` writes the page anew.

use std::fmt::Write as _;

use clap::CommandFactory;

use super::{Cli, PROXY_VARIABLES, SLAVE_VARIABLES};
use crate::reference;

const INTRO: &str = "\
<!-- Generated: UPDATE_DOCS=1 cargo test -p mcp-relay cli::document -->

# Command line

What `mcp-relay <command> --help` prints. The lists of variables that `proxy --help` and `slave --help` have as well are in
[Configuration](../CONFIGURATION.md).
";

/// Adds the help of a command and of all commands below it; `path` is how it is called.
fn describe(command: &mut clap::Command, path: &str, level: usize, page: &mut String) {
    let help = command.render_long_help().to_string();
    let help = [reference::chosen(&PROXY_VARIABLES), reference::chosen(&SLAVE_VARIABLES)]
        .iter()
        .fold(help, |help, list| help.replace(list.as_str(), "Variables: mcp-relay --env-help.\n"));
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let mark = "#".repeat(level);
    write!(page, "\n{mark} `{path}`\n\n```text\n{}\n```\n", lines.join("\n").trim()).unwrap();
    for below in command.get_subcommands_mut().filter(|below| below.get_name() != "help") {
        let path = format!("{path} {}", below.get_name());
        describe(below, &path, level + 1, page);
    }
}

fn page() -> String {
    let mut page = INTRO.to_owned();
    let mut root = Cli::command();
    root.build();
    describe(&mut root, "mcp-relay", 2, &mut page);
    page
}

#[test]
fn the_page_of_the_command_line_is_what_help_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/cli.md is out of date: UPDATE_DOCS=1 cargo test -p mcp-relay cli::document"
    );
}

#[test]
fn every_command_has_its_section() {
    let page = page();
    for section in ["## `mcp-relay`", "### `mcp-relay proxy`", "#### `mcp-relay routes explain`"] {
        assert!(page.contains(&format!("\n{section}\n")), "no {section}");
    }
    assert!(!page.contains("SLAVE_CODES_FILE ["), "the lists of variables are another page's");
}
