//! Stdio backends behind a slave: eras, and the exit of a backend during calls.

use harness::client::{Client, McpRequest};
use harness::fixture::{Fixture, run_args};
use harness::metrics::Scrape;
use harness::relay::{Proxy, Setup, Slave};
use harness::wait;
use serde_json::json;

/// A slave with the fixture and the demo tools.
async fn scene(env: &[(&str, &str)]) -> (Proxy, Slave, Fixture) {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let setup = fixture.serve_with(Setup::slave("one", proxy.link), env).env("DEMO_TOOLS", "1");
    let slave = setup.start_slave().await;
    proxy.offers("run").await;
    proxy.offers("echo").await;
    (proxy, slave, fixture)
}

#[tokio::test]
async fn a_backend_that_dies_fails_its_own_calls_and_comes_back() {
    let (proxy, _slave, fixture) = scene(&[]).await;
    let client = Client::modern(proxy.http);
    fixture.open_gate("innocent", 1);
    let mut innocent = client.start(McpRequest::tool(1, "run", run_args("innocent", 2)).progress(1)).await;
    innocent.next().await.unwrap();
    let ask = McpRequest::tool(2, "sleep", json!({ "seconds": 1, "steps": 4 })).progress(2);
    let mut other = client.start(ask).await;
    other.next().await.unwrap();
    let answer = client.call("die", json!({})).await;
    assert_eq!((answer.code(), answer.kind()), (-31002, "backend_failed"), "{:?}", answer.messages);
    assert!(answer.error()["message"].as_str().unwrap().contains("fixture"), "{}", answer.error());
    assert_eq!(innocent.finish().await.kind(), "backend_failed");
    other.finish().await.result();
    assert_eq!(client.call("echo", json!({ "text": "alive" })).await.text(), "alive");
    wait::until("the backend to be started again", async || (fixture.pids().len() == 2).then_some(())).await;
    proxy.offers("run").await;
    // The list may still be that of the old process; a call shows that the new one serves.
    wait::until("a call on the new process", async || {
        let answer = client.call("run", run_args("again", 0)).await;
        answer.response().get("result").map(|_| ())
    })
    .await;
    assert_eq!(fixture.log("innocent"), ["start"], "what died with its backend is not run again");
}

#[tokio::test]
async fn tools_of_a_backend_that_keeps_dying_leave_the_list() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let servers = json!({ "good": fixture.entry(&[]), "bad": { "command": "/no/such/command" } });
    let path = fixture.write_backends(&servers);
    let setup = Setup::slave("one", proxy.link).env("SLAVE_BACKENDS", path.to_str().unwrap());
    let slave = setup.start_slave().await;
    proxy.offers("run").await;
    proxy.offers("echo").await;
    slave.log.wait_for("bad").await;
}

#[tokio::test]
async fn any_era_of_client_works_with_any_era_of_backend() {
    for era in ["legacy", "modern"] {
        let (proxy, _slave, fixture) = scene(&[("FIXTURE_ERA", era)]).await;
        for (name, client) in
            [("modern", Client::modern(proxy.http)), ("legacy", Client::legacy(proxy.http).await)]
        {
            let key = format!("{name}-on-{era}");
            let answer = client.request(McpRequest::tool(1, "run", run_args(&key, 2)).progress("t")).await;
            assert_eq!((answer.progress(), answer.text()), (vec![1.0, 2.0], format!("done {key}").as_str()));
            assert_eq!(answer.messages[0]["params"]["progressToken"], "t", "{key}");
            if name == "modern" {
                assert_eq!(answer.result()["resultType"], "complete", "{key}");
            }
            assert_eq!(fixture.log(&key), ["start", "end"]);
        }
        // A modern backend needs its metadata for calls of legacy clients too.
        let answer = Client::legacy(proxy.http).await.call("arguments", json!({ "a": 1 })).await;
        let params: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(params["arguments"], json!({ "a": 1 }));
        let version = &params["_meta"]["io.modelcontextprotocol/protocolVersion"];
        assert_eq!(version.is_string(), era == "modern", "{params}");
    }
}

#[tokio::test]
async fn many_calls_share_one_child_without_mixing() {
    let (proxy, _slave, fixture) = scene(&[]).await;
    let clients = [Client::modern(proxy.http), Client::legacy(proxy.http).await];
    let asks = (0..40).map(|n: usize| {
        let client = clients[n % 2].clone();
        async move {
            client
                .request(McpRequest::tool(1, "run", run_args(&format!("k{n}"), 3)).progress("same token"))
                .await
        }
    });
    for (n, answer) in futures_util::future::join_all(asks).await.into_iter().enumerate() {
        assert_eq!((answer.progress(), answer.text()), (vec![1.0, 2.0, 3.0], format!("done k{n}").as_str()));
    }
    assert_eq!(fixture.pids().len(), 1);
}

#[tokio::test]
async fn the_slave_s_own_port_serves_the_same_tools() {
    let (_proxy, slave, fixture) = scene(&[]).await;
    for (key, client) in [("m", Client::modern(slave.http)), ("l", Client::legacy(slave.http).await)] {
        let answer = client.request(McpRequest::tool(1, "run", run_args(key, 2)).progress(1)).await;
        assert_eq!((answer.progress().len(), answer.text()), (2, format!("done {key}").as_str()));
    }
    fixture.open_gate("gone", 0);
    let pending = Client::modern(slave.http).start(McpRequest::tool(1, "run", run_args("gone", 0))).await;
    fixture.wait_for("gone", "start").await;
    drop(pending);
    fixture.wait_for("gone", "cancelled").await;
}

#[tokio::test]
async fn a_result_beyond_the_limit_is_refused_by_name_and_the_backend_goes_on() {
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let setup = fixture.serve(Setup::slave("one", proxy.link)).env("MAX_OUTPUT_BYTES", "65536");
    let _slave = setup.start_slave().await;
    proxy.offers("big").await;
    let client = Client::modern(proxy.http);
    assert_eq!(client.call("big", json!({ "bytes": 60_000 })).await.text().len(), 60_000);
    let answer = client.call("big", json!({ "bytes": 70_000 })).await;
    assert_eq!((answer.code(), answer.kind()), (-31006, "result_too_large"), "{:?}", answer.messages);
    assert!(answer.error()["message"].as_str().unwrap().contains("MAX_OUTPUT_BYTES"), "{}", answer.error());
    wait::until("the backend to serve on", async || {
        client.call("big", json!({ "bytes": 10 })).await.response().get("result").map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn a_backend_with_odd_messages_does_not_make_its_slave_offend() {
    let (proxy, slave, _fixture) = scene(&[]).await;
    let notifications = [
        r#"{"jsonrpc":"2.0","id":null,"method":"notifications/progress","params":{"progressToken":$token,"progress":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$token,"progress":2},"result":null,"error":null}"#,
        r#"{"method":"notifications/progress","params":{"progressToken":$token,"progress":3}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/elsewhere","params":{"progressToken":$token}}"#,
        r#"{"jsonrpc":"2.0","id":"own","method":"elicitation/create","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$token,"progress":4}}"#,
    ];
    for (member, outcome) in [
        (r#""result":{"content":[{"type":"text","text":"done"}]}"#, "done"),
        (r#""result":["text"]"#, "bad_answer"),
        (r#""result":"text""#, "bad_answer"),
        (r#""error":"text""#, "bad_answer"),
        (r#""error":{"message":"without a code"}"#, "bad_answer"),
    ] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":$id,{member}}}"#);
        let lines: Vec<&str> = notifications.iter().copied().chain([answer.as_str()]).collect();
        for client in
            [Client::modern(proxy.http), Client::legacy(proxy.http).await, Client::modern(slave.http)]
        {
            let ask = McpRequest::tool(1, "raw", json!({ "lines": lines.clone() })).progress("t");
            let answer = client.request(ask).await;
            assert_eq!(answer.progress(), [4.0], "{member}");
            let found = if outcome == "done" { answer.text() } else { answer.kind() };
            assert_eq!(found, outcome, "{member}");
        }
    }
    let offences = Scrape::of(proxy.http).await.sum("mcp_relay_link_bad_answers_total", &[]);
    assert!(offences.abs() < f64::EPSILON, "the proxy found {offences} messages that the slave let pass");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_pipes_of_a_running_backend_hold_a_message_of_100_kb() {
    use nix::fcntl::{FcntlArg, fcntl};
    let fixture = Fixture::default();
    let proxy = Setup::proxy().start_proxy().await;
    let _slave = fixture.serve(Setup::slave("one", proxy.link)).start_slave().await;
    proxy.offers("run").await;
    let pid = fixture.pids()[0];
    // What another process may do to its own pipe.
    let (reader, _writer) = std::io::pipe().unwrap();
    let size = |pipe: &dyn std::os::fd::AsFd| fcntl(pipe, FcntlArg::F_GETPIPE_SZ).unwrap();
    let usual = size(&reader);
    for (descriptor, writes) in [(0, false), (1, true)] {
        let path = format!("/proc/{pid}/fd/{descriptor}");
        let end = std::fs::OpenOptions::new().read(!writes).write(writes).open(path).unwrap();
        assert!(size(&end) >= 128 * 1024 && size(&end) > usual, "{descriptor}: {} of {usual}", size(&end));
    }
}
