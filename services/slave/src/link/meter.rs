//! A byte stream that counts, and remembers when it last heard something. Must not know what the bytes mean.
//!
//! Counting bytes rather than messages tells a slow peer, whose large message takes seconds, from a silent one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::metrics::LinkMeter;

/// A stream with its meter.
pub(crate) struct Metered<S> {
    inner: S,
    heard: Instant,
    meters: LinkMeter,
}

impl<S> Metered<S> {
    /// Counts from now on.
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, heard: Instant::now(), meters: LinkMeter::new() }
    }

    /// When bytes last came in.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, into);
        let read = into.filled().len() - before;
        if read > 0 {
            self.heard = Instant::now();
            self.meters.record_read(read);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            self.meters.record_written(written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
