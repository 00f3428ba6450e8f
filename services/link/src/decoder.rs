//! The decoder of WebSocket messages (RFC 6455, 5.2 to 5.6): frame headers, masks, fragments, limits. Must not know
//! sockets.

use std::io::Cursor;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::error::ConnectionError;
use crate::mask::Mask;
use crate::message::{CloseFrame, Message, Role};
use crate::read_buffer::ReadBuffer;

/// Longest payload of a control frame, in bytes (RFC 6455, 5.5).
pub(crate) const MAX_CONTROL: usize = 125;

/// A frame whose header was read.
#[derive(Debug)]
struct Header {
    opcode: OpCode,
    is_final: bool,
    mask: Option<[u8; 4]>,
    len: usize,
}

/// A message whose last fragment has not arrived.
#[derive(Debug)]
struct Partial {
    kind: Data,
    payload: BytesMut,
}

/// A decoder of the messages of one direction. Holds at most one message below the limit and one read buffer.
#[derive(Debug)]
pub(crate) struct Decoder {
    role: Role,
    /// Longest message in bytes, all fragments together.
    limit: usize,
    buffer: ReadBuffer,
    header: Option<Header>,
    partial: Option<Partial>,
}

impl Decoder {
    /// Creates a decoder. `role` is that of this process: a server accepts only masked frames, a client only unmasked
    /// ones.
    pub(crate) fn new(role: Role, limit: usize, buffered: BytesMut) -> Self {
        let buffer = ReadBuffer::new(buffered, limit);
        Self { role, limit, buffer, header: None, partial: None }
    }

    /// Sets the longest message, in bytes.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.buffer.set_limit(limit);
    }

    /// Frees memory if nothing was read since the last call.
    pub(crate) fn shrink_if_idle(&mut self) {
        self.buffer.shrink_if_idle();
    }

    /// Reads once from the stream. Returns the number of bytes; 0 at the end of the stream.
    pub(crate) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, ConnectionError>> {
        self.buffer.poll_fill(stream, cx).map_err(ConnectionError::from)
    }

    /// Returns the next message that was read completely; `None`: more bytes are needed.
    pub(crate) fn next_message(&mut self) -> Result<Option<Message>, ConnectionError> {
        loop {
            if self.header.is_none() {
                self.header = self.read_header()?;
            }
            let Some(header) = &self.header else { return Ok(None) };
            let Some(mut payload) = self.buffer.take(header.len) else { return Ok(None) };
            if let Some(key) = header.mask {
                Mask::new(key).apply(&mut payload);
            }
            let (opcode, is_final) = (header.opcode, header.is_final);
            self.header = None;
            let message = match opcode {
                OpCode::Control(control) => Some(control_message(control, payload.freeze())?),
                OpCode::Data(kind) => self.data(kind, payload, is_final)?,
            };
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    fn read_header(&mut self) -> Result<Option<Header>, ConnectionError> {
        let mut cursor = Cursor::new(self.buffer.bytes());
        let parsed =
            FrameHeader::parse(&mut cursor).map_err(|_| ConnectionError::Protocol("invalid opcode"))?;
        let Some((header, len)) = parsed else { return Ok(None) };
        let FrameHeader { is_final, rsv1, rsv2, rsv3, opcode, mask } = header;
        if rsv1 || rsv2 || rsv3 {
            return Err(ConnectionError::Protocol("reserved bits are set"));
        }
        match (self.role, mask) {
            (Role::Server, None) => return Err(ConnectionError::Protocol("a client's frame is not masked")),
            (Role::Client, Some(_)) => return Err(ConnectionError::Protocol("a server's frame is masked")),
            (Role::Server, Some(_)) | (Role::Client, None) => {}
        }
        if matches!(opcode, OpCode::Control(_)) && (!is_final || len > MAX_CONTROL as u64) {
            return Err(ConnectionError::Protocol("a control frame is fragmented or too long"));
        }
        let before = self.partial.as_ref().map_or(0, |partial| partial.payload.len());
        let size = len.saturating_add(before as u64);
        let len = match usize::try_from(len) {
            Ok(len) if size <= self.limit as u64 || matches!(opcode, OpCode::Control(_)) => len,
            _ => return Err(ConnectionError::TooLong { size, limit: self.limit }),
        };
        let read = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        Ok(self.buffer.take(read).map(|_| Header { opcode, is_final, mask, len }))
    }

    fn data(
        &mut self,
        kind: Data,
        payload: BytesMut,
        is_final: bool,
    ) -> Result<Option<Message>, ConnectionError> {
        let partial = match (kind, self.partial.take()) {
            (Data::Continue, Some(mut partial)) => {
                partial.payload.extend_from_slice(&payload);
                partial
            }
            (Data::Continue, None) => return Err(ConnectionError::Protocol("a continuation of nothing")),
            (_, Some(_)) => return Err(ConnectionError::Protocol("a message begins within another")),
            (kind, None) => Partial { kind, payload },
        };
        if is_final {
            return data_message(partial).map(Some);
        }
        self.partial = Some(partial);
        Ok(None)
    }
}

fn data_message(Partial { kind, payload }: Partial) -> Result<Message, ConnectionError> {
    match kind {
        Data::Text => text(payload.freeze()).map(Message::Text),
        Data::Binary => Ok(Message::Binary(payload.freeze())),
        Data::Continue | Data::Reserved(_) => Err(ConnectionError::Protocol("invalid opcode")),
    }
}

fn control_message(control: Control, payload: Bytes) -> Result<Message, ConnectionError> {
    match control {
        Control::Ping => Ok(Message::Ping(payload)),
        Control::Pong => Ok(Message::Pong(payload)),
        Control::Close => close_frame(payload).map(Message::Close),
        Control::Reserved(_) => Err(ConnectionError::Protocol("invalid opcode")),
    }
}

fn close_frame(mut payload: Bytes) -> Result<Option<CloseFrame>, ConnectionError> {
    match payload.len() {
        0 => return Ok(None),
        1 => return Err(ConnectionError::Protocol("a close code of one byte")),
        _ => {}
    }
    let code = payload.get_u16();
    if !CloseCode::from(code).is_allowed() {
        return Err(ConnectionError::Protocol("a close code that must not be sent"));
    }
    Ok(Some(CloseFrame { code, reason: text(payload)? }))
}

fn text(bytes: Bytes) -> Result<Utf8Bytes, ConnectionError> {
    Utf8Bytes::try_from(bytes).map_err(|_| ConnectionError::InvalidUtf8)
}
