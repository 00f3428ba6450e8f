//! What a child writes: each line told apart and handed to whoever it is for. Must not know what waits for it.

mod owner;

use std::ops::Range;

use bytes::Bytes;
use front::CallOutcome;
use protocol::mcp::envelope::Text;
use protocol::mcp::failure::Failure;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::AsyncRead;

use super::messages;
use super::session::Session;
use crate::adapt::{Edit, range_in, splice, unline};
use crate::backends::lines::{Caps, Line, Lines};
use crate::backends::mask::Mask;
use crate::metrics::{self, DropReason};
use owner::Owner;

/// Bytes of an unusable line that go to the log.
const SHOWN: usize = 200;

/// Bytes of a line that is too long in which its id is looked for.
const HEAD: usize = 4096;

/// A line this many times longer than allowed is given up with its child.
const ENDLESS: u64 = 4;

/// What arrives for one request.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A progress notification.
    Progress {
        /// The child's message.
        line: Bytes,
        /// Our token in it.
        place: Range<usize>,
        /// The client's token.
        token: Bytes,
    },
    /// A log message, to be passed on as it is.
    Log(Bytes),
    /// The `result`.
    Result(Bytes),
    /// The `error` object.
    Error(Bytes),
    /// There will be no answer.
    Failed(Failure),
}

impl Incoming {
    /// How the request ended, if this is its end.
    pub(super) fn ended(&self) -> CallOutcome {
        match self {
            Self::Error(error) => CallOutcome::from_error_object(error),
            Self::Failed(failure) => CallOutcome::Unanswered(failure.spec().kind),
            Self::Result(_) | Self::Progress { .. } | Self::Log(_) => CallOutcome::Success,
        }
    }

    /// Bytes that waiting for its reader costs.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Progress { line, .. } | Self::Log(line) | Self::Result(line) | Self::Error(line) => {
                line.len()
            }
            Self::Failed(_) => 0,
        }
    }
}

/// A progress notification with the client's own token.
pub(super) fn restored(line: &Bytes, place: Range<usize>, token: &Bytes) -> Bytes {
    splice(line, &mut [Edit { place, with: token }], 0).into()
}

/// Why reading ended. The child is of no more use.
#[derive(Debug)]
pub(super) enum ReadEnd {
    /// The child closed its standard output.
    Closed,
    /// Reading failed.
    Failed(std::io::Error),
    /// A line beyond the limit that belongs to nobody we know.
    LineTooLong,
}

/// Reads the child's standard output to its end.
pub(super) struct Reader {
    session: std::sync::Arc<Session>,
    mask: Mask,
    max_line: usize,
    garbage: u64,
}

#[derive(Deserialize)]
struct Wire<'a> {
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

impl Reader {
    /// A reader for this session; lines are at most `max_line` bytes long.
    pub(super) fn new(session: std::sync::Arc<Session>, mask: Mask, max_line: usize) -> Self {
        Self { session, mask, max_line, garbage: 0 }
    }

    /// Reads until there is nothing more to be had. Not cancel-safe: what was read is lost.
    pub(super) async fn run(mut self, stdout: impl AsyncRead + Unpin) -> ReadEnd {
        let endless = (self.max_line as u64).saturating_mul(ENDLESS);
        let mut lines = Lines::new(stdout, Caps { line: self.max_line, head: HEAD, endless });
        loop {
            match lines.next().await {
                Ok(Some(Line::Whole(line))) => self.line(line),
                Ok(Some(Line::TooLong { head, tail })) => {
                    if !self.too_long(&head, &tail) {
                        return ReadEnd::LineTooLong;
                    }
                }
                Ok(None) => return ReadEnd::Closed,
                Err(error) => return ReadEnd::Failed(error),
            }
        }
    }

    fn line(&mut self, line: Bytes) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let line = if memchr::memchr(b'\r', &line).is_some() {
            let mut copy = line.to_vec();
            unline(&mut copy);
            copy.into()
        } else {
            line
        };
        // An array would pass for the members in their order.
        let is_object = line.trim_ascii_start().first() == Some(&b'{');
        match serde_json::from_slice::<Wire<'_>>(&line) {
            Ok(wire) if is_object => self.message(&line, &wire),
            _ => self.garbage(&line),
        }
    }

    fn message(&mut self, line: &Bytes, wire: &Wire<'_>) {
        match (&wire.method, wire.id) {
            (Some(method), Some(id)) => self.request(method.as_str(), id),
            (Some(method), None) => self.notification(method.as_str(), line, wire.params),
            (None, Some(id)) => {
                let answer = match (wire.result, wire.error) {
                    (Some(result), None) => Incoming::Result(line.slice(range_in(line, result))),
                    (None, Some(error)) => Incoming::Error(line.slice(range_in(line, error))),
                    _ => Incoming::Failed(Failure::BadAnswer("neither a result nor an error".into())),
                };
                let known = id.get().parse().is_ok_and(|id| self.session.answer(id, answer));
                if !known {
                    tracing::debug!(backend = &*self.session.backend, "an answer that nobody waits for");
                    metrics::record_backend_drop(&self.session.backend, DropReason::UnknownId);
                }
            }
            (None, None) => self.garbage(line),
        }
    }

    /// Requests of the backend (sampling, elicitation, roots) are for a later issue: it is told so, and goes on.
    fn request(&self, method: &str, id: &RawValue) {
        if method == "ping" {
            self.session.tell(messages::pong(id.get()));
        } else {
            tracing::debug!(backend = &*self.session.backend, method, "refused a request of the backend");
            self.session.tell(messages::refusal(id.get()));
        }
    }

    fn notification(&self, method: &str, line: &Bytes, params: Option<&RawValue>) {
        let routed = match method {
            "notifications/progress" => params.is_some_and(|params| self.progress(line, params)),
            "notifications/message" => self.session.log(Incoming::Log(line.clone())),
            "notifications/tools/list_changed" => {
                self.session.tools_changed.notify_one();
                true
            }
            // The answer to our own subscription, and what it does not concern us to hear.
            "notifications/subscriptions/acknowledged" | "notifications/cancelled" => true,
            _ => false,
        };
        if !routed {
            tracing::debug!(backend = &*self.session.backend, method, "a notification for no call");
            metrics::record_backend_drop(&self.session.backend, DropReason::Unroutable);
        }
    }

    fn progress(&self, line: &Bytes, params: &RawValue) -> bool {
        #[derive(Deserialize)]
        struct Progress<'a> {
            #[serde(rename = "progressToken", borrow)]
            token: &'a RawValue,
        }
        let Ok(Progress { token }) = serde_json::from_str::<Progress<'_>>(params.get()) else { return false };
        let Ok(number) = token.get().parse() else { return false };
        let place = range_in(line, token);
        self.session.event(number, |client| Incoming::Progress {
            line: line.clone(),
            place,
            token: client.clone(),
        })
    }

    /// A message that is too long fails the one call it belongs to. False if that cannot be found out.
    fn too_long(&self, head: &[u8], tail: &[u8]) -> bool {
        let backend = &*self.session.backend;
        tracing::warn!(backend, limit = self.max_line, "a message beyond MAX_OUTPUT_BYTES was thrown away");
        match Owner::of(head, tail) {
            Owner::Request(id) => {
                let reason =
                    format!("the backend's answer has more than {} bytes (MAX_OUTPUT_BYTES)", self.max_line);
                self.session.answer(id, Incoming::Failed(Failure::ResultTooLarge(reason)));
                true
            }
            Owner::Nobody => {
                metrics::record_backend_drop(backend, DropReason::Unroutable);
                true
            }
            Owner::Unknown => false,
        }
    }

    fn garbage(&mut self, line: &Bytes) {
        metrics::record_backend_drop(&self.session.backend, DropReason::Garbage);
        // A server that prints to standard output does so all the time: say it once, loudly.
        self.garbage += 1;
        let enough = SHOWN + self.mask.longest();
        let text = String::from_utf8_lossy(line.get(..enough).unwrap_or(line)).replace(char::is_control, "");
        let shown = self.mask.apply_up_to(&text, SHOWN);
        let backend = &*self.session.backend;
        if self.garbage == 1 {
            tracing::warn!(
                backend,
                "standard output has a line that is no JSON-RPC message, skipped: {shown}"
            );
        } else {
            tracing::debug!(backend, "skipped a line that is no JSON-RPC message: {shown}");
        }
    }
}
