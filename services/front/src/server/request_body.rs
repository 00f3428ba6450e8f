//! The body of a request as its connection sees it: whether the client may still send something of it. Must not know what
//! it says.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::progress::Progress;
use crate::repoll::hold_wakes;

/// A body that reports when it was read to its end.
pub(super) struct RequestBody {
    inner: Incoming,
    progress: Option<Progress>,
}

impl RequestBody {
    /// Begins the body of a request of this connection.
    pub(super) fn new(inner: Incoming, progress: Option<Progress>) -> Self {
        if let Some(progress) = progress.as_ref().filter(|_| !inner.is_end_stream()) {
            progress.set_unread();
        }
        Self { inner, progress }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // hyper wakes its connection for the next piece, also where the last one was taken.
        let (frame, woke) = hold_wakes(|| Pin::new(&mut self.inner).poll_frame(cx));
        let is_end = match &frame {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => self.inner.is_end_stream(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if let Some(progress) = self.progress.as_ref().filter(|_| is_end) {
            progress.set_read();
        }
        if woke && !is_end {
            cx.waker().wake_by_ref();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
