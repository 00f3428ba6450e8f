//! `mcp-relay digest`: prints the digests of tools' definitions. Knows JSON texts; must not know proxies or slaves.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use protocol::mcp::canonical;
use protocol::mcp::era::Era;
use protocol::mcp::members::Members;
use runtime::env::Snapshot;
use runtime::io_fault::describe;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::call;
use crate::cli::{Call, Digest};
use crate::command_error::CommandError;

/// Longest input that is read, in bytes.
const MAX_INPUT: u64 = 64 * 1024 * 1024;

/// Returns the lines to print.
pub(crate) async fn run(args: Digest, snapshot: &Snapshot) -> Result<String, CommandError> {
    let definitions = match args.url {
        Some(url) => {
            let listing =
                Call { key_env: args.key_env, ca_file: args.ca_file, ..Call::listing(url, Era::Modern) };
            call::definitions(listing, snapshot, "mcp-relay-digest").await?
        }
        None => definitions(&read(args.file.as_deref())?).map_err(|error| {
            CommandError::Config(format!("expected a definition, or an answer to tools/list: {error}"))
        })?,
    };
    let lines: Vec<String> =
        definitions.iter().map(|definition| line(definition)).collect::<Result<_, _>>()?;
    Ok(lines.concat())
}

fn read(file: Option<&Path>) -> Result<String, CommandError> {
    let mut text = String::new();
    let read = match file {
        None => std::io::stdin().take(MAX_INPUT).read_to_string(&mut text),
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_INPUT).read_to_string(&mut text))
            .map_err(|error| {
                std::io::Error::new(error.kind(), format!("{}: {}", path.display(), describe(&error)))
            }),
    };
    read.map(|_| text).map_err(|error| CommandError::Config(format!("cannot be read: {}", describe(&error))))
}

/// Returns the definitions in a text, as they stand there.
fn definitions(text: &str) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text);
    }
    let Members(members) = serde_json::from_str(text)?;
    let member = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| value.get());
    match (member("result"), member("tools")) {
        (Some(result), _) if member("jsonrpc").is_some() => definitions(result),
        (_, Some(tools)) => serde_json::from_str(tools),
        _ => Ok(vec![serde_json::from_str(text)?]),
    }
}

fn line(definition: &RawValue) -> Result<String, CommandError> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let named: Result<Named, _> = serde_json::from_str(definition.get());
    let Named { name } =
        named.map_err(|error| CommandError::Config(format!("a definition has no usable name: {error}")))?;
    // The name comes from a server, and the line goes to a terminal.
    let name = name.escape_debug();
    let digest = canonical::digest(definition).with_context(|| {
        format!("{name} has no digest: a key stands twice in an object, or it is nested too deeply")
    })?;
    Ok(format!("{digest}  {name}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_found_in_every_form() {
        let one = r#"{"name":"t","inputSchema":{"type":"object"}}"#;
        let expected = "sha256:c6005ee7854db532c5afa7ec72ecc502c63014ac9fe51e0b422daf578ebd3e0a  t\n";
        for text in [
            one.to_owned(),
            format!(" [{one}]"),
            format!(r#"{{"tools":[{one}],"nextCursor":"x"}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{one}]}}}}"#),
        ] {
            let lines: Vec<String> =
                definitions(&text).unwrap().iter().map(|one| line(one).unwrap()).collect();
            assert_eq!(lines, [expected], "{text}");
        }
    }

    #[test]
    fn what_has_no_digest_or_name_is_an_error_and_names_command_no_terminal() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert!(matches!(line(&raw(r#"{"name":"t","name":"t"}"#)), Err(CommandError::Config(_))));
        assert!(matches!(line(&raw(r#"{"name":"t","x":{"a":1,"a":1}}"#)), Err(CommandError::Failed(_))));
        assert!(matches!(line(&raw("{}")), Err(CommandError::Config(_))));
        let shown = line(&raw(r#"{"name":"a\u001b[2J\u202eb"}"#)).unwrap();
        assert!(shown.ends_with("a\\u{1b}[2J\\u{202e}b\n"), "{shown}");
        assert!(definitions("{").is_err() && definitions("3").is_err());
    }
}
