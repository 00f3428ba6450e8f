//! `mcp-relay completions` and `mcp-relay man`: what shells and `man` need, generated from the command line's definition.
//! Knows no subcommand.

use anyhow::{Context, ensure};
use clap::CommandFactory;

use crate::cli::{Cli, Completions, Man};

/// Name of the program in completions.
const PROGRAM: &str = "mcp-relay";

/// Returns the completions for a shell.
pub(crate) fn completions(args: Completions) -> String {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), PROGRAM, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Returns the main page, or writes all pages and returns the folder's name as a line.
pub(crate) fn man(args: &Man) -> anyhow::Result<String> {
    if let Some(folder) = &args.to {
        let shown = folder.display();
        ensure!(folder.is_dir(), "{shown} is no folder: make it first");
        clap_mangen::generate_to(Cli::command(), folder)
            .with_context(|| format!("the pages cannot be written into {shown}"))?;
        return Ok(format!("{shown}\n"));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).context("the page cannot be made")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
