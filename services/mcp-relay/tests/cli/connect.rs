//! Tests of `mcp-relay connect`: what is printed and written for each client, and the list of tools.

use std::path::Path;
use std::process::Output;

use super::{run, text};
use crate::server::Server;

const KEY: &str = "key-that-must-not-be-shown";

/// Each client, and its file in the home folder.
const PROGRAMS: [(&str, &str); 6] = [
    ("claude-code", ".mcp.json"),
    ("claude-desktop", "desktop.json"),
    ("cursor", ".cursor/mcp.json"),
    ("vscode", ".vscode/mcp.json"),
    ("codex", ".codex/config.toml"),
    ("inspector", "inspector.json"),
];

fn connect(program: &str, more: &[&str], home: &Path) -> Output {
    let args =
        [&["connect", program, "--url", "https://relay.example", "--key-env", "MY_KEY"], more].concat();
    run(&args, &[("HOME", home.to_str().unwrap()), ("MY_KEY", KEY)])
}

#[test]
fn every_client_gets_the_url_and_no_output_shows_the_key() {
    let home = tempfile::tempdir().unwrap();
    for (program, path) in PROGRAMS {
        let printed = connect(program, &[], home.path());
        let shown = text(&printed.stdout);
        assert!(
            printed.status.success() && shown.contains("https://relay.example/mcp"),
            "{program}: {shown}"
        );
        let file = home.path().join(path);
        let at = ["--write", "--file", file.to_str().unwrap()];
        let output = connect(program, &at, home.path());
        let wrote = text(&output.stdout);
        assert!(
            output.status.success() && wrote.contains("wrote "),
            "{program}: {wrote} {}",
            text(&output.stderr)
        );
        let content = std::fs::read_to_string(&file).unwrap();
        assert!(content.contains("https://relay.example/mcp"), "{program}: {content}");
        // The one client that knows no references has the key in its file.
        assert_eq!(content.contains(KEY), program == "claude-desktop", "{program}: {content}");
        let again = connect(program, &at, home.path());
        assert!(text(&again.stdout).contains("has it already"), "{program}: {}", text(&again.stdout));
        for output in [printed, output, again] {
            assert!(!(text(&output.stdout) + &text(&output.stderr)).contains(KEY), "{program}");
        }
    }
}

#[test]
fn the_usual_file_is_written_and_a_dry_run_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".cursor/mcp.json");
    let dry = connect("cursor", &["--write", "--dry-run"], home.path());
    assert!(text(&dry.stdout).contains("${env:MY_KEY}"), "{}", text(&dry.stdout));
    assert!(!file.exists());
    std::fs::create_dir(home.path().join(".cursor")).unwrap();
    std::fs::write(&file, "{\"mcpServers\":{\"mine\":{\"command\":\"x\"}} /* mine */}").unwrap();
    let output = connect("cursor", &["--write"], home.path());
    assert!(text(&output.stdout).contains("as it was: "), "{}", text(&output.stdout));
    let content = std::fs::read_to_string(&file).unwrap();
    assert!(content.contains("\"mine\"") && content.contains("/* mine */"), "{content}");
}

#[test]
fn what_cannot_be_used_is_refused_and_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("broken.json");
    std::fs::write(&file, "{ not json").unwrap();
    let at = ["--write", "--file", file.to_str().unwrap()];
    let desktop = ["connect", "claude-desktop", "--key-env", "UNSET", "--url", "http://r"];
    let new = home.path().join("new.json");
    let new = ["--write", "--file", new.to_str().unwrap()];
    for (args, word) in [
        ([&["connect", "cursor", "--url", "http://r"][..], &at].concat(), "not JSON"),
        ([&desktop[..], &new].concat(), "UNSET: this variable is not set"),
        (vec!["connect", "cursor", "--url", "http://r", "--write"], "HOME is not set"),
        (vec!["connect", "cursor", "--url", "relay"], "--url"),
        (vec!["connect", "cursor", "--name", "a b"], "letters"),
        (vec!["connect", "cursor", "--file", "x"], "--write"),
        (vec!["connect", "netscape"], "possible values"),
    ] {
        let output = run(&args, &[]);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(64) && said.contains(word), "{args:?}: {said}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{ not json");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn the_test_lists_the_tools_with_the_key_of_the_client() {
    let env = [("MCP_SERVER_PORT", "0"), ("DEMO_TOOLS", "1"), ("AUTH_BEARER_KEYS", KEY)];
    let mut server = Server::start(&[], &env);
    let url = format!("http://{}", server.address("MCP server listening on http://"));
    let args = ["connect", "codex", "--url", &url, "--key-env", "MY_KEY", "--test"];
    let output = run(&args, &[("MY_KEY", KEY)]);
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("tools: ") && said.contains("echo"), "{said}");
    for env in [&[("MY_KEY", "wrong")][..], &[]] {
        let output = run(&args, env);
        assert_ne!(output.status.code(), Some(0), "{env:?}: {}", text(&output.stdout));
    }
    // The client gets no key, so the test has none, whatever this environment holds.
    let keyless = run(&["connect", "codex", "--url", &url, "--test"], &[("AUTH_BEARER_KEYS", KEY)]);
    assert_eq!(keyless.status.code(), Some(1), "{}", text(&keyless.stdout));
}
