//! The proxy's end of a link in the plain dialect: JSON-RPC requests and responses as text frames. Must not know sockets.
//!
//! docs/PROTOCOL.md, "Plain dialect". The calls of a lost link wait for a late response, which the slave sends on its next link: until
//! the grace is over, and for as long as the slave is back after all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::link::call::ResponseEvent;
use protocol::link::header::CallHeader;
use protocol::link::ids::{CallId, CallMap};
use protocol::link::plain::{self, PlainCalls, PlainError, PlainId};
use protocol::link::proxy_end::{NotLinked, Sink};
use protocol::mcp::catalog::CatalogError;
use protocol::mcp::era::Era;
use protocol::mcp::failure::Failure;
use protocol::mcp::result::with_result_type;
use protocol::mcp::result_marks::ResultMarks;
use serde_json::value::RawValue;

use super::call::CallRequest;
use super::plain_tools::{NextPage, ToolPages};
use super::response::ResponseTx;

/// Longest time between two checks of the calls of a lost link: whether the slave is back, and whether any call is left.
const LOST_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Time after which the existing slave dials again is 5 s. A slave that is there much earlier is another process.
const REDIAL_DELAY: Duration = Duration::from_millis(4500);

/// The receiver of a response.
#[derive(Clone, Copy)]
enum Waiter {
    Call(CallId),
    /// A page of `tools/list`.
    Tools,
    /// The response to `initialize`, whose content is not used.
    Initialize,
}

/// An open call.
struct Call<S> {
    /// Its id on the link.
    plain: PlainId,
    era: Era,
    sink: S,
    deadline: Instant,
    /// [`CallHeader::cancel_id`].
    cancel_id: Option<String>,
}

/// A text frame that is to be sent.
struct Request {
    /// The call that it is of; `None`: a request of the relay itself.
    call: Option<CallId>,
    text: String,
}

/// State machine of the proxy's end of a plain link.
pub(super) struct PlainEnd<S = ResponseTx> {
    waiting: PlainCalls<Waiter>,
    calls: CallMap<Call<S>>,
    outgoing: VecDeque<Request>,
    grace: Duration,
    /// When the calls of the link that is down are given up. `None`: the link is up.
    grace_ends_at: Option<Instant>,
    times: LinkTimeline,
    /// The tool list as far as it has come.
    tools: ToolPages,
}

/// When a link began, was heard last, and was known to be down.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkTimeline {
    began: Instant,
    heard: Instant,
    lost: Option<Instant>,
}

impl LinkTimeline {
    /// Returns whether a later link of the same identity, which is up, may be of the process that had this one. Only a guess, on which
    /// nothing depends but how long calls wait: plain slaves do not say who they are.
    pub(super) fn may_be_back_on(&self, later: &Self) -> bool {
        let Some(lost) = self.lost.filter(|_| later.lost.is_none()) else { return false };
        // Its old link may have seemed to be up, while the slave knew that it was not.
        later.began >= self.heard && (later.began <= lost || later.began >= lost + REDIAL_DELAY)
    }
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
    /// A response to a request that is not open on this link. It may be one of an earlier link, whose id it names.
    Elsewhere(Option<PlainId>),
}

impl<S: Sink> PlainEnd<S> {
    /// A link that requests the slave's tools first, as a client would. `ids` is the random part of its requests' ids, `grace` the time
    /// for which calls outlive the link.
    pub(super) fn new(ids: u128, grace: Duration, now: Instant) -> Self {
        let mut end = Self {
            waiting: PlainCalls::new(ids),
            calls: CallMap::default(),
            outgoing: VecDeque::new(),
            grace,
            grace_ends_at: None,
            times: LinkTimeline { began: now, heard: now, lost: None },
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
            self.outgoing.push_back(Request { call: None, text });
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
        mut sink: S,
    ) -> Result<(), NotLinked> {
        if self.grace_ends_at.is_some() {
            return Err(NotLinked);
        }
        let plain = self.waiting.insert(Waiter::Call(call.id));
        match plain::rewrite_request(plain, call.message, call.name) {
            Ok(text) => {
                self.outgoing.push_back(Request { call: Some(call.id), text });
                let cancel_id = cancel_id(call);
                self.calls.insert(call.id, Call { plain, era: call.era, sink, deadline, cancel_id });
            }
            Err(error) => {
                self.waiting.remove(plain);
                sink.on_event(ResponseEvent::Failed(Failure::InvalidParams(error.to_string())));
            }
        }
        Ok(())
    }

    /// Removes a call, and its request if that was not sent.
    fn take(&mut self, id: CallId) -> Option<Call<S>> {
        let call = self.calls.remove(&id)?;
        self.waiting.remove(call.plain);
        self.outgoing.retain(|request| request.call != Some(id));
        Some(call)
    }

    /// Fails the calls that `is_over` selects, and returns their number.
    fn fail(&mut self, failure: &Failure, is_over: impl Fn(&Call<S>) -> bool) -> usize {
        let over: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| is_over(call)).map(|(id, _)| *id).collect();
        for id in &over {
            if let Some(mut call) = self.take(*id) {
                call.sink.on_event(ResponseEvent::Failed(failure.clone()));
            }
        }
        over.len()
    }

    /// Drops a call whose answer is not wanted any more. A plain slave cannot be told.
    pub(super) fn forget(&mut self, id: CallId) {
        self.take(id);
    }

    /// Ends the calls with one of these digests: their client cancelled them.
    pub(super) fn cancel(&mut self, digests: &[String]) {
        let is_named = |call: &Call<S>| call.cancel_id.as_ref().is_some_and(|id| digests.contains(id));
        self.fail(&Failure::Cancelled, is_named);
    }

    /// Records that the link is up.
    pub(super) fn link_up(&mut self, now: Instant) {
        self.times = LinkTimeline { began: now, heard: now, lost: None };
    }

    /// Records a sign of life on the link.
    pub(super) fn on_heard(&mut self, now: Instant) {
        self.times.heard = now;
    }

    /// Returns when the link began and ended.
    pub(super) fn times(&self) -> LinkTimeline {
        self.times
    }

    /// Ends the link. Calls whose request was not sent may go elsewhere; the others wait for a late response.
    pub(super) fn link_down(&mut self, now: Instant) {
        self.extend_grace(now);
        self.times.lost = Some(now);
        self.waiting.retain(|waiter| matches!(waiter, Waiter::Call(_)));
        for unsent in std::mem::take(&mut self.outgoing) {
            if let Some(mut call) = unsent.call.and_then(|id| self.take(id)) {
                call.sink.on_unsent();
            }
        }
    }

    /// Begins the grace anew.
    pub(super) fn extend_grace(&mut self, now: Instant) {
        self.grace_ends_at = Some(now + self.grace);
    }

    /// Fails all calls with "outcome unknown" if the grace for a lost link is over.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.grace_ends_at.is_some_and(|at| at <= now) {
            self.fail(&Failure::OutcomeUnknown, |_| true);
        }
    }

    /// Returns when to look at the calls of a lost link again; `None`: none is left.
    pub(super) fn poll_lost(&self, now: Instant) -> Option<Instant> {
        let deadlines = self.calls.values().map(|call| call.deadline);
        let first = deadlines.chain(self.grace_ends_at).min();
        first.map(|at| at.min(now + LOST_CHECK_INTERVAL)).filter(|_| !self.calls.is_empty())
    }

    /// Fails the calls whose deadline has passed, and returns their number.
    pub(super) fn time_out(&mut self, now: Instant) -> usize {
        self.fail(&Failure::Timeout, |call| call.deadline <= now)
    }

    /// Takes the next text frame to be sent.
    pub(super) fn next_text(&mut self) -> Option<String> {
        self.outgoing.pop_front().map(|request| request.text)
    }

    /// Processes a text frame of the slave.
    pub(super) fn receive(&mut self, text: &Bytes) -> Result<PlainEvent, PlainError> {
        let (waiter, response) = match self.waiting.on_response(text) {
            Err(PlainError::UnknownRequest(id)) => return Ok(PlainEvent::Elsewhere(id)),
            other => other?,
        };
        match waiter {
            Waiter::Call(id) => {
                if let Some(mut call) = self.take(id) {
                    call.sink.on_event(for_client(response, call.era));
                }
                Ok(PlainEvent::Response)
            }
            Waiter::Tools => Ok(self.take_tools(response)),
            Waiter::Initialize => Ok(PlainEvent::Nothing),
        }
    }

    /// Delivers a response that came on another link of the slave. Returns whether a call of this link waited for it.
    pub(super) fn receive_late(&mut self, id: PlainId, text: &Bytes) -> bool {
        matches!(self.waiting.get(id), Some(Waiter::Call(_)))
            && matches!(self.receive(text), Ok(PlainEvent::Response))
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

/// Returns the digest by which a client of the legacy era cancels the call.
fn cancel_id(call: &CallRequest<'_>) -> Option<String> {
    let header = || serde_json::from_slice::<CallHeader>(call.header).ok();
    if call.era == Era::Legacy { header()?.cancel_id } else { None }
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
                payload: with_result_type(payload, ResultMarks::ANY),
            }
        }
        other => other,
    }
}
