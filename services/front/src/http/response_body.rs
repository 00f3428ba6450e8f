//! Response bodies of the edge: complete, arriving in pieces, or open for the life of a stream. Must not know what
//! they say.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body::{Body, Frame, SizeHint};
use protocol::link::call::ResponseEvent;
use protocol::mcp::failure::Failure;

use super::event_ids::EventIds;
use super::framing::Framing;
use super::response_stream::{BodyAborted, Entry, ResponseStream};
use crate::jsonrpc::Segments;
use crate::usage::StreamShare;

/// What an open response says, as it comes.
pub(crate) type OpenEvents = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// Body of every response of the edge. Dropping it before its end drops the call's stream.
pub enum ResponseBody<S> {
    /// Complete message.
    Whole(Segments),
    /// Messages that are polled for only when the client reads on.
    Stream(Box<ResponseStream<S>>),
    /// GET stream of a legacy client.
    Listen(OpenEvents),
    /// Stream of a session of 2024-11-05.
    Session(Pin<Box<dyn Stream<Item = Result<Bytes, BodyAborted>> + Send>>),
    /// Open body that may be ended before its end.
    Limited(Box<LimitedBody<S>>),
}

/// Body that ends early when a future completes.
pub struct LimitedBody<S> {
    body: ResponseBody<S>,
    /// Present until it has completed.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Why the body ends early.
    failure: Failure,
}

impl<S> ResponseBody<S> {
    /// Returns a body that ends with this failure as soon as `end` completes, where it is still open then.
    pub(crate) fn until(self, end: impl Future<Output = ()> + Send + 'static, failure: Failure) -> Self {
        match self {
            Self::Stream(_) | Self::Listen(_) | Self::Session(_) => {
                Self::Limited(Box::new(LimitedBody { body: self, end: Some(Box::pin(end)), failure }))
            }
            Self::Whole(_) | Self::Limited(_) => self,
        }
    }
}

impl<S> ResponseBody<S> {
    /// Takes what a body of no known end will say, which clients leave open for long. `None`: it is another body.
    pub(crate) fn take_events(&mut self) -> Option<OpenEvents> {
        match self {
            Self::Listen(events) => Some(std::mem::replace(events, Box::pin(stream::empty()))),
            Self::Limited(limited) => {
                let LimitedBody { body: Self::Listen(events), end, .. } = &mut **limited else { return None };
                let events = std::mem::replace(events, Box::pin(stream::empty()));
                Some(Box::pin(events.take_until(end.take()?)))
            }
            Self::Whole(_) | Self::Stream(_) | Self::Session(_) => None,
        }
    }
}

impl<S: Stream<Item = ResponseEvent> + Unpin> LimitedBody<S> {
    /// Polls the end first, so that a busy stream ends too.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyAborted>>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            self.end = None;
            self.body.end_early(&self.failure);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

impl<S: Stream<Item = ResponseEvent> + Unpin> ResponseBody<S> {
    /// Creates a body of messages that arrive one after the other.
    pub(crate) fn stream(framing: Framing, queue: VecDeque<Entry<S>>) -> Self {
        Self::Stream(Box::new(ResponseStream::new(framing, queue)))
    }

    fn end_early(&mut self, failure: &Failure) {
        match self {
            Self::Stream(stream) => stream.fail_all(failure),
            Self::Listen(_) | Self::Session(_) => *self = Self::Whole(Segments::default()),
            Self::Whole(_) | Self::Limited(_) => {}
        }
    }
}

impl<S> ResponseBody<S> {
    /// Gives the events of a stream ids.
    pub(crate) fn number(&mut self, ids: Option<EventIds>) {
        if let Self::Stream(stream) = self {
            stream.number(ids);
        }
    }

    /// Keeps the share of an open stream as long as the body. A complete message is no stream: it waits for nothing.
    pub(crate) fn keep(&mut self, share: StreamShare) {
        if let Self::Stream(stream) = self {
            stream.keep(share);
        }
    }
}

impl<S: Stream<Item = ResponseEvent> + Unpin> Body for ResponseBody<S> {
    type Data = Bytes;
    type Error = BodyAborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyAborted>>> {
        let next = match self.get_mut() {
            Self::Whole(segments) => segments.pop().map(Ok),
            Self::Stream(stream) => std::task::ready!(stream.poll_next(cx)),
            Self::Listen(stream) => std::task::ready!(stream.as_mut().poll_next(cx)).map(Ok),
            Self::Session(stream) => std::task::ready!(stream.as_mut().poll_next(cx)),
            Self::Limited(limited) => return limited.poll_frame(cx),
        };
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(segments) if segments.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(segments) => SizeHint::with_exact(segments.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

impl<S> std::fmt::Debug for ResponseBody<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole",
            Self::Stream(_) => "Stream",
            Self::Listen(_) => "Listen",
            Self::Session(_) => "Session",
            Self::Limited(_) => "Limited",
        })
    }
}
