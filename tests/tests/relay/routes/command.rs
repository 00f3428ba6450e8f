//! `mcp-relay routes`: files are checked, calls explained with and without a proxy, ids of keys printed.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use harness::process::binary;
use serde_json::{Value, json};

use super::{Fleet, GITHUB, GITLAB, TOOL};

/// Runs the command with exactly these arguments and variables, and this standard input.
async fn routes(args: &[&str], env: &[(&str, &str)], input: &str) -> (i32, String) {
    let mut command = Command::new(binary());
    command.arg("routes").args(args).env_clear().envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let run = move || -> Output {
        let mut child = command.spawn().unwrap();
        // The command may exit without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

const FILE: &str = "
rules:
  - name: secret projects
    match: { argument: { pointer: /project, prefix: secret/ } }
    to: { region: vault }
  - name: gitlab in the west
    match: { tool: review_merge_request, argument: { pointer: /platform, equals: gitlab } }
    to: { region: west }
    fallback: any
";

#[tokio::test]
async fn a_running_proxy_is_asked_and_names_its_slaves() {
    let mut fleet = Fleet::with_keys(Some(FILE), &["key-of-the-tests"]).await;
    fleet.add("east", "region=east,platform=github").await;
    fleet.add("west", "region=west").await;
    let url = format!("http://{}", fleet.proxy.http);
    let port = fleet.proxy.http.port().to_string();
    let key = ("AUTH_BEARER_KEYS", "key-of-the-tests");
    let arguments = json!({ "mrUrlOrId": "7", "platform": "gitlab" }).to_string();
    let ask = ["explain", "--tool", TOOL, "--arguments", &arguments];
    let by_url = routes(&[&ask[..], &["--proxy", &url]].concat(), &[key], "").await;
    let by_environment = routes(&ask, &[key, ("MCP_SERVER_PORT", &port)], "").await;
    for (code, text) in [by_url, by_environment] {
        assert_eq!(code, 0, "{text}");
        for words in [
            "- secret projects (line 3): argument /project is missing",
            "+ gitlab in the west (line 6): this one",
            "1. region=west\n       west (region=west): ready",
            "2. any labels\n       east (platform=github,region=east): ready",
        ] {
            assert!(text.contains(words), "{words:?} in\n{text}");
        }
        assert!(!text.contains("key-of-the-tests"), "{text}");
    }
    let arguments = json!({ "project": "secret/x" }).to_string();
    let args = ["explain", "--tool", TOOL, "--arguments", &arguments, "--proxy", &url, "--json"];
    let (code, text) = routes(&args, &[key], "").await;
    let explanation: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &explanation["rule"]), (0, &json!("secret projects")));
    assert!(
        explanation["refused"].is_string() && explanation["others"].as_array().unwrap().len() == 2,
        "{explanation}"
    );
    let (code, text) = routes(&["explain", "--tool", TOOL, "--proxy", &url], &[], "").await;
    assert!(code == 1 && text.contains("AUTH_BEARER_KEYS"), "{text}");
}

#[tokio::test]
async fn without_a_proxy_the_file_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.yaml");
    std::fs::write(&path, FILE).unwrap();
    let file = path.to_str().unwrap();
    // Nothing listens on port 1, which needs privileges.
    let nowhere = ("MCP_SERVER_PORT", "1");
    let arguments = json!({ "mrUrlOrId": GITLAB }).to_string();
    let ask = ["explain", "--tool", TOOL, "--arguments", &arguments];
    let named = routes(&[&ask[..], &["--routes", file]].concat(), &[], "").await;
    let by_variable = routes(&ask, &[("ROUTES", file), nowhere], "").await;
    for (code, text) in [named, by_variable] {
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("no proxy was asked") && text.contains("+ review-gitlab (built in)"), "{text}");
        assert!(text.contains("argument /platform is missing"), "{text}");
    }
    let arguments = json!({ "mrUrlOrId": GITHUB }).to_string();
    let (code, text) = routes(&["explain", "--tool", TOOL, "--arguments", &arguments], &[nowhere], "").await;
    assert!(code == 0 && text.contains("platform=github or no label platform"), "{text}");
    let (code, text) = routes(&["explain", "--tool", TOOL, "--proxy", "http://127.0.0.1:1"], &[], "").await;
    assert!(code == 1 && text.contains("cannot be asked"), "{text}");
    for wrong in [&["--arguments", "[1]"][..], &["--header", "x"], &["--client", "x"], &["--proxy", "x"]] {
        let (code, text) = routes(&[&["explain", "--tool", "t"], wrong].concat(), &[nowhere], "").await;
        assert_eq!(code, 64, "{wrong:?}: {text}");
    }
}

#[tokio::test]
async fn files_are_checked_and_ids_of_keys_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.yaml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, FILE).unwrap();
    for (args, env) in [(&["check", file][..], &[][..]), (&["check"], &[("ROUTES", file)])] {
        let (code, text) = routes(args, env, "").await;
        assert!(code == 0 && text.contains("2 rules, 0 clients"), "{text}");
    }
    std::fs::write(&path, "rules:\n  - to: any\n  - name: b\n").unwrap();
    let (code, text) = routes(&["check", file], &[], "").await;
    assert_eq!(code, 64);
    assert!(
        text.contains("line 2 rules[0] lacks \"name\"") && text.contains("line 3 rules[1] lacks"),
        "{text}"
    );
    let (code, text) = routes(&["check", "/nowhere/routes.yaml"], &[], "").await;
    assert!(code == 64 && text.contains("cannot be read"), "{text}");
    let (code, text) = routes(&["key-id"], &[], "foo\n").await;
    assert_eq!((code, text.trim()), (0, "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"));
    assert_eq!(routes(&["key-id"], &[], "").await.0, 64);
}
