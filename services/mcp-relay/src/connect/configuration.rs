//! What each client program wants to know of a server, from the programs' own documents (docs/connect names them). Must not
//! touch files.

use std::fmt;
use std::path::PathBuf;

use runtime::config::is_loopback_authority;
use serde_json::{Value, json};

use super::{json_file, toml_file};
use crate::cli::Program;
use crate::command_error::CommandError;

/// The relay, as a client is told of it.
pub(super) struct Server<'a> {
    /// The MCP endpoint.
    pub(super) url: &'a str,
    /// Name in the client.
    pub(super) name: &'a str,
    /// Variable that holds the key.
    pub(super) key_env: Option<&'a str>,
    /// The key, if this process has it.
    pub(super) key: Option<&'a str>,
}

/// A client's configuration: what stands in which file.
pub(super) struct Configuration {
    format: Format,
    name: String,
    /// The member of the file that holds servers.
    section: &'static str,
    /// The usual file: a variable that names a folder, if any, and the path in it.
    file: (Option<&'static str>, &'static str),
    /// Command that does the same.
    command: Option<String>,
    notes: Vec<String>,
    /// Variable whose value must be known, since it is written itself.
    needs_key: Option<String>,
}

enum Format {
    /// The server's entry, and the element that VS Code asks for keys with.
    Json {
        entry: Value,
        shown: Value,
        input: Option<Value>,
    },
    Toml(Vec<(&'static str, String)>),
}

impl Configuration {
    pub(super) fn of(program: Program, server: &Server<'_>) -> Self {
        match program {
            Program::ClaudeCode => claude_code(server),
            Program::ClaudeDesktop => claude_desktop(server),
            Program::Cursor => cursor(server),
            Program::Vscode => vscode(server),
            Program::Codex => codex(server),
            Program::Inspector => inspector(server),
        }
    }

    fn json(server: &Server<'_>, section: &'static str, path: &'static str, entry: Value) -> Self {
        Self {
            format: Format::Json { shown: entry.clone(), entry, input: None },
            name: server.name.to_owned(),
            section,
            file: (None, path),
            command: None,
            notes: Vec::new(),
            needs_key: None,
        }
    }

    /// Returns the client's usual file. `folder` returns what a variable names.
    pub(super) fn usual_file(
        &self,
        folder: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<PathBuf, CommandError> {
        let (variable, path) = self.file;
        let Some(variable) = variable else { return Ok(PathBuf::from(path)) };
        let folder = folder(variable).ok_or_else(|| {
            CommandError::Config(format!("{variable} is not set: name the client's file with --file"))
        })?;
        Ok(folder.join(path))
    }

    /// Returns the file with the server in it.
    ///
    /// # Errors
    /// The file is not of its format: a text that says what was expected.
    pub(super) fn edited(&self, old: Option<&str>) -> Result<String, String> {
        match &self.format {
            Format::Json { entry, input, .. } => {
                let text = json_file::with_member(old.unwrap_or("{}"), self.section, &self.name, entry)?;
                match input {
                    Some(input) => json_file::with_element(&text, "inputs", input),
                    None => Ok(text),
                }
            }
            Format::Toml(members) => {
                toml_file::with_table(old.unwrap_or_default(), self.section, &self.name, members)
            }
        }
    }

    /// Refuses to write where the key itself belongs into the file and is not known.
    pub(super) fn check_key(&self) -> Result<(), CommandError> {
        match &self.needs_key {
            Some(variable) => Err(CommandError::Config(format!(
                "--key-env {variable}: this variable is not set, and the client's file takes the key itself; nothing was changed"
            ))),
            None => Ok(()),
        }
    }

    /// What the user should know.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl fmt::Display for Configuration {
    /// Writes what to put where. No key is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self.file {
            (Some(variable), path) => format!("${variable}/{path}"),
            (None, path) => path.to_owned(),
        };
        let content = match &self.format {
            Format::Json { shown, input, .. } => {
                let mut file = json!({});
                file[self.section][&self.name] = shown.clone();
                if let Some(input) = input {
                    file["inputs"] = json!([input]);
                }
                format!("{file:#}\n")
            }
            Format::Toml(_) => self.edited(None).map_err(|_| fmt::Error)?,
        };
        write!(f, "# {path}\n{content}")?;
        if let Some(command) = &self.command {
            write!(f, "\n# or\n{command}\n")?;
        }
        for note in &self.notes {
            write!(f, "\n# {note}\n")?;
        }
        Ok(())
    }
}

/// The entry of a server over HTTP, as most clients want it; `reference` makes the client's reference to a variable.
fn http_entry(server: &Server<'_>, kind: Option<&str>, reference: impl Fn(&str) -> String) -> Value {
    let mut entry = json!({});
    if let Some(kind) = kind {
        entry["type"] = kind.into();
    }
    entry["url"] = server.url.into();
    if let Some(variable) = server.key_env {
        entry["headers"] = json!({ "Authorization": format!("Bearer {}", reference(variable)) });
    }
    entry
}

fn claude_code(server: &Server<'_>) -> Configuration {
    let entry = http_entry(server, Some("http"), |variable| format!("${{{variable}}}"));
    let mut made = Configuration::json(server, "mcpServers", ".mcp.json", entry);
    let header = server.key_env.map(|variable| format!(" --header 'Authorization: Bearer ${{{variable}}}'"));
    made.command = Some(format!(
        "claude mcp add --scope project --transport http {} {}{}",
        server.name,
        quoted(server.url),
        header.unwrap_or_default()
    ));
    made.notes.push(key_note(server, "start claude with it"));
    made
}

fn claude_desktop(server: &Server<'_>) -> Configuration {
    let mut args = vec!["-y", "mcp-remote", server.url];
    let is_https = server.url.starts_with("https:");
    if !is_https && !is_loopback(server.url) {
        args.push("--allow-http");
    }
    let mut entry = json!({ "command": "npx", "args": args });
    let mut shown = entry.clone();
    if let Some(variable) = server.key_env {
        // mcp-remote replaces the reference itself. A space would be lost on some systems.
        for (entry, key) in [
            (&mut entry, server.key.map(str::to_owned)),
            (&mut shown, Some(format!("<the key: value of {variable}>"))),
        ] {
            if let Some(args) = entry["args"].as_array_mut() {
                args.extend(["--header".into(), "Authorization:${MCP_RELAY_AUTHORIZATION}".into()]);
            }
            entry["env"] =
                json!({ "MCP_RELAY_AUTHORIZATION": format!("Bearer {}", key.unwrap_or_default()) });
        }
    }
    let path = if cfg!(target_os = "macos") {
        "Library/Application Support/Claude/claude_desktop_config.json"
    } else {
        ".config/Claude/claude_desktop_config.json"
    };
    let mut made = Configuration::json(server, "mcpServers", path, entry.clone());
    made.format = Format::Json { entry, shown, input: None };
    made.file.0 = Some("HOME");
    made.needs_key = server.key_env.filter(|_| server.key.is_none()).map(str::to_owned);
    made.notes.push("needs Node.js, for npx. Restart Claude Desktop to make it read the file".into());
    if is_https {
        made.notes.push("or without a file: Settings, Connectors, Add custom connector, where the relay takes OAuth tokens".into());
    }
    made
}

fn cursor(server: &Server<'_>) -> Configuration {
    let entry = http_entry(server, None, |variable| format!("${{env:{variable}}}"));
    let mut made = Configuration::json(server, "mcpServers", ".cursor/mcp.json", entry);
    made.file.0 = Some("HOME");
    made.notes.push(key_note(server, "start Cursor with it"));
    made
}

fn vscode(server: &Server<'_>) -> Configuration {
    let id = format!("{}-key", server.name);
    let entry = http_entry(server, Some("http"), |_| format!("${{input:{id}}}"));
    let mut made = Configuration::json(server, "servers", ".vscode/mcp.json", entry);
    if let (Format::Json { input, .. }, Some(_)) = (&mut made.format, server.key_env) {
        let description = format!("Key of {}", server.name);
        *input =
            Some(json!({ "id": id, "type": "promptString", "description": description, "password": true }));
        made.notes.push("Visual Studio Code asks for the key when the server starts, and keeps it".into());
    }
    made
}

fn codex(server: &Server<'_>) -> Configuration {
    let mut members = vec![("url", server.url.to_owned())];
    members.extend(server.key_env.map(|variable| ("bearer_token_env_var", variable.to_owned())));
    let mut made = Configuration::json(server, "mcp_servers", ".codex/config.toml", Value::Null);
    made.format = Format::Toml(members);
    made.file.0 = Some("HOME");
    made.notes.push(key_note(server, "start codex with it"));
    made
}

fn inspector(server: &Server<'_>) -> Configuration {
    let entry = http_entry(server, Some("streamable-http"), |variable| format!("${{{variable}}}"));
    let mut made = Configuration::json(server, "mcpServers", "inspector.json", entry);
    let header = server.key_env.map(|variable| format!(" --header \"Authorization: Bearer ${variable}\""));
    made.command = Some(format!(
        "npx @modelcontextprotocol/inspector --cli {} --transport http --method tools/list{}",
        quoted(server.url),
        header.unwrap_or_default()
    ));
    made.notes.push(format!(
        "npx @modelcontextprotocol/inspector --config inspector.json --server {} opens its page",
        server.name
    ));
    made
}

fn key_note(server: &Server<'_>, how: &str) -> String {
    match server.key_env {
        Some(variable) => format!("the key comes from {variable}: {how} in its environment"),
        None => "no key is sent: where the relay asks for one, name its variable with --key-env".into(),
    }
}

/// For a POSIX shell, as the URL may have a query.
fn quoted(url: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:._-[]".contains(c);
    if url.chars().all(plain) { url.to_owned() } else { format!("'{}'", url.replace('\'', "'\\''")) }
}

fn is_loopback(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| is_loopback_authority(url.host_str().unwrap_or_default()))
}
