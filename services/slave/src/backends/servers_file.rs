//! The `mcpServers` file (`SLAVE_BACKENDS`) that users of other MCP hosts already have. Must not know processes.
//!
//! All problems are reported at once, each with the entry and the member that it is about. Members that we have no
//! use for (other hosts' `alwaysAllow`, `timeout`, ...) are ignored.

use std::fmt;
use std::path::{Path, PathBuf};

use runtime::secret::Secret;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::stdio::StdioServer;

/// What is wrong with a file. Never quotes a value: values may be secrets.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .path.display(), .problems.join("; "))]
pub struct ServersFileError {
    /// The file.
    pub path: PathBuf,
    /// Each with its entry and member, and what was expected.
    pub problems: Vec<String>,
}

/// Reads what the file says. `variable` looks up what `${NAME}` stands for (in `command`, `args`, `env` and `cwd`;
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

/// Entries in the order of the file, doubled names included.
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
    let file: File = serde_json::from_str(text).map_err(|error| vec![explain(&error)])?;
    let Some(Entries(entries)) = file.servers else {
        return Err(vec![
            r#"has no member "mcpServers": expected {"mcpServers": {"name": {"command": "..."}}}"#.into(),
        ]);
    };
    let mut problems = Vec::new();
    let mut servers: Vec<StdioServer> = Vec::new();
    for (name, value) in entries {
        let mut entry =
            Entry { name: &name, value: &value, variable, problems: &mut problems, masked: Vec::new() };
        let Some(server) = entry.read() else { continue };
        if servers.iter().any(|other| other.name == server.name) {
            problems.push(format!("entry {name:?} appears twice"));
        }
        servers.push(server);
    }
    if problems.is_empty() { Ok(servers) } else { Err(problems) }
}

/// Errors of form quote what they found; errors of syntax only say where.
fn explain(error: &serde_json::Error) -> String {
    if error.is_data() {
        return r#"is not of the expected form: {"mcpServers": {"name": {"command": "..."}}}"#.into();
    }
    format!("is not JSON: {error}")
}

/// One entry while it is read.
struct Entry<'a> {
    name: &'a str,
    value: &'a Value,
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: &'a mut Vec<String>,
    /// Values of variables that were filled in.
    masked: Vec<Secret>,
}

impl Entry<'_> {
    /// The server; `None` if the entry is disabled or of no use.
    fn read(&mut self) -> Option<StdioServer> {
        if !self.value.is_object() {
            self.wrong("", "an object with \"command\"");
            return None;
        }
        match self.value.get("disabled") {
            Some(Value::Bool(true)) => return None,
            None | Some(Value::Bool(false) | Value::Null) => {}
            Some(_) => self.wrong("disabled", "true or false"),
        }
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            self.wrong("", "a name without control characters");
        }
        let has_url = self.value.get("url").is_some();
        let kind = self.value.get("type").and_then(Value::as_str).unwrap_or("stdio");
        if kind != "stdio" || has_url && self.value.get("command").is_none() {
            self.wrong("type", "\"stdio\" with a \"command\" (other kinds cannot be run; set \"disabled\": true to keep the entry)");
            return None;
        }
        Some(StdioServer {
            name: self.name.to_owned(),
            command: self.command(),
            args: self.args(),
            env: self.env(),
            cwd: self.cwd(),
            masked: std::mem::take(&mut self.masked),
        })
    }

    fn command(&mut self) -> String {
        match self.value.get("command") {
            Some(Value::String(text)) if !text.trim().is_empty() => self.fill("command", text),
            _ => {
                self.wrong("command", "the executable, as a text that is not empty");
                String::new()
            }
        }
    }

    fn args(&mut self) -> Vec<String> {
        let value = self.value;
        let Some(Value::Array(items)) = value.get("args") else {
            if value.get("args").is_some_and(|args| !args.is_null()) {
                self.wrong("args", "a list of texts");
            }
            return Vec::new();
        };
        let mut args = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let member = format!("args[{index}]");
            match item {
                Value::String(text) => args.push(self.fill(&member, text)),
                _ => self.wrong(&member, "a text (put numbers in quotes)"),
            }
        }
        args
    }

    fn env(&mut self) -> Vec<(String, Secret)> {
        let value = self.value;
        let Some(Value::Object(members)) = value.get("env") else {
            if value.get("env").is_some_and(|env| !env.is_null()) {
                self.wrong("env", "an object of texts by name");
            }
            return Vec::new();
        };
        let mut env = Vec::with_capacity(members.len());
        for (name, value) in members {
            let member = format!("env.{name}");
            if name.is_empty() || name.contains(['=', '\0']) {
                self.wrong(&member, "a variable's name");
            }
            match value {
                Value::String(text) => env.push((name.clone(), Secret::new(self.fill(&member, text)))),
                _ => self.wrong(&member, "a text (put numbers and true or false in quotes)"),
            }
        }
        env
    }

    fn cwd(&mut self) -> Option<PathBuf> {
        match self.value.get("cwd") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.is_empty() => {
                let directory = PathBuf::from(self.fill("cwd", text));
                if !directory.is_dir() {
                    self.wrong("cwd", "a directory that is there");
                }
                Some(directory)
            }
            Some(_) => {
                self.wrong("cwd", "a directory, as a text that is not empty");
                None
            }
        }
    }

    /// Puts variables in the place of their references.
    fn fill(&mut self, member: &str, text: &str) -> String {
        if text.contains('\0') {
            self.wrong(member, "a text without NUL characters");
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
                    self.masked.push(Secret::new(value));
                }
                None if default.is_some() => out.push_str(default.unwrap_or_default()),
                None => {
                    self.wrong(member, &format!("the variable {name} to be set (or ${{{name}:-default}})"));
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn wrong(&mut self, member: &str, expected: &str) {
        let place = if member.is_empty() { String::new() } else { format!(", member {member:?}") };
        self.problems.push(format!("entry {:?}{place}: expected {expected}", self.name));
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
    fn entries_come_in_the_file_s_order_without_disabled_ones() {
        let servers = parsed(
            r#"{"mcpServers":{"z":{"command":"a","args":["-x","${TOKEN}"],"alwaysAllow":["*"]},
                "off":{"url":"http://x","disabled":true},
                "a":{"command":"b","env":{"K":"Bearer ${env:TOKEN}","D":"${NO:-d}${EMPTY:-e}","E":"${EMPTY}","L":"$HOME ${"},"cwd":"/","type":"stdio"}},"other":1}"#,
        );
        assert_eq!(servers.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["z", "a"]);
        assert_eq!(servers[0].args, ["-x", "s3cret"]);
        assert_eq!(servers[0].masked[0].expose(), "s3cret");
        let env: Vec<(&str, &str)> = servers[1].env.iter().map(|(k, v)| (k.as_str(), v.expose())).collect();
        assert_eq!(env, [("D", "de"), ("E", ""), ("K", "Bearer s3cret"), ("L", "$HOME ${")]);
        assert_eq!(servers[1].cwd.as_deref(), Some(Path::new("/")));
    }

    #[test]
    fn every_problem_is_named_at_once_without_values() {
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
    fn files_that_are_something_else_are_explained() {
        assert!(problems("{}").contains("mcpServers"));
        assert!(problems("[1]").contains("expected form"));
        assert!(problems("{").contains("line 1"));
        let gone = std::io::ErrorKind::NotFound.into();
        let error = read(Path::new("/no/such/file.json"), Err(gone), variable).unwrap_err().to_string();
        assert!(error.starts_with("/no/such/file.json: cannot be read"), "{error}");
    }
}
