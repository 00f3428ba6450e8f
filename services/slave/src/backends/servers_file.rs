//! The parser of the `mcpServers` file (`SLAVE_BACKENDS`), a format that other MCP hosts use as well. Must not know
//! processes.
//!
//! All problems are reported at once, each with its entry and member. Members that the slave does not use (other hosts'
//! `alwaysAllow`, `timeout`, ...) are ignored.

mod confine;

use std::fmt;
use std::path::{Path, PathBuf};

use runtime::printable;
use runtime::secret::Secret;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::stdio::StdioServer;

/// The problems of a file. Never quotes a value: values may be secrets.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .path.display(), .problems.join("; "))]
pub struct ServersFileError {
    /// The file.
    pub path: PathBuf,
    /// The problems, each with its entry, its member and what was expected.
    pub problems: Vec<String>,
}

/// Returns the servers of a file. `variable` returns the value of `${NAME}` (in `command`, `args`, `env` and `cwd`;
/// `${NAME:-default}` and `${env:NAME}` are understood as well). Disabled entries are left out.
pub fn read(
    path: &Path,
    content: std::io::Result<&[u8]>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<StdioServer>, ServersFileError> {
    let failed = |problems| ServersFileError { path: path.to_owned(), problems };
    let content = content.map_err(|error| failed(vec![format!("cannot be read: {error}")]))?;
    let text =
        std::str::from_utf8(content).map_err(|error| failed(vec![format!("is not UTF-8: {error}")]))?;
    parse(text, &variable).map_err(failed)
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "mcpServers", default)]
    servers: Option<Entries>,
}

/// The entries in the order of the file, duplicate names included.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of servers by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        from.deserialize_map(Collect)
    }
}

fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<StdioServer>, Vec<String>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file: File = serde_json::from_str(text).map_err(|error| vec![without_values(&error)])?;
    let Some(Entries(entries)) = file.servers else {
        return Err(vec![
            r#"has no member "mcpServers": expected {"mcpServers": {"name": {"command": "..."}}}"#.into(),
        ]);
    };
    let mut problems = Vec::new();
    let mut servers: Vec<StdioServer> = Vec::new();
    for (name, value) in entries {
        let mut entry = EntryReader {
            name: &name,
            value: &value,
            variable,
            problems: &mut problems,
            secrets: Vec::new(),
        };
        let Some(server) = entry.read() else { continue };
        if servers.iter().any(|other| other.name == server.name) {
            problems.push(format!("entry {name:?} appears twice"));
        }
        servers.push(server);
    }
    if problems.is_empty() { Ok(servers) } else { Err(problems) }
}

/// Returns the error without values of the file: serde's errors of form quote them, errors of syntax do not.
fn without_values(error: &serde_json::Error) -> String {
    if error.is_data() {
        return r#"is not of the expected form: {"mcpServers": {"name": {"command": "..."}}}"#.into();
    }
    format!("is not JSON: {error}")
}

/// The reader of one entry.
struct EntryReader<'a> {
    name: &'a str,
    value: &'a Value,
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: &'a mut Vec<String>,
    /// The values of variables that were filled in.
    secrets: Vec<Secret>,
}

impl EntryReader<'_> {
    /// Returns the server; `None` if the entry is disabled or cannot be used.
    fn read(&mut self) -> Option<StdioServer> {
        if !self.value.is_object() {
            self.report("", "an object with \"command\"");
            return None;
        }
        match self.value.get("disabled") {
            Some(Value::Bool(true)) => return None,
            None | Some(Value::Bool(false) | Value::Null) => {}
            Some(_) => self.report("disabled", "true or false"),
        }
        if self.name.is_empty() || self.name.chars().any(printable::is_escaped) {
            self.report("", "a name without control characters");
        }
        let has_url = self.value.get("url").is_some();
        let kind = self.value.get("type").and_then(Value::as_str).unwrap_or("stdio");
        if kind != "stdio" || has_url && self.value.get("command").is_none() {
            self.report("type", "\"stdio\" with a \"command\" (other kinds cannot be run; set \"disabled\": true to keep the entry)");
            return None;
        }
        Some(StdioServer {
            name: self.name.to_owned(),
            command: self.command(),
            args: self.args(),
            env: self.env(),
            cwd: self.cwd(),
            confinement: self.confinement(),
            secrets: std::mem::take(&mut self.secrets),
        })
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
    fn expand(&mut self, member: &str, text: &str) -> String {
        if text.contains('\0') {
            self.report(member, "a text without NUL characters");
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((reference, behind)) = after.split_once('}') else { break };
            out.push_str(before);
            rest = behind;
            let reference = reference.strip_prefix("env:").unwrap_or(reference);
            let (name, default) =
                reference.split_once(":-").map_or((reference, None), |(name, d)| (name, Some(d)));
            match (self.variable)(name).filter(|value| !value.is_empty() || default.is_none()) {
                Some(value) => {
                    out.push_str(&value);
                    self.secrets.push(Secret::new(value));
                }
                None if default.is_some() => out.push_str(default.unwrap_or_default()),
                None => {
                    self.report(member, &format!("the variable {name} to be set (or ${{{name}:-default}})"));
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// Adds a problem with a member of the entry, or with the entry itself.
    fn report(&mut self, member: &str, expected: &str) {
        let position = if member.is_empty() { String::new() } else { format!(", member {member:?}") };
        self.problems.push(format!("entry {:?}{position}: expected {expected}", self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("s3cret".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn parsed(text: &str) -> Vec<StdioServer> {
        parse(text, &variable).unwrap()
    }

    fn problems(text: &str) -> String {
        parse(text, &variable).unwrap_err().join("; ")
    }

    #[test]
    fn entries_keep_the_order_of_the_file_and_disabled_ones_are_left_out() {
        let servers = parsed(
            r#"{"mcpServers":{"z":{"command":"a","args":["-x","${TOKEN}"],"alwaysAllow":["*"]},
                "off":{"url":"http://x","disabled":true},
                "a":{"command":"b","env":{"K":"Bearer ${env:TOKEN}","D":"${NO:-d}${EMPTY:-e}","E":"${EMPTY}","L":"$HOME ${"},"cwd":"/","type":"stdio"}},"other":1}"#,
        );
        assert_eq!(servers.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["z", "a"]);
        assert_eq!(servers[0].args, ["-x", "s3cret"]);
        assert_eq!(servers[0].secrets[0].expose(), "s3cret");
        let env: Vec<(&str, &str)> = servers[1].env.iter().map(|(k, v)| (k.as_str(), v.expose())).collect();
        assert_eq!(env, [("D", "de"), ("E", ""), ("K", "Bearer s3cret"), ("L", "$HOME ${")]);
        assert_eq!(servers[1].cwd.as_deref(), Some(Path::new("/")));
    }

    #[test]
    fn all_problems_are_reported_at_once_without_values() {
        let text = problems(
            r#"{"mcpServers":{"one":{"args":"x","env":{"P":8080}},"two":{"command":"c","args":[1],"cwd":"/no/such/dir"},
                "three":{"url":"http://x"},"four":{"command":"${NOPE}","disabled":"yes"},"five":3,"two":{"command":"d"}}}"#,
        );
        for part in [
            r#"entry "one", member "command""#,
            r#"entry "one", member "args""#,
            r#"entry "one", member "env.P""#,
            r#"entry "two", member "args[0]""#,
            r#"entry "two", member "cwd""#,
            r#"entry "three", member "type""#,
            r#"entry "four", member "disabled""#,
            "variable NOPE to be set",
            r#"entry "five": expected an object"#,
            r#"entry "two" appears twice"#,
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        assert!(!text.contains("8080") && !text.contains("/no/such/dir"), "{text}");
    }

    #[test]
    fn a_file_of_another_form_is_reported_as_such() {
        assert!(problems("{}").contains("mcpServers"));
        assert!(problems("[1]").contains("expected form"));
        assert!(problems("{").contains("line 1"));
        let gone = std::io::ErrorKind::NotFound.into();
        let error = read(Path::new("/no/such/file.json"), Err(gone), variable).unwrap_err().to_string();
        assert!(error.starts_with("/no/such/file.json: cannot be read"), "{error}");
    }
}
