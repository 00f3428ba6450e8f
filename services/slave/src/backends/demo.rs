//! Tools to try the relay with (`DEMO_TOOLS=1`): `echo`, `sleep`, `payload`, `fail`. Must not know MCP beyond tools.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::mcp::catalog::CatalogEntry;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

use super::{Answer, Backend, Stopping};
use crate::executor::{CallSink, Registry, ToolCall};

/// Largest `payload`, in bytes.
const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

/// Longest `sleep`, in seconds.
const MAX_SLEEP: f64 = 86_400.0;

/// Most steps of a `sleep`.
const MAX_STEPS: u32 = 10_000;

const TOOLS: [&str; 4] = [
    r#"{"name":"echo","title":"Echo","description":"Answers with the text it was given.","inputSchema":{"type":"object","properties":{"text":{"type":"string","description":"What to answer"}},"required":["text"]},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#,
    r#"{"name":"sleep","title":"Sleep","description":"Waits, and reports progress after each step to a client that asked for it.","inputSchema":{"type":"object","properties":{"seconds":{"type":"number","minimum":0,"maximum":86400,"description":"How long"},"steps":{"type":"integer","minimum":1,"maximum":10000,"default":1,"description":"In how many steps"}},"required":["seconds"]},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#,
    r#"{"name":"payload","title":"Payload","description":"Answers with a text of that many bytes.","inputSchema":{"type":"object","properties":{"bytes":{"type":"integer","minimum":0,"maximum":67108864,"description":"Length of the text"}},"required":["bytes"]},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#,
    r#"{"name":"fail","title":"Fail","description":"Answers with a tool error.","inputSchema":{"type":"object","properties":{"message":{"type":"string","description":"What the error says"}},"required":["message"]},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#,
];

struct Demo {
    stopping: Stopping,
    /// What else `echo` is called.
    probe: Option<String>,
}

/// Puts the tools into the catalog.
pub(crate) fn start(registry: &Registry, stopping: &Stopping) {
    let slot = registry.add("demo", Arc::new(Demo { stopping: stopping.clone(), probe: None }));
    registry.ready(slot, TOOLS.iter().filter_map(|tool| offer((*tool).to_owned())).collect());
}

/// The same with one tool of this name, which echoes.
pub(crate) fn start_probe(registry: &Registry, name: &str, stopping: &Stopping) {
    let mut tool: serde_json::Value = serde_json::from_str(TOOLS[0]).unwrap_or_default();
    tool["name"] = name.into();
    tool["title"] = "Test of the relay".into();
    let demo = Demo { stopping: stopping.clone(), probe: Some(name.to_owned()) };
    let slot = registry.add("probe", Arc::new(demo));
    registry.ready(slot, offer(tool.to_string()).into_iter().collect());
}

fn offer(definition: String) -> Option<CatalogEntry> {
    CatalogEntry::named(&RawValue::from_string(definition).ok()?).ok()
}

impl Backend for Demo {
    fn call<'a>(
        &'a self,
        call: &'a ToolCall,
        tool: &'a str,
        events: &'a mut dyn CallSink,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        let answer = match tool {
            "echo" => echo(call),
            name if self.probe.as_deref() == Some(name) => echo(call),
            "payload" => payload(call),
            "fail" => fail(call),
            _ => return Box::pin(self.sleep(call, events)),
        };
        // Bad arguments are for the model to mend: a result, not a protocol error (MCP, Tools, "Error Handling").
        let answer = answer.unwrap_or_else(|error| refused(call, &error.to_string()));
        Box::pin(std::future::ready(Ok(answer)))
    }
}

#[derive(Deserialize)]
struct Echo<'a> {
    #[serde(borrow, deserialize_with = "json_string")]
    text: &'a str,
}

fn echo(call: &ToolCall) -> Result<Answer, serde_json::Error> {
    let text = match call.arguments.as_ref().and_then(|place| only_text(call.at(place))) {
        Some(text) => text,
        None => call.arguments::<Echo<'_>>()?.text,
    };
    Ok(text_result(call.header.era, Outcome::Fine, text.len(), |out| out.push_str(text)))
}

/// The string of `{"text":"..."}` if it has no quotes inside, without parsing: that the arguments are JSON is known
/// already, and reading a large text once more would be half of what an echo costs.
fn only_text(arguments: &[u8]) -> Option<&str> {
    let string = arguments.strip_prefix(br#"{"text":"#)?.strip_suffix(b"}")?;
    let inside = string.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'"', inside).is_some() || inside.last() == Some(&b'\\') {
        return None;
    }
    std::str::from_utf8(string).ok()
}

#[derive(Deserialize)]
struct Fail<'a> {
    #[serde(borrow, deserialize_with = "json_string")]
    message: &'a str,
}

fn fail(call: &ToolCall) -> Result<Answer, serde_json::Error> {
    let Fail { message } = call.arguments()?;
    Ok(text_result(call.header.era, Outcome::ToolError, message.len(), |out| out.push_str(message)))
}

/// A string as it stands in JSON, quotes and escapes included: it goes back out as it came.
fn json_string<'de, D: Deserializer<'de>>(from: D) -> Result<&'de str, D::Error> {
    let raw = <&RawValue>::deserialize(from)?.get();
    if raw.starts_with('"') { Ok(raw) } else { Err(D::Error::custom("invalid type: expected a string")) }
}

#[derive(Deserialize)]
struct Payload {
    bytes: usize,
}

fn payload(call: &ToolCall) -> Result<Answer, serde_json::Error> {
    let Payload { bytes } = call.arguments()?;
    if bytes > MAX_PAYLOAD {
        return Err(serde_json::Error::custom(format!(
            "\"bytes\" is {bytes}, at most {MAX_PAYLOAD} are allowed"
        )));
    }
    Ok(text_result(call.header.era, Outcome::Fine, bytes + 2, |out| {
        out.push('"');
        // By blocks: one character at a time would hold up the link in a debug build.
        let block = "x".repeat(bytes.min(4096));
        out.extend(std::iter::repeat_n(block.as_str(), bytes / 4096));
        out.push_str(&block[..bytes % 4096]);
        out.push('"');
    }))
}

#[derive(Deserialize)]
struct Sleep {
    seconds: f64,
    #[serde(default)]
    steps: Option<u32>,
}

impl Demo {
    async fn sleep(&self, call: &ToolCall, events: &mut dyn CallSink) -> Result<Answer, Failure> {
        let Sleep { seconds, steps } = match call.arguments() {
            Ok(sleep) => sleep,
            Err(error) => return Ok(refused(call, &error.to_string())),
        };
        let steps = steps.unwrap_or(1);
        if !(0.0..=MAX_SLEEP).contains(&seconds) || !(1..=MAX_STEPS).contains(&steps) {
            return Ok(refused(call, "\"seconds\" must be 0 to 86400 and \"steps\" 1 to 10000"));
        }
        let steps = Steps { each: Duration::from_secs_f64(seconds) / steps, count: steps };
        let token = call.token();
        tokio::select! {
            through = steps.take(token.as_deref(), events) => through?,
            () = self.stopping.begun() => return Err(Failure::Draining),
        }
        let text = format!("\"slept {seconds} s in {} steps\"", steps.count);
        Ok(text_result(call.header.era, Outcome::Fine, text.len(), |out| out.push_str(&text)))
    }
}

struct Steps {
    each: Duration,
    count: u32,
}

impl Steps {
    /// Waits, and tells a client that gave a token.
    async fn take(&self, token: Option<&str>, events: &mut dyn CallSink) -> Result<(), Failure> {
        let count = self.count;
        for done in 1..=count {
            tokio::time::sleep(self.each).await;
            if let Some(token) = token {
                let event = format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{done},"total":{count},"message":"step {done} of {count}"}}}}"#
                );
                events.event(event.into(), false).await.map_err(|_| Failure::Cancelled)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Fine,
    ToolError,
}

fn refused(call: &ToolCall, reason: &str) -> Answer {
    let text = serde_json::Value::from(format!("Invalid arguments: {reason}")).to_string();
    text_result(call.header.era, Outcome::ToolError, text.len(), |out| out.push_str(&text))
}

/// A result with one text block, in one allocation; `write` writes a JSON string of `len` bytes, quotes included.
fn text_result(era: Era, outcome: Outcome, len: usize, write: impl FnOnce(&mut String)) -> Answer {
    let mut out = String::with_capacity(len + 96);
    out.push_str(match era {
        Era::Modern => r#"{"resultType":"complete","content":[{"type":"text","text":"#,
        Era::Legacy => r#"{"content":[{"type":"text","text":"#,
    });
    write(&mut out);
    out.push_str(match outcome {
        Outcome::ToolError => r#"}],"isError":true}"#,
        Outcome::Fine => "}]}",
    });
    Answer { payload: Bytes::from(out), error: false, tool_error: outcome == Outcome::ToolError }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::testing::{call, header, within};
    use crate::executor::{CallEnd, Executor, ExecutorConfig, SinkClosed};
    use futures_util::FutureExt;
    use serde_json::{Value, json};
    use std::sync::Mutex;
    use tokio::sync::oneshot;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<Value>>>);

    struct Sink(Heard, oneshot::Sender<CallEnd>);

    impl CallSink for Sink {
        fn event(&mut self, json: Bytes, _request: bool) -> BoxFuture<'_, Result<(), SinkClosed>> {
            self.0.0.lock().unwrap().push(serde_json::from_slice(&json).unwrap());
            std::future::ready(Ok(())).boxed()
        }

        fn end(self: Box<Self>, end: CallEnd) {
            let _ = self.1.send(end);
        }
    }

    async fn ran(era: Era, params: &Value) -> (Vec<Value>, Value, CallEnd) {
        let executor =
            Executor::start(ExecutorConfig { demo_tools: true, ..ExecutorConfig::default() }).await;
        let message =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
        let (heard, (end, ended)) = (Heard::default(), oneshot::channel());
        executor.run(header(era), message.into(), Box::new(Sink(heard.clone(), end)));
        let end = within(ended).await.unwrap();
        let events = heard.0.lock().unwrap().clone();
        (events, serde_json::from_slice(&end.payload).unwrap(), end)
    }

    #[test]
    fn echo_gives_the_text_back_as_it_was_written() {
        let call =
            call(Era::Modern, r#"{"id":1,"params":{"name":"echo","arguments":{"text":"\u00e9\n\"é"}}}"#);
        let answer = echo(&call).unwrap();
        assert_eq!(
            answer.payload,
            r#"{"resultType":"complete","content":[{"type":"text","text":"\u00e9\n\"é"}]}"#
        );
        assert!(!answer.tool_error);
    }

    #[test]
    fn the_short_way_to_the_text_takes_only_what_is_certain() {
        assert_eq!(only_text(br#"{"text":"a\\b {"}"#), Some(r#""a\\b {""#));
        for other in [
            r#"{"text":"a\"b"}"#,
            r#"{"text":"a","b":"c"}"#,
            r#"{"text":"}"#,
            r#"{"text":3}"#,
            r#"{ "text":"a"}"#,
            r#"{"text":"a\\"}"#,
        ] {
            assert_eq!(only_text(other.as_bytes()), None, "{other}");
        }
    }

    #[tokio::test]
    async fn every_tool_does_what_it_says() {
        let (_, value, end) =
            ran(Era::Legacy, &json!({ "name": "fail", "arguments": { "message": "no" } })).await;
        assert!(end.tool_error && !end.error);
        assert_eq!(value, json!({ "content": [{ "type": "text", "text": "no" }], "isError": true }));
        let (_, value, _) =
            ran(Era::Modern, &json!({ "name": "payload", "arguments": { "bytes": 5000 } })).await;
        assert_eq!(value["content"][0]["text"].as_str().unwrap().len(), 5000);
        assert_eq!(value["resultType"], "complete");
        let sleep = json!({ "name": "sleep", "arguments": { "seconds": 0.01, "steps": 3 }, "_meta": { "progressToken": [1] } });
        let (events, value, _) = ran(Era::Legacy, &sleep).await;
        assert_eq!(value["content"][0]["text"], "slept 0.01 s in 3 steps");
        let seen: Vec<&Value> = events.iter().map(|event| &event["params"]["progress"]).collect();
        assert_eq!(seen, [&json!(1), &json!(2), &json!(3)]);
        assert_eq!(events[0]["params"]["progressToken"], json!([1]));
    }

    #[tokio::test]
    async fn bad_arguments_are_tool_errors() {
        for (tool, arguments) in [
            ("echo", json!({})),
            ("echo", json!({ "text": 3 })),
            ("fail", json!({ "message": null })),
            ("payload", json!({ "bytes": -1 })),
            ("payload", json!({ "bytes": 64 * 1024 * 1024 + 1 })),
            ("sleep", json!({ "seconds": -1 })),
            ("sleep", json!({ "seconds": 1, "steps": 0 })),
            ("sleep", json!([])),
        ] {
            let (_, value, end) = ran(Era::Legacy, &json!({ "name": tool, "arguments": arguments })).await;
            assert!(end.tool_error, "{value}");
            assert!(
                value["content"][0]["text"].as_str().unwrap().starts_with("Invalid arguments: "),
                "{value}"
            );
        }
    }

    #[test]
    fn definitions_are_json() {
        for tool in TOOLS {
            serde_json::from_str::<Value>(tool).unwrap();
        }
    }
}
