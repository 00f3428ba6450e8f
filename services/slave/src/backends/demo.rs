//! Tools to try the relay with (`DEMO_TOOLS=1`): `echo`, `sleep`, `payload`, `fail`. Must not know MCP beyond tools.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::catalog::Offer;
use protocol::era::Era;
use protocol::failure::Failure;
use serde::Deserialize;
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
}

/// Puts the tools into the catalog.
pub(crate) fn start(registry: &Registry, stopping: &Stopping) {
    let slot = registry.add("demo", Arc::new(Demo { stopping: stopping.clone() }));
    let offers = TOOLS.iter().filter_map(|tool| Offer::named(&RawValue::from_string((*tool).to_owned()).ok()?).ok());
    registry.ready(slot, offers.collect());
}

impl Backend for Demo {
    fn call<'a>(
        &'a self,
        call: &'a ToolCall,
        tool: &'a str,
        events: &'a mut dyn CallSink,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            match tool {
                "echo" => echo(call),
                "payload" => payload(call),
                "fail" => fail(call),
                "sleep" => tokio::select! {
                    answer = sleep(call, events) => answer,
                    () = self.stopping.begun() => Err(Failure::Draining),
                },
                other => Err(Failure::UnknownTool(other.to_owned())),
            }
        })
    }
}

#[derive(Deserialize)]
struct Echo<'a> {
    #[serde(borrow)]
    text: &'a RawValue,
}

fn echo(call: &ToolCall) -> Result<Answer, Failure> {
    match call.arguments::<Echo<'_>>() {
        Ok(Echo { text }) if text.get().starts_with('"') => Ok(text_result(call.header.era, text.get(), Outcome::Fine)),
        Ok(_) => Ok(refused(call, "\"text\" must be a string")),
        Err(error) => Ok(refused(call, &error.to_string())),
    }
}

#[derive(Deserialize)]
struct Fail<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

fn fail(call: &ToolCall) -> Result<Answer, Failure> {
    match call.arguments::<Fail<'_>>() {
        Ok(Fail { message }) if message.get().starts_with('"') => {
            Ok(text_result(call.header.era, message.get(), Outcome::ToolError))
        }
        Ok(_) => Ok(refused(call, "\"message\" must be a string")),
        Err(error) => Ok(refused(call, &error.to_string())),
    }
}

#[derive(Deserialize)]
struct Payload {
    bytes: usize,
}

fn payload(call: &ToolCall) -> Result<Answer, Failure> {
    match call.arguments::<Payload>() {
        Ok(Payload { bytes }) if bytes <= MAX_PAYLOAD => {
            let mut text = String::with_capacity(bytes + 2);
            text.push('"');
            text.extend(std::iter::repeat_n('x', bytes));
            text.push('"');
            Ok(text_result(call.header.era, &text, Outcome::Fine))
        }
        Ok(Payload { bytes }) => Ok(refused(call, &format!("\"bytes\" is {bytes}, at most {MAX_PAYLOAD} are allowed"))),
        Err(error) => Ok(refused(call, &error.to_string())),
    }
}

#[derive(Deserialize)]
struct Sleep {
    seconds: f64,
    #[serde(default)]
    steps: Option<u32>,
}

async fn sleep(call: &ToolCall, events: &mut dyn CallSink) -> Result<Answer, Failure> {
    let Sleep { seconds, steps } = match call.arguments::<Sleep>() {
        Ok(sleep) => sleep,
        Err(error) => return Ok(refused(call, &error.to_string())),
    };
    let steps = steps.unwrap_or(1);
    if !(0.0..=MAX_SLEEP).contains(&seconds) || !(1..=MAX_STEPS).contains(&steps) {
        return Ok(refused(call, "\"seconds\" must be 0 to 86400 and \"steps\" 1 to 10000"));
    }
    let token = call.token();
    let step = Duration::from_secs_f64(seconds) / steps;
    for done in 1..=steps {
        tokio::time::sleep(step).await;
        if let Some(token) = &token {
            let event = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{done},"total":{steps},"message":"step {done} of {steps}"}}}}"#
            );
            events.event(event.into(), false).await.map_err(|_| Failure::Cancelled)?;
        }
    }
    Ok(text_result(call.header.era, &format!("\"slept {seconds} s in {steps} steps\""), Outcome::Fine))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Fine,
    ToolError,
}

fn refused(call: &ToolCall, reason: &str) -> Answer {
    let mut text = String::from("\"Invalid arguments: ");
    for c in reason.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            c if c.is_control() => text.push(' '),
            c => text.push(c),
        }
    }
    text.push('"');
    text_result(call.header.era, &text, Outcome::ToolError)
}

/// A result with one text block; `text` is a JSON string as it stands. One allocation.
fn text_result(era: Era, text: &str, outcome: Outcome) -> Answer {
    let mut out = String::with_capacity(text.len() + 96);
    out.push_str(if era == Era::Modern { r#"{"resultType":"complete","content":[{"type":"text","text":"# } else { r#"{"content":[{"type":"text","text":"# });
    out.push_str(text);
    out.push_str(if outcome == Outcome::ToolError { r#"}],"isError":true}"# } else { "}]}" });
    let _ = write!(out, "");
    Answer { payload: Bytes::from(out), error: false, tool_error: outcome == Outcome::ToolError }
}
