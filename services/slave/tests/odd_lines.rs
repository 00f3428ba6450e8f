//! Tests of lines that are no strict JSON-RPC message, against a real child process: which calls fail, at once, and which go on.

mod harness;

use harness::{Call, begin, call, config, header, json, kind, server, started, text, within};
use protocol::mcp::era::Era;
use serde_json::json;
use slave::executor::Executor;
use std::time::Duration;

/// The grace of a shutdown.
const GRACE: Duration = Duration::from_secs(6);

/// Answers that name their request and cannot be read.
const UNREADABLE: &[(&str, &str)] = &[
    (r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"a$ffb"}]}}"#, "UTF-8"),
    (r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[],"x":NaN}}"#, "NaN"),
    (r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[],"x":[Infinity]}}"#, "NaN"),
    (r#"{"result":{"content":[],"x":-Infinity},"jsonrpc":"2.0","id":$id}"#, "NaN"),
    (
        "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"a\u{1}b\"}]}}",
        "control",
    ),
    (
        "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"a\tb\"}]}}",
        "control",
    ),
    (
        "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"a\rb\"}]}}",
        "control",
    ),
    (
        "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"a\nb\"}]}}",
        "middle",
    ),
    (r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"te"#, "middle"),
    (r#"{"jsonrpc":"2.0","id":$id,"#, "middle"),
    ("{\n  \"jsonrpc\": \"2.0\",\n  \"id\": $id,\n  \"result\": {\n    \"content\": []\n  }\n}", "middle"),
    (r#"{"jsonrpc":"2.0","id":$id,"id":$id,"result":{"content":[]}}"#, "twice"),
    (r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]},"result":{"content":[]}}"#, "twice"),
    (r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[],}}"#, "JSON"),
    (r#"{"jsonrpc":"2.0","id":"$id","result":{"content":[],"x":NaN}}"#, "NaN"),
    (r#"[{"jsonrpc":"2.0","id":$id,"result":{"content":[],"x":NaN}}]"#, "NaN"),
    (r#"{"jsonrpc":"2.0","id":$id}"#, "neither"),
    (r#"{"jsonrpc":"2.0","id":$id,"result":{},"error":{"code":1,"message":""}}"#, "neither"),
    (r#"{"jsonrpc":"2.0","id":$id,"result":null}"#, "neither"),
    (r"{'jsonrpc': '2.0', 'id': $id, 'result': {'content': []}}", "JSON"),
];

/// Answers that cannot be attributed.
const NAMELESS: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#,
    r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"}}"#,
    r#"{"jsonrpc":"2.0","id":"seven","result":{"content":[]}}"#,
    r#"{"jsonrpc":"2.0","id":{},"result":{"content":[]}}"#,
    r#"{"jsonrpc":"2.0","id":"#,
    r#"{"jsonrpc":"2.0","result":{"content":[{"type":"text","text":"a$ff"}]}}"#,
    r#"{"result":{"content":[{"type":"te"#,
];

/// Answers that are taken.
const TAKEN: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":"$id","result":{"content":[{"type":"text","text":"ok"}]}}"#,
    r#"{"jsonrpc":"2.0","id":$id.0,"result":{"content":[{"type":"text","text":"ok"}]}}"#,
    "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"ok\"}]}}",
    r#"[{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"ok"}]}}]"#,
    r#"[{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"ok"}]}}]"#,
    r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"ok"}],"x":1e300,"y":123456789012345678901234567890}}"#,
    "{\"jsonrpc\":\"2.0\",\t\"id\":$id,\r\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"ok\"}]}}",
];

/// Lines that are no answer, each before the true one.
const NOISE: &[&str] = &[
    "listening on 3000",
    "[INFO] ready",
    r#"{"level":"info","id":$id,"msg":"ready"}"#,
    r#"{"level":"info","#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$id,"progress":NaN}}"#,
    r#"{"jsonrpc":"2.0","id":99999999,"result":{}}"#,
    r#"sending {"jsonrpc":"2.0","id":$id,"result":{}}"#,
    "[]",
    "{}",
    "$ff",
];

/// Returns these lines, and each once more with a long member, since large messages are read in a way of their own.
fn in_two_sizes(lines: &[&str]) -> Vec<String> {
    let long = format!(r#""jsonrpc":"2.0","more":"{}""#, "x".repeat(5000));
    let large = |line: &&str| line.replacen(r#""jsonrpc":"2.0""#, &long, 1);
    lines.iter().map(ToString::to_string).chain(lines.iter().map(large)).collect()
}

fn say(executor: &Executor, lines: &[&str]) -> Call {
    begin(executor, header(Era::Legacy), "raw", &json!({ "lines": lines }).to_string())
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_its_own_call_at_once() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    let other = begin(&executor, header(Era::Legacy), "wait", "{}");
    let (lines, reasons): (Vec<_>, Vec<_>) = UNREADABLE.iter().copied().unzip();
    for (line, reason) in in_two_sizes(&lines).iter().zip(reasons.iter().cycle()) {
        let end = within(say(&executor, &[line]).all()).await.1;
        assert_eq!(kind(&end), "bad_answer", "{line}");
        let message = json(&end)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(reason) && !message.contains("jsonrpc"), "{line}: {message}");
        assert_eq!(text(&call(&executor, "echo", r#"{"text":"on"}"#).await), "on", "{line}");
    }
    other.handle.cancel();
    assert_eq!(kind(&other.all().await.1), "cancelled");
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn an_answer_of_no_known_request_is_the_only_call_s_or_nobody_s() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    for line in &in_two_sizes(NAMELESS) {
        assert_eq!(kind(&within(say(&executor, &[line]).all()).await.1), "bad_answer", "{line}");
    }
    let other = begin(&executor, header(Era::Legacy), "wait", "{}");
    let answer = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"ok"}]}}"#;
    for line in &in_two_sizes(NAMELESS) {
        assert_eq!(text(&within(say(&executor, &[line, answer]).all()).await.1), "ok", "{line}");
    }
    other.handle.cancel();
    assert_eq!(kind(&other.all().await.1), "cancelled");
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn what_strict_readers_take_is_taken_and_noise_is_skipped() {
    let executor = started(config(vec![server("one", &["legacy"])])).await;
    for line in &in_two_sizes(TAKEN) {
        assert_eq!(text(&within(say(&executor, &[line]).all()).await.1), "ok", "{line}");
    }
    // What is JSON and more than this test's own parser takes passes as it stands.
    for value in ["1e400", r#""\ud800""#] {
        let line =
            format!(r#"{{"jsonrpc":"2.0","id":$id,"result":{{"content":[],"x":{value}}},"error":null}}"#);
        let end = within(say(&executor, &[&line]).all()).await.1;
        let expected = format!(r#"{{"content":[],"x":{value}}}"#);
        assert_eq!((end.error, &end.payload[..]), (false, expected.as_bytes()));
    }
    let answer = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"ok"}]}}"#;
    for line in &in_two_sizes(NOISE) {
        assert_eq!(text(&within(say(&executor, &[line, answer]).all()).await.1), "ok", "{line}");
    }
    executor.shutdown(GRACE).await;
}

#[tokio::test]
async fn an_over_long_line_fails_its_own_call_wherever_the_id_stands() {
    let mut config = config(vec![server("one", &["legacy"])]);
    config.max_output = 100_000;
    let executor = started(config).await;
    let other = begin(&executor, header(Era::Legacy), "wait", "{}");
    for line in [
        r#"{"jsonrpc":"2.0","id":$id,"result":{"content":["$long"]}}"#,
        r#"{"result":{"content":["$long"],"id":1},"jsonrpc":"2.0","id":$id}"#,
        r#"{"result":{"content":["$long"]},"id":$id,"_meta":{"x":"$long"}}"#,
        r#"{"result":{"content":["$long$ff",NaN]},"id":"$id","x":1}"#,
    ] {
        assert_eq!(kind(&within(say(&executor, &[line]).all()).await.1), "result_too_large", "{line}");
    }
    let answer = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"ok"}]}}"#;
    for noise in
        ["$long$long$long", r#"{"jsonrpc":"2.0","method":"notifications/message","params":["$long"]}"#]
    {
        assert_eq!(text(&within(say(&executor, &[noise, answer]).all()).await.1), "ok", "{noise}");
    }
    other.handle.cancel();
    assert_eq!(kind(&other.all().await.1), "cancelled");
    executor.shutdown(GRACE).await;
}
