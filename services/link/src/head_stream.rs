//! A stream whose reader gets nothing beyond the head of an HTTP message. Must not know any other part of HTTP.
//!
//! tungstenite drops bytes that it has read behind the opening handshake; this stream keeps them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Size of a single read, in bytes.
const READ_SIZE: usize = 4 * 1024;

const END: &[u8] = b"\r\n\r\n";

/// A stream during the opening handshake.
pub(crate) struct HeadStream<S> {
    inner: S,
    buffered: BytesMut,
    /// Number of bytes of [`END`] at the end of the data that the reader got.
    matched: usize,
}

impl<S> HeadStream<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, buffered: BytesMut::new(), matched: 0 }
    }

    /// Returns the stream and the bytes that were read behind the head.
    pub(crate) fn into_parts(self) -> (S, BytesMut) {
        (self.inner, self.buffered)
    }

    /// Returns how many buffered bytes the reader may get: at most `most`, and none beyond the end of the head.
    fn head_len(&mut self, most: usize) -> usize {
        for (index, byte) in self.buffered.iter().take(most).enumerate() {
            self.matched =
                if *byte == END[self.matched] { self.matched + 1 } else { usize::from(*byte == END[0]) };
            if self.matched == END.len() {
                self.matched = 0;
                return index + 1;
            }
        }
        most.min(self.buffered.len())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.buffered.is_empty() {
            let mut block = [0; READ_SIZE];
            let mut read = ReadBuf::new(&mut block);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            this.buffered.extend_from_slice(read.filled());
        }
        let len = this.head_len(into.remaining());
        into.put_slice(&this.buffered[..len]);
        this.buffered.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
