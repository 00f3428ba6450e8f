//! What is to be called and where, from command line and environment. Must not connect to anything.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use protocol::mcp::era::Era;
use runtime::config::{EVERY, listener};
use runtime::env::{Reader, Snapshot, parse};
use runtime::io_fault::describe;
use serde_json::{Value, json};
use url::Url;

use super::print::Format;
use crate::cli::Call;
use crate::command_error::CommandError;
use crate::http::Target;
use crate::local_server::{at_url, clients_certificate};
use crate::mcp::Endpoint;

/// Default of `--wait` with `--with-slave`: longest time that the slave may take to link.
const SLAVE_START_TIMEOUT: Duration = Duration::from_secs(30);

/// The request that is made.
#[derive(Debug)]
pub(super) enum Operation {
    /// `tools/list`.
    ListTools,
    /// `tools/call`.
    CallTool { tool: String, arguments: Value },
}

/// Everything that the command line and the environment say about the call.
#[derive(Debug)]
pub(super) struct CallSpec {
    pub(super) endpoint: Endpoint,
    pub(super) era: Era,
    pub(super) operation: Operation,
    pub(super) format: Format,
    pub(super) wait: Duration,
    pub(super) timeout: Option<Duration>,
    /// Span of `--during`.
    pub(super) during: Option<Duration>,
    /// Clients at once in that span.
    pub(super) parallel: u16,
    /// Tool that a slave of this process is to offer (`--with-slave`).
    pub(super) slave: Option<String>,
}

impl CallSpec {
    pub(super) fn of(call: Call, snapshot: &Snapshot) -> Result<Self, CommandError> {
        let (target, path) = match &call.url {
            Some(url) => remote_server(url, call.ca_file.as_deref(), snapshot)?,
            None => local_server(snapshot)?,
        };
        let wait = call.wait.map(|span| seconds("--wait", span)).transpose()?;
        let timeout = call.timeout.map(|span| seconds("--timeout", span)).transpose()?;
        let arguments = arguments(call.arguments.as_deref().unwrap_or("{}"), std::io::stdin())?;
        let default_wait = if call.with_slave { SLAVE_START_TIMEOUT } else { Duration::ZERO };
        Ok(Self {
            endpoint: Endpoint { target, path, headers: headers(&call, snapshot)?, kept: None },
            era: call.era,
            format: format(&call),
            wait: wait.unwrap_or(default_wait),
            timeout,
            during: call.during.map(|span| seconds("--during", span)).transpose()?,
            parallel: call.parallel,
            slave: call.tool.clone().filter(|_| call.with_slave),
            operation: match call.tool {
                Some(tool) => Operation::CallTool { tool, arguments },
                None => Operation::ListTools,
            },
        })
    }

    /// URL of the server, for messages.
    pub(super) fn address(&self) -> String {
        address(&self.endpoint.target, &self.endpoint.path)
    }
}

/// Returns the URL of the MCP endpoint at `url`, or of this environment's server.
pub(super) fn endpoint_url(url: Option<&str>, snapshot: &Snapshot) -> Result<String, CommandError> {
    let Some(text) = url else {
        let (target, path) = local_server(snapshot)?;
        return Ok(address(&target, &path));
    };
    let (mut url, path) = parsed(text)?;
    if path == "/mcp" {
        url.set_path(&path);
    }
    Ok(url.into())
}

fn address(target: &Target, path: &str) -> String {
    let scheme = if target.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{target}{path}")
}

fn format(call: &Call) -> Format {
    match (call.json, call.raw) {
        (true, _) => Format::Json,
        (false, true) => Format::Raw,
        (false, false) => Format::Text,
    }
}

/// Server and path of `--url`.
fn remote_server(
    text: &str,
    roots: Option<&Path>,
    snapshot: &Snapshot,
) -> Result<(Target, String), CommandError> {
    let (_, path) = parsed(text)?;
    Ok((at_url("--url", text, roots, snapshot)?, path))
}

/// A URL and the path of its MCP endpoint.
fn parsed(text: &str) -> Result<(Url, String), CommandError> {
    let url = parse::http_url(text)
        .map_err(|expected| CommandError::Config(format!("--url {text:?}: expected {expected}")))?;
    let path = match (url.path(), url.query()) {
        ("" | "/", None) => "/mcp".to_owned(),
        (path, None) => path.to_owned(),
        (path, Some(query)) => format!("{path}?{query}"),
    };
    Ok((url, path))
}

/// Server and path of this environment.
fn local_server(snapshot: &Snapshot) -> Result<(Target, String), CommandError> {
    let tables = [EVERY];
    let mut reader = Reader::new("call", snapshot, &tables);
    let address = listener(&mut reader);
    let address = reader.finish(address)?.config;
    if address.port == 0 {
        let text = "MCP_SERVER_PORT is 0 (any free port): set the port that the server listens on, or --url";
        return Err(CommandError::Config(text.into()));
    }
    let target = Target::of_listener(&address.host, address.port)
        .with_certificate(clients_certificate(snapshot).as_deref())
        .map_err(|error| CommandError::Config(format!("TLS_CERT: {error}")))?;
    Ok((target, "/mcp".into()))
}

/// Headers of every request: the key, and those of `--header`. Error messages show no values, since any may be a secret.
fn headers(call: &Call, snapshot: &Snapshot) -> Result<Vec<(HeaderName, HeaderValue)>, CommandError> {
    let mut headers = Vec::new();
    let variable = call.key_env.as_deref().unwrap_or("AUTH_BEARER_KEYS");
    let key = snapshot.get(variable).filter(|_| !call.keyless).and_then(|keys| parse::list(keys).next());
    if call.key_env.is_some() && key.is_none() {
        return Err(CommandError::Config(format!("--key-env {variable}: this variable is not set")));
    }
    if let Some(key) = key {
        let value = HeaderValue::from_str(&format!("Bearer {key}"));
        let mut value = value.map_err(|_| {
            CommandError::Config(format!("{variable}: expected a key of printable characters without spaces"))
        })?;
        value.set_sensitive(true);
        headers.push((AUTHORIZATION, value));
    }
    for text in &call.headers {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let pair = (HeaderName::try_from(name.trim()), HeaderValue::from_str(value.trim()));
        match pair {
            (Ok(name), Ok(value)) if text.contains(':') => headers.push((name, value)),
            _ => {
                let text = "--header: expected a name, a colon and a value, as in 'X-Team: data'";
                return Err(CommandError::Config(text.into()));
            }
        }
    }
    Ok(headers)
}

fn seconds(option: &str, value: f64) -> Result<Duration, CommandError> {
    let span = Duration::try_from_secs_f64(value).ok().filter(|span| *span <= Duration::from_hours(24));
    span.ok_or_else(|| CommandError::Config(format!("{option} {value}: expected 0 to 86400 seconds")))
}

/// The value of `--arguments`: JSON, `@file`, or `@-` for standard input.
fn arguments(text: &str, input: impl Read) -> Result<Value, CommandError> {
    let json = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some("-") => {
            let mut all = String::new();
            let mut input = input;
            input.read_to_string(&mut all).context("standard input cannot be read")?;
            all
        }
        Some(file) => std::fs::read_to_string(file).map_err(|error| {
            CommandError::Config(format!("--arguments: {file} cannot be read: {}", describe(&error)))
        })?,
    };
    match serde_json::from_str(&json) {
        Ok(Value::Object(members)) => Ok(json!(members)),
        Ok(_) => {
            Err(CommandError::Config("--arguments: expected a JSON object, as in '{\"text\":\"hi\"}'".into()))
        }
        Err(error) => Err(CommandError::Config(format!("--arguments: not JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn spec(args: &[&str], env: &[(&str, &str)]) -> Result<CallSpec, String> {
        let args = [&["mcp-relay", "call"], args].concat();
        let Some(Command::Call(call)) = Cli::parse_from(args).command else { panic!("a call") };
        CallSpec::of(call, &Snapshot::of(env.iter().copied())).map_err(|stop| match stop {
            CommandError::Config(text) => text,
            CommandError::Failed(error) => format!("not the command line's fault: {error:#}"),
        })
    }

    #[test]
    fn the_address_comes_from_the_url_or_the_environment() {
        let env = [("MCP_SERVER_HOST", "0.0.0.0"), ("MCP_SERVER_PORT", "8123")];
        for (args, env, expected) in [
            (&["t"][..], &env[..], "http://127.0.0.1:8123/mcp"),
            (&["t"], &[], "http://127.0.0.1:8000/mcp"),
            (&["t", "--url", "http://relay:80"], &env, "http://relay:80/mcp"),
            (&["t", "--url", "http://[::1]:9/sse?x=1"], &[], "http://[::1]:9/sse?x=1"),
        ] {
            assert_eq!(spec(args, env).unwrap().address(), expected);
        }
    }

    #[test]
    fn errors_name_the_option_or_variable_and_no_secret() {
        for (args, env, word) in [
            (&["t", "--url", "relay:8000"][..], &[][..], "--url"),
            (&["t", "--url", "https://relay", "--ca-file", "/nowhere"], &[], "/nowhere"),
            (&["t", "--arguments", "[]"], &[], "--arguments: expected a JSON object"),
            (&["t", "--arguments", "{"], &[], "--arguments: not JSON"),
            (&["t", "--arguments", "@/nowhere"], &[], "/nowhere"),
            (&["t", "--key-env", "HUSH"], &[("KEY", "x")], "--key-env HUSH"),
            (&["t", "--header", "hush hush"], &[], "--header"),
            (&["t", "--timeout", "-1"], &[], "--timeout"),
            (&["t"], &[("MCP_SERVER_PORT", "0")], "MCP_SERVER_PORT"),
            (&["t"], &[("MCP_SERVER_PORT", "x")], "MCP_SERVER_PORT"),
            (&["t"], &[("AUTH_BEARER_KEYS", "hush\u{1}hush")], "AUTH_BEARER_KEYS"),
        ] {
            let text = spec(args, env).map(|_| ()).unwrap_err();
            assert!(text.contains(word) && !text.contains("hush"), "{text}");
        }
    }

    #[test]
    fn the_first_key_is_sent() {
        let env = [("AUTH_BEARER_KEYS", " one , two"), ("MINE", "three")];
        let sent = |args: &[&str]| {
            let headers = spec(args, &env).unwrap().endpoint.headers;
            headers[0].1.to_str().unwrap().to_owned()
        };
        assert_eq!(sent(&["t"]), "Bearer one");
        assert_eq!(sent(&["t", "--key-env", "MINE"]), "Bearer three");
    }

    #[test]
    fn arguments_are_read_from_a_file_or_standard_input() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"a":1}"#).unwrap();
        let at = format!("@{}", file.path().display());
        assert_eq!(arguments(&at, std::io::empty()).unwrap(), json!({ "a": 1 }));
        assert_eq!(arguments("@-", r#"{"b":2}"#.as_bytes()).unwrap(), json!({ "b": 2 }));
    }
}
