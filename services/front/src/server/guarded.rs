//! Responses during which their connection has a request under way. Must not know what they say.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};

use super::progress::RequestGuard;

/// Returns a response that keeps the guard as long as its body. Where the connection ends with it, it tells the
/// client so.
pub(super) fn guarded<B, T>(
    mut response: Response<B>,
    side: impl FnOnce(B) -> T,
    guard: Option<RequestGuard>,
) -> Response<GuardedBody<T>> {
    if guard.as_ref().is_some_and(RequestGuard::is_last) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| GuardedBody { body: side(body), _guard: guard })
}

/// A response body during which the connection has a request under way.
pub(super) struct GuardedBody<B> {
    body: B,
    _guard: Option<RequestGuard>,
}

impl<B: Body + Unpin> Body for GuardedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
