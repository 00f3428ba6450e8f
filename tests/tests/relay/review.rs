//! Reviews end to end: client, proxy, link, slave, and a stand-in `mr-pilot` that writes the report of the CLI.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::client::Client;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

mod environment;
mod runs;

const REPORT: &str = r#"
cat <<'END'
Fetching merge request...
Asking the model...
============================================================
                      MR REVIEW REPORT
============================================================
Goal Status: PARTIALLY_MET
Quality Score: 72/100
Acceptance Criteria: 2 of 3

⚠ Potential Issues:
   1. No test for the empty list
   2. `unwrap` in the request path
   3. Naming: "x" says nothing

Remarks:
   Sound on the whole.

   Look at the error paths again.
============================================================
END
"#;

/// A slave whose `mr-pilot` is this shell script; `$DIR` is the folder.
async fn with_pilot(script: &str) -> (Proxy, Slave, TempDir) {
    with_variables(script, &[]).await
}

async fn with_variables(script: &str, variables: &[(&str, &str)]) -> (Proxy, Slave, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mr-pilot");
    let text = format!("#!/bin/sh\nDIR='{}'\n{script}", folder.path().display());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let proxy = Setup::proxy().start_proxy().await;
    let setup = variables
        .iter()
        .fold(Setup::slave("one", proxy.link), |setup, (name, value)| setup.env(name, *value));
    let slave = setup
        .env("PROXY_TUNNEL_URL", "none")
        .env("MR_PILOT_COMMAND", path.to_str().unwrap())
        .env("GITLAB_TOKEN", "token-for-the-cli")
        .env("LLM_MODEL", "model-for-the-cli")
        .start_slave()
        .await;
    proxy.offers("review_merge_request").await;
    (proxy, slave, folder)
}

fn read(folder: &TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap_or_default()
}

#[tokio::test]
async fn a_report_becomes_a_structured_result() {
    let script = format!("printf '%s\\n' \"$@\" > \"$DIR/args\"\nenv > \"$DIR/env\"\n{REPORT}");
    let (proxy, _slave, folder) = with_pilot(&script).await;
    let expected = json!({
        "success": true,
        "goalStatus": "partially_met",
        "score": 72,
        "issues": ["No test for the empty list", "`unwrap` in the request path", "Naming: \"x\" says nothing"],
        "commentPosted": false,
    });
    for client in [Client::modern(proxy.http), Client::legacy(proxy.http).await] {
        let arguments = json!({ "mrUrlOrId": "https://gitlab.com/group/project/-/merge_requests/7", "maxDiffChars": 5000 });
        let answer = client.call("review_merge_request", arguments).await;
        let result = &answer.result()["structuredContent"];
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&result[key], value, "{key} in {result}");
        }
        let remarks = result["remarks"].as_str().unwrap();
        assert!(
            remarks.contains("Sound on the whole.") && remarks.contains("error paths again."),
            "{remarks}"
        );
        let text: Value = serde_json::from_str(answer.text()).expect("the same as JSON text");
        assert_eq!(&text, result);
        assert!(!answer.result()["isError"].as_bool().unwrap_or(false));
    }
    let args = read(&folder, "args");
    assert!(args.starts_with("https://gitlab.com/group/project/-/merge_requests/7\n"), "{args}");
    assert!(args.contains("--max-diff-chars\n5000\n"), "{args}");
    let env = read(&folder, "env");
    assert!(
        env.contains("GITLAB_TOKEN=token-for-the-cli") && env.contains("LLM_MODEL=model-for-the-cli"),
        "{env}"
    );
    assert!(!env.contains("SLAVE_CODE"), "{env}");
}

#[tokio::test]
async fn the_tool_says_what_it_takes_and_gives() {
    let (proxy, _slave, _folder) = with_pilot(REPORT).await;
    let tools = Client::modern(proxy.http).tools().await;
    let tool = tools.iter().find(|tool| tool["name"] == "review_merge_request").unwrap();
    assert_eq!(tool["title"], "Review GitLab MR or GitHub PR");
    let input = &tool["inputSchema"];
    assert_eq!(input["required"], json!(["mrUrlOrId"]));
    for name in [
        "mrUrlOrId",
        "ticketSpec",
        "guidelines",
        "postComment",
        "maxDiffChars",
        "acceptanceCriteria",
        "platform",
        "project",
        "debug",
    ] {
        assert!(input["properties"][name].is_object(), "{name} in {input}");
    }
    for name in ["success", "goalStatus", "score", "issues", "remarks", "commentPosted"] {
        assert!(tool["outputSchema"]["properties"][name].is_object(), "{name} in {}", tool["outputSchema"]);
    }
}

#[tokio::test]
async fn long_texts_go_through_private_files_that_are_removed() {
    let script = format!(
        r#"while [ $# -gt 0 ]; do case "$1" in
  --input-file) cp "$2" "$DIR/ticket"; ls -l "$2" > "$DIR/mode"; echo "$2" >> "$DIR/paths"; shift;;
  --guidelines-file) cp "$2" "$DIR/guidelines"; echo "$2" >> "$DIR/paths"; shift;;
  *) printf '%s\n' "$1" >> "$DIR/args";;
esac; shift; done
{REPORT}"#
    );
    let (proxy, _slave, folder) = with_pilot(&script).await;
    let arguments = json!({
        "mrUrlOrId": "12",
        "ticketSpec": "the ticket $(touch /tmp/never) `id`",
        "guidelines": "the guidelines",
        "acceptanceCriteria": "--comment; rm -rf x",
        "platform": "gitlab",
        "project": "group/sub/project",
        "postComment": true,
    });
    let answer = Client::modern(proxy.http).call("review_merge_request", arguments).await;
    assert_eq!(answer.result()["structuredContent"]["success"], true, "{}", answer.result());
    assert_eq!(read(&folder, "ticket").trim_end(), "the ticket $(touch /tmp/never) `id`");
    assert_eq!(read(&folder, "guidelines").trim_end(), "the guidelines");
    assert!(read(&folder, "mode").starts_with("-rw-------"), "{}", read(&folder, "mode"));
    assert_eq!(read(&folder, "paths").lines().count(), 2);
    for path in read(&folder, "paths").lines() {
        assert!(!Path::new(path).exists(), "{path} was left behind");
    }
    let args = read(&folder, "args");
    assert!(args.contains("--platform\ngitlab\n") && args.contains("--comment\n"), "{args}");
}

#[tokio::test]
async fn an_argument_that_looks_like_a_flag_is_not_one() {
    let script = format!("printf '%s\\n' \"$@\" > \"$DIR/args\"\n{REPORT}");
    let (proxy, _slave, folder) = with_pilot(&script).await;
    let client = Client::modern(proxy.http);
    let answer = client.call("review_merge_request", json!({ "mrUrlOrId": "--debug" })).await;
    let refused = answer.response().get("error").is_some() || answer.result()["isError"] == true;
    assert!(refused, "{:?}", answer.messages);
    assert_eq!(read(&folder, "args"), "", "the CLI was not started");
}

#[tokio::test]
async fn a_failing_cli_is_an_error_result_with_its_standard_error() {
    let (proxy, _slave, _folder) = with_pilot("echo 'bad token token-for-the-cli' >&2; exit 3").await;
    let answer = Client::modern(proxy.http).call("review_merge_request", json!({ "mrUrlOrId": "1" })).await;
    assert_eq!(answer.result()["isError"], true, "{}", answer.result());
    assert!(answer.text().starts_with("Error: mr-pilot exited with code 3: bad token"), "{}", answer.text());
    assert!(!answer.text().contains("token-for-the-cli"), "{}", answer.text());
}

#[tokio::test]
async fn output_without_a_report_is_no_success() {
    let (proxy, _slave, _folder) = with_pilot("echo nothing to say").await;
    let answer = Client::modern(proxy.http).call("review_merge_request", json!({ "mrUrlOrId": "1" })).await;
    assert_eq!(answer.result()["structuredContent"]["success"], false, "{}", answer.result());
}

#[tokio::test]
async fn cancellation_kills_the_whole_process_group() {
    let script = "sleep 1000 &\necho $! > \"$DIR/child\"\necho $$ > \"$DIR/parent\"\nwait";
    let (proxy, _slave, folder) = with_pilot(script).await;
    let client = Client::modern(proxy.http);
    let pending = client
        .start(harness::client::McpRequest::tool(1, "review_merge_request", json!({ "mrUrlOrId": "1" })))
        .await;
    let pids = wait::until("the CLI to run", async || {
        let pids =
            [read(&folder, "child"), read(&folder, "parent")].map(|text| text.trim().parse::<u32>().ok());
        pids.iter().all(Option::is_some).then_some(pids)
    })
    .await;
    drop(pending);
    for pid in pids.into_iter().flatten() {
        let alive =
            || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
        wait::until("the process to be gone", async || (!alive()).then_some(())).await;
    }
}

#[tokio::test]
async fn the_cli_is_confined_and_leaves_no_process_behind() {
    let script = format!(
        "grep NoNewPrivs /proc/self/status > \"$DIR/status\"\nsetsid sleep 1000 > /dev/null 2>&1 < /dev/null &\n\
         echo $! > \"$DIR/child\"\n{REPORT}"
    );
    let (proxy, _slave, folder) = with_pilot(&script).await;
    let answer = Client::modern(proxy.http).call("review_merge_request", json!({ "mrUrlOrId": "1" })).await;
    assert_eq!(answer.result()["structuredContent"]["success"], true, "{}", answer.result());
    assert_eq!(read(&folder, "status").trim_end(), "NoNewPrivs:\t1");
    let child = format!("/proc/{}", read(&folder, "child").trim());
    wait::until("the detached process to be gone", async || (!Path::new(&child).exists()).then_some(()))
        .await;
}

#[tokio::test]
async fn only_allowed_hosts_are_reviewed_and_comments_only_if_allowed() {
    let script = format!("printf '%s\\n' \"$@\" >> \"$DIR/args\"\n{REPORT}");
    let variables = [("MR_PILOT_HOSTS", "gitlab.com,git.corp.example"), ("MR_PILOT_ALLOW_COMMENT", "0")];
    let (proxy, _slave, folder) = with_variables(&script, &variables).await;
    let client = Client::modern(proxy.http);
    for (arguments, named) in [
        (json!({ "mrUrlOrId": "https://evil.example/a/b/-/merge_requests/1" }), "MR_PILOT_HOSTS"),
        (json!({ "mrUrlOrId": "https://github.com/a/b/pull/1" }), "MR_PILOT_HOSTS"),
        (json!({ "mrUrlOrId": "https://gitlab.com@evil.example/a" }), "plain URL"),
        (json!({ "mrUrlOrId": "1", "project": "https://evil.example/a" }), "project"),
        (json!({ "mrUrlOrId": "1", "postComment": true }), "MR_PILOT_ALLOW_COMMENT"),
    ] {
        let answer = client.call("review_merge_request", arguments.clone()).await;
        assert_eq!(answer.result()["isError"], true, "{arguments}: {}", answer.result());
        assert!(answer.text().contains(named), "{arguments}: {}", answer.text());
    }
    assert_eq!(read(&folder, "args"), "", "the CLI was not started");
    let arguments = json!({ "mrUrlOrId": "https://Git.Corp.Example./a/b/-/merge_requests/1" });
    let answer = client.call("review_merge_request", arguments).await;
    assert_eq!(answer.result()["structuredContent"]["success"], true, "{}", answer.result());
    assert_eq!(read(&folder, "args"), "https://git.corp.example/a/b/-/merge_requests/1\n");
}
