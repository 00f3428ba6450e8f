//! A WebSocket connection after its opening handshake (RFC 6455). Must not know what the messages mean.
//!
//! Reading and writing do not wait for each other. Otherwise two peers that both wait to write would block each other
//! forever.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::decoder::Decoder;
use crate::error::ConnectionError;
use crate::message::{Message, Role};
use crate::outgoing::Outgoing;

/// Time limit of a closing handshake.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A WebSocket over a stream. Memory is bounded by one message in each direction, the read buffer (4 to 256 KiB, by
/// traffic) and a few control frames.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    decoder: Decoder,
    outgoing: Outgoing,
    reading: Reading,
    /// Whether bytes have arrived since [`Connection::take_heard`].
    heard: bool,
}

/// The state of the incoming direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// The peer's close frame was read.
    Closed,
    /// The stream ended or failed, or the peer violated the protocol.
    Failed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Creates a connection over a stream after the opening handshake. `max_message` is the longest message that is
    /// read, in bytes.
    pub fn new(stream: S, role: Role, max_message: usize) -> Self {
        Self::with_buffered(stream, role, max_message, BytesMut::new())
    }

    /// Creates a connection like [`Connection::new`]; `buffered` was read behind the opening handshake.
    pub(crate) fn with_buffered(stream: S, role: Role, max_message: usize, buffered: BytesMut) -> Self {
        let vectored = stream.is_write_vectored();
        Self {
            stream,
            decoder: Decoder::new(role, max_message, buffered),
            outgoing: Outgoing::new(role, vectored),
            reading: Reading::Open,
            heard: false,
        }
    }

    /// Sets the longest message that is read, in bytes.
    pub fn set_max_message(&mut self, max_message: usize) {
        self.decoder.set_limit(max_message);
    }

    /// Returns the write queue, which [`Connection::poll_flush`] writes to the stream.
    pub fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }

    /// Returns whether bytes have arrived since the last call, so that a long message on a slow connection does not
    /// count as silence.
    pub(crate) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Reads the next message. Pings and the peer's close frame are answered by the next [`Connection::poll_flush`].
    /// After an error or [`Message::Close`] every call fails.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, ConnectionError>> {
        if self.reading != Reading::Open {
            return Poll::Ready(Err(ConnectionError::Closed));
        }
        let received = ready!(self.poll_message(cx));
        match &received {
            Ok(Message::Ping(payload)) => self.outgoing.answer_ping(payload.clone()),
            Ok(Message::Close(frame)) => {
                self.reading = Reading::Closed;
                self.outgoing.send_close(frame.as_ref().map(|frame| (frame.code, "")));
            }
            Ok(_) => {}
            Err(_) => self.reading = Reading::Failed,
        }
        Poll::Ready(received)
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, ConnectionError>> {
        loop {
            if let Some(message) = self.decoder.next_message()? {
                return Poll::Ready(Ok(message));
            }
            if ready!(self.decoder.poll_fill(&mut self.stream, cx))? == 0 {
                return Poll::Ready(Err(ConnectionError::UnexpectedEof));
            }
            self.heard = true;
        }
    }

    /// Writes the queued messages. Cancel safe.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.outgoing.poll_flush(&mut self.stream, cx).map_err(ConnectionError::from)
    }

    /// Waits for the next message, and writes the queued messages meanwhile. Cancel safe.
    pub async fn recv(&mut self) -> Result<Message, ConnectionError> {
        poll_fn(|cx| {
            let flushed = self.poll_flush(cx);
            match self.poll_recv(cx) {
                // Messages that can still be read may contain a better reason than the failed write.
                Poll::Pending => match flushed {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    _ => Poll::Pending,
                },
                ready @ Poll::Ready(_) => ready,
            }
        })
        .await
    }

    /// Sends a text message and waits until the system has accepted it.
    pub async fn send_text(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), ConnectionError> {
        self.outgoing.send_text(text.into());
        self.flush().await
    }

    /// Sends a binary message and waits until the system has accepted it.
    pub async fn send_binary(&mut self, payload: impl Into<Bytes>) -> Result<(), ConnectionError> {
        self.outgoing.send_binary(payload.into());
        self.flush().await
    }

    /// Waits until the system has accepted all queued messages. Cancel safe.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Runs the closing handshake (RFC 6455, 7.1.2) for at most [`CLOSE_TIMEOUT`] and closes the stream. Sends `code` and
    /// the first 123 bytes of `reason`, unless the peer has closed first.
    pub async fn close(mut self, code: u16, reason: &str) {
        self.outgoing.send_close(Some((code, reason)));
        // The connection is dropped in any case, whether the peer answers or not.
        let _ = timeout(CLOSE_TIMEOUT, self.finish()).await;
    }

    async fn finish(&mut self) -> Result<(), ConnectionError> {
        self.flush().await?;
        while self.reading == Reading::Open {
            // An error ends the loop through `reading`.
            let _ = self.recv().await;
        }
        self.flush().await?;
        self.stream.shutdown().await?;
        if self.reading == Reading::Failed {
            // Dropping a socket with unread bytes would reset the connection, and the peer could lose the close frame.
            let mut rest = vec![0; 4096];
            while self.stream.read(&mut rest).await? > 0 {}
        }
        Ok(())
    }

    /// Frees buffers that earlier traffic has enlarged.
    pub(crate) fn shrink(&mut self) {
        self.decoder.shrink_if_idle();
        self.outgoing.shrink();
    }
}
