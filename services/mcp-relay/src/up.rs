//! `mcp-relay up` and `mcp-relay share`: the tools of one command or file, on this machine or through a proxy. Makes the
//! environment of the service that does it. Must not know how a service works.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use runtime::env::Snapshot;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::cli::{Servers, Share, Up};
use crate::command_error::CommandError;

/// Programs that run another one, which then gives the entry its name.
const RUNNERS: [&str; 10] =
    ["npx", "uvx", "node", "python", "python3", "bunx", "deno", "pipx", "docker", "env"];

/// Variables that describe a process's mode or other backends, which this command line decides.
const DECIDED: [&str; 3] = ["PROXY_MODE", "PROXY_SLAVE", "SLAVE_BACKENDS"];

/// The environment of the service, and the file that it reads, which goes with this.
pub(crate) struct Prepared {
    /// The environment.
    pub(crate) snapshot: Snapshot,
    /// What to say before the start.
    pub(crate) intro: String,
    _file: Option<NamedTempFile>,
}

/// Prepares `mcp-relay up`: the standalone server on loopback.
pub(crate) fn up(args: &Up, snapshot: &Snapshot) -> Result<Prepared, CommandError> {
    let (path, file) = servers_file(&args.servers, &args.variables)?;
    let set = args.port.map(|port| port.to_string());
    let port = set.as_deref().or_else(|| snapshot.get("MCP_SERVER_PORT")).unwrap_or("8000").to_owned();
    let more = [
        ("MCP_SERVER_HOST", "127.0.0.1".to_owned()),
        ("MCP_SERVER_PORT", port.clone()),
        ("SLAVE_BACKENDS", path),
    ];
    let intro = intro(&port, snapshot.get("AUTH_BEARER_KEYS").is_some());
    Ok(Prepared { snapshot: overlay(snapshot, more), intro, _file: file })
}

/// Prepares `mcp-relay share`: a slave.
pub(crate) fn share(args: &Share, snapshot: &Snapshot) -> Result<Prepared, CommandError> {
    let (path, file) = servers_file(&args.servers, &args.variables)?;
    // The slave's own port is of no use here, and a fixed one may be taken.
    let port = snapshot.get("MCP_SERVER_PORT").unwrap_or("0").to_owned();
    let mut more = vec![("SLAVE_BACKENDS", path), ("MCP_SERVER_PORT", port)];
    more.extend(args.to.clone().map(|url| ("PROXY_SERVER_URL", url)));
    more.extend(args.name.clone().map(|name| ("SLAVE_NAME", name)));
    let mut snapshot = snapshot.clone();
    if let Some(file) = &args.code_file {
        let kept = snapshot.names().filter(|name| *name != "SLAVE_CODE");
        snapshot = Snapshot::of(kept.filter_map(|name| Some((name, snapshot.get(name)?))));
        more.push(("SLAVE_CODE_FILE", text(file)?));
    }
    let to = args.to.as_deref().or_else(|| snapshot.get("PROXY_SERVER_URL")).unwrap_or("ws://localhost:8001");
    let intro = format!("sharing through {to}; Ctrl-C ends it\n");
    Ok(Prepared { snapshot: overlay(&snapshot, more), intro, _file: file })
}

fn overlay(snapshot: &Snapshot, more: impl IntoIterator<Item = (&'static str, String)>) -> Snapshot {
    let kept = snapshot.names().filter(|name| !DECIDED.contains(name));
    let kept = kept.filter_map(|name| Some((name.to_owned(), snapshot.get(name)?.to_owned())));
    Snapshot::of(kept.chain(more.into_iter().map(|(name, value)| (name.to_owned(), value))))
}

/// Returns the path of the file of servers: the user's own, or one made for the command.
fn servers_file(
    servers: &Servers,
    variables: &[String],
) -> Result<(String, Option<NamedTempFile>), CommandError> {
    if let Some(path) = &servers.file {
        return Ok((text(path)?, None));
    }
    let [command, args @ ..] = servers.command.as_slice() else {
        return Err(CommandError::Config("expected -- and a command, or --file".into()));
    };
    let mut entry = json!({ "command": literal(command), "args": args.iter().map(|arg| literal(arg)).collect::<Vec<_>>() });
    for variable in variables {
        entry["env"][variable] = format!("${{{variable}}}").into();
    }
    let mut content = json!({ "mcpServers": {} });
    content["mcpServers"][entry_name(command, args)] = entry;
    let mut file = tempfile::Builder::new()
        .prefix("mcp-relay-")
        .suffix(".json")
        .tempfile()
        .context("no file can be made in the folder for temporary files")?;
    file.write_all(content.to_string().as_bytes()).context("the file of servers cannot be written")?;
    let path = text(file.path())?;
    Ok((path, Some(file)))
}

fn text(path: &Path) -> Result<String, CommandError> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    let text = absolute.to_str().map(str::to_owned);
    text.ok_or_else(|| CommandError::Config(format!("{}: the path is not UTF-8", path.display())))
}

/// An argument as the file of servers gives it back: the shell has replaced its variables already.
fn literal(arg: &str) -> String {
    arg.replace("${", "${:-$}{")
}

/// The name of the entry, after the program that runs.
fn entry_name(command: &str, args: &[String]) -> String {
    let base = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let mut name = base(command);
    if RUNNERS.contains(&name.as_str()) {
        let program =
            args.iter().find(|arg| !arg.starts_with('-') && !["run", "exec"].contains(&arg.as_str()));
        name = program.map_or(name, |program| base(program));
    }
    let stem = name.split('@').find(|part| !part.is_empty()).unwrap_or_default();
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let name: String =
        stem.trim_end_matches(".py").trim_end_matches(".js").chars().take(48).map(fits).collect();
    if name.is_empty() { "server".into() } else { name }
}

/// What each client needs.
fn intro(port: &str, keyed: bool) -> String {
    let url = format!("http://127.0.0.1:{port}/mcp");
    let mut more = if port == "8000" { String::new() } else { format!(" --url {url}") };
    if keyed {
        more.push_str(" --key-env MCP_RELAY_KEY");
    }
    let mut out = format!("MCP endpoint: {url}   (Ctrl-C ends it)\n");
    for (client, name) in [
        ("Claude Code", "claude-code"),
        ("Claude Desktop", "claude-desktop"),
        ("Cursor", "cursor"),
        ("VS Code", "vscode"),
        ("Codex", "codex"),
        ("Inspector", "inspector"),
    ] {
        let _ = writeln!(out, "  {client:<15} mcp-relay connect {name}{more} --write");
    }
    out
}

#[cfg(test)]
mod tests {
    use slave::backends::servers_file;
    use slave::config::Strictness;

    use super::*;

    fn servers(command: &[&str]) -> Servers {
        Servers { file: None, command: command.iter().map(|&arg| arg.to_owned()).collect() }
    }

    #[test]
    fn entries_are_named_after_the_program() {
        for (command, expected) in [
            (&["npx", "-y", "@modelcontextprotocol/server-everything"][..], "server-everything"),
            (&["npx", "-y", "some-server@1.2.3", "--flag"], "some-server"),
            (&["/usr/bin/python3", "/srv/my server.py"], "my-server"),
            (&["uvx", "mcp-server-time"], "mcp-server-time"),
            (&["docker", "run", "-i", "ghcr.io/acme/tool:1"], "tool-1"),
            (&["./bin/tool"], "tool"),
            (&["npx"], "npx"),
            (&["@"], "server"),
        ] {
            let all: Vec<String> = command.iter().map(|&arg| arg.to_owned()).collect();
            assert_eq!(entry_name(&all[0], &all[1..]), expected, "{command:?}");
        }
    }

    #[test]
    fn the_file_is_private_and_says_what_was_typed() {
        let (path, file) = servers_file(&servers(&["x", "a b", "${HOME}", "$1"]), &["TOKEN".into()]).unwrap();
        let content = std::fs::read(&path).unwrap();
        let variable = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        let read = servers_file::read(Path::new(&path), Ok(&content), Strictness::File, variable).unwrap();
        assert_eq!((read.servers[0].name.as_str(), read.warnings.len()), ("x", 0));
        assert_eq!(read.servers[0].args, ["a b", "${HOME}", "$1"]);
        assert_eq!(read.servers[0].env[0].1.expose(), "s3cret");
        assert!(!String::from_utf8(content).unwrap().contains("s3cret"));
        drop(file);
        assert!(!Path::new(&path).exists());
    }

    #[test]
    fn what_the_command_line_says_wins_over_the_environment() {
        let env = Snapshot::of([
            ("PROXY_MODE", "1"),
            ("MCP_SERVER_HOST", "0.0.0.0"),
            ("SLAVE_CODE", "old"),
            ("SLAVE_BACKENDS", "/old"),
            ("LOG_LEVEL", "debug"),
        ]);
        let args = Up { port: Some(8123), variables: Vec::new(), servers: servers(&["x"]) };
        let prepared = up(&args, &env).unwrap();
        let get = |name: &str| prepared.snapshot.get(name).map(str::to_owned);
        assert_eq!(get("MCP_SERVER_HOST").as_deref(), Some("127.0.0.1"));
        assert_eq!((get("MCP_SERVER_PORT").as_deref(), get("PROXY_MODE")), (Some("8123"), None));
        assert_eq!(get("LOG_LEVEL").as_deref(), Some("debug"));
        assert!(prepared.intro.contains("--url http://127.0.0.1:8123/mcp"), "{}", prepared.intro);
        let args = Share {
            to: Some("ws://p:1".into()),
            code_file: Some("/code".into()),
            name: None,
            variables: Vec::new(),
            servers: Servers { file: Some("/f.json".into()), command: Vec::new() },
        };
        let prepared = share(&args, &env).unwrap();
        let get = |name: &str| prepared.snapshot.get(name).map(str::to_owned);
        assert_eq!((get("SLAVE_CODE"), get("SLAVE_CODE_FILE").as_deref()), (None, Some("/code")));
        assert_eq!(
            (get("PROXY_SERVER_URL").as_deref(), get("SLAVE_BACKENDS").as_deref()),
            (Some("ws://p:1"), Some("/f.json"))
        );
    }
}
