//! The proxy's end of a link in the plain dialect: JSON-RPC requests and responses as text frames. Must not know sockets.
//!
//! docs/PROTOCOL.md, "Plain dialect". The calls of a lost link fail with "outcome unknown" at once, since a plain
//! slave cannot be asked for them.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use protocol::link::call::ResponseEvent;
use protocol::link::ids::{CallId, CallMap};
use protocol::link::plain::{self, PlainCalls, PlainError, PlainId};
use protocol::link::proxy_end::{NotLinked, Sink};
use protocol::mcp::catalog::CatalogError;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use protocol::mcp::result::with_result_type;
use serde_json::value::RawValue;

use super::call::CallRequest;
use super::plain_tools::{NextPage, ToolPages};
use super::response::ResponseTx;

/// The receiver of a response.
enum Waiter {
    Call(CallId),
    /// A page of `tools/list`.
    Tools,
    /// The response to `initialize`, whose content is not used.
    Initialize,
}

/// An open call.
struct Call {
    /// Its id on the link.
    plain: PlainId,
    era: Era,
    sink: ResponseTx,
    deadline: Instant,
}

/// State machine of the proxy's end of a plain link.
pub(super) struct PlainEnd {
    waiting: PlainCalls<Waiter>,
    calls: CallMap<Call>,
    outgoing: VecDeque<String>,
    linked: bool,
    /// The tool list as far as it has come.
    tools: ToolPages,
}

/// The effect of a text frame of the slave.
#[derive(Debug)]
pub(super) enum PlainEvent {
    /// A response was delivered to its call.
    Response,
    /// The pages of the tool list are complete, or unusable.
    Tools(Result<Vec<Bytes>, CatalogError>),
    /// Nothing for the caller to do; another request may wait to be sent.
    Nothing,
    /// A response to a request that is not open.
    UnknownCall,
}

impl PlainEnd {
    /// A link that requests the slave's tools first, as a client would. `ids` is the random part of its requests' ids.
    pub(super) fn new(ids: u128) -> Self {
        let mut end = Self {
            waiting: PlainCalls::new(ids),
            calls: CallMap::default(),
            outgoing: VecDeque::new(),
            linked: true,
            tools: ToolPages::default(),
        };
        let params = r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"mcp-relay","version":"1"}}"#;
        end.request(Waiter::Initialize, "initialize", Some(params));
        end.request(Waiter::Tools, "tools/list", Some("{}"));
        end
    }

    /// Queues a request of the relay itself.
    fn request(&mut self, waiter: Waiter, method: &str, params: Option<&str>) {
        let params: Option<&RawValue> = params.and_then(|text| serde_json::from_str(text).ok());
        let id = self.waiting.insert(waiter);
        if let Ok(text) = plain::request(id, method, params) {
            self.outgoing.push_back(text);
        }
    }

    /// Returns the number of open calls.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Sends a call, which times out at `deadline`.
    pub(super) fn open(
        &mut self,
        call: &CallRequest<'_>,
        deadline: Instant,
        mut sink: ResponseTx,
    ) -> Result<(), NotLinked> {
        if !self.linked {
            return Err(NotLinked);
        }
        let plain = self.waiting.insert(Waiter::Call(call.id));
        match plain::rewrite_request(plain, call.message, call.name) {
            Ok(text) => {
                self.outgoing.push_back(text);
                self.calls.insert(call.id, Call { plain, era: call.era, sink, deadline });
            }
            Err(error) => {
                self.waiting.remove(plain);
                sink.on_event(ResponseEvent::Failed(Failure::InvalidParams(error.to_string())));
            }
        }
        Ok(())
    }

    /// Drops a call whose answer is not wanted any more. A plain slave cannot be told.
    pub(super) fn forget(&mut self, id: CallId) {
        if let Some(call) = self.calls.remove(&id) {
            self.waiting.remove(call.plain);
        }
    }

    /// Fails all calls: the link is down.
    pub(super) fn link_down(&mut self) {
        self.linked = false;
        self.outgoing.clear();
        for (_, mut call) in self.calls.drain() {
            call.sink.on_event(ResponseEvent::Failed(Failure::OutcomeUnknown));
        }
    }

    /// Fails the calls whose deadline has passed, and returns their number.
    pub(super) fn time_out(&mut self, now: Instant) -> usize {
        let late: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| call.deadline <= now).map(|(id, _)| *id).collect();
        for id in &late {
            if let Some(mut call) = self.calls.remove(id) {
                self.waiting.remove(call.plain);
                call.sink.on_event(ResponseEvent::Failed(Failure::Timeout));
            }
        }
        late.len()
    }

    /// Takes the next text frame to be sent.
    pub(super) fn next_text(&mut self) -> Option<String> {
        self.outgoing.pop_front()
    }

    /// Processes a text frame of the slave.
    pub(super) fn receive(&mut self, text: &Bytes) -> Result<PlainEvent, PlainError> {
        let (waiter, response) = match self.waiting.on_response(text) {
            Err(PlainError::UnknownRequest(_)) => return Ok(PlainEvent::UnknownCall),
            other => other?,
        };
        match waiter {
            Waiter::Call(id) => {
                if let Some(mut call) = self.calls.remove(&id) {
                    call.sink.on_event(for_client(response, call.era));
                }
                Ok(PlainEvent::Response)
            }
            Waiter::Tools => Ok(self.take_tools(response)),
            Waiter::Initialize => Ok(PlainEvent::Nothing),
        }
    }

    /// Adds a page of the tool list; requests the next page, or completes the list.
    fn take_tools(&mut self, response: ResponseEvent) -> PlainEvent {
        match self.tools.take(response) {
            Ok(NextPage::After(cursor)) => {
                let params = serde_json::json!({ "cursor": cursor }).to_string();
                self.request(Waiter::Tools, "tools/list", Some(&params));
                PlainEvent::Nothing
            }
            Ok(NextPage::Complete(pages)) => PlainEvent::Tools(Ok(pages)),
            Ok(NextPage::None) => PlainEvent::Nothing,
            Err(error) => PlainEvent::Tools(Err(error)),
        }
    }

    /// Returns the bytes of the pages of the tool list that have come, while it is not complete.
    pub(super) fn incomplete_tools(&self) -> usize {
        self.tools.bytes()
    }

    /// Drops the tool list as far as it has come, and what still comes of it.
    pub(super) fn refuse_tools(&mut self) {
        self.tools.give_up();
    }
}

/// Completes a result for a modern client: plain slaves are legacy servers, whose results lack the type.
fn for_client(response: ResponseEvent, era: Era) -> ResponseEvent {
    match response {
        ResponseEvent::End { seq, more, error: false, tool_error, status, payload } if era == Era::Modern => {
            ResponseEvent::End {
                seq,
                more,
                error: false,
                tool_error,
                status,
                payload: with_result_type(payload),
            }
        }
        other => other,
    }
}
