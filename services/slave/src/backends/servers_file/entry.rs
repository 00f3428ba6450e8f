//! The reader of one entry of the file. Must not know the file's form, nor how a server is run.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use runtime::printable;
use runtime::secret::Secret;
use serde_json::Value;

use crate::backends::mcp_http::HttpTransport;
use crate::backends::stdio::StdioServer;
use crate::backends::variables::fill;

/// Returns the transport of an entry, by the words of the programs that have such files; `None`: it is not reached over HTTP.
fn transport(kind: Option<&str>, has_url: bool) -> Option<HttpTransport> {
    match kind {
        Some("http" | "streamable-http" | "streamableHttp" | "streamable_http") => {
            Some(HttpTransport::Streamable)
        }
        Some("sse") => Some(HttpTransport::Events),
        None => has_url.then_some(HttpTransport::Streamable),
        Some(_) => None,
    }
}

/// The reader of one entry.
pub(super) struct EntryReader<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a Value,
    variable: &'a dyn Fn(&str) -> Option<String>,
    /// Why the entry cannot be used.
    pub(super) problems: Vec<String>,
    /// What has no effect.
    pub(super) warnings: Vec<String>,
    /// The values of variables that were filled in.
    secrets: Vec<Secret>,
}

impl<'a> EntryReader<'a> {
    /// Returns the reader of the entry of this name.
    pub(super) fn new(name: &'a str, value: &'a Value, variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { name, value, variable, problems: Vec::new(), warnings: Vec::new(), secrets: Vec::new() }
    }

    /// Returns the server; `None` if the entry is disabled or cannot be used.
    pub(super) fn read(&mut self) -> Option<StdioServer> {
        if !self.value.is_object() {
            self.report("", "an object with \"command\"");
            return None;
        }
        if self.is_disabled() {
            return None;
        }
        if self.name.is_empty() || self.name.chars().any(printable::is_escaped) {
            self.report("", "a name without control characters");
        }
        let kind = self.value.get("type").and_then(Value::as_str);
        let has_url = self.value.get("url").is_some() && self.value.get("command").is_none();
        self.check_members();
        if let Some(transport) = transport(kind, has_url) {
            return self.remote(transport);
        }
        if !matches!(kind, None | Some("stdio" | "local")) {
            self.report(
                "type",
                "\"stdio\" with a \"command\", or \"http\" or \"sse\" with a \"url\" (set \"disabled\": true to keep an entry of another kind)",
            );
            return None;
        }
        Some(StdioServer {
            name: self.name.to_owned(),
            command: self.command(),
            args: self.args(),
            env: self.env(),
            cwd: self.cwd(),
            confinement: self.confinement(),
            concurrency: self.concurrency(),
            identity: self.identity(),
            sharing: self.sharing(),
            curation: self.curation(),
            remote: None,
            secrets: std::mem::take(&mut self.secrets),
        })
    }

    /// Returns the server of an entry with a `url`; `None` if it cannot be used.
    fn remote(&mut self, transport: HttpTransport) -> Option<StdioServer> {
        let remote = self.http_server(transport)?;
        Some(StdioServer {
            name: self.name.to_owned(),
            concurrency: self.concurrency(),
            // Who gets a token finds the same in `_meta`.
            identity: remote.audience.is_some() || self.identity(),
            sharing: self.sharing(),
            curation: self.curation(),
            remote: Some(remote),
            secrets: std::mem::take(&mut self.secrets),
            ..StdioServer::default()
        })
    }

    /// Returns whether the entry is switched off, in the words of either of the programs that have such files.
    fn is_disabled(&mut self) -> bool {
        let mut disabled = false;
        for (member, off) in [("disabled", true), ("enabled", false)] {
            match self.value.get(member) {
                Some(Value::Bool(value)) => disabled |= *value == off,
                None | Some(Value::Null) => {}
                Some(_) => self.report(member, "true or false"),
            }
        }
        disabled
    }

    fn concurrency(&mut self) -> Option<NonZeroUsize> {
        let value = self.value.get("concurrency").filter(|value| !value.is_null())?;
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        let calls = number.and_then(NonZeroUsize::new);
        if calls.is_none() {
            self.report("concurrency", "the number of calls that may run at once, from 1 up");
        }
        calls
    }

    /// Returns whether the server is told who the client of a call is.
    fn identity(&mut self) -> bool {
        match self.value.get("identity") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(value)) => *value,
            Some(_) => {
                self.report(
                    "identity",
                    "true or false; with a url also \"token\", or an object with \"audience\"",
                );
                false
            }
        }
    }

    /// Returns whether a variable of the slave is set.
    pub(super) fn is_set(&self, variable: &str) -> bool {
        (self.variable)(variable).is_some_and(|value| !value.is_empty())
    }

    fn command(&mut self) -> String {
        match self.value.get("command") {
            Some(Value::String(text)) if !text.trim().is_empty() => self.expand("command", text),
            _ => {
                self.report("command", "the executable, as a text that is not empty");
                String::new()
            }
        }
    }

    fn args(&mut self) -> Vec<String> {
        let value = self.value;
        let Some(Value::Array(items)) = value.get("args") else {
            if value.get("args").is_some_and(|args| !args.is_null()) {
                self.report("args", "a list of texts");
            }
            return Vec::new();
        };
        let mut args = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let member = format!("args[{index}]");
            match item {
                Value::String(text) => args.push(self.expand(&member, text)),
                _ => self.report(&member, "a text (put numbers in quotes)"),
            }
        }
        args
    }

    fn env(&mut self) -> Vec<(String, Secret)> {
        let value = self.value;
        let Some(Value::Object(members)) = value.get("env") else {
            if value.get("env").is_some_and(|env| !env.is_null()) {
                self.report("env", "an object of texts by name");
            }
            return Vec::new();
        };
        let mut env = Vec::with_capacity(members.len());
        for (name, value) in members {
            let member = format!("env.{name}");
            if name.is_empty() || name.contains(['=', '\0']) {
                self.report(&member, "a variable's name");
            }
            match value {
                Value::String(text) => env.push((name.clone(), Secret::new(self.expand(&member, text)))),
                _ => self.report(&member, "a text (put numbers and true or false in quotes)"),
            }
        }
        env
    }

    fn cwd(&mut self) -> Option<PathBuf> {
        match self.value.get("cwd") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.is_empty() => {
                let directory = PathBuf::from(self.expand("cwd", text));
                if !directory.is_dir() {
                    self.report("cwd", "a directory that is there");
                }
                Some(directory)
            }
            Some(_) => {
                self.report("cwd", "a directory, as a text that is not empty");
                None
            }
        }
    }

    /// Replaces references to variables by their values.
    pub(super) fn expand(&mut self, member: &str, text: &str) -> String {
        if text.contains('\0') {
            self.report(member, "a text without NUL characters");
        }
        let filled = fill(text, self.variable);
        for name in &filled.missing {
            self.report(member, &format!("the variable {name} to be set (or ${{{name}:-default}})"));
        }
        self.secrets.extend(filled.used.into_iter().map(|(_, value)| Secret::new(value)));
        filled.text
    }

    /// Adds a problem with a member of the entry, or with the entry itself.
    pub(super) fn report(&mut self, member: &str, expected: &str) {
        let position = if member.is_empty() { String::new() } else { format!(", member {member:?}") };
        self.problems.push(format!("entry {:?}{position}: expected {expected}", self.name));
    }
}
