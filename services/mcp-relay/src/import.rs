//! `mcp-relay import`: the servers of an MCP client's file, for the file of a slave. Must not know how a slave runs them.

use std::fmt::Write as _;
use std::path::Path;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::CstRootNode;
use runtime::env::Snapshot;
use runtime::printable;
use serde_json::{Map, Value, json};
use slave::backends::servers_file;
use slave::config::Strictness;

use crate::cli::Import;
use crate::command_error::CommandError;
use crate::connect::{file, json_file};
use crate::output;

/// Returns the text to print.
pub(crate) fn run(args: &Import, snapshot: &Snapshot) -> Result<String, CommandError> {
    let path = &args.file;
    let config = |text: String| CommandError::Config(format!("{}: {text}", path.display()));
    let content = file::read(path)?.ok_or_else(|| config("no such file".into()))?;
    let found = servers(&content).map_err(&config)?;
    for name in &args.only {
        if !found.iter().any(|(found, _)| found == name) {
            return Err(config(format!("has no server {name:?}")));
        }
    }
    let mut taken = Map::new();
    for (name, entry) in found {
        if args.only.is_empty() || args.only.contains(&name) {
            match usable(path, &name, &entry, snapshot) {
                Ok(warnings) => {
                    for warning in &warnings {
                        note(warning);
                    }
                    taken.insert(name, entry);
                }
                Err(why) => note(&format!("{name:?} is left out: {why}")),
            }
        }
    }
    if taken.is_empty() {
        return Err(config("has no server that a slave can use".into()));
    }
    match &args.into {
        None => Ok(format!("{:#}\n", json!({ "mcpServers": taken }))),
        Some(into) => put(into, &taken, args.dry_run),
    }
}

fn put(into: &Path, taken: &Map<String, Value>, dry_run: bool) -> Result<String, CommandError> {
    let old = file::read(into)?;
    let mut new = old.clone().unwrap_or_else(|| "{}".into());
    for (name, entry) in taken {
        new = json_file::with_member(&new, "mcpServers", name, entry).map_err(|expected| {
            CommandError::Config(format!("{}: {expected}; nothing was changed", into.display()))
        })?;
    }
    if dry_run {
        return Ok(format!("{} would be:\n{new}", into.display()));
    }
    let backup = file::replace(into, old.is_some(), &new)?;
    let plural = if taken.len() == 1 { "" } else { "s" };
    let mut out = format!("wrote {} server{plural} to {}\n", taken.len(), into.display());
    if let Some(backup) = backup {
        let _ = writeln!(out, "as it was: {}", backup.display());
    }
    let _ = writeln!(
        out,
        "to use them: SLAVE_BACKENDS={} mcp-relay slave, or mcp-relay up --file {0}",
        into.display()
    );
    Ok(out)
}

/// Returns the servers of a client's file that are not turned off.
fn servers(text: &str) -> Result<Vec<(String, Value)>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root =
        CstRootNode::parse(text, &ParseOptions::default()).map_err(|error| format!("not JSON: {error}"))?;
    let file = root.to_serde_value().unwrap_or_default();
    let sections = [&file["mcpServers"], &file["servers"], &file["mcp"]["servers"]];
    if sections.iter().all(|section| !section.is_object()) {
        return Err("has neither mcpServers nor servers: is it the configuration of an MCP client?".into());
    }
    let entries = sections.into_iter().filter_map(Value::as_object).flatten();
    let on = entries.filter(|(_, entry)| entry["disabled"] != true && entry["enabled"] != false);
    Ok(on.map(|(name, entry)| (name.clone(), with_variables(entry.clone()))).collect())
}

/// Puts variables in place of VS Code's inputs, which only its user can give.
fn with_variables(entry: Value) -> Value {
    match entry {
        Value::String(text) => Value::String(variables_of(&text)),
        Value::Array(all) => all.into_iter().map(with_variables).collect(),
        Value::Object(all) => all.into_iter().map(|(name, value)| (name, with_variables(value))).collect(),
        other => other,
    }
}

fn variables_of(text: &str) -> String {
    const INPUT: &str = "${input:";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(INPUT) {
        let Some((name, behind)) = after.split_once('}') else { break };
        let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        out.push_str(before);
        out.extend(["${", &name.chars().map(upper).collect::<String>(), "}"]);
        rest = behind;
    }
    out + rest
}

/// Returns what a slave would warn of, or why it can make nothing of the entry. Values are not quoted.
fn usable(path: &Path, name: &str, entry: &Value, snapshot: &Snapshot) -> Result<Vec<String>, String> {
    let alone = json!({ "mcpServers": { name: entry } }).to_string();
    let mut unset = Vec::new();
    let cell = std::cell::RefCell::new(&mut unset);
    let variable = |name: &str| {
        let value = snapshot.get(name).map(str::to_owned);
        if value.is_none() && !cell.borrow().contains(&name.to_owned()) {
            cell.borrow_mut().push(name.to_owned());
        }
        // Whether it is set where the slave runs is not known here.
        Some(value.unwrap_or_else(|| "unset".into()))
    };
    let read = servers_file::read(path, Ok(alone.as_bytes()), Strictness::File, variable);
    let file = read.map_err(|error| error.problems.join("; "))?;
    let mut warnings = file.warnings;
    if !unset.is_empty() {
        warnings.push(format!("{name:?} needs variables that are not set here: {}", unset.join(", ")));
    }
    Ok(warnings)
}

fn note(text: &str) {
    output::note(format!("note: {}", printable::line(text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_all_clients_are_found() {
        for text in [
            r#"{"mcpServers":{"a":{"command":"x"},"off":{"command":"y","disabled":true}}}"#,
            "// VS Code\n{\"inputs\":[],\"servers\":{\"a\":{\"type\":\"stdio\",\"command\":\"x\",},},}",
            r#"{"mcp":{"servers":{"a":{"command":"x"},"off":{"enabled":false}}},"editor.fontSize":12}"#,
        ] {
            let found = servers(text).unwrap();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!((found[0].0.as_str(), &found[0].1["command"]), ("a", &json!("x")), "{text}");
        }
        for (text, word) in
            [("{}", "mcpServers"), ("[]", "mcpServers"), ("{", "not JSON"), ("", "mcpServers")]
        {
            let error = servers(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn inputs_become_variables() {
        for (text, expected) in [
            ("Bearer ${input:github-token}", "Bearer ${GITHUB_TOKEN}"),
            ("${input:a}${input:b c}", "${A}${B_C}"),
            ("${env:KEY} ${workspaceFolder}", "${env:KEY} ${workspaceFolder}"),
            ("${input:open", "${input:open"),
        ] {
            assert_eq!(variables_of(text), expected);
        }
    }

    #[test]
    fn what_a_slave_cannot_use_is_left_out_with_its_reason() {
        let usable = |entry: Value| usable(Path::new("f"), "a", &entry, &Snapshot::of([("SET", "s3cret")]));
        assert_eq!(usable(json!({ "command": "x", "env": { "K": "${SET}" } })), Ok(vec![]));
        let warned = usable(json!({ "command": "x", "env": { "K": "${UNSET_HERE}" } })).unwrap();
        assert!(warned[0].contains("UNSET_HERE"), "{warned:?}");
        let refused = usable(json!({ "args": ["s3cret"] })).unwrap_err();
        assert!(refused.contains("command") && !refused.contains("s3cret"), "{refused}");
    }
}
