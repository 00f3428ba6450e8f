//! Commands as tools (`SLAVE_TOOLS`): what clients of both eras get through a proxy, what values of a client cannot do, and how the
//! file is followed.

use std::path::{Path, PathBuf};

use harness::client::{Client, McpRequest};
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A secret that a tool's variables hold.
const SECRET: &str = "hush-hush-secret-of-the-tool";

/// A tool that writes its arguments, one a line between angle brackets.
const SHOW: &str = r#"
  - name: show
    inputSchema: {type: object, properties: {a: {type: string}, list: {type: array}, n: {type: integer}}}
    command: [sh, -c, 'printf "<%s>\n" "$@"', sh, "--a={{a?}}", "{{a?}}", [--, "{{list?}}"]]
"#;

/// A tool that runs until it is killed. It writes the ids of its processes to a file, and a process of its own goes on as well.
const WAIT: &str = r#"
  - name: wait
    inputSchema: {type: object, properties: {file: {type: string}}, required: [file]}
    command: [sh, -c, 'sleep 1000 & echo "$$ $!" > "$1.new" && mv "$1.new" "$1"; wait', sh, "{{file}}"]
    concurrency: 1
"#;

struct Scene {
    folder: TempDir,
    proxy: Proxy,
    slave: Slave,
    clients: [Client; 3],
}

impl Scene {
    /// Starts a proxy and a slave that offers these tools and no others.
    async fn start(tools: &str) -> Self {
        Self::start_with(tools, &[]).await
    }

    async fn start_with(tools: &str, env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, tools);
        let proxy = Setup::proxy().start_proxy().await;
        let mut setup = Setup::slave("one", proxy.link).env("DEMO_TOOLS", "0").env("TOKEN", SECRET);
        setup = setup.env("SLAVE_TOOLS", path(&folder).to_str().unwrap());
        setup = setup.env("NOTES", folder.path().to_str().unwrap());
        for (name, value) in env {
            setup = setup.env(name, *value);
        }
        let slave = setup.start_slave().await;
        proxy.accepted(1).await;
        let clients =
            [Client::modern(proxy.http), Client::legacy(proxy.http).await, Client::modern(slave.http)];
        Self { folder, proxy, slave, clients }
    }

    fn client(&self) -> &Client {
        &self.clients[0]
    }

    /// Calls a tool as each client, whose results must be the same but for what a newer era adds.
    async fn call(&self, tool: &str, arguments: &Value) -> Value {
        let mut results = Vec::new();
        for client in &self.clients {
            let mut result = client.call(tool, arguments.clone()).await.result().clone();
            result.as_object_mut().unwrap().remove("resultType");
            results.push(result);
        }
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results.remove(0)
    }

    /// Returns the text of a result that says `isError`.
    async fn error(&self, tool: &str, arguments: &Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("tools.yaml")
}

/// Writes the file as editors do: by a rename.
fn write(folder: &TempDir, tools: &str) {
    let new = folder.path().join("tools.new");
    std::fs::write(&new, format!("tools:\n{tools}")).unwrap();
    std::fs::rename(new, path(folder)).unwrap();
}

/// The document's example, without its first line.
fn example() -> String {
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/backends/commands.md"))
            .unwrap();
    let after = document.split("<!-- tools example").nth(1).expect("the example's mark");
    let block = after.split("```yaml\ntools:\n").nth(1).expect("a YAML block");
    block.split("```").next().unwrap().to_owned()
}

fn text(result: &Value) -> &str {
    assert_eq!(result.get("isError"), None, "{result}");
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("text in {result}"))
}

#[tokio::test]
async fn the_documents_example_works() {
    let scene = Scene::start(&example()).await;
    scene.proxy.offers("draw_circle").await;
    std::fs::write(scene.folder.path().join("ideas.txt"), "a relay\n-x marks\na relay\nrelay\n").unwrap();
    let names: Vec<String> =
        ["count_words", "search_notes", "describe_note", "draw_circle"].map(str::to_owned).into();
    assert_eq!(scene.client().tool_names().await, names, "{}", scene.slave.log.text());
    let counted = scene.call("count_words", &json!({ "text": "one two\n$(three) 'four'" })).await;
    assert_eq!(text(&counted).trim(), "4");
    let find = async |arguments: Value| {
        let found = scene.call("search_notes", &arguments).await;
        text(&found).to_owned()
    };
    assert_eq!(find(json!({ "text": "a relay", "files": ["ideas.txt"] })).await, "a relay\na relay");
    assert_eq!(find(json!({ "text": "a relay", "files": ["ideas.txt"], "most": 1 })).await, "a relay");
    assert_eq!(find(json!({ "text": "relay", "files": ["ideas.txt"], "exact": true })).await, "relay");
    assert_eq!(find(json!({ "text": "-x", "files": ["ideas.txt"] })).await, "-x marks");
    assert_eq!(find(json!({ "text": "nothing of it", "files": ["ideas.txt"] })).await, "");
    for (file, unit, size) in [("ideas.txt", None, 31), ("ideas.txt", Some("l"), 4)] {
        let described = scene.call("describe_note", &json!({ "file": file, "unit": unit })).await;
        assert_eq!(described["structuredContent"], json!({ "size": size }), "{described}");
    }
    let drawn = scene.call("draw_circle", &json!({ "radius": 12.50 })).await;
    assert_eq!(
        (&drawn["content"][0]["type"], &drawn["content"][0]["mimeType"]),
        (&json!("image"), &json!("image/svg+xml"))
    );
}

#[tokio::test]
async fn a_value_is_one_argument_and_neither_an_option_nor_code() {
    let scene = Scene::start(SHOW).await;
    scene.proxy.offers("show").await;
    for value in ["a b", "'\"`id`$(id)", "x; id", "a\nb", "\u{1f600} ü", "*", "{{list}}", "${TOKEN}", ""] {
        let shown = scene.call("show", &json!({ "a": value })).await;
        assert_eq!(text(&shown), format!("<--a={value}>\n<{value}>"), "{value:?}");
    }
    let shown = scene.call("show", &json!({ "list": ["-x", "a b", 3] })).await;
    assert_eq!(text(&shown), "<-->\n<-x>\n<a b>\n<3>");
    let long = "x".repeat(200_000);
    for (arguments, expected) in [
        (json!({ "a": "-x" }), "\"a\" must not begin with \"-\""),
        (json!({ "a": "--" }), "\"a\" must not begin with \"-\""),
        (json!({ "a": "x\u{0}y" }), "NUL"),
        (json!({ "a": long }), "131071"),
        (json!({ "list": [["x"]] }), "\"list\""),
        (json!({ "a": 7331 }), "/a: the value is not of type \"string\""),
        (json!({ "n": "hush" }), "/n: the value is not of type \"integer\""),
    ] {
        let error = scene.error("show", &arguments).await;
        assert!(error.starts_with("show: ") && error.contains(expected), "{error}");
        assert!(!error.contains("hush") && !error.contains("7331"), "{error}");
    }
    assert_eq!(scene.client().call("none", json!({})).await.kind(), "unknown_tool");
}

#[tokio::test]
async fn a_run_that_fails_is_a_result_for_the_model_without_secrets() {
    let tools = r#"
  - name: fail
    command: [sh, -c, 'echo "out $API_TOKEN"; echo "no such thing: $API_TOKEN" >&2; exit 3']
    env: {API_TOKEN: "${TOKEN}"}
  - name: tell
    command: [sh, -c, 'echo "$API_TOKEN"']
    env: {API_TOKEN: "${TOKEN}"}
  - name: slow
    command: [sleep, '1000']
    timeout: 0.2
  - name: nothing
    command: [sh, -c, ': "$1"', sh, "{{output}}"]
    output: file
  - name: no_json
    command: [echo, hush]
    output: json
  - name: other_json
    command: [echo, '{"a": "hush"}']
    output: json
    outputSchema: {type: object, properties: {a: {type: integer}}}
  - name: environment
    command: [env]
"#;
    let scene = Scene::start(tools).await;
    scene.proxy.offers("environment").await;
    for (tool, expected) in [
        ("fail", "fail: sh exited with code 3: no such thing: [masked]"),
        ("slow", "slow: it did not end within 0.2 s and was stopped"),
        ("nothing", "nothing: it ended without an error, but wrote no file"),
        ("no_json", "no_json: its standard output is no JSON: line 1, column 1"),
        (
            "other_json",
            "other_json: its standard output is not what its outputSchema says: /a: the value is not of type \"integer\"",
        ),
    ] {
        assert_eq!(scene.error(tool, &json!({})).await, expected);
    }
    assert_eq!(text(&scene.call("tell", &json!({})).await), "[masked]");
    let environment = scene.call("environment", &json!({})).await;
    assert!(!text(&environment).contains("SLAVE_") && !text(&environment).contains(SECRET), "{environment}");
    assert!(!scene.slave.log.text().contains(SECRET));
    let counted = Scrape::of(scene.slave.http).await;
    let counted = counted.sum("mcp_relay_slave_backend_starts_total", &["backend=\"commands\""]);
    assert!(counted >= 6.0, "{counted}");
}

#[tokio::test]
async fn lines_that_match_are_progress_for_a_client_that_asked_for_it() {
    let tools = r#"
  - name: count
    command: [sh, -c, 'echo "1 of 3: a" >&2; echo "2 of 3: b"; echo kept; printf "3 of 3: c\r"']
    progress: '^(?<progress>\d+) of (?<total>\d+): (?<message>.*)$'
"#;
    let scene = Scene::start(tools).await;
    scene.proxy.offers("count").await;
    for client in &scene.clients {
        let answer = client.request(McpRequest::tool(1, "count", json!({})).progress("t")).await;
        assert_eq!(answer.text(), "kept");
        // The two pipes are read side by side: what comes late on one is behind what came on the other.
        assert_eq!(answer.progress().last(), Some(&3.0), "{:?}", answer.messages);
        let last = &answer.messages[answer.messages.len() - 2]["params"];
        assert_eq!((&last["total"], &last["message"]), (&json!(3), &json!("c")));
        assert_eq!(client.request(McpRequest::tool(2, "count", json!({}))).await.messages.len(), 1);
    }
}

fn is_running(pid: &str) -> bool {
    // A zombie is dead.
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|text| text.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z')))
}

async fn pids(file: &Path) -> Vec<String> {
    let text = wait::until("the run to begin", async || std::fs::read_to_string(file).ok()).await;
    text.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_cancelled_call_ends_all_its_processes_and_lets_the_next_one_run() {
    let scene = Scene::start(WAIT).await;
    scene.proxy.offers("wait").await;
    let file = |name: &str| scene.folder.path().join(name);
    let (first, second) = (file("first"), file("second"));
    let running = scene.client().start(McpRequest::tool(1, "wait", json!({ "file": first }))).await;
    let processes = pids(&first).await;
    assert!(processes.len() == 2 && processes.iter().all(|pid| is_running(pid)));
    let waiting = scene.client().start(McpRequest::tool(2, "wait", json!({ "file": second }))).await;
    assert!(!second.exists(), "one run at once");
    drop(running);
    wait::until("the processes to be gone", async || {
        (!processes.iter().any(|pid| is_running(pid))).then_some(())
    })
    .await;
    let processes = pids(&second).await;
    drop(waiting);
    wait::until("the processes to be gone", async || {
        (!processes.iter().any(|pid| is_running(pid))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_file_is_followed_and_a_bad_tool_leaves_the_one_of_before() {
    let echo = |name: &str, text: &str| format!("  - name: {name}\n    command: [echo, {text}]\n");
    let scene = Scene::start(&format!("{}{}", echo("a", "one"), echo("b", "one"))).await;
    scene.proxy.offers("b").await;
    let change = async |tools: &str, phrase: &str| {
        let before = scene.slave.log.len();
        write(&scene.folder, tools);
        scene.slave.log.wait_for_after(phrase, before).await
    };
    let line = change(&format!("{}{}", echo("b", "two"), echo("c", "two")), "Tools read again from").await;
    assert!(line.contains("1 added, 1 changed, 1 removed, 0 unchanged"), "{line}");
    scene.proxy.withdraws("a").await;
    scene.proxy.offers("c").await;
    assert_eq!(text(&scene.call("b", &json!({})).await), "two");
    let bad = format!("{}    timeout: -1\n{}", echo("b", "three"), echo("c", "three"));
    change(&bad, "Tools read again from").await;
    wait::until("the changed tool", async || {
        (text(&scene.call("c", &json!({})).await) == "three").then_some(())
    })
    .await;
    assert_eq!(text(&scene.call("b", &json!({})).await), "two");
    assert!(scene.slave.log.text().contains("tools[0].timeout"), "{}", scene.slave.log.text());
    let refused = Scrape::of(scene.slave.http).await;
    let refused = refused.sum("mcp_relay_slave_backends_refused", &["file=\"tools\""]);
    assert!((refused - 1.0).abs() < 0.1, "{refused}");
    change("  - {", "SLAVE_TOOLS cannot be used, the tools of before stay").await;
    assert_eq!(text(&scene.call("b", &json!({})).await), "two");
}

#[tokio::test]
async fn a_command_may_be_confined() {
    let tools = r#"
  - name: read
    inputSchema: {type: object, properties: {file: {type: string}}, required: [file]}
    command: [cat, --, "{{file}}"]
    confine: {read: ["${NOTES}/open"]}
  - name: write
    inputSchema: {type: object, properties: {to: {type: string}}}
    command: [sh, -c, 'echo text > "${1}"', sh, "{{output}}"]
    output: file
    confine: {read: []}
"#;
    let scene = Scene::start(tools).await;
    if scene.slave.log.text().contains("Landlock is not available") {
        return;
    }
    let folder = scene.folder.path();
    std::fs::create_dir(folder.join("open")).unwrap();
    std::fs::write(folder.join("open/a"), "open").unwrap();
    std::fs::write(folder.join("b"), "hush").unwrap();
    let folder = folder.to_str().unwrap();
    assert_eq!(text(&scene.call("read", &json!({ "file": format!("{folder}/open/a") })).await), "open");
    let error = scene.error("read", &json!({ "file": format!("{folder}/b") })).await;
    assert!(error.contains("Permission denied") && !error.contains("hush"), "{error}");
    assert_eq!(text(&scene.call("write", &json!({})).await), "text\n");
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    write(
        &folder,
        &format!("{SHOW}  - name: bad\n    command: [no-such-program-{SECRET}]\n    timeout: x\n"),
    );
    let setup = Setup::bare("doctor").args(&["doctor", "standalone"]).env("MCP_SERVER_PORT", "0");
    let mut doctor = setup.env("SLAVE_TOOLS", path(&folder).to_str().unwrap()).spawn();
    assert_eq!(doctor.exit(wait::TIMEOUT).await.code(), Some(1), "{}", doctor.log.text());
    doctor.log.wait_for("to fix").await;
    let report = doctor.log.text();
    for expected in ["tools[1].timeout", "tools[1].command[0]", "commands is up: show", "SLAVE_TOOLS"] {
        assert!(report.contains(expected), "{expected}: {report}");
    }
    assert!(!report.contains(SECRET), "{report}");
}
