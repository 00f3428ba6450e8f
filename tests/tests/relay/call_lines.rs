//! Lines about calls at the default level: few calls write theirs, many are counted, failed ones say why.

use std::net::SocketAddr;

use harness::client::Client;
use harness::fixture::{Fixture, run_args};
use harness::process::{Log, Process};
use harness::relay::{CODE, Setup, pair, sleep_args};
use harness::wait;
use serde_json::{Value, json};

async fn echo(address: SocketAddr, times: usize) {
    let client = Client::modern(address);
    for _ in 0..times {
        client.call("echo", json!({ "text": "x" })).await.result();
    }
}

/// The sum of `calls=` over the lines that have the counts.
fn counted(log: &Log, phrase: &str) -> usize {
    let text = log.text();
    let lines = text.lines().filter(|line| line.contains(phrase));
    lines.filter_map(|line| line.rsplit_once("calls=")?.1.trim().parse::<usize>().ok()).sum()
}

/// Waits until each of so many calls has its line or is counted. Returns the number of lines.
async fn all_are_accounted_for(log: &Log, line: &str, counts: &str, calls: usize) -> usize {
    wait::until(&format!("{calls} calls in {line:?} and {counts:?}"), async || {
        let (written, counted) = (log.count(line), counted(log, counts));
        assert!(written + counted <= calls, "{written} + {counted}: {}", log.text());
        (written + counted == calls).then_some(written)
    })
    .await
}

#[tokio::test]
async fn many_calls_are_counted_and_none_is_lost() {
    const CALLS: usize = 400;
    let (proxy, slave) = pair().await;
    echo(proxy.http, CALLS).await;
    for (log, line) in [(&proxy.log, "Response forwarded to client"), (&slave.log, "Tool was executed")] {
        let written = all_are_accounted_for(log, line, "More calls ended in the last second", CALLS).await;
        assert!((5..CALLS).contains(&written), "{written} of {CALLS} calls wrote their lines");
    }
    assert_eq!(
        proxy.log.count("Forwarding request to slave"),
        proxy.log.count("Received response from slave")
    );
    let line = proxy.log.wait_for("Forwarding request to slave: tools/call (id: ").await;
    for field in ["INFO", "slave=\"one\"", "tool=\"echo\"", "request_id="] {
        assert!(line.contains(field), "{field}: {line}");
    }
}

#[tokio::test]
async fn log_calls_writes_all_or_none() {
    for (value, lines) in [("all", 30), ("off", 0)] {
        let proxy = Setup::proxy().env("LOG_CALLS", value).start_proxy().await;
        let setup = Setup::slave("one", proxy.link).env("LOG_CALLS", value).env("LOG_OUTPUT", "stdout");
        let slave = setup.start_slave().await;
        proxy.offers("echo").await;
        echo(proxy.http, 30).await;
        for (log, line) in
            [(&proxy.log, "Response forwarded to client"), (&slave.log, "Sending response back")]
        {
            wait::until("the lines", async || (log.count(line) == lines).then_some(())).await;
        }
        assert_eq!(proxy.log.count("More calls ended"), 0, "{value}");
    }
}

#[tokio::test]
async fn a_call_that_timed_out_says_so_on_both_ends() {
    let timeout = |setup: Setup| setup.env("REQUEST_TIMEOUT", "0.5").env("REQUEST_TIMEOUT_TOTAL", "0.5");
    let proxy = timeout(Setup::proxy()).start_proxy().await;
    let slave = timeout(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("sleep").await;
    let answer = Client::modern(proxy.http).call("sleep", sleep_args(60.0, 1)).await;
    assert_eq!(answer.kind(), "timeout");
    let line = proxy.log.wait_for("Call failed: ").await;
    for field in
        ["WARN", "tool=\"sleep\"", "slave=\"one\"", "kind=\"timeout\"", "request_id=", "timeout (id: "]
    {
        assert!(line.contains(field), "{field}: {line}");
    }
    let line = slave.log.wait_for("Call failed: ").await;
    for field in ["WARN", "tool=\"sleep\"", "backend=\"demo\"", "kind=\"timeout\"", "request_id="] {
        assert!(line.contains(field), "{field}: {line}");
    }
}

#[tokio::test]
async fn a_call_whose_slave_is_killed_says_that_its_outcome_is_unknown() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().env("LINK_GRACE", "0.5").start_proxy().await;
    let slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    fixture.open_gate("held", 0);
    let client = Client::modern(proxy.http);
    let call = tokio::spawn(async move { client.call("run", run_args("held", 1)).await.kind().to_owned() });
    wait::until("the call at its slave", async || {
        (slave.log.count("Executing tool locally") == 1).then_some(())
    })
    .await;
    drop(slave);
    assert_eq!(call.await.unwrap(), "outcome_unknown");
    let line = proxy.log.wait_for("Call failed: Outcome unknown").await;
    for field in ["WARN", "tool=\"run\"", "slave=\"one\"", "kind=\"outcome_unknown\"", "request_id="] {
        assert!(line.contains(field), "{field}: {line}");
    }
}

#[tokio::test]
async fn a_storm_of_failures_is_bounded_and_counted() {
    const CALLS: usize = 300;
    let proxy = Setup::proxy().start_proxy().await;
    let client = Client::modern(proxy.http);
    for _ in 0..CALLS {
        assert_eq!(client.call("echo", json!({})).await.kind(), "no_slave");
    }
    let counts = "More calls failed in the last second";
    let line = "No slave connected, cannot execute request";
    let written = all_are_accounted_for(&proxy.log, line, counts, CALLS).await;
    assert!((5..CALLS).contains(&written), "{written}");
    assert!(proxy.log.wait_for(counts).await.contains(" no_slave calls="));
}

#[tokio::test]
async fn one_line_says_what_was_started() {
    let proxy = Setup::proxy().env("AUTH_BEARER_KEYS", "key-of-the-tests").start_proxy().await;
    let slave = Setup::slave("one", proxy.link).start_slave().await;
    let line = proxy.log.wait_for("Ready to accept MCP client connections").await;
    let (clients, slaves) =
        (format!("clients=\"http://{}\"", proxy.http), format!(":{}\"", proxy.link.port()));
    for field in ["version=\"", "mode=\"proxy\"", &clients, &slaves, "keys=\"on\"", "tls=\"off\"", "codes=1"]
    {
        assert!(line.contains(field), "{field}: {line}");
    }
    assert!(!line.contains("key-of-the-tests") && !line.contains(CODE), "{line}");
    let line = slave.log.wait_for("Ready to accept MCP client connections").await;
    for field in ["mode=\"slave\"", "name=\"one\"", "keys=\"off\"", "proxies=\"ws://"] {
        assert!(line.contains(field), "{field}: {line}");
    }
    slave.log.wait_for("Tools are offered").await;
    let offer = proxy.log.wait_for("Slave offers its tools").await;
    assert!(!offer.contains("tools=0"), "{offer}");
}

#[tokio::test]
async fn a_server_without_tools_says_what_to_do() {
    let proxy = Setup::proxy().start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("DEMO_TOOLS", "0").env("GITLAB_TOKEN", "hush-hush");
    let slave = setup.start_slave().await;
    let missing = slave.log.wait_for("review_merge_request is not offered").await;
    for words in ["WARN", "GITLAB_TOKEN", "\"mr-pilot\" on PATH (/usr/bin:/bin)", "MR_PILOT_COMMAND"] {
        assert!(missing.contains(words), "{words}: {missing}");
    }
    let none = slave.log.wait_for("No tool is offered").await;
    assert!(none.contains("WARN") && none.contains("MR_PILOT_COMMAND"), "{none}");
    proxy.log.wait_for("Slave offers no tool").await;
    let (status, why) = harness::http::get(slave.http, "/readyz").await;
    assert!(status == 503 && why.contains("mr-pilot") && !why.contains("hush"), "{why}");
    let bare = Setup::slave("two", proxy.link).env("DEMO_TOOLS", "0").start_slave().await;
    let none = bare.log.wait_for("No tool is offered").await;
    assert!(none.contains("SLAVE_BACKENDS") && none.contains("DEMO_TOOLS=1"), "{none}");
    assert!(!slave.log.text().contains("hush-hush"));
}

/// What a process that cannot start or go on writes with `LOG_FORMAT=json`, and its exit code.
async fn fatal(env: &[(&str, String)]) -> (Option<i32>, Vec<Value>) {
    let env: Vec<(String, String)> =
        env.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let mut process = Process::relay("fatal", &[], &env);
    let code = process.exit(wait::TIMEOUT).await.code();
    wait::until("its last line", async || process.log.text().contains("ERROR").then_some(())).await;
    let lines = process.log.text();
    (code, lines.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect())
}

#[tokio::test]
async fn fatal_errors_have_the_format_of_the_log() {
    let json = ("LOG_FORMAT", "json".to_owned());
    let (code, lines) =
        fatal(&[json.clone(), ("PROXY_MODE", "1".into()), ("MCP_SERVER_PORT", "x".into())]).await;
    assert_eq!((code, lines.len()), (Some(64), 1), "{lines:?}");
    assert_eq!((&lines[0]["level"], &lines[0]["service"]), (&json!("ERROR"), &json!("PROXY")));
    assert!(lines[0]["message"].as_str().unwrap().contains("MCP_SERVER_PORT = \"x\""), "{lines:?}");
    let proxy = Setup::proxy().start_proxy().await;
    let taken = proxy.http.port().to_string();
    let (code, lines) = fatal(&[json, ("DEMO_TOOLS", "1".into()), ("MCP_SERVER_PORT", taken)]).await;
    assert_eq!(code, Some(1), "{lines:?}");
    let last = lines.last().unwrap();
    assert!(last["level"] == "ERROR" && last["service"] == "SERVER", "{lines:?}");
}
