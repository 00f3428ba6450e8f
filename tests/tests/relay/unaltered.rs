//! What a proxy that reads messages into types would lose: unknown members, forms of numbers and strings, order, depth, size. Each
//! must reach the backend and come back as it was, for every kind of request and every pair of eras.

use std::collections::HashMap;

use harness::client::Client;
use harness::fixture::Fixture;
use harness::process::profile_folder;
use harness::relay::{Proxy, Setup, Slave};
use harness::sse::Parser;
use serde_json::json;
use serde_json::value::RawValue;

/// Requests that a backend answers: method, its own members of `params`, and where the method has content in its result.
const REQUESTS: [(&str, &str, &str); 5] = [
    ("tools/call", r#""name":"mirror","arguments":{"text":"x","canary":$c}"#, "content/0/canary"),
    ("prompts/get", r#""name":"mirror","arguments":{"text":"x","canary":$c}"#, "messages/0/content/canary"),
    ("resources/read", r#""uri":"mirror://fixed""#, "contents/0/canary"),
    ("resources/read", r#""uri":"mirror://7/data""#, "contents/0/canary"),
    (
        "completion/complete",
        r#""ref":{"type":"ref/prompt","name":"mirror","canary":$c},"argument":{"name":"text","value":"x","canary":$c}"#,
        "completion/canary",
    ),
];

async fn scene(era: &str) -> (Proxy, Slave, Fixture) {
    let fixture = Fixture::default();
    let command = profile_folder().join("mirror-fixture");
    let path =
        fixture.write_backends(&json!({ "mirror": { "command": command, "env": { "MIRROR_ERA": era } } }));
    let proxy = Setup::proxy().env("MAX_BODY_BYTES", "67108864").env("MAX_BODIES_BYTES", "536870912");
    let proxy = proxy.start_proxy().await;
    let setup = Setup::slave("one", proxy.link).env("DEMO_TOOLS", "0");
    let slave = setup.env("SLAVE_BACKENDS", path.to_str().unwrap()).start_slave().await;
    proxy.offers("mirror").await;
    (proxy, slave, fixture)
}

/// Values that types of the field lose or alter.
fn canaries() -> Vec<(&'static str, String)> {
    let depth = 500;
    vec![
        ("beyond 2^53", "9007199254740993".into()),
        ("beyond 2^64", "123456789012345678901234567890".into()),
        ("beyond a double", "[1e400,-1E+400]".into()),
        ("minus zero", "[-0,-0.0,0.10,1.0,1E+2]".into()),
        ("order", r#"{"z":1,"a":2,"10":3,"9":4}"#.into()),
        ("duplicate keys", r#"{"a":1,"a":2}"#.into()),
        ("empty key", r#"{"":0,"\u0000":1}"#.into()),
        ("lone surrogates", r#"["\ud83d","\ude00x"]"#.into()),
        ("escapes", r#"["\u00e9","\/","\ud83d\ude00","\u0000\u001f\u007f","\u2028","\r\n"]"#.into()),
        ("characters", "[\"\u{7f}\u{2028}\u{fffd}\u{1f600}\u{e9}\u{202e}\"]".into()),
        ("white space", "[ 1 ,\t{ \"a\" : [ ] } ]".into()),
        ("lines", "[1,\r\n 2,\n3]".into()),
        (
            "what looks like a message",
            r#"{"jsonrpc":"2.0","id":1,"method":"x","_meta":{"progressToken":1}}"#.into(),
        ),
        ("depth", format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
    ]
}

/// Raw text at a path of members and positions.
fn at<'a>(json: &'a str, path: &str) -> Option<&'a str> {
    path.split('/').try_fold(json, |json, step| match step.parse::<usize>() {
        Ok(position) => {
            serde_json::from_str::<Vec<&RawValue>>(json).ok()?.get(position).map(|value| value.get())
        }
        Err(_) => member(json, step),
    })
}

/// Raw text of a member; a dot in its name stands for a slash.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let members: HashMap<String, &RawValue> = serde_json::from_str(object).ok()?;
    members.get(&name.replace('|', "/")).map(|value| value.get())
}

/// A request's text. Modern ones have what the version asks for.
fn message(client: &Client, id: &str, request: [&str; 2], canary: &str, token: &str) -> String {
    let [method, own] = request;
    let modern = client.session.is_none();
    let metadata = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{},"#;
    let metadata = if modern { metadata } else { "" };
    let own = own.replace("$c", canary);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{own},"canary":{canary},"_meta":{{{metadata}{token}"example.com/canary":{canary}}}}}}}"#
    )
}

/// Headers that a modern request needs besides.
fn with_headers(client: &Client, method: &str, own: &str) -> Client {
    if client.session.is_some() {
        return client.clone();
    }
    let own = format!("{{{}}}", own.replace("$c", "0"));
    let name = at(&own, "name").or_else(|| at(&own, "uri")).map(|name| name.trim_matches('"').to_owned());
    let client = client.clone().with_header("mcp-method", method);
    name.map_or(client.clone(), |name| client.with_header("mcp-name", &name))
}

/// JSON-RPC messages of an answer, as text.
async fn answers(client: &Client, body: &str) -> Vec<String> {
    let mut exchange = client.post(body.as_bytes()).await;
    let is_stream = exchange.header("content-type").starts_with("text/event-stream");
    let text = String::from_utf8(exchange.rest().await).unwrap();
    if !is_stream {
        return vec![text];
    }
    let mut parser = Parser::default();
    parser.push(text.as_bytes());
    std::iter::from_fn(|| parser.pop()).map(|event| event.data).filter(|data| !data.is_empty()).collect()
}

/// Lines end messages of stdio and of events: ends of lines between tokens may become spaces, and nothing else.
fn on_one_line(json: &str) -> String {
    json.replace(['\r', '\n'], " ")
}

async fn clients(proxy: &Proxy) -> [(&'static str, Client); 2] {
    [("modern", Client::modern(proxy.http)), ("legacy", Client::legacy(proxy.http).await)]
}

#[tokio::test]
async fn values_pass_as_they_are_both_ways_for_every_kind_of_request_and_era() {
    for era in ["legacy", "modern"] {
        let (proxy, _slave, _fixture) = scene(era).await;
        for (of_client, client) in clients(&proxy).await {
            for (method, own, content) in REQUESTS {
                let client = with_headers(&client, method, own);
                for (name, canary) in canaries() {
                    let case = format!("{name} in {method} of {of_client} to {era}");
                    let answers = answers(&client, &message(&client, "7", [method, own], &canary, "")).await;
                    let [answer] = &answers[..] else { panic!("{case}: {answers:?}") };
                    let mut places = vec!["canary", "_meta/example.com|canary", "seen/canary", content];
                    places.push("seen/_meta/example.com|canary");
                    if own.contains("arguments") {
                        places.push("seen/arguments/canary");
                    }
                    if own.contains("argument\"") {
                        places.extend(["seen/ref/canary", "seen/argument/canary"]);
                    }
                    if let Some(uri) = at(&format!("{{{}}}", own.replace("$c", "0")), "uri") {
                        assert_eq!(at(answer, "result/seen/uri"), Some(uri), "{case}: {answer:.2000}");
                    }
                    for place in places {
                        let found = at(answer, &format!("result/{place}")).map(on_one_line);
                        assert_eq!(found, Some(on_one_line(&canary)), "{case}, {place}: {answer:.2000}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn ids_and_progress_tokens_come_back_as_they_were_written() {
    let ids = [
        "0",
        "-1",
        "9007199254740993",
        "-0",
        r#""7""#,
        r#""""#,
        r#""\u00e9\"\/""#,
        "\"\u{1f600}\"",
        r#""\ud83d""#,
    ];
    for era in ["legacy", "modern"] {
        let (proxy, _slave, _fixture) = scene(era).await;
        for (of_client, client) in clients(&proxy).await {
            let (method, own, _) = REQUESTS[0];
            let client = with_headers(&client, method, own);
            for id in ids {
                let case = format!("{id} of {of_client} to {era}");
                let token = format!(r#""progressToken":{id},"#);
                let answers = answers(&client, &message(&client, id, [method, own], "1e400", &token)).await;
                let [progress, answer] = &answers[..] else { panic!("{case}: {answers:?}") };
                assert_eq!(at(answer, "id"), Some(id), "{case}: {answer}");
                assert_eq!(at(progress, "params/progressToken"), Some(id), "{case}: {progress}");
                assert_eq!(at(progress, "params/canary"), Some("1e400"), "{case}: {progress}");
            }
        }
    }
}

#[tokio::test]
async fn ids_that_peers_do_not_agree_on_are_refused_with_the_reason() {
    let (proxy, _slave, _fixture) = scene("legacy").await;
    for (of_client, client) in clients(&proxy).await {
        let (method, own, _) = REQUESTS[0];
        let client = with_headers(&client, method, own);
        for id in ["1.5", "1e3", "-0.0", "true", "{}", "[1]"] {
            let answers = answers(&client, &message(&client, id, [method, own], "0", "")).await;
            let [answer] = &answers[..] else { panic!("{id} of {of_client}: {answers:?}") };
            assert_eq!(at(answer, "error/code"), Some("-32600"), "{id} of {of_client}: {answer}");
            assert!(answer.contains("must be a string or an integer"), "{id} of {of_client}: {answer}");
        }
    }
}

#[tokio::test]
async fn ten_megabytes_pass_in_both_directions() {
    let (proxy, _slave, _fixture) = scene("legacy").await;
    // Escapes and characters of several bytes at every place of a chunk.
    let text = format!("\"{}\"", "a\u{1f600}\\n\u{e9}\\ud83d".repeat(10 * 1024 * 1024 / 15));
    // One kind of request for each client: both take the same way, and a debug build reads megabytes slowly.
    for ((of_client, client), (method, own, _)) in
        clients(&proxy).await.into_iter().zip([REQUESTS[0], REQUESTS[2]])
    {
        let own = own.replace("$c", "0");
        let client = with_headers(&client, method, &own);
        let body = message(&client, "1", [method, &own], "0", "");
        let large = format!(r#""large":{text}"#);
        let body = body.replacen(r#""canary":0,"_meta""#, &format!(r#"{large},"_meta""#), 1);
        let answers = answers(&client, &body).await;
        let whole = answers.last().is_some_and(|answer| answer.contains(&large));
        assert!(whole, "{method} of {of_client}: {:.300}", answers.concat());
    }
}
