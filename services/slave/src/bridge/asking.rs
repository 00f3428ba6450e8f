//! A running call whose backend may ask a modern client: what is asked, who reads the call at the moment, and how it is parked and gone on
//! with. Must not know the backend.
//!
//! The reader changes: a request of the client reads until it is told what is asked, its retry reads on. Each gets exactly one end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::link::header::CallHeader;
use protocol::mcp::failure::Failure;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::capability;
use super::held::HeldEvents;
use super::input;
use super::parked::{Binding, ParkedTable};
use super::retry::{ReaderRequest, Retry};
use crate::call::{AnswerSender, CallEnd, CallSink, ClientAnswer, ClientRequest, PendingAnswer};
use crate::metrics::{self, ParkedEnd};

/// Time in which further requests of the backend are asked for together with the first one.
const ASK_TOGETHER: Duration = Duration::from_millis(20);

/// Bytes of a result that is kept for a client that has not come back; a larger one is a failure then.
const MAX_KEPT_END: usize = 1024 * 1024;

/// The parked calls of this process.
pub(crate) type ParkedCalls = ParkedTable<AskingCall>;

/// The timeouts of a call, as far as parking changes them.
pub(crate) trait CallTimers: Send + Sync + 'static {
    /// Learns that the call may be parked. Called before the others.
    fn may_pause(&self);
    /// Stops the timeouts.
    fn pause(&self);
    /// Starts the timeouts of the request that reads on.
    fn restart(&self, header: &CallHeader);
    /// Learns that the client got an event.
    fn on_event(&self);
}

/// What a call needs to be parked.
pub(crate) struct Parking {
    /// The calls that are parked.
    pub(crate) parked: Arc<ParkedCalls>,
    /// The call's timeouts.
    pub(crate) timers: Arc<dyn CallTimers>,
    /// Cancels the running call.
    pub(crate) cancelled: CancellationToken,
}

/// The call.
pub(crate) struct AskingCall {
    parked: Arc<ParkedCalls>,
    timers: Arc<dyn CallTimers>,
    /// Cancels the running call.
    cancelled: CancellationToken,
    pub(super) state: Mutex<AskingState>,
    /// The number of readers that have got their end.
    ends: watch::Sender<u64>,
}

pub(super) struct AskingState {
    pub(super) reader: Reader,
    /// The reader's request.
    pub(super) request: ReaderRequest,
    /// Whether the reader is not the first one: its events need its progress token.
    pub(super) is_retry: bool,
    pub(super) held: HeldEvents,
    client: Option<String>,
    asked: Vec<Asked>,
    next_key: u64,
    /// Whether the call is about to be parked.
    due: bool,
}

/// Who reads the call.
pub(super) enum Reader {
    /// This sink.
    Reading(Box<dyn CallSink>),
    /// A sink that takes an event at the moment.
    Busy,
    /// Nobody until the retry comes.
    Parked { expiry: AbortHandle },
    /// Nobody; the call has ended, and the retry gets this.
    Ended { end: CallEnd, expiry: AbortHandle },
    /// Nobody any more.
    Gone,
}

/// A request of the backend that has no answer.
struct Asked {
    key: String,
    request: ClientRequest,
    answer: AnswerSender,
}

impl AskingCall {
    /// Wraps a call that runs for a modern client.
    pub(super) fn new(
        parking: Parking,
        client: Option<String>,
        request: ReaderRequest,
        sink: Box<dyn CallSink>,
    ) -> Arc<Self> {
        let Parking { parked, timers, cancelled } = parking;
        timers.may_pause();
        let state = AskingState {
            reader: Reader::Reading(sink),
            request,
            is_retry: false,
            held: HeldEvents::default(),
            client,
            asked: Vec::new(),
            next_key: 1,
            due: false,
        };
        Arc::new(Self { parked, timers, cancelled, state: Mutex::new(state), ends: watch::Sender::new(0) })
    }

    /// Asks the client; the request goes out with the end of what the client waits for.
    ///
    /// # Errors
    /// The client did not declare that it can be asked, or its request cannot be read.
    pub(super) fn ask(self: &Arc<Self>, request: ClientRequest) -> Result<PendingAnswer, Failure> {
        let mut state = self.state.lock();
        let Some(asking) = state.request.read() else {
            return Err(Failure::InputUnsupported { wanted: request.method });
        };
        capability::check(asking.capabilities.as_deref(), &request.method, request.params.as_deref())?;
        let (answer, pending) = PendingAnswer::new();
        let key = format!("input-{}", state.next_key);
        state.next_key += 1;
        state.asked.push(Asked { key, request, answer });
        self.park_soon(&mut state);
        Ok(pending)
    }

    fn park_soon(self: &Arc<Self>, state: &mut AskingState) {
        if state.due || matches!(state.reader, Reader::Parked { .. }) {
            return;
        }
        state.due = true;
        let call = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(ASK_TOGETHER).await;
            call.park();
        });
    }

    /// Ends the reader's request with what is asked, unless all of it was withdrawn. Waits for nothing: while the reader takes an event,
    /// the call is parked afterwards.
    fn park(self: &Arc<Self>) {
        let (sink, payload) = {
            let state = &mut *self.state.lock();
            if !state.due || matches!(state.reader, Reader::Busy) {
                return;
            }
            state.due = false;
            state.asked.retain(|asked| !asked.answer.is_withdrawn());
            if state.asked.is_empty() {
                return;
            }
            let sink = match std::mem::replace(&mut state.reader, Reader::Gone) {
                Reader::Reading(sink) => sink,
                other => {
                    state.reader = other;
                    return;
                }
            };
            match self.add_parked(state) {
                Ok(payload) => (sink, payload),
                Err(failure) => {
                    state.reader = Reader::Reading(sink);
                    for asked in state.asked.drain(..) {
                        asked.answer.give(Err(failure.clone()));
                    }
                    return;
                }
            }
        };
        self.timers.pause();
        self.finish(sink, CallEnd::result(payload));
    }

    fn add_parked(self: &Arc<Self>, state: &mut AskingState) -> Result<Bytes, Failure> {
        // It was read when the backend asked.
        let request = state.request.read().ok_or(Failure::Internal)?.digest;
        let binding = Binding { client: state.client.clone(), request };
        let (ticket, sealed, until) = self.parked.add(self, binding)?;
        let call = Arc::clone(self);
        let expiry = tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            call.expire(ticket.id);
        });
        state.reader = Reader::Parked { expiry: expiry.abort_handle() };
        let requests = state.asked.iter().map(|asked| (asked.key.as_str(), &asked.request));
        Ok(input::required(requests, &sealed))
    }

    /// Gives a call up for which no retry came.
    fn expire(&self, id: u128) {
        if !self.parked.remove(id) {
            return;
        }
        self.state.lock().reader = Reader::Gone;
        metrics::record_parked_end(ParkedEnd::Expired);
        self.cancelled.cancel();
    }

    /// Goes on with the call for its client's retry, whose sink reads from now on.
    fn resume(self: &Arc<Self>, retry: Retry, header: &CallHeader, sink: Box<dyn CallSink>) {
        let mut state = self.state.lock();
        let ended = match std::mem::replace(&mut state.reader, Reader::Gone) {
            Reader::Parked { expiry } => {
                expiry.abort();
                None
            }
            Reader::Ended { end, expiry } => {
                expiry.abort();
                Some(end)
            }
            Reader::Reading(_) | Reader::Busy | Reader::Gone => {
                Some(CallEnd::failed(&Failure::StateLost, header.era))
            }
        };
        if let Some(end) = ended {
            drop(state);
            return self.finish(sink, end);
        }
        self.timers.restart(header);
        state.request = ReaderRequest::Read(retry.asking);
        state.is_retry = true;
        state.reader = Reader::Reading(sink);
        for (key, response) in retry.responses {
            // 2026-07-28: what was not asked for is ignored.
            if let Some(at) = state.asked.iter().position(|asked| asked.key == key) {
                state.asked.remove(at).answer.give(Ok(ClientAnswer::Result(response)));
            }
        }
        if !state.asked.is_empty() {
            self.park_soon(&mut state);
        }
    }

    /// Gives the reader its end.
    fn finish(&self, sink: Box<dyn CallSink>, end: CallEnd) {
        sink.end(end);
        self.ends.send_modify(|ends| *ends += 1);
    }

    /// Ends the call: its reader gets the end, or the retry that is still to come.
    pub(super) fn end(&self, mut end: CallEnd) {
        let mut state = self.state.lock();
        state.asked.clear();
        match std::mem::replace(&mut state.reader, Reader::Gone) {
            Reader::Reading(sink) => {
                drop(state);
                self.finish(sink, end);
            }
            Reader::Parked { expiry } => {
                if end.payload.len() > MAX_KEPT_END {
                    let why = format!("more than {MAX_KEPT_END} bytes cannot wait for a retry");
                    end = CallEnd::failed(&Failure::ResultTooLarge(why), protocol::mcp::era::Era::Modern);
                }
                state.reader = Reader::Ended { end, expiry };
            }
            Reader::Busy | Reader::Ended { .. } | Reader::Gone => {}
        }
    }

    /// Takes the sink back that took an event.
    pub(super) fn give_back(self: &Arc<Self>, sink: Box<dyn CallSink>) {
        let due = {
            let mut state = self.state.lock();
            state.reader = Reader::Reading(sink);
            state.due
        };
        if due {
            self.park();
        }
    }

    /// Records that the client got an event.
    pub(super) fn on_event(&self) {
        self.timers.on_event();
    }

    /// Cancels the running call.
    pub(crate) fn cancel(&self) {
        self.cancelled.cancel();
    }
}

impl ParkedCalls {
    /// Goes on with the parked call that a retry is for. Resolves the returned future when the retry has got its end.
    ///
    /// # Errors
    /// The retry is for no parked call, or not from its client; it gets its sink back.
    pub(crate) fn resume(
        &self,
        retry: Retry,
        header: &CallHeader,
        sink: Box<dyn CallSink>,
    ) -> Result<ResumedCall, (Failure, Box<dyn CallSink>)> {
        let from = Binding { client: header.client.clone(), request: retry.asking.digest };
        match self.take(&retry.state, &from) {
            Ok(call) => {
                let ends = call.ends.subscribe();
                call.resume(retry, header, sink);
                metrics::record_parked_end(ParkedEnd::Resumed);
                Ok(ResumedCall { call, ends })
            }
            Err(failure) => Err((failure, sink)),
        }
    }
}

/// A parked call that a retry goes on with.
pub(crate) struct ResumedCall {
    call: Arc<AskingCall>,
    ends: watch::Receiver<u64>,
}

impl ResumedCall {
    /// Resolves when the retry has got its end. Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        // The sender lives as long as the call.
        let _ = self.ends.changed().await;
    }

    /// Cancels the running call.
    pub(crate) fn cancel(&self) {
        self.call.cancel();
    }
}
