//! `mcp-relay connect`: what a client program needs in order to use the relay, printed or written into its file. Must not know
//! how files are edited.

mod configuration;
pub(crate) mod file;
pub(crate) mod json_file;
mod toml_file;

use std::fmt::Write as _;
use std::path::PathBuf;

use protocol::mcp::era::Era;
use runtime::env::Snapshot;
use serde::Deserialize;

use crate::call;
use crate::cli::{Call, Connect};
use crate::command_error::CommandError;
use configuration::{Configuration, Server};

/// Tools that `--test` names, at most.
const MAX_NAMES: usize = 10;

/// Returns the text to print.
pub(crate) async fn run(args: Connect, snapshot: &Snapshot) -> Result<String, CommandError> {
    let url = match &args.url {
        Some(url) => call::endpoint_url(Some(url), snapshot)?,
        None => call::endpoint_url(snapshot.get("PUBLIC_URL"), snapshot)?,
    };
    let key = args.key_env.as_deref();
    let server =
        Server { url: &url, name: &args.name, key_env: key, key: key.and_then(|name| snapshot.get(name)) };
    let configuration = Configuration::of(args.program, &server);
    let mut out =
        if args.write { write(&args, &configuration, snapshot)? } else { configuration.to_string() };
    if args.test {
        out.push_str(&test(&args, url, snapshot).await?);
    }
    Ok(out)
}

fn write(args: &Connect, configuration: &Configuration, snapshot: &Snapshot) -> Result<String, CommandError> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => configuration.usual_file(|name| snapshot.get(name).map(PathBuf::from))?,
    };
    let old = file::read(&path)?;
    let new = configuration.edited(old.as_deref()).map_err(|expected| {
        CommandError::Config(format!("{}: {expected}; nothing was changed", path.display()))
    })?;
    if args.dry_run {
        return Ok(format!("{} would be:\n{new}", path.display()));
    }
    if old.as_deref() == Some(new.as_str()) {
        return Ok(format!("{} has it already\n", path.display()));
    }
    configuration.check_key()?;
    let backup = file::replace(&path, old.is_some(), &new)?;
    let mut out = format!("wrote {}\n", path.display());
    if let Some(backup) = backup {
        let _ = writeln!(out, "as it was: {}", backup.display());
    }
    for note in configuration.notes() {
        let _ = writeln!(out, "note: {note}");
    }
    Ok(out)
}

/// Lists the tools as the client would.
async fn test(args: &Connect, url: String, snapshot: &Snapshot) -> Result<String, CommandError> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let listing = Call {
        key_env: args.key_env.clone(),
        ca_file: args.ca_file.clone(),
        keyless: args.key_env.is_none(),
        ..Call::listing(url.clone(), Era::Legacy)
    };
    let definitions = call::definitions(listing, snapshot, "mcp-relay-connect").await?;
    let names: Vec<String> = definitions
        .iter()
        .filter_map(|definition| serde_json::from_str(definition.get()).ok())
        .map(|Named { name }| runtime::printable::line(&name).into_owned())
        .collect();
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    let shown = names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    Ok(match names.len() {
        0 => format!("{url} answers, and lists no tools\n"),
        count => format!("{url} answers, and lists {count} tools: {shown}{more}\n"),
    })
}
