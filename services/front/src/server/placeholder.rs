//! What hyper takes for the body of a response that stays open. Must not know what the response says.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::upgrade::Pending;

/// Stands for an open body towards hyper, which writes the head of the response and then waits.
pub(super) struct Placeholder(pub(super) Pending);

impl Body for Placeholder {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.note_head();
        Poll::Pending
    }
}
