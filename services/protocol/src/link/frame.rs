//! Frames of the native dialect: their form, writing and reading. Must not know in which order they come.
//!
//! A WebSocket binary message is a *batch*: one or more whole frames, each a 32-byte header and a payload.
//! docs/PROTOCOL.md, "Frames".

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::link::ids::{CallId, Seq};
use crate::link::limits::MAX_CHUNK;

/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 32;

/// Kind of a frame. To the slave: open, cancel, credit, attach, session, drain, peers.
/// To the proxy: accepted, event, end, credit, catalog, session (ended ones), drain, peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Begins a call. `aux` is the length of the JSON call header at the start of the first chunk; the client's message follows.
    Open = 1,
    /// The slave has the call; `seq` is the next chunk that it wants of the proxy's direction.
    Accepted = 2,
    /// A JSON-RPC notification or request of the backend.
    Event = 3,
    /// The result (or error) that ends the call. `aux` is an HTTP status hint (0: none).
    End = 4,
    /// Reserved for a client's message to a running call; no peer may send it yet.
    Reply = 5,
    /// The client no longer wants the call. Nothing of the call follows from either side.
    Cancel = 6,
    /// Every chunk below `seq` was taken: the sender may forget it and send as much more. `aux` is how often the window of this call and
    /// direction has been doubled.
    Credit = 7,
    /// After a broken link: the call's chunks are to be sent again from `seq`.
    Attach = 8,
    /// A fact about a client session, for every slave (JSON).
    Session = 9,
    /// Catalog of the slave (JSON); replaces the one before.
    Catalog = 10,
    /// The sender is going down: no new call is to be opened on this link.
    Drain = 11,
    /// Proxies that the sender knows of ([`crate::link::peers::Peers`]). Only between peers that both announced it in their
    /// hellos.
    Peers = 12,
}

impl FrameKind {
    /// Every kind, in the order of their codes.
    pub const ALL: [Self; 12] = [
        Self::Open,
        Self::Accepted,
        Self::Event,
        Self::End,
        Self::Reply,
        Self::Cancel,
        Self::Credit,
        Self::Attach,
        Self::Session,
        Self::Catalog,
        Self::Drain,
        Self::Peers,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().nth(usize::from(code).checked_sub(1)?)
    }

    /// Returns the name that docs/PROTOCOL.md uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Event => "event",
            Self::End => "end",
            Self::Reply => "reply",
            Self::Cancel => "cancel",
            Self::Credit => "credit",
            Self::Attach => "attach",
            Self::Session => "session",
            Self::Catalog => "catalog",
            Self::Drain => "drain",
            Self::Peers => "peers",
        }
    }

    /// Returns whether the frame concerns one call (its id is then not [`CallId::LINK`]).
    pub fn is_about_a_call(self) -> bool {
        !matches!(self, Self::Session | Self::Catalog | Self::Drain | Self::Peers)
    }

    /// Returns whether the frame is a numbered chunk that the receiver acknowledges with credit.
    pub fn is_chunk(self) -> bool {
        matches!(self, Self::Open | Self::Event | Self::End)
    }
}

/// Flags of a frame. Bits without a meaning for the kind are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The message goes on in the next frame of the same kind and call.
    pub const MORE: Self = Self(1);
    /// `end`: the payload is a JSON-RPC error object, not a result.
    pub const ERROR: Self = Self(2);
    /// `end`: the result says `isError: true` (a hint for counting; the payload decides).
    pub const TOOL_ERROR: Self = Self(4);
    /// `end`: the slave does not have the call: it never had all of its `open`. With [`Flags::ERROR`]: it had it and gave it
    /// up because nobody came back for it in time.
    pub const GONE: Self = Self(8);
    /// `event`: the payload is a request of the backend.
    pub const REQUEST: Self = Self(16);
    /// `credit` that ends a call, and `cancel`: the client has no event ids and cannot come back, so that nothing of the call need be
    /// kept for it.
    pub const FORGET: Self = Self(32);
    /// `open`: the way is long, and both windows of the call begin with [`crate::link::window::FAR_DOUBLINGS`].
    pub const FAR: Self = Self(64);
    const KNOWN: u8 = 127;

    /// Returns whether every bit of `other` is set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the flags of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Frame. The payload shares memory with the batch that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Kind.
    pub kind: FrameKind,
    /// Flags.
    pub flags: Flags,
    /// `open`: header length; `end`: HTTP status hint; else 0.
    pub aux: u16,
    /// Call; [`CallId::LINK`] where the frame concerns the link.
    pub call: CallId,
    /// Number of the chunk, or the position that `credit`, `attach` and `accepted` name.
    pub seq: Seq,
    /// Raw bytes, at most [`MAX_CHUNK`].
    pub payload: Bytes,
}

impl Frame {
    /// Makes a frame without payload.
    pub fn bare(kind: FrameKind, call: CallId, seq: Seq) -> Self {
        Self { kind, flags: Flags::NONE, aux: 0, call, seq, payload: Bytes::new() }
    }

    /// Returns the bytes that the frame takes in a batch.
    pub fn encoded_len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// Appends the frame to a batch.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(self.encoded_len());
        out.put_slice(&self.encode_header());
        out.put_slice(&self.payload);
    }

    /// Returns the header of the frame as it precedes the payload in a batch. All integers are big-endian.
    pub fn encode_header(&self) -> [u8; HEADER_LEN] {
        debug_assert!(self.payload.len() <= MAX_CHUNK, "chunking keeps payloads within MAX_CHUNK");
        let mut header = [0; HEADER_LEN];
        let mut out = &mut header[..];
        out.put_u8(self.kind as u8);
        out.put_u8(self.flags.0);
        out.put_u16(self.aux);
        out.put_u32(u32::try_from(self.payload.len()).unwrap_or(u32::MAX));
        out.put_u128(self.call.0);
        out.put_u64(self.seq);
        header
    }

    /// Takes the next frame off a batch; `None` at its end. Never allocates: the payload is a slice of `batch`.
    ///
    /// # Errors
    /// The bytes are not a frame; the link is closed with 1002.
    pub fn decode(batch: &mut Bytes) -> Result<Option<Self>, FrameError> {
        if batch.is_empty() {
            return Ok(None);
        }
        if batch.len() < HEADER_LEN {
            return Err(FrameError::Truncated { needed: HEADER_LEN, found: batch.len() });
        }
        let code = batch.get_u8();
        let kind = FrameKind::from_code(code).ok_or(FrameError::UnknownKind(code))?;
        let flags = Flags(batch.get_u8());
        if flags.0 & !Flags::KNOWN != 0 {
            return Err(FrameError::UnknownFlags(flags.0));
        }
        let aux = batch.get_u16();
        let len = batch.get_u32() as usize;
        let call = CallId(batch.get_u128());
        let seq = batch.get_u64();
        if len > MAX_CHUNK {
            return Err(FrameError::TooLong(len));
        }
        if batch.len() < len {
            return Err(FrameError::Truncated { needed: len, found: batch.len() });
        }
        if kind.is_about_a_call() == (call == CallId::LINK) {
            return Err(FrameError::WrongCall(kind));
        }
        let payload = batch.split_to(len);
        Ok(Some(Self { kind, flags, aux, call, seq, payload }))
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The batch ends inside a frame.
    #[error("frame cut short: {needed} bytes needed, {found} found")]
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes left in the batch.
        found: usize,
    },
    /// A kind that this version does not have.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    /// A flag that this version does not have.
    #[error("unknown frame flags {0:#04x}")]
    UnknownFlags(u8),
    /// A payload beyond [`MAX_CHUNK`].
    #[error("frame payload of {0} bytes, at most {MAX_CHUNK} allowed")]
    TooLong(usize),
    /// A call frame without call, or a link frame with one.
    #[error("{} frame with the wrong kind of call id", .0.name())]
    WrongCall(FrameKind),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        for (index, kind) in FrameKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index + 1);
            assert_eq!(FrameKind::from_code(kind as u8), Some(kind));
        }
        assert_eq!(FrameKind::from_code(0), None);
        assert_eq!(FrameKind::from_code(13), None);
    }

    #[test]
    fn a_batch_gives_its_frames_back_in_order() {
        let one = Frame {
            kind: FrameKind::End,
            flags: Flags::TOOL_ERROR,
            aux: 400,
            call: CallId(9),
            seq: 3,
            payload: Bytes::from_static(b"{}"),
        };
        let two = Frame::bare(FrameKind::Drain, CallId::LINK, 0);
        let mut out = BytesMut::new();
        one.encode(&mut out);
        two.encode(&mut out);
        let mut batch = out.freeze();
        assert_eq!(Frame::decode(&mut batch), Ok(Some(one)));
        assert_eq!(Frame::decode(&mut batch), Ok(Some(two)));
        assert_eq!(Frame::decode(&mut batch), Ok(None));
    }
}
