//! The proxy's end of a plain link: requests and answers as text, nothing in between. Knows no socket.
//!
//! EXISTING.md, "WebSocket, plain dialect". What a lost link had is "outcome unknown" at once: such a slave cannot be asked.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use protocol::link::call::ResponseEvent;
use protocol::link::ids::{CallId, CallMap};
use protocol::link::plain::{self, PlainCalls, PlainError, PlainId};
use protocol::link::proxy_end::{NotLinked, Sink};
use protocol::mcp::catalog::{Catalog, CatalogError};
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use serde_json::value::RawValue;

use super::response::ResponseTx;

/// Pages of a tool list that are asked for at most.
const MOST_PAGES: usize = 1000;

enum Waiter {
    Call(CallId),
    /// A page of `tools/list`.
    Tools,
    /// An answer that only shows the slave is there.
    Ignored,
}

struct Call {
    plain: PlainId,
    era: Era,
    sink: ResponseTx,
    give_up: Instant,
}

/// One plain slave.
pub(super) struct PlainEnd {
    waiting: PlainCalls<Waiter>,
    calls: CallMap<Call>,
    outgoing: VecDeque<String>,
    linked: bool,
    tools: Vec<Box<RawValue>>,
    pages: usize,
}

/// What a frame of the slave led to.
#[derive(Debug)]
pub(super) enum Heard {
    /// An answer went to its call.
    Answer,
    /// The tool list is complete.
    Catalog(Result<Catalog, CatalogError>),
    /// More is to be sent, or nothing.
    Nothing,
    /// An answer that nobody waits for.
    Stray,
}

impl PlainEnd {
    /// A link that asks for the slave's tools first, as a client would.
    pub(super) fn new() -> Self {
        let mut end = Self {
            waiting: PlainCalls::new(),
            calls: CallMap::default(),
            outgoing: VecDeque::new(),
            linked: true,
            tools: Vec::new(),
            pages: 0,
        };
        let params = r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"mcp-relay","version":"1"}}"#;
        end.ask(Waiter::Ignored, "initialize", Some(params));
        end.ask(Waiter::Tools, "tools/list", Some("{}"));
        end
    }

    fn ask(&mut self, waiter: Waiter, method: &str, params: Option<&str>) {
        let params: Option<&RawValue> = params.and_then(|text| serde_json::from_str(text).ok());
        let id = self.waiting.begin(waiter);
        if let Ok(text) = plain::request(id, method, params) {
            self.outgoing.push_back(text);
        }
    }

    /// Calls under way.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Sends a call. `name`: the slave's own name of the tool.
    pub(super) fn open(&mut self, call: &OpenPlain<'_>, sink: ResponseTx) -> Result<(), NotLinked> {
        if !self.linked {
            return Err(NotLinked);
        }
        let plain = self.waiting.begin(Waiter::Call(call.id));
        match plain::restamp(plain, call.message, call.name) {
            Ok(text) => {
                self.outgoing.push_back(text);
                self.calls.insert(call.id, Call { plain, era: call.era, sink, give_up: call.give_up });
            }
            Err(error) => {
                self.waiting.forget(plain);
                let mut sink = sink;
                sink.part(ResponseEvent::Failed(Failure::InvalidParams(error.to_string())));
            }
        }
        Ok(())
    }

    /// Nobody waits for the answer any more; the slave cannot be told.
    pub(super) fn forget(&mut self, id: CallId) {
        if let Some(call) = self.calls.remove(&id) {
            self.waiting.forget(call.plain);
        }
    }

    /// The link is gone, and with it every call that was asked.
    pub(super) fn link_down(&mut self) {
        self.linked = false;
        self.outgoing.clear();
        for (_, mut call) in self.calls.drain() {
            call.sink.part(ResponseEvent::Failed(Failure::OutcomeUnknown));
        }
    }

    /// Fails the calls that took too long; how many.
    pub(super) fn time_out(&mut self, now: Instant) -> usize {
        let late: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| call.give_up <= now).map(|(id, _)| *id).collect();
        for id in &late {
            if let Some(mut call) = self.calls.remove(id) {
                self.waiting.forget(call.plain);
                call.sink.part(ResponseEvent::Failed(Failure::Timeout));
            }
        }
        late.len()
    }

    /// The next text frame to be sent.
    pub(super) fn next_text(&mut self) -> Option<String> {
        self.outgoing.pop_front()
    }

    /// Takes one text frame.
    pub(super) fn receive(&mut self, text: &Bytes) -> Result<Heard, PlainError> {
        let (waiter, part) = match self.waiting.answer(text) {
            Err(PlainError::Stray(_)) => return Ok(Heard::Stray),
            other => other?,
        };
        match waiter {
            Waiter::Call(id) => {
                if let Some(mut call) = self.calls.remove(&id) {
                    call.sink.part(for_client(part, call.era));
                }
                Ok(Heard::Answer)
            }
            Waiter::Tools => Ok(self.take_tools(part)),
            Waiter::Ignored => Ok(Heard::Nothing),
        }
    }

    fn take_tools(&mut self, part: ResponseEvent) -> Heard {
        #[derive(serde::Deserialize)]
        struct Page {
            tools: Vec<Box<RawValue>>,
            #[serde(rename = "nextCursor", default)]
            next: Option<String>,
        }
        let ResponseEvent::End { error: false, payload, .. } = part else {
            return Heard::Catalog(Ok(Catalog::default()));
        };
        let page: Page = match serde_json::from_slice(&payload) {
            Ok(page) => page,
            Err(error) => return Heard::Catalog(Err(error.into())),
        };
        self.tools.extend(page.tools);
        self.pages += 1;
        if let Some(cursor) = page.next.filter(|_| self.pages < MOST_PAGES) {
            let params = serde_json::json!({ "cursor": cursor }).to_string();
            self.ask(Waiter::Tools, "tools/list", Some(&params));
            return Heard::Nothing;
        }
        let json = serde_json::json!({ "tools": std::mem::take(&mut self.tools) }).to_string();
        Heard::Catalog(Catalog::decode(json.as_bytes()))
    }
}

/// Plain slaves are legacy servers: a modern client's result lacks its type.
fn for_client(part: ResponseEvent, era: Era) -> ResponseEvent {
    match part {
        ResponseEvent::End { seq, more, error: false, tool_error, status, payload } if era == Era::Modern => {
            ResponseEvent::End {
                seq,
                more,
                error: false,
                tool_error,
                status,
                payload: plain::completed(payload),
            }
        }
        other => other,
    }
}

/// A call as a plain link needs it.
pub(super) struct OpenPlain<'a> {
    pub(super) id: CallId,
    pub(super) message: &'a [u8],
    pub(super) name: Option<&'a str>,
    pub(super) era: Era,
    pub(super) give_up: Instant,
}
