//! The demo backend (`DEMO_TOOLS=1`): the tools `echo`, `sleep`, `payload`, `fail`, and an entry of each other kind. Must not know other
//! backends.

mod kinds;

use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::mcp::catalog::CatalogEntry;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use protocol::mcp::result_marks::{ResultMark, ResultMarks};
use serde_json::value::RawValue;

use super::arguments::{Argument, ArgumentProblems, ArgumentReader};
use super::registration::BackendReport;
use super::shutdown::ShutdownGroup;
use crate::call::{Answer, Backend, Exchange, Request};

/// Bytes of the longest `payload`.
const MAX_PAYLOAD: u32 = 64 * 1024 * 1024;

/// Seconds of the longest `sleep`.
const MAX_SLEEP: f64 = 86_400.0;

/// The largest number of steps of a `sleep`.
const MAX_STEPS: u32 = 10_000;

const TOOLS: [&str; 4] = [
    r#"{"name":"echo","title":"Echo","description":"Answers with the text it was given.","inputSchema":{"type":"object","properties":{"text":{"type":"string","description":"What to answer"}},"required":["text"]},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#,
    r#"{"name":"sleep","title":"Sleep","description":"Waits, and reports progress after each step to a client that asked for it.","inputSchema":{"type":"object","properties":{"seconds":{"type":"number","minimum":0,"maximum":86400,"description":"How long"},"steps":{"type":"integer","minimum":1,"maximum":10000,"default":1,"description":"In how many steps"}},"required":["seconds"]},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#,
    r#"{"name":"payload","title":"Payload","description":"Answers with a text of that many bytes.","inputSchema":{"type":"object","properties":{"bytes":{"type":"integer","minimum":0,"maximum":67108864,"description":"Length of the text"}},"required":["bytes"]},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#,
    r#"{"name":"fail","title":"Fail","description":"Answers with a tool error.","inputSchema":{"type":"object","properties":{"message":{"type":"string","description":"What the error says"}},"required":["message"]},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#,
];

const TEXT: Argument = Argument { name: "text", expected: "a string", example: "\"hello\"" };

const MESSAGE: Argument = Argument { name: "message", expected: "a string", example: "\"no\"" };

const BYTES: Argument =
    Argument { name: "bytes", expected: "a whole number from 0 to 67108864", example: "1000" };

const SECONDS: Argument = Argument { name: "seconds", expected: "a number from 0 to 86400", example: "1.5" };

const STEPS: Argument = Argument { name: "steps", expected: "a whole number from 1 to 10000", example: "10" };

/// The demo backend.
pub(crate) struct Demo {
    shutdown: ShutdownGroup,
    /// The name of the only tool; `None`: all demo tools.
    probe: Option<String>,
}

impl Demo {
    /// Returns the backend of all demo tools.
    pub(crate) fn new(shutdown: ShutdownGroup) -> Self {
        Self { shutdown, probe: None }
    }

    /// Returns a backend with one tool of this name, which echoes.
    pub(crate) fn probe(shutdown: ShutdownGroup, name: String) -> Self {
        Self { shutdown, probe: Some(name) }
    }

    /// Returns what the backend offers.
    pub(crate) fn report(&self) -> BackendReport {
        let mut report = BackendReport::of_tools(self.tools());
        if self.probe.is_none() {
            let [prompts, resources, templates] = kinds::lists();
            report.lists[1..].swap_with_slice(&mut [prompts, resources, templates]);
            report.facts.capabilities = RawValue::from_string(kinds::CAPABILITIES.to_owned()).ok();
        }
        report
    }

    /// Returns the catalog entries of the tools.
    fn tools(&self) -> Vec<CatalogEntry> {
        let Some(name) = &self.probe else {
            return TOOLS.iter().filter_map(|tool| entry((*tool).to_owned())).collect();
        };
        let mut tool: serde_json::Value = serde_json::from_str(TOOLS[0]).unwrap_or_default();
        tool["name"] = name.as_str().into();
        tool["title"] = "Test of the relay".into();
        entry(tool.to_string()).into_iter().collect()
    }
}

fn entry(definition: String) -> Option<CatalogEntry> {
    CatalogEntry::named(&RawValue::from_string(definition).ok()?).ok()
}

impl Backend for Demo {
    fn call<'a>(
        &'a self,
        tool: &'a str,
        request: Request,
        exchange: &'a mut Exchange,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        if request.header.method != "tools/call" {
            return Box::pin(std::future::ready(kinds::answer(tool, &request)));
        }
        let answer = match tool {
            "echo" => echo(&request),
            name if self.probe.as_deref() == Some(name) => echo(&request),
            "payload" => payload(&request),
            "fail" => fail(&request),
            _ => return Box::pin(async move { self.sleep(&request, exchange).await }),
        };
        Box::pin(std::future::ready(Ok(answer.unwrap_or_else(|problems| refusal(&request, &problems)))))
    }
}

fn echo(request: &Request) -> Result<Answer, ArgumentProblems> {
    let text = match only_text(request.arguments_json()) {
        Some(text) => text,
        None => json_string(request, &TEXT)?,
    };
    Ok(text_result(request.header.era, ResultKind::Success, text.len(), |out| out.push_str(text)))
}

/// Returns the string of `{"text":"..."}` if it has no quotes inside, without parsing: the arguments are known to be JSON,
/// and parsing a large text once more would be half of the cost of an echo.
fn only_text(arguments: &[u8]) -> Option<&str> {
    let string = arguments.strip_prefix(br#"{"text":"#)?.strip_suffix(b"}")?;
    let inside = string.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'"', inside).is_some() || inside.last() == Some(&b'\\') {
        return None;
    }
    std::str::from_utf8(string).ok()
}

fn fail(request: &Request) -> Result<Answer, ArgumentProblems> {
    let message = json_string(request, &MESSAGE)?;
    Ok(text_result(request.header.era, ResultKind::ToolError, message.len(), |out| out.push_str(message)))
}

/// Returns a required string as JSON, quotes and escapes included, to be written back unchanged.
fn json_string<'a>(request: &'a Request, argument: &Argument) -> Result<&'a str, ArgumentProblems> {
    let mut reader = ArgumentReader::new(request.arguments_json())?;
    let json = reader.json(argument.name).filter(|json| json.starts_with('"'));
    if json.is_none() {
        reader.refuse(argument);
    }
    reader.finish().map(|()| json.unwrap_or_default())
}

fn payload(request: &Request) -> Result<Answer, ArgumentProblems> {
    let mut reader = ArgumentReader::new(request.arguments_json())?;
    let bytes = reader.required(&BYTES, |reader| reader.whole(&BYTES, 0..=MAX_PAYLOAD));
    reader.finish()?;
    let bytes = usize::try_from(bytes.unwrap_or_default()).unwrap_or_default();
    Ok(text_result(request.header.era, ResultKind::Success, bytes + 2, |out| {
        out.push('"');
        // Written in blocks: one character at a time would delay the link in a debug build.
        let block = "x".repeat(bytes.min(4096));
        out.extend(std::iter::repeat_n(block.as_str(), bytes / 4096));
        out.push_str(&block[..bytes % 4096]);
        out.push('"');
    }))
}

impl Demo {
    async fn sleep(&self, request: &Request, exchange: &mut Exchange) -> Result<Answer, Failure> {
        let (seconds, steps) = match sleep_arguments(request) {
            Ok(arguments) => arguments,
            Err(problems) => return Ok(refusal(request, &problems)),
        };
        let steps = Steps { each: Duration::from_secs_f64(seconds) / steps, count: steps };
        let token = request.token();
        tokio::select! {
            done = steps.run(token.as_deref(), exchange) => done?,
            () = self.shutdown.wait() => return Err(Failure::Draining),
        }
        let text = format!("\"slept {seconds} s in {} steps\"", steps.count);
        Ok(text_result(request.header.era, ResultKind::Success, text.len(), |out| out.push_str(&text)))
    }
}

/// Returns the seconds and the number of steps of a `sleep`.
fn sleep_arguments(request: &Request) -> Result<(f64, u32), ArgumentProblems> {
    let mut reader = ArgumentReader::new(request.arguments_json())?;
    let seconds = reader.required(&SECONDS, |reader| reader.number(&SECONDS, 0.0..=MAX_SLEEP));
    let steps = reader.whole(&STEPS, 1..=MAX_STEPS);
    reader.finish()?;
    Ok((seconds.unwrap_or_default(), steps.unwrap_or(1)))
}

struct Steps {
    each: Duration,
    count: u32,
}

impl Steps {
    /// Waits, and reports progress to a client that gave a token.
    async fn run(&self, token: Option<&str>, exchange: &mut Exchange) -> Result<(), Failure> {
        let count = self.count;
        for done in 1..=count {
            tokio::time::sleep(self.each).await;
            exchange.alive();
            if let Some(token) = token {
                let event = format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{done},"total":{count},"message":"step {done} of {count}"}}}}"#
                );
                exchange.notify(event.into()).await?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ResultKind {
    Success,
    ToolError,
}

/// Returns the answer to arguments that the model has to correct: a result, not a protocol error (MCP, Tools, "Error
/// Handling").
fn refusal(request: &Request, problems: &ArgumentProblems) -> Answer {
    let text = serde_json::Value::from(problems.to_string()).to_string();
    text_result(request.header.era, ResultKind::ToolError, text.len(), |out| out.push_str(&text))
}

/// Returns a result with one text block, in one allocation; `write` writes a JSON string of `len` bytes, quotes included.
fn text_result(era: Era, kind: ResultKind, len: usize, write: impl FnOnce(&mut String)) -> Answer {
    let mut out = String::with_capacity(len + 96);
    out.push_str(match era {
        Era::Modern => r#"{"resultType":"complete","content":[{"type":"text","text":"#,
        Era::Legacy => r#"{"content":[{"type":"text","text":"#,
    });
    write(&mut out);
    out.push_str(match kind {
        ResultKind::ToolError => r#"}],"isError":true}"#,
        ResultKind::Success => "}]}",
    });
    let marks = ResultMarks::NONE.with(ResultMark::Type).with(ResultMark::ToolError);
    Answer { tool_error: kind == ResultKind::ToolError, marks, ..Answer::result(out.into()) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::call::testing::{request, within};
    use crate::call::{CallEnd, CallSink, SinkClosed};
    use futures_util::FutureExt;
    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// A sink that collects events.
    #[derive(Clone, Default)]
    struct Events(Arc<Mutex<Vec<Value>>>);

    impl CallSink for Events {
        fn event(&mut self, json: Bytes) -> BoxFuture<'_, Result<(), SinkClosed>> {
            self.0.lock().push(serde_json::from_slice(&json).unwrap());
            std::future::ready(Ok(())).boxed()
        }

        fn end(self: Box<Self>, _: CallEnd) {}
    }

    /// Runs one call and returns its events, its answer as JSON and the answer itself.
    async fn run(era: Era, params: &Value) -> (Vec<Value>, Value, Answer) {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let request = request(era, &message.to_string());
        let tool = request.name.clone();
        let events = Events::default();
        let mut exchange = Exchange::new(Box::new(events.clone()));
        let demo = Demo::new(ShutdownGroup::default());
        let answer = within(demo.call(&tool, request, &mut exchange)).await.unwrap();
        let events = events.0.lock().clone();
        (events, serde_json::from_slice(&answer.payload).unwrap(), answer)
    }

    #[test]
    fn echo_returns_the_text_with_its_escapes() {
        let message = r#"{"id":1,"params":{"name":"echo","arguments":{"text":"\u00e9\n\"é"}}}"#;
        let answer = echo(&request(Era::Modern, message)).unwrap();
        assert_eq!(
            answer.payload,
            r#"{"resultType":"complete","content":[{"type":"text","text":"\u00e9\n\"é"}]}"#
        );
        assert!(!answer.tool_error);
    }

    #[test]
    fn the_text_is_taken_without_parsing_only_in_the_simplest_form() {
        assert_eq!(only_text(r#"{"text":"a\\b {"}"#.as_bytes()), Some(r#""a\\b {""#));
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
    async fn every_tool_does_what_its_description_says() {
        let (_, value, end) =
            run(Era::Legacy, &json!({ "name": "fail", "arguments": { "message": "no" } })).await;
        assert!(end.tool_error && !end.error);
        assert_eq!(value, json!({ "content": [{ "type": "text", "text": "no" }], "isError": true }));
        let (_, value, _) =
            run(Era::Modern, &json!({ "name": "payload", "arguments": { "bytes": 5000 } })).await;
        assert_eq!(value["content"][0]["text"].as_str().unwrap().len(), 5000);
        assert_eq!(value["resultType"], "complete");
        let sleep = json!({ "name": "sleep", "arguments": { "seconds": 0.01, "steps": 3 }, "_meta": { "progressToken": [1] } });
        let (events, value, _) = run(Era::Legacy, &sleep).await;
        assert_eq!(value["content"][0]["text"], "slept 0.01 s in 3 steps");
        let seen: Vec<&Value> = events.iter().map(|event| &event["params"]["progress"]).collect();
        assert_eq!(seen, [&json!(1), &json!(2), &json!(3)]);
        assert_eq!(events[0]["params"]["progressToken"], json!([1]));
    }

    #[tokio::test]
    async fn invalid_arguments_are_tool_errors() {
        for (tool, arguments) in [
            ("echo", json!({})),
            ("echo", json!({ "text": 3 })),
            ("fail", json!({ "message": null })),
            ("payload", json!({ "bytes": -1 })),
            ("payload", json!({ "bytes": 64 * 1024 * 1024 + 1 })),
            ("sleep", json!({ "seconds": -1 })),
            ("sleep", json!({ "seconds": 1, "steps": 0 })),
            ("payload", json!({ "bytes": "1.5" })),
            ("payload", json!({})),
            ("sleep", json!({ "seconds": "soon" })),
            ("sleep", json!({ "steps": 2 })),
            ("sleep", json!([])),
        ] {
            let (_, value, end) = run(Era::Legacy, &json!({ "name": tool, "arguments": arguments })).await;
            assert!(end.tool_error, "{value}");
            let text = value["content"][0]["text"].as_str().unwrap();
            assert!(text.starts_with("Invalid arguments: "), "{value}");
            for of_parser in ["line 1", "column", "invalid type", "missing field", "expected a"] {
                assert!(!text.contains(of_parser), "{text}");
            }
            assert!(
                arguments.is_array() || text.contains("must be a") && text.contains("for example"),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn numbers_are_taken_as_models_send_them() {
        for (tool, arguments, expected) in [
            ("payload", json!({ "bytes": "3" }), "xxx"),
            ("payload", json!({ "bytes": 3.0 }), "xxx"),
            ("sleep", json!({ "seconds": "0", "steps": null }), "slept 0 s in 1 steps"),
            ("sleep", json!({ "seconds": 0, "steps": "2" }), "slept 0 s in 2 steps"),
            ("sleep", json!({ "seconds": 0.0, "steps": "" }), "slept 0 s in 1 steps"),
        ] {
            let (_, value, end) = run(Era::Modern, &json!({ "name": tool, "arguments": arguments })).await;
            assert_eq!((&value["content"][0]["text"], end.tool_error), (&expected.into(), false), "{value}");
        }
    }

    #[test]
    fn every_definition_is_json() {
        for tool in TOOLS {
            serde_json::from_str::<Value>(tool).unwrap();
        }
    }
}
