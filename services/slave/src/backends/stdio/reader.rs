//! The reader of a child's standard output: parses each line and hands it to the request that it belongs to. Must not
//! know the sender of the request.

use std::sync::Arc;

use bytes::Bytes;
use protocol::mcp::envelope::Text;
use protocol::mcp::failure::Failure;
use protocol::mcp::log_level::LogLevel;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::AsyncRead;

use super::incoming::Incoming;
use super::message_owner::MessageOwner;
use super::messages;
use super::session::Session;
use crate::backends::line_reader::{Line, LineLimits, LineReader};
use crate::backends::redactor::Redactor;
use crate::metrics::{self, DropReason};
use crate::splice::{range_in, strip_newlines};

/// Bytes of an invalid line that go to the log.
const MAX_LOGGED: usize = 200;

/// Bytes that are kept of the beginning of a line that is too long, to find its id in.
const HEAD_SIZE: usize = 4096;

/// The multiple of the allowed line length at which the child itself is given up.
const MAX_LINE_FACTOR: u64 = 4;

/// The reason why reading ended. The child cannot be used any more.
#[derive(Debug)]
pub(super) enum ReadEnd {
    /// The child closed its standard output.
    Closed,
    /// Reading failed.
    Failed(std::io::Error),
    /// A line beyond the limit came, and the request that it belongs to is unknown.
    LineTooLong,
}

/// A reader of a child's standard output.
pub(super) struct OutputReader {
    session: Arc<Session>,
    redactor: Redactor,
    max_line: usize,
    invalid_lines: u64,
}

/// Returns the level of a log message; one that is not known counts as `info`.
fn log_level(params: Option<&RawValue>) -> LogLevel {
    #[derive(Deserialize)]
    struct LogParams {
        level: LogLevel,
    }
    let read = params.and_then(|params| serde_json::from_str::<LogParams>(params.get()).ok());
    read.map_or(LogLevel::Info, |params| params.level)
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

impl OutputReader {
    /// Returns a reader for this session; lines are at most `max_line` bytes long.
    pub(super) fn new(session: Arc<Session>, redactor: Redactor, max_line: usize) -> Self {
        Self { session, redactor, max_line, invalid_lines: 0 }
    }

    /// Reads until the output ends or cannot be used any more. Not cancel-safe: bytes that were read are lost.
    pub(super) async fn run(mut self, stdout: impl AsyncRead + Unpin) -> ReadEnd {
        let endless = (self.max_line as u64).saturating_mul(MAX_LINE_FACTOR);
        let mut lines = LineReader::new(stdout, LineLimits { line: self.max_line, head: HEAD_SIZE, endless });
        loop {
            match lines.next().await {
                Ok(Some(Line::Whole(line))) => self.on_line(line),
                Ok(Some(Line::TooLong { head, tail })) => {
                    if !self.on_long_line(&head, &tail) {
                        return ReadEnd::LineTooLong;
                    }
                }
                Ok(None) => return ReadEnd::Closed,
                Err(error) => return ReadEnd::Failed(error),
            }
        }
    }

    fn on_line(&mut self, line: Bytes) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let line = if memchr::memchr(b'\r', &line).is_some() {
            let mut copy = line.to_vec();
            strip_newlines(&mut copy);
            copy.into()
        } else {
            line
        };
        // serde would also take an array of the members in their order.
        let is_object = line.trim_ascii_start().first() == Some(&b'{');
        match serde_json::from_slice::<RawMessage<'_>>(&line) {
            Ok(message) if is_object => self.on_message(&line, &message),
            _ => self.on_invalid(&line),
        }
    }

    fn on_message(&mut self, line: &Bytes, message: &RawMessage<'_>) {
        match (&message.method, message.id) {
            (Some(method), Some(id)) => self.on_request(method.as_str(), id),
            (Some(method), None) => self.on_notification(method.as_str(), line, message.params),
            (None, Some(id)) => {
                let answer = match (message.result, message.error) {
                    (Some(result), None) => Incoming::Result(line.slice(range_in(line, result))),
                    (None, Some(error)) => Incoming::Error(line.slice(range_in(line, error))),
                    _ => Incoming::Failed(Failure::BadAnswer("neither a result nor an error".into())),
                };
                let known = id.get().parse().is_ok_and(|id| self.session.complete(id, answer));
                if !known {
                    tracing::debug!(
                        backend = &*self.session.backend,
                        "dropped an answer: no request has its id"
                    );
                    metrics::record_backend_drop(&self.session.backend, DropReason::UnknownId);
                }
            }
            (None, None) => self.on_invalid(line),
        }
    }

    /// Answers `ping`; refuses other requests of the child (sampling, elicitation, roots), which are not supported.
    fn on_request(&self, method: &str, id: &RawValue) {
        if method == "ping" {
            self.session.post(messages::ping_response(id.get()));
        } else {
            tracing::debug!(backend = &*self.session.backend, method, "refused a request of the backend");
            self.session.post(messages::refuse_request(id.get()));
        }
    }

    fn on_notification(&self, method: &str, line: &Bytes, params: Option<&RawValue>) {
        let routed = match method {
            "notifications/progress" => params.is_some_and(|params| self.on_progress(line, params)),
            "notifications/message" => self.session.pass_log(line, log_level(params)),
            "notifications/tools/list_changed" => {
                self.session.tools_changed.notify_one();
                true
            }
            // Expected, but nothing follows from them.
            "notifications/subscriptions/acknowledged" | "notifications/cancelled" => true,
            _ => false,
        };
        if !routed {
            tracing::debug!(
                backend = &*self.session.backend,
                method,
                "dropped a notification: it belongs to no call"
            );
            metrics::record_backend_drop(&self.session.backend, DropReason::Unroutable);
        }
    }

    fn on_progress(&self, line: &Bytes, params: &RawValue) -> bool {
        #[derive(Deserialize)]
        struct ProgressParams<'a> {
            #[serde(rename = "progressToken", borrow)]
            token: &'a RawValue,
        }
        let Ok(ProgressParams { token }) = serde_json::from_str(params.get()) else { return false };
        let Ok(number) = token.get().parse() else { return false };
        let range = range_in(line, token);
        self.session.pass_progress(number, |client| Incoming::Progress {
            line: line.clone(),
            range,
            token: client.clone(),
        })
    }

    /// Fails the call that a message beyond the limit belongs to. Returns false if that call is unknown.
    fn on_long_line(&self, head: &[u8], tail: &[u8]) -> bool {
        let backend = &*self.session.backend;
        tracing::warn!(backend, limit = self.max_line, "dropped a message longer than MAX_OUTPUT_BYTES");
        match MessageOwner::find(head, tail) {
            MessageOwner::Request(id) => {
                let reason =
                    format!("the backend's answer has more than {} bytes (MAX_OUTPUT_BYTES)", self.max_line);
                self.session.complete(id, Incoming::Failed(Failure::ResultTooLarge(reason)));
                true
            }
            MessageOwner::NoRequest => {
                metrics::record_backend_drop(backend, DropReason::Unroutable);
                true
            }
            MessageOwner::Unknown => false,
        }
    }

    fn on_invalid(&mut self, line: &Bytes) {
        metrics::record_backend_drop(&self.session.backend, DropReason::Garbage);
        // A server that prints to standard output does so all the time: only the first line is a warning.
        self.invalid_lines += 1;
        let enough = MAX_LOGGED + self.redactor.max_len();
        let text = String::from_utf8_lossy(line.get(..enough).unwrap_or(line)).replace(char::is_control, "");
        let text = self.redactor.redact_up_to(&text, MAX_LOGGED);
        let backend = &*self.session.backend;
        if self.invalid_lines == 1 {
            tracing::warn!(
                backend,
                "standard output has a line that is no JSON-RPC message, skipped: {text}"
            );
        } else {
            tracing::debug!(backend, "skipped a line that is no JSON-RPC message: {text}");
        }
    }
}
