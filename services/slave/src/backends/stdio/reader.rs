//! The reader of a child's standard output: parses each line and hands its messages to the requests that they belong to. Must not
//! know the sender of a request, nor what is done about lines that cannot be parsed.

use std::sync::Arc;

use bytes::Bytes;
use protocol::mcp::call_message::{CallEvent, TASK_STATUS};
use protocol::mcp::catalog::ListKind;
use protocol::mcp::envelope::Text;
use protocol::mcp::log_level::LogLevel;
use protocol::mcp::outline::{Member, Outline};
use protocol::mcp::result_marks::ResultMarks;
use protocol::mcp::subscription::{SubscriptionFilter, TaskUpdate};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::AsyncRead;

use super::attribution::Attribution;
use super::changed_lists::ListSet;
use super::incoming::{ChildRequest, Incoming};
use super::line_fault::LineFault;
use super::message_sketch::number;
use super::messages;
use super::odd_lines::OddLines;
use super::session::Session;
use crate::backends::line_reader::{Line, LineLimits, LineReader};
use crate::backends::redactor::Redactor;
use crate::call::{ASKABLE, ClientRequest};
use crate::client_streams::ProcessStreams;
use crate::metrics::{self, DropReason};
use crate::splice::{range_in, strip_newlines};
use crate::subscriptions::WatchedResources;

/// UTF-8's byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The reason why reading ended. The child cannot be used any more.
#[derive(Debug)]
pub(super) enum ReadEnd {
    /// The child closed its standard output.
    Closed,
    /// Reading failed.
    Failed(std::io::Error),
}

/// A reader of a child's standard output.
pub(super) struct OutputReader {
    session: Arc<Session>,
    odd: Arc<OddLines>,
    max_line: usize,
    attribution: Attribution,
    /// Resources of which clients want to learn the updates.
    watched: Arc<WatchedResources>,
    /// The ways to clients beside calls in flight.
    streams: ProcessStreams,
    /// The request on whose stream the line came that is read.
    of: Option<u64>,
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
    jsonrpc: Option<&'a RawValue>,
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
    pub(super) fn new(
        session: Arc<Session>,
        redactor: Redactor,
        odd: Arc<OddLines>,
        max_line: usize,
    ) -> Self {
        let attribution = Attribution::new(Arc::clone(&session), redactor, Arc::clone(&odd));
        let (watched, streams) = (Arc::default(), ProcessStreams::default());
        Self { session, odd, max_line, attribution, watched, streams, of: None }
    }

    /// Passes updates of these resources on.
    pub(super) fn with_watched(self, watched: Arc<WatchedResources>) -> Self {
        Self { watched, ..self }
    }

    /// Passes what is one client's alone on by these ways.
    pub(super) fn with_streams(self, streams: ProcessStreams) -> Self {
        Self { streams, ..self }
    }

    /// Reads until the output ends or cannot be used any more. Not cancel-safe: bytes that were read are lost.
    pub(super) async fn run(mut self, stdout: impl AsyncRead + Unpin) -> ReadEnd {
        let limits = LineLimits { line: self.max_line, head: 0, endless: u64::MAX };
        let mut lines = LineReader::new(stdout, limits);
        loop {
            let mut long = self.attribution.long_line(self.max_line);
            match lines.next_watched(|piece| long.feed(piece)).await {
                Ok(Some(Line::Whole(line))) => self.on_line(line),
                Ok(Some(Line::TooLong(_))) => long.end(),
                Ok(None) => return ReadEnd::Closed,
                Err(error) => return ReadEnd::Failed(error),
            }
        }
    }

    /// Takes a message that came by itself; `of` is the request on whose stream it came, if it came on one's.
    pub(super) fn take(&mut self, of: Option<u64>, message: Bytes) {
        self.of = of;
        self.on_line(message);
    }

    fn on_line(&mut self, line: Bytes) {
        let line = self.without_mark(line);
        let text = line.trim_ascii_start();
        let line = line.slice(line.len() - text.len()..);
        if line.is_empty() {
            return;
        }
        if self.on_large_result(&line) {
            // One that could be read has no line breaks.
            return self.attribution.on_message();
        }
        if memchr::memchr(b'\r', &line).is_some() && is_json(&line) {
            // Between tokens they mean nothing, and our own messages are one line.
            let mut copy = line.to_vec();
            strip_newlines(&mut copy);
            return self.on_text(&copy.into());
        }
        self.on_text(&line);
    }

    fn without_mark(&self, line: Bytes) -> Bytes {
        if !line.starts_with(BYTE_ORDER_MARK) {
            return line;
        }
        self.odd.record(LineFault::ByteOrderMark, String::new);
        line.slice(BYTE_ORDER_MARK.len()..)
    }

    fn on_text(&mut self, line: &Bytes) {
        // serde would also take an array of the members in their order.
        let read = match line.first() {
            Some(b'{') => serde_json::from_slice(line).map(|message| self.on_message(line, &message)),
            Some(b'[') => {
                let batch = serde_json::from_slice::<Vec<&RawValue>>(line);
                batch.and_then(|batch| self.messages_of(&batch)).map(|messages| {
                    for message in &messages {
                        self.on_message(line, message);
                    }
                })
            }
            _ => return self.attribution.on_unreadable(line),
        };
        if read.is_err() {
            self.attribution.on_unreadable(line);
        }
    }

    /// Returns the messages of an array (2025-03-26, "Batching").
    fn messages_of<'a>(&self, batch: &[&'a RawValue]) -> serde_json::Result<Vec<RawMessage<'a>>> {
        let objects = batch.iter().filter(|one| one.get().starts_with('{'));
        let messages: Vec<RawMessage<'a>> =
            objects.map(|one| serde_json::from_str(one.get())).collect::<Result<_, _>>()?;
        if !messages.is_empty() {
            self.odd.record(LineFault::Batch, String::new);
        }
        Ok(messages)
    }

    fn on_message(&mut self, line: &Bytes, message: &RawMessage<'_>) {
        let is_answer = message.result.is_some() || message.error.is_some();
        match (&message.method, message.id) {
            (Some(method), Some(id)) => self.on_request(line, method.as_str(), id, message.params),
            (Some(method), None) => self.on_notification(method.as_str(), line, message.params),
            (None, Some(id)) if is_answer || message.jsonrpc.is_some() => {
                self.on_answer(line, id, message);
            }
            (None, None) if is_answer || message.jsonrpc.is_some() => {
                self.attribution.on_nameless(LineFault::NoId);
            }
            (None, _) => return self.attribution.on_noise(line),
        }
        self.attribution.on_message();
    }

    /// Takes a large result; `false`: the line is something else, or not as usual.
    fn on_large_result(&self, line: &Bytes) -> bool {
        let Some(outline) = Outline::of(line, "result") else { return false };
        let is_other = |member: &Member<'_>| matches!(member.key, b"method" | b"error");
        let (Some(id), Some(result)) = (outline.find(b"id"), outline.find(b"result")) else { return false };
        let id = outline.read::<&RawValue>(id).and_then(|id| self.request_id(id.get()));
        match id {
            Some(id) if outline.json(result).starts_with(b"{") && !outline.outer.iter().any(is_other) => {
                let (json, marks) = (line.slice(result.clone()), Some(ResultMarks::of_inner(&outline)));
                let known = self.session.complete(id, Incoming::Result { json, marks });
                self.note_answer(known);
                true
            }
            _ => false,
        }
    }

    fn on_answer(&self, line: &Bytes, id: &RawValue, message: &RawMessage<'_>) {
        let Some(id) = self.request_id(id.get()) else {
            return self.attribution.on_nameless(LineFault::NoId);
        };
        let known = match (message.result, message.error) {
            (Some(result), None) => {
                let json = line.slice(range_in(line, result));
                self.session.complete(id, Incoming::Result { json, marks: None })
            }
            (None, Some(error)) => {
                self.session.complete(id, Incoming::Error(line.slice(range_in(line, error))))
            }
            _ => self.attribution.fail(&[id], LineFault::NoAnswer),
        };
        self.note_answer(known);
    }

    fn note_answer(&self, is_of_a_request: bool) {
        if !is_of_a_request {
            let backend = &*self.session.backend;
            tracing::debug!(backend, "dropped an answer: no request has its id");
            metrics::record_backend_drop(backend, DropReason::UnknownId);
        }
    }

    /// Returns the number of a request: ids are ours, so that a text of it can mean nothing else.
    fn request_id(&self, json: &str) -> Option<u64> {
        let Some(text) = json.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
            return number(json);
        };
        let id = number(text)?;
        self.odd.record(LineFault::TextId, String::new);
        Some(id)
    }

    /// Answers `ping`; passes what a client can be asked (sampling, elicitation, roots) to the call that it is for, and refuses the rest.
    fn on_request(&self, line: &Bytes, method: &str, id: &RawValue, params: Option<&RawValue>) {
        if method == "ping" {
            return self.session.post(messages::ping_response(id.get()));
        }
        let refuse = |code, why: &str| {
            let backend = &*self.session.backend;
            tracing::debug!(backend, method, "refused a request of the backend: {why}");
            self.session.post(messages::refuse_request(id.get().as_bytes(), code, why));
        };
        if !ASKABLE.contains(&method) {
            return refuse(-32601, "Method not found: this client takes no such request");
        }
        let params = params.map(|params| line.slice(range_in(line, params)));
        let request = ClientRequest { method: method.to_owned(), params };
        let request = ChildRequest { id: Bytes::copy_from_slice(id.get().as_bytes()), request };
        if let Err(why) = self.session.pass_request(request, self.of) {
            refuse(-32603, why);
        }
    }

    fn on_withdrawal(&self, params: Option<&RawValue>) -> bool {
        #[derive(Deserialize)]
        struct Withdrawal<'a> {
            #[serde(rename = "requestId", borrow)]
            id: &'a RawValue,
        }
        if let Some(Ok(Withdrawal { id })) = params.map(|params| serde_json::from_str(params.get())) {
            self.session.withdraw_request(&Bytes::copy_from_slice(id.get().as_bytes()));
        }
        true
    }

    fn on_notification(&self, method: &str, line: &Bytes, params: Option<&RawValue>) {
        let routed = match method {
            "notifications/progress" => params.is_some_and(|params| self.on_progress(line, params)),
            "notifications/message" => self.session.pass_log(line, log_level(params), self.of),
            "notifications/tools/list_changed" => self.on_change(&[ListKind::Tools]),
            "notifications/prompts/list_changed" => self.on_change(&[ListKind::Prompts]),
            "notifications/resources/list_changed" => {
                self.on_change(&[ListKind::Resources, ListKind::ResourceTemplates])
            }
            "notifications/resources/updated" => params.is_some_and(|params| self.watched.on_updated(params)),
            "notifications/subscriptions/acknowledged" => {
                if let Some(params) = params {
                    self.on_acknowledged(params);
                }
                true
            }
            "notifications/tasks" => params.is_some_and(|params| self.on_task(line, params)),
            "notifications/cancelled" => self.on_withdrawal(params),
            TASK_STATUS => params.is_some_and(|params| self.on_task_status(line, params)),
            _ => CallEvent::find(method.as_bytes()).is_some() && self.on_extension(line),
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

    /// Takes which tasks the child says that it tells of.
    fn on_acknowledged(&self, params: &RawValue) {
        #[derive(Deserialize)]
        struct Acknowledged<'a> {
            #[serde(rename = "_meta", borrow)]
            meta: Meta<'a>,
            #[serde(default)]
            notifications: SubscriptionFilter,
        }
        #[derive(Deserialize)]
        struct Meta<'a> {
            #[serde(rename = "io.modelcontextprotocol/subscriptionId", borrow)]
            request: &'a RawValue,
        }
        let Ok(Acknowledged { meta, notifications }) = serde_json::from_str(params.get()) else { return };
        if let Some(request) = self.request_id(meta.request.get()) {
            self.watched.tasks.on_acknowledged(request, &notifications.task_ids);
        }
    }

    /// Passes a notification of a task on to those who listen for it.
    fn on_task(&self, line: &Bytes, params: &RawValue) -> bool {
        let Some(TaskUpdate { id, .. }) = TaskUpdate::of_params(params) else { return false };
        self.watched.tasks.deliver(&id, line)
    }

    /// Passes the status of a task on: to a call in flight about it, else to the stream of its client.
    fn on_task_status(&self, line: &Bytes, params: &RawValue) -> bool {
        #[derive(Deserialize)]
        struct Status<'a> {
            #[serde(rename = "taskId", borrow)]
            id: &'a RawValue,
        }
        let Ok(Status { id: raw }) = serde_json::from_str(params.get()) else { return false };
        let Ok(id) = serde_json::from_str::<Text<'_>>(raw.get()) else { return false };
        let (id, backend) = (id.as_str(), &self.session.backend);
        if !self.session.is_legacy() {
            return false;
        }
        // One whose client is not known is nobody's.
        let Some((owner, task)) = self.streams.task_owner(backend, self.session.generation, id) else {
            return false;
        };
        self.session.pass_task_status(line, id, range_in(line, raw))
            || self.streams.deliver_task_status(&owner, task, line)
    }

    /// Passes a notification of an extension on: to the call that it is for, else to the stream of the client whose process the child is.
    fn on_extension(&self, line: &Bytes) -> bool {
        self.session.pass_extension(line, self.of)
            || (self.session.is_legacy() && !self.session.has_calls() && self.streams.deliver_extension(line))
    }

    fn on_change(&self, lists: &[ListKind]) -> bool {
        self.session.changed_lists.add(ListSet::of(lists));
        true
    }

    fn on_progress(&self, line: &Bytes, params: &RawValue) -> bool {
        #[derive(Deserialize)]
        struct ProgressParams<'a> {
            #[serde(rename = "progressToken", borrow)]
            token: &'a RawValue,
        }
        let Ok(ProgressParams { token }) = serde_json::from_str(params.get()) else { return false };
        let Some(number) = self.request_id(token.get()) else { return false };
        let range = range_in(line, token);
        self.session.pass_progress(number, |client| Incoming::Progress {
            line: line.clone(),
            range,
            token: client.clone(),
        })
    }
}

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}
