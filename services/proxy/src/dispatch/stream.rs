//! The response of one call as a stream of events, whichever slave it comes from. Must not know HTTP.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::Failure;
use runtime::telemetry::LogContext;

use super::observe;
use super::ongoing::OngoingCall;
use crate::metrics::CallMeter;

/// The response of one call. Dropping it before its last event cancels a modern client's call and lets a legacy client's
/// call run on.
pub(crate) struct CallStream {
    state: State,
}

enum State {
    /// The call failed before any slave had it.
    Failed(Failure),
    /// No slave can take the call yet.
    Early(Pin<Box<dyn Future<Output = Result<Box<OngoingCall>, Failure>> + Send>>),
    Ongoing(Box<OngoingCall>),
    /// The proxy makes the result itself, of what slaves tell.
    Made(BoxFuture<'static, Result<Bytes, Failure>>),
    Done,
}

impl CallStream {
    pub(super) fn failed(failure: Failure) -> Self {
        Self { state: State::Failed(failure) }
    }

    /// A call that begins when the future is ready. Dropping the stream before drops the call.
    pub(super) fn early(
        begun: impl Future<Output = Result<Box<OngoingCall>, Failure>> + Send + 'static,
    ) -> Self {
        Self { state: State::Early(Box::pin(begun)) }
    }

    /// A call whose result is that of a future. Dropping the stream drops the future.
    pub(super) fn made(result: impl Future<Output = Result<Bytes, Failure>> + Send + 'static) -> Self {
        Self { state: State::Made(Box::pin(result)) }
    }

    pub(super) fn ongoing(call: Box<OngoingCall>) -> Self {
        CallMeter::record_start();
        Self { state: State::Ongoing(call) }
    }

    fn log_context(&self) -> Option<LogContext> {
        if let State::Ongoing(call) = &self.state { Some(call.call.log_context()) } else { None }
    }
}

impl Stream for CallStream {
    type Item = ResponseEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ResponseEvent>> {
        let this = self.get_mut();
        if let State::Early(begun) = &mut this.state {
            *this = match ready!(begun.as_mut().poll(cx)) {
                Ok(call) => Self::ongoing(call),
                Err(failure) => Self::failed(failure),
            };
        }
        if let State::Made(result) = &mut this.state {
            let result = ready!(result.as_mut().poll(cx));
            this.state = State::Done;
            return Poll::Ready(Some(match result {
                Ok(payload) => ResponseEvent::End {
                    seq: 0,
                    more: false,
                    error: false,
                    tool_error: false,
                    status: 0,
                    payload,
                },
                Err(failure) => ResponseEvent::Failed(failure),
            }));
        }
        let _log = this.log_context().map(LogContext::enter);
        let State::Ongoing(call) = &mut this.state else {
            return Poll::Ready(match std::mem::replace(&mut this.state, State::Done) {
                State::Failed(failure) => Some(ResponseEvent::Failed(failure)),
                State::Early(_) | State::Made(_) | State::Ongoing(_) | State::Done => None,
            });
        };
        let polled = call.poll_event(cx);
        observe::record(&call.guard, call.machine.slave(), &call.pool.own_name, &polled);
        if let Poll::Ready(event) = &polled
            && event.is_last()
        {
            call.on_last_event(event);
            this.state = State::Done;
        }
        polled.map(Some)
    }
}

impl Drop for CallStream {
    fn drop(&mut self) {
        let _log = self.log_context().map(LogContext::enter);
        if let State::Ongoing(call) = &mut self.state {
            call.on_reader_gone();
        }
    }
}
