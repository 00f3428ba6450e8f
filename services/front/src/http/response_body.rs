//! Response bodies: whole, still coming, or a stream that stays open. Must not know what they say.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use protocol::link::call::ResponseEvent;

use super::response_stream::ResponseStream;
use crate::jsonrpc::Segments;

/// A message broke off after part of it was sent: the connection is cut, so that the client does not take half a
/// message for a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call broke off in the middle of its result")]
pub struct BodyAborted;

/// Body of every response of the edge. Dropping it before its end drops the call's stream.
pub enum ResponseBody<S> {
    /// All there.
    Whole(Segments),
    /// Answers that are polled for only when the client takes them.
    Stream(Box<ResponseStream<S>>),
    /// A legacy GET stream.
    Listen(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
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
            Self::Stream(answers) => std::task::ready!(answers.poll_next(cx)),
            Self::Listen(stream) => std::task::ready!(stream.as_mut().poll_next(cx)).map(Ok),
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
            Self::Stream(_) => "STREAMVARIANT",
            Self::Listen(_) => "Listen",
        })
    }
}
