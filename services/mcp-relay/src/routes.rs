//! `mcp-relay routes`: checks a file of routes, explains how a call would be routed, and prints the ids of clients' keys.

mod ask;
mod print;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use ::proxy::routes::{ExplainRequest, Explanation, Routes, RoutesError, RoutesFile, client_digest, explain};
use anyhow::Context;
use runtime::env::Snapshot;
use serde_json::value::RawValue;

use crate::cli::{Explain, RoutesCommand};
use crate::command_error::CommandError;
use crate::output::Text;

/// Longest key that is read from standard input, in bytes.
const MAX_KEY: u64 = 64 * 1024;

/// Runs the command and returns the text to print.
pub(crate) async fn run(command: RoutesCommand, snapshot: &Snapshot) -> Result<Text, CommandError> {
    match command {
        RoutesCommand::Check { file } => check(file.as_deref().or(configured(snapshot))).map(Text::from),
        RoutesCommand::Explain(call) => {
            let (from, explanation) = explanation_of(&call, snapshot).await?;
            if call.json {
                let json = serde_json::to_string_pretty(&explanation);
                return Ok(Text::json(&(json.context("the explanation cannot be written")? + "\n")));
            }
            Ok(print::lines(&from, &explanation).into())
        }
        RoutesCommand::KeyId => key_id(std::io::stdin()).map(Text::from),
    }
}

/// Returns the file that `ROUTES` names.
fn configured(snapshot: &Snapshot) -> Option<&Path> {
    snapshot.get("ROUTES").map(Path::new)
}

fn check(file: Option<&Path>) -> Result<String, CommandError> {
    let Some(path) = file else {
        return Ok("ROUTES is not set: there are the built-in rules only\n".into());
    };
    let routes = read(path)?;
    let (rules, clients) = (routes.own_rules(), routes.client_names().count());
    Ok(format!("{}: can be used ({rules} rules, {clients} clients)\n", path.display()))
}

/// Reads a file of routes.
pub(crate) fn read(path: &Path) -> Result<Routes, CommandError> {
    RoutesFile::read(path).map(|file| (*file.routes).clone()).map_err(|error| {
        let reason = match &error {
            RoutesError::Unreadable(_) => error.to_string(),
            RoutesError::Bad(problems) => {
                let lines: Vec<String> = problems.0.iter().map(|one| format!("\n  {one}")).collect();
                format!("it needs correction{}", lines.concat())
            }
        };
        CommandError::Config(format!("{}: {reason}", path.display()))
    })
}

/// Returns where the explanation comes from, and the explanation.
async fn explanation_of(call: &Explain, snapshot: &Snapshot) -> Result<(String, Explanation), CommandError> {
    let asked = asked(call)?;
    let offline = |path: Option<&Path>| {
        let routes = path.map(read).transpose()?.unwrap_or_default();
        let from = path.map_or("the built-in rules".into(), |path| format!("the file {}", path.display()));
        let explanation = explain(&routes, &asked).map_err(CommandError::Config)?;
        Ok((format!("{from} (no proxy was asked, so no slaves are named)"), explanation))
    };
    if let Some(file) = &call.routes {
        return offline(Some(file));
    }
    match &call.proxy {
        Some(url) => ask::at_url(url, &asked, snapshot).await,
        None => match ask::local(&asked, snapshot).await? {
            Some(answer) => Ok(answer),
            None => offline(configured(snapshot)),
        },
    }
}

fn asked(call: &Explain) -> Result<ExplainRequest, CommandError> {
    let wrong = |what: String| CommandError::Config(what);
    let arguments = call.arguments.clone().map(|text| {
        let is_object = text.trim_start().starts_with('{');
        let json = RawValue::from_string(text).ok().filter(|_| is_object);
        json.ok_or_else(|| wrong("--arguments: expected a JSON object".into()))
    });
    let header = |text: &String| {
        let pair =
            text.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        pair.ok_or_else(|| wrong(format!("--header {text:?}: expected a name, a colon and a value")))
    };
    let headers: BTreeMap<String, String> = call.headers.iter().map(header).collect::<Result<_, _>>()?;
    let (tool, client) = (call.tool.clone(), call.client.clone());
    Ok(ExplainRequest { tool, arguments: arguments.transpose()?, headers, client })
}

fn key_id(input: impl Read) -> Result<String, CommandError> {
    let mut key = String::new();
    input.take(MAX_KEY).read_to_string(&mut key).context("standard input cannot be read")?;
    if key.trim().is_empty() {
        return Err(CommandError::Config("standard input has no key: pipe it in".into()));
    }
    Ok(client_digest(&key) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_key_is_its_digest() {
        let id = key_id(" code1\n".as_bytes()).unwrap();
        assert!(id.starts_with("b35f4595") && id.len() == 65);
        assert!(matches!(key_id(" \n".as_bytes()), Err(CommandError::Config(_))));
    }
}
