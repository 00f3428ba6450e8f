//! Counter of clients' programs, as they name themselves in `clientInfo`. Must not know methods.
//!
//! A client chooses its name: names that are not known are one label, so that nobody can make series.

use std::borrow::Cow;

use metrics::counter;
use protocol::mcp::era::Version;
use runtime::metrics::{Label, Metric};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::operations::VERSION_LABEL;

const INTRODUCTIONS: &str = "mcp_relay_client_introductions_total";

/// The series.
pub(super) const SERIES: Metric = Metric::counter(
    INTRODUCTIONS,
    &[Label::of("client", &LABELS), VERSION_LABEL],
    "Requests by which clients get to know the server (initialize, server/discover, tools/list of MCP 2026-07-28), by the program that clientInfo names (other: a name that is not known here; none: no name).",
);

/// Known programs: what their names begin with, in lower case without spaces, hyphens and underscores, and their label. The first that fits counts.
const KNOWN: [(&str, &str); 21] = [
    ("claudecode", "claude-code"),
    ("claude", "claude"),
    ("anthropic", "claude"),
    ("cursor", "cursor"),
    ("visualstudiocode", "vscode"),
    ("vscode", "vscode"),
    ("githubcopilot", "copilot"),
    ("copilot", "copilot"),
    ("codex", "codex"),
    ("openai", "openai"),
    ("chatgpt", "openai"),
    ("gemini", "gemini"),
    ("inspector", "inspector"),
    ("mcpinspector", "inspector"),
    ("windsurf", "windsurf"),
    ("zed", "zed"),
    ("goose", "goose"),
    ("cline", "cline"),
    ("librechat", "librechat"),
    ("mcpremote", "mcp-remote"),
    ("mcprelay", "mcp-relay"),
];

/// Labels of clients.
const LABELS: [&str; 18] = [
    "claude-code",
    "claude",
    "cursor",
    "vscode",
    "copilot",
    "codex",
    "openai",
    "gemini",
    "inspector",
    "windsurf",
    "zed",
    "goose",
    "cline",
    "librechat",
    "mcp-remote",
    "mcp-relay",
    "other",
    "none",
];

/// Characters of a name that are looked at.
const MAX_NAME_CHARS: usize = 64;

/// The parts of a message that name its client.
#[derive(Deserialize)]
struct Introduction<'a> {
    #[serde(borrow)]
    params: Option<Named<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, rename = "clientInfo")]
    legacy: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/clientInfo")]
    modern: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ClientInfo<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Counts a request by which a client of this version gets to know the server.
pub(crate) fn record_introduction(message: &[u8], version: Version) {
    counter!(INTRODUCTIONS, "client" => label_of(message), "mcp_protocol_version" => version.as_str())
        .increment(1);
}

/// Returns the label of the client that a message names.
fn label_of(message: &[u8]) -> &'static str {
    let named = serde_json::from_slice::<Introduction<'_>>(message).ok().and_then(|message| message.params);
    let info = named.and_then(|named| named.meta.and_then(|meta| meta.modern).or(named.legacy));
    let info = info.and_then(|info| serde_json::from_str::<ClientInfo<'_>>(info.get()).ok());
    info.map_or("none", |info| label(&info.name))
}

fn label(name: &str) -> &'static str {
    let is_kept = |c: &char| !matches!(c, ' ' | '-' | '_');
    let name: String =
        name.chars().take(MAX_NAME_CHARS).filter(is_kept).map(|c| c.to_ascii_lowercase()).collect();
    if name.is_empty() {
        return "none";
    }
    KNOWN.iter().find(|(start, _)| name.starts_with(start)).map_or("other", |(_, label)| label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_programs_have_a_label_and_all_others_share_one() {
        for (name, expected) in [
            ("claude-code", "claude-code"),
            ("claude-ai", "claude"),
            ("Anthropic/ClaudeAI", "claude"),
            ("cursor-vscode", "cursor"),
            ("Visual Studio Code - Insiders", "vscode"),
            ("codex-mcp-client", "codex"),
            ("inspector-client", "inspector"),
            ("mcp-inspector", "inspector"),
            ("gemini-cli-mcp-client", "gemini"),
            ("my-agent", "other"),
            ("canary\u{202e}", "other"),
            ("", "none"),
            (" ", "none"),
        ] {
            assert_eq!(label(name), expected, "{name}");
            assert!(LABELS.contains(&label(name)), "{name}");
        }
        assert!(KNOWN.iter().all(|(_, label)| LABELS.contains(label)));
    }

    #[test]
    fn both_eras_name_their_client_and_a_broken_name_is_none() {
        for (message, expected) in [
            (r#"{"params":{"clientInfo":{"name":"zed","version":"1"}}}"#, "zed"),
            (r#"{"params":{"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"zed"}}}}"#, "zed"),
            (r#"{"params":{"clientInfo":{"name":"z\u0065d"}}}"#, "zed"),
            (r#"{"params":{"clientInfo":{"name":7}}}"#, "none"),
            (r#"{"params":{"clientInfo":"zed"}}"#, "none"),
            (r#"{"params":{}}"#, "none"),
            (r"{}", "none"),
        ] {
            assert_eq!(label_of(message.as_bytes()), expected, "{message}");
        }
    }
}
