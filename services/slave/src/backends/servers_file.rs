//! The parser of the `mcpServers` file (`SLAVE_BACKENDS`), a format that other MCP hosts use as well. Must not know
//! processes.
//!
//! Files are taken as people have them: with comments and trailing commas (JSONC), a byte order mark, the servers under `mcpServers`,
//! `servers` (VS Code) or `mcp.servers` (its settings). All problems are reported at once, each with its entry and member. An entry with a
//! problem is left out; the others run.

mod confine;
mod curate;
mod entry;
mod jsonc;
mod members;
mod remote;
mod sharing;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use runtime::io_fault::describe;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::stdio::StdioServer;
use crate::config::Strictness;
pub(in crate::backends) use confine::read_confine;
use entry::EntryReader;

/// The problems of a file. Never quotes a value: values may be secrets.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .path.display(), .problems.join("; "))]
pub struct ServersFileError {
    /// The file.
    pub path: PathBuf,
    /// The problems, each with its entry, its member and what was expected.
    pub problems: Vec<String>,
}

/// The content of a file.
#[derive(Debug, Default)]
pub struct ServersFile {
    /// The servers of the entries that can be used. Disabled entries are left out.
    pub servers: Vec<StdioServer>,
    /// The names of the entries that cannot be used.
    pub refused: Vec<String>,
    /// The problems of those entries, each with its entry, its member and what was expected. Without values.
    pub problems: Vec<String>,
    /// What is in the file and has no effect, by entry. Without values.
    pub warnings: Vec<String>,
}

/// Returns the content of a file. `variable` returns the value of `${NAME}` (in `command`, `args`, `env` and `cwd`;
/// `${NAME:-default}` and `${env:NAME}` are understood as well).
///
/// # Errors
/// The file cannot be read or has another form; or an entry cannot be used, and no other can, or `strictness` is [`Strictness::File`].
pub fn read(
    path: &Path,
    content: Result<&[u8], &std::io::Error>,
    strictness: Strictness,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<ServersFile, ServersFileError> {
    let failed = |problems| ServersFileError { path: path.to_owned(), problems };
    let content = content.map_err(|error| failed(vec![format!("cannot be read: {}", describe(error))]))?;
    let text =
        std::str::from_utf8(content).map_err(|error| failed(vec![format!("is not UTF-8: {error}")]))?;
    let file = parse(text, &variable).map_err(failed)?;
    let none_left = file.servers.is_empty() || strictness == Strictness::File;
    let refused = none_left && !file.problems.is_empty();
    if refused { Err(failed(file.problems)) } else { Ok(file) }
}

/// The members of a file that hold servers.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "mcpServers", default)]
    mcp_servers: Option<Entries>,
    #[serde(default)]
    servers: Option<Entries>,
    #[serde(default)]
    mcp: Option<Settings>,
}

/// The member `mcp` of VS Code's settings.
#[derive(Default, Deserialize)]
struct Settings {
    #[serde(default)]
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

fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<ServersFile, Vec<String>> {
    let text = jsonc::plain(text.strip_prefix('\u{feff}').unwrap_or(text));
    let file: File = serde_json::from_str(&text).map_err(|error| vec![without_values(&error)])?;
    let members = [file.mcp_servers, file.servers, file.mcp.and_then(|settings| settings.servers)];
    if members.iter().all(Option::is_none) {
        return Err(vec![
            r#"has no member "mcpServers": expected {"mcpServers": {"name": {"command": "..."}}}"#.into(),
        ]);
    }
    let (mut out, mut names) = (ServersFile::default(), HashSet::new());
    for (name, value) in members.into_iter().flatten().flat_map(|Entries(entries)| entries) {
        let mut entry = EntryReader::new(&name, &value, variable);
        let server = entry.read();
        out.warnings.append(&mut entry.warnings);
        let repeated = !names.insert(name.clone());
        let has_one = out.servers.iter().any(|other| other.name == name);
        if entry.problems.is_empty() && !has_one {
            out.servers.extend(server);
        } else if !has_one {
            out.refused.push(name.clone());
        }
        out.problems.append(&mut entry.problems);
        if repeated {
            out.problems.push(format!("entry {name:?} appears twice: the first one that can be used counts"));
        }
    }
    out.refused.retain(|name| out.servers.iter().all(|server| server.name != *name));
    Ok(out)
}

/// Returns the error without values of the file: serde's errors of form quote them, errors of syntax do not.
fn without_values(error: &serde_json::Error) -> String {
    if error.is_data() {
        return r#"is not of the expected form: {"mcpServers": {"name": {"command": "..."}}}"#.into();
    }
    format!("is not JSON: {error}")
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
        let file = parse(text, &variable).unwrap();
        assert_eq!(file.problems, Vec::<String>::new());
        file.servers
    }

    fn problems(text: &str) -> String {
        parse(text, &variable).map_or_else(|problems| problems, |file| file.problems).join("; ")
    }

    fn names(servers: &[StdioServer]) -> Vec<&str> {
        servers.iter().map(|server| server.name.as_str()).collect()
    }

    #[test]
    fn entries_keep_the_order_of_the_file_and_disabled_ones_are_left_out() {
        let servers = parsed(
            r#"{"mcpServers":{"z":{"command":"a","args":["-x","${TOKEN}"],"alwaysAllow":["*"]},
                "off":{"url":"http://x","disabled":true},
                "a":{"command":"b","env":{"K":"Bearer ${env:TOKEN}","D":"${NO:-d}${EMPTY:-e}","E":"${EMPTY}","L":"$HOME ${"},"cwd":"/","type":"stdio"}},"other":1}"#,
        );
        assert_eq!(names(&servers), ["z", "a"]);
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
                "three":{"url":"ftp://x"},"four":{"command":"${NOPE}","disabled":"yes"},"five":3,"two":{"command":"d"}}}"#,
        );
        for part in [
            r#"entry "one", member "command""#,
            r#"entry "one", member "args""#,
            r#"entry "one", member "env.P""#,
            r#"entry "two", member "args[0]""#,
            r#"entry "two", member "cwd""#,
            r#"entry "three", member "url""#,
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
        let gone = std::io::Error::from_raw_os_error(2);
        let path = Path::new("/no/such/file.json");
        let error = read(path, Err(&gone), Strictness::Entry, variable).unwrap_err().to_string();
        assert_eq!(error, "/no/such/file.json: cannot be read: no such file or directory");
    }

    #[test]
    fn files_are_taken_as_people_have_them() {
        for text in [
            r#"{"mcpServers":{"a":{"command":"x"}}}"#,
            r#"{"servers":{"a":{"type":"stdio","command":"x"}},"inputs":[]}"#,
            r#"{"mcp":{"servers":{"a":{"command":"x"}}},"editor.fontSize":12}"#,
            "\u{feff}// servers\r\n{ /* all of them */ \"servers\": {\n\"a\": {\"command\": \"x\", // its program\n},\n},\n}\n// end",
            r#"{"mcpServers":{"a":{"command":"x","args":[],},"off":{"disabled":true},"no":{"enabled":false,"command":1}}}"#,
        ] {
            let servers = parsed(text);
            assert_eq!((names(&servers), servers[0].command.as_str()), (vec!["a"], "x"), "{text}");
        }
        let both = parsed(r#"{"mcpServers":{"a":{"command":"x"}},"servers":{"b":{"command":"//y, /*z*/"}}}"#);
        assert_eq!((names(&both), both[1].command.as_str()), (vec!["a", "b"], "//y, /*z*/"));
    }

    #[test]
    fn a_bad_entry_does_not_stop_the_others_unless_it_is_told_to() {
        let text = r#"{"mcpServers":{"a":{"command":"x"},"bad":{"command":""},"web":{"type":"http","url":"not a URL"},"b":{"command":"y"},"a":{"command":"z"}}}"#;
        let read = |strictness| read(Path::new("f"), Ok(text.as_bytes()), strictness, variable);
        let file = read(Strictness::Entry).unwrap();
        assert_eq!((names(&file.servers), file.refused), (vec!["a", "b"], vec!["bad".into(), "web".into()]));
        assert_eq!((file.servers[0].command.as_str(), file.problems.len()), ("x", 3));
        assert_eq!(read(Strictness::File).unwrap_err().problems, file.problems);
        let bad = br#"{"mcpServers":{"bad":{}}}"#;
        super::read(Path::new("f"), Ok(bad), Strictness::Entry, variable).unwrap_err();
    }

    #[test]
    fn members_without_effect_are_named_and_those_of_other_programs_are_not() {
        let text = r#"{"mcpServers":{"a":{"command":"x","alwaysAllow":["*"],"autoApprove":[],"icon":"i","timeout":60,"comand":"s3cret","toolset":["*"],"envFile":".env"}}}"#;
        let file = parse(text, &variable).unwrap();
        let warnings = file.warnings.join("; ");
        assert!(file.problems.is_empty() && file.servers.len() == 1);
        for member in ["comand", "toolset", "envFile"] {
            assert!(warnings.contains(&format!("{member:?}")), "{warnings}");
        }
        assert!(!warnings.contains("alwaysAllow") && !warnings.contains("timeout"), "{warnings}");
        assert!(!warnings.contains("s3cret"), "{warnings}");
    }

    #[test]
    fn the_number_of_calls_at_once_is_from_1_up() {
        let text = r#"{"mcpServers":{"a":{"command":"x","concurrency":1},"b":{"command":"x"}}}"#;
        let servers = parsed(text);
        assert_eq!(servers[0].concurrency.map(std::num::NonZeroUsize::get), Some(1));
        assert_eq!(servers[1].concurrency, None);
        for bad in ["0", "-1", "1.5", "\"1\"", "true"] {
            let text = format!(r#"{{"mcpServers":{{"a":{{"command":"x","concurrency":{bad}}}}}}}"#);
            assert!(problems(&text).contains("\"concurrency\""), "{bad}");
        }
    }
}
