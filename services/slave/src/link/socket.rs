//! One WebSocket that reads and writes at the same time, in one task. Must not know what the messages say.
//!
//! A peer that does not read must not keep us from reading: with both sides waiting to write, neither would go on.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use protocol::link::handshake::close;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::Ended;
use super::meter::Metered;

/// The stream below: TCP, with TLS for `wss`.
pub(crate) type Stream = WebSocketStream<MaybeTlsStream<Metered<TcpStream>>>;

/// How long a peer may take to answer our close.
const CLOSING: Duration = Duration::from_secs(1);

/// Messages that are read before what they cause is looked at.
const READ_AHEAD: usize = 32;

/// The same in bytes: long messages are looked at one by one.
const READ_AHEAD_BYTES: usize = 256 * 1024;

/// The longest reason that fits a close frame, in bytes.
const REASON: usize = 123;

/// A WebSocket after its opening handshake.
pub(crate) struct Socket {
    stream: Stream,
    /// What was sent is not all on its way.
    busy: bool,
    /// Nothing more can be read, because of this.
    ended: Option<Ended>,
    /// Nothing more can be written, because of this. What can still be read may know a better reason.
    failed: Option<Ended>,
}

impl Socket {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, busy: false, ended: None, failed: None }
    }

    /// Whether the last message is still being written. Sending more then only fills memory.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    /// When bytes last came in.
    pub(crate) fn heard(&self) -> Instant {
        self.stream.get_ref().get_ref().heard()
    }

    /// Takes a message to be sent; [`Socket::io`] carries it out, and tells when it cannot.
    pub(crate) fn send(&mut self, message: Message) {
        self.busy = true;
        // The stream takes it also while the last one is being written: that is for pings, which are small.
        if let Err(error) = self.stream.start_send_unpin(message) {
            self.failed.get_or_insert_with(|| lost(&error));
        }
    }

    /// Reads and writes until messages came in, or all that was sent is on its way. Cancel safe.
    pub(crate) async fn io(&mut self, into: &mut Vec<Message>) -> Result<(), Ended> {
        poll_fn(|cx| self.poll_io(cx, into)).await
    }

    fn poll_io(&mut self, cx: &mut Context<'_>, into: &mut Vec<Message>) -> Poll<Result<(), Ended>> {
        let written = self.busy && self.failed.is_none() && self.poll_write(cx);
        let mut bytes = 0;
        while into.len() < READ_AHEAD && bytes < READ_AHEAD_BYTES && self.ended.is_none() {
            match self.stream.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(Message::Close(frame)))) => {
                    self.ended = Some(closed(frame.as_ref()));
                    // Sends the answer that is due, as far as it goes without waiting.
                    let _ = self.stream.poll_next_unpin(cx);
                }
                Poll::Ready(Some(Ok(Message::Ping(_)))) => {}
                Poll::Ready(Some(Ok(message))) => {
                    bytes += message.len();
                    into.push(message);
                }
                Poll::Ready(Some(Err(error))) => self.ended = Some(lost(&error)),
                Poll::Ready(None) => self.ended = Some(Ended::Lost("the connection was closed".into())),
                Poll::Pending => break,
            }
        }
        if !into.is_empty() || written {
            return Poll::Ready(Ok(()));
        }
        match self.ended.take().or_else(|| self.failed.take()) {
            Some(ended) => Poll::Ready(Err(ended)),
            None => Poll::Pending,
        }
    }

    /// Whether all is on its way now.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        match self.stream.poll_flush_unpin(cx) {
            Poll::Ready(Ok(())) => self.busy = false,
            Poll::Ready(Err(error)) => self.failed = Some(lost(&error)),
            Poll::Pending => {}
        }
        !self.busy
    }

    /// Says why and goes, within a second: the peer's answer is waited for, but not for long.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let end = reason.floor_char_boundary(reason.len().min(REASON));
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason[..end].into() };
        let goodbye = async {
            self.stream.close(Some(frame)).await?;
            while self.stream.next().await.transpose()?.is_some_and(|message| !message.is_close()) {}
            Ok::<(), Error>(())
        };
        // Whether the peer heard it makes no difference any more.
        let _ = tokio::time::timeout(CLOSING, goodbye).await;
    }
}

fn closed(frame: Option<&CloseFrame>) -> Ended {
    let Some(frame) = frame else {
        return Ended::Lost("the proxy closed the connection without a reason".into());
    };
    match u16::from(frame.code) {
        close::REPLACED => Ended::Replaced,
        close::AUTH_FAILED => Ended::Refused(frame.reason.to_string()),
        close::ALREADY_LINKED => Ended::AlreadyLinked,
        close::GOING_AWAY => Ended::GoingDown,
        code => Ended::Lost(format!("the proxy closed the connection ({code} {})", frame.reason)),
    }
}

fn lost(error: &Error) -> Ended {
    match error {
        Error::Capacity(_) => {
            Ended::Lost(format!("the proxy sent too long a message ({error}): MAX_BODY_BYTES"))
        }
        error => Ended::Lost(error.to_string()),
    }
}
