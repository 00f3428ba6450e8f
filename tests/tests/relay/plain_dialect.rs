//! The plain dialect: an existing Node slave with our proxy, our slave with an existing Node proxy.

use harness::client::{Client, McpRequest};
use harness::plain::{NodeProxy, PlainLink, node_slave, serve_like_node};
use harness::relay::{CODE, Proxy, Setup};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Serves the proxy's own requests until a `tools/call` arrives.
async fn next_call(link: &mut PlainLink, tool: &str) -> Value {
    loop {
        let request = link.request().await;
        match request["method"].as_str().unwrap() {
            "tools/call" => return request,
            "initialize" => {
                let result = json!({
                    "protocolVersion": "2025-06-18",
                    "capabilities": { "tools": {} },
                    "serverInfo": { "name": "node", "version": "1" },
                });
                link.answer(&request, result).await;
            }
            "tools/list" => {
                let tools = [harness::rawslave::definition(tool)];
                link.answer(&request, json!({ "tools": tools })).await;
            }
            _ => link.answer(&request, json!({})).await,
        }
    }
}

async fn proxy_with_node_slave(tool: &'static str) -> Proxy {
    let proxy = Setup::proxy().start_proxy().await;
    let link = node_slave(proxy.link, CODE).await.expect("accepted");
    tokio::spawn(serve_like_node(link, tool));
    proxy.offers(tool).await;
    proxy
}

#[tokio::test]
async fn a_node_slave_serves_clients_of_both_eras() {
    let proxy = proxy_with_node_slave("node_tool").await;
    let legacy = Client::legacy(proxy.http).await.call("node_tool", json!({ "a": 1 })).await;
    assert_eq!(legacy.text(), r#""node_tool" {"a":1}"#);
    let modern = Client::modern(proxy.http).call("node_tool", json!({ "b": 2 })).await;
    assert_eq!(modern.text(), r#""node_tool" {"b":2}"#);
    assert_eq!(modern.result()["resultType"], "complete", "added for modern clients");
}

#[tokio::test]
async fn node_and_native_slaves_stand_side_by_side() {
    let proxy = proxy_with_node_slave("node_tool").await;
    let _slave = Setup::slave("native", proxy.link).start_slave().await;
    proxy.offers("echo").await;
    let client = Client::modern(proxy.http);
    client.call("node_tool", json!({})).await.result();
    assert_eq!(client.call("echo", json!({ "text": "x" })).await.text(), "x");
}

#[tokio::test]
async fn clients_with_the_same_id_do_not_mix_on_a_plain_link() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut link = node_slave(proxy.link, CODE).await.expect("accepted");
    let client = Client::modern(proxy.http);
    // The proxy requests the tools first; calls wait for the answer.
    let offers = proxy.offers("tool");
    let serve = next_call(&mut link, "tool");
    let first = tokio::join!(serve, async {
        offers.await;
        client.start(McpRequest::tool(1, "tool", json!({ "who": "a" }))).await
    });
    let (request_a, mut pending_a) = first;
    let mut pending_b = client.start(McpRequest::tool(1, "tool", json!({ "who": "b" }))).await;
    let request_b = next_call(&mut link, "tool").await;
    assert_ne!(request_a["id"], request_b["id"], "an id of the proxy's own for each");
    for (request, who) in [(&request_b, "b"), (&request_a, "a")] {
        assert_eq!(request["params"]["arguments"]["who"], who);
        link.answer(request, json!({ "content": [{ "type": "text", "text": who }] })).await;
    }
    for (pending, who) in [(&mut pending_a, "a"), (&mut pending_b, "b")] {
        let answer = pending.finish().await;
        assert_eq!((answer.text(), &answer.response()["id"]), (who, &json!(1)));
    }
}

#[tokio::test]
async fn an_error_of_a_node_slave_reaches_the_client() {
    let proxy = Setup::proxy().start_proxy().await;
    let mut link = node_slave(proxy.link, CODE).await.expect("accepted");
    let client = Client::legacy(proxy.http).await;
    let offers = proxy.offers("tool");
    let (request, mut pending) = tokio::join!(next_call(&mut link, "tool"), async {
        offers.await;
        client.start(McpRequest::tool("x", "tool", json!({}))).await
    });
    let error = json!({ "code": -32050, "message": "node says no", "data": { "a": [1] } });
    link.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })).await;
    assert_eq!(pending.finish().await.error(), &error);
}

#[tokio::test]
async fn a_call_lost_with_its_node_slave_does_not_wait_out_the_timeout() {
    let proxy = Setup::proxy().env("LINK_GRACE", "0.5").start_proxy().await;
    let mut link = node_slave(proxy.link, CODE).await.expect("accepted");
    let client = Client::modern(proxy.http);
    let offers = proxy.offers("tool");
    let (_request, mut pending) = tokio::join!(next_call(&mut link, "tool"), async {
        offers.await;
        client.start(McpRequest::tool(1, "tool", json!({}))).await
    });
    drop(link);
    let answer = pending.finish().await;
    assert_eq!((answer.code(), answer.kind()), (-31001, "outcome_unknown"));
}

#[tokio::test]
async fn a_late_answer_of_a_node_slave_is_dropped() {
    let proxy = Setup::proxy().env("REQUEST_TIMEOUT", "0.5").start_proxy().await;
    let mut link = node_slave(proxy.link, CODE).await.expect("accepted");
    let client = Client::modern(proxy.http);
    let offers = proxy.offers("tool");
    let (late, mut pending) = tokio::join!(next_call(&mut link, "tool"), async {
        offers.await;
        client.start(McpRequest::tool(1, "tool", json!({}))).await
    });
    let answer = pending.finish().await;
    assert_eq!((answer.code(), answer.error()["message"].as_str()), (-31013, Some("Proxy request timeout")));
    let mut pending = client.start(McpRequest::tool(1, "tool", json!({}))).await;
    let request = next_call(&mut link, "tool").await;
    link.answer(&late, json!({ "content": [] })).await;
    link.send(&json!({ "jsonrpc": "2.0", "id": "never asked", "result": {} })).await;
    link.answer(&request, json!({ "content": [{ "type": "text", "text": "in time" }] })).await;
    assert_eq!(pending.finish().await.text(), "in time");
}

#[tokio::test]
async fn a_second_node_slave_replaces_the_first_in_single_mode() {
    let proxy = Setup::proxy().env("SLAVE_MODE", "single").start_proxy().await;
    let mut first = node_slave(proxy.link, CODE).await.expect("accepted");
    let second = node_slave(proxy.link, CODE).await.expect("accepted");
    let code = loop {
        if let Err(code) = first.receive().await {
            break code;
        }
    };
    assert_eq!(code, Some(4001));
    tokio::spawn(serve_like_node(second, "second_tool"));
    proxy.offers("second_tool").await;
}

#[tokio::test]
async fn a_node_slave_with_a_wrong_code_is_closed_with_4002() {
    let proxy = Setup::proxy().start_proxy().await;
    let refused = node_slave(proxy.link, "wrong").await.err();
    assert_eq!(refused, Some(Some(4002)));
    proxy.log.wait_for("[PROXY] Invalid slave code").await;
}

#[tokio::test]
async fn our_slave_serves_a_node_proxy() {
    let node = NodeProxy::start("the code").await;
    let slave = Setup::slave("one", node.address()).env("SLAVE_CODE", " the code ").start_slave().await;
    let mut link = node.accept().await.expect("the code, trimmed");
    slave.log.wait_for("[SLAVE] Authentication successful, ready to receive requests").await;
    // The Node proxy forwards every client method, `initialize` and notifications included.
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } });
    for (id, method, params) in [
        (json!(1), "initialize", params),
        (json!("made-up"), "notifications/initialized", json!({})),
        (json!(2), "ping", json!({})),
        (json!(3), "tools/list", json!({})),
    ] {
        link.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        let answer = link.receive().await.expect("an answer");
        assert_eq!(answer["id"], id, "{method}: {answer}");
        if method == "tools/list" {
            assert!(answer["result"]["tools"].to_string().contains("\"echo\""), "{answer}");
        }
        if method == "initialize" {
            assert_eq!(answer["result"]["protocolVersion"], "2025-06-18", "{answer}");
        }
    }
}

#[tokio::test]
async fn our_slave_answers_a_node_proxy_out_of_order_and_nothing_twice() {
    let node = NodeProxy::start(CODE).await;
    let _slave = Setup::slave("one", node.address()).start_slave().await;
    let mut link = node.accept().await.expect("accepted");
    let call = |id: u32, tool: &str, arguments: Value| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": arguments } });
    link.send(&call(1, "sleep", json!({ "seconds": 1, "steps": 3 }))).await;
    link.send(&call(2, "echo", json!({ "text": "fast" }))).await;
    link.send(&call(3, "no_such_tool", json!({}))).await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(link.receive().await.expect("an answer"));
    }
    let of = |id: u32| {
        answers.iter().find(|answer| answer["id"] == id).unwrap_or_else(|| panic!("{id} in {answers:?}"))
    };
    assert_eq!(answers[2]["id"], 1, "the slow one comes last: {answers:?}");
    assert_eq!(of(2)["result"]["content"][0]["text"], "fast");
    assert!(of(3)["error"]["code"].is_number(), "{answers:?}");
    assert!(of(1).get("result").is_some(), "{answers:?}");
}

#[tokio::test]
async fn our_slave_comes_back_to_a_node_proxy() {
    let node = NodeProxy::start(CODE).await;
    let slave = Setup::slave("one", node.address()).start_slave().await;
    drop(node.accept().await.expect("accepted"));
    slave.log.wait_for("[SLAVE] Connection to proxy closed, attempting to reconnect in ").await;
    let mut link = node.accept().await.expect("accepted again");
    link.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": {} })).await;
    assert_eq!(link.receive().await.expect("an answer")["id"], 1);
}

#[tokio::test]
async fn our_slave_survives_a_proxy_that_sends_rubbish() {
    let node = NodeProxy::start(CODE).await;
    let slave = Setup::slave("one", node.address()).env("RECONNECT_MAX", "0.2").start_slave().await;
    let rubbish = [
        Message::text("not JSON"),
        Message::text("[]"),
        Message::text(r#"{"jsonrpc":"2.0"}"#),
        Message::text(r#"{"type":"auth_failed"}"#),
        Message::text(r#"{"jsonrpc":"2.0","id":{},"method":7}"#),
        Message::binary(vec![0; 70_000]),
    ];
    let mut link = node.accept().await.expect("accepted");
    for message in rubbish {
        link.babble(message).await;
        link.babble(Message::text(r#"{"jsonrpc":"2.0","id":"still there","method":"ping"}"#)).await;
        // The slave may ignore, refuse or close, as long as it serves the next request on this link or a new one.
        loop {
            match link.receive().await {
                Ok(answer) if answer["id"] == "still there" => break,
                Ok(_) => {}
                Err(_) => {
                    link = node.accept().await.expect("accepted again");
                    link.send(&json!({ "jsonrpc": "2.0", "id": "still there", "method": "ping" })).await;
                }
            }
        }
    }
    assert_eq!(Client::modern(slave.http).call("echo", json!({ "text": "own" })).await.text(), "own");
}

#[tokio::test]
async fn a_node_slave_that_sends_bytes_or_rubbish_ends_its_own_link_only() {
    let proxy = proxy_with_node_slave("good_tool").await;
    for message in [Message::binary(vec![1; 40]), Message::text("not JSON"), Message::text("[1]")] {
        let mut bad = node_slave(proxy.link, CODE).await.expect("accepted");
        let what = format!("{message:?}");
        bad.babble(message).await;
        let code = loop {
            if let Err(code) = bad.receive().await {
                break code;
            }
        };
        assert!(matches!(code, Some(1002 | 1003 | 1007) | None), "{what}: {code:?}");
        Client::modern(proxy.http).call("good_tool", json!({})).await.result();
    }
}
