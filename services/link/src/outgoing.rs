//! The write queue of a connection: encodes messages, masks them where the role requires it, and writes them with few
//! system calls. Must not know when to send.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use protocol::link::frame::Frame;
use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::decoder::MAX_CONTROL;
use crate::mask::{Mask, MaskSource};
use crate::message::Role;

/// Longest payload, in bytes, that is copied next to its header, which is cheaper than a segment of its own.
const COPY_THRESHOLD: usize = 4 * 1024;

/// Largest number of segments that one system call writes.
const MAX_SEGMENTS: usize = 64;

/// Largest number of pings that wait behind a batch that the peer does not read.
const MAX_QUEUED_PINGS: usize = 16;

/// Largest buffer that the queue keeps while nothing is sent, in bytes.
const MAX_IDLE_BUFFER: usize = 64 * 1024;

/// Write queue of one connection. The driver asks for the next message only when the last one is written, so that the
/// queue holds one message and a few control frames.
#[derive(Debug)]
pub struct Outgoing {
    /// Segments that are written before `tail`.
    segments: VecDeque<Bytes>,
    tail: BytesMut,
    masks: Option<MaskSource>,
    /// The mask of the frame that is being encoded.
    mask: Option<Mask>,
    vectored: bool,
    /// Whether the underlying stream was flushed after the last write; until then it may hold back bytes.
    flushed: bool,
    pings: usize,
    /// Payload of the newest unanswered ping; older pings need no answer (RFC 6455, 5.5.3).
    pong: Option<Bytes>,
    is_closed: bool,
}

impl Outgoing {
    /// Creates a queue. `vectored`: whether the stream supports vectored writes.
    pub(crate) fn new(role: Role, vectored: bool) -> Self {
        Self {
            segments: VecDeque::new(),
            tail: BytesMut::new(),
            masks: (role == Role::Client).then(MaskSource::default),
            mask: None,
            vectored,
            flushed: true,
            pings: 0,
            pong: None,
            is_closed: false,
        }
    }

    /// Queues the frames as one binary message and empties `frames`. Without frames, no message is queued.
    pub fn send_frames(&mut self, frames: &mut Vec<Frame>) {
        if frames.is_empty() {
            return;
        }
        self.begin(OpCode::Data(Data::Binary), frames.iter().map(Frame::encoded_len).sum());
        for frame in frames.drain(..) {
            self.put(&frame.encode_header());
            self.put_payload(frame.payload);
        }
    }

    /// Queues a binary message.
    pub fn send_binary(&mut self, payload: Bytes) {
        self.begin(OpCode::Data(Data::Binary), payload.len());
        self.put_payload(payload);
    }

    /// Queues a text message.
    pub fn send_text(&mut self, text: Utf8Bytes) {
        self.begin(OpCode::Data(Data::Text), text.len());
        self.put_payload(text.into());
    }

    /// Queues a ping; `payload` has at most 125 bytes. Drops the ping where too many wait already.
    pub fn send_ping(&mut self, payload: &[u8]) {
        if self.pings < MAX_QUEUED_PINGS {
            self.pings += 1;
            self.control(Control::Ping, payload);
        }
    }

    /// Answers a ping when the queue has room; only the newest ping is answered.
    pub(crate) fn answer_ping(&mut self, payload: Bytes) {
        if !self.is_closed {
            self.pong = Some(payload);
        }
    }

    /// Queues a close frame; nothing may follow it.
    pub(crate) fn send_close(&mut self, frame: Option<(u16, &str)>) {
        if self.is_closed {
            return;
        }
        self.is_closed = true;
        self.pong = None;
        let mut payload = Vec::new();
        if let Some((code, reason)) = frame {
            let end = reason.floor_char_boundary(reason.len().min(MAX_CONTROL - 2));
            payload.extend_from_slice(&code.to_be_bytes());
            payload.extend_from_slice(&reason.as_bytes()[..end]);
        }
        self.control(Control::Close, &payload);
    }

    /// Returns whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.flushed && self.segments.is_empty() && self.tail.is_empty() && self.pong.is_none()
    }

    fn control(&mut self, control: Control, payload: &[u8]) {
        let payload = &payload[..payload.len().min(MAX_CONTROL)];
        self.begin(OpCode::Control(control), payload.len());
        self.put(payload);
    }

    /// Writes the frame's header; `len` bytes of payload follow.
    fn begin(&mut self, opcode: OpCode, len: usize) {
        let key = self.masks.as_mut().map(MaskSource::next);
        let header = FrameHeader { is_final: true, rsv1: false, rsv2: false, rsv3: false, opcode, mask: key };
        let mut bytes = [0; 14];
        let mut left = &mut bytes[..];
        // The slice has the length of the longest header.
        let _ = header.format(len as u64, &mut left);
        let written = 14 - left.len();
        self.mask = None;
        if key.is_some() || !self.vectored {
            self.tail.reserve(written + len);
        }
        self.tail.extend_from_slice(&bytes[..written]);
        self.mask = key.map(Mask::new);
        self.flushed = false;
    }

    fn put(&mut self, bytes: &[u8]) {
        match &mut self.mask {
            Some(mask) => mask.copy(bytes, &mut self.tail),
            None => self.tail.extend_from_slice(bytes),
        }
    }

    fn put_payload(&mut self, payload: Bytes) {
        if self.mask.is_some() || !self.vectored || payload.len() <= COPY_THRESHOLD {
            return self.put(&payload);
        }
        if !self.tail.is_empty() {
            self.segments.push_back(self.tail.split().freeze());
        }
        self.segments.push_back(payload);
    }

    /// Writes until the system has accepted everything. Cancel safe: no byte is written twice.
    pub(crate) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(payload) = self.pong.take() {
            self.control(Control::Pong, &payload);
        }
        while !self.segments.is_empty() || !self.tail.is_empty() {
            let written = ready!(self.poll_write(stream, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        self.pings = 0;
        if !self.flushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.segments.is_empty() {
            return Pin::new(stream).poll_write(cx, &self.tail);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SEGMENTS];
        let all = self.segments.iter().map(Bytes::as_ref).chain([self.tail.as_ref()]);
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        Pin::new(stream).poll_write_vectored(cx, &slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.segments.front_mut() {
            if written < first.len() {
                return first.advance(written);
            }
            written -= first.len();
            self.segments.pop_front();
        }
        self.tail.advance(written.min(self.tail.len()));
    }

    /// Frees memory that large messages have used.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            if self.tail.capacity() > MAX_IDLE_BUFFER {
                self.tail = BytesMut::new();
            }
            self.segments.shrink_to(MAX_SEGMENTS);
        }
    }
}
