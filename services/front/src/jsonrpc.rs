//! JSON-RPC responses composed of byte strings: payloads are referred to, not parsed or copied. Must not know HTTP.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use protocol::mcp::era::{Era, Version};
use protocol::mcp::failure::Failure;

/// Longest payload, in bytes, that is copied into one buffer: up to here a copy costs less than another segment.
const COPY_THRESHOLD: usize = 8 * 1024;

/// Byte strings that form one message, taken one after the other: head, payload and tail.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    parts: [Bytes; 3],
    /// Rest of a payload that came in pieces, before the tail.
    rest: VecDeque<Bytes>,
}

impl Segments {
    /// Creates a message of one segment.
    pub fn one(bytes: Bytes) -> Self {
        Self { parts: [bytes, Bytes::new(), Bytes::new()], rest: VecDeque::new() }
    }

    /// Creates a message of head, payload and tail. A short payload is copied, so that one segment results.
    pub(crate) fn joined(mut head: Vec<u8>, payload: Bytes, tail: &[u8]) -> Self {
        if payload.len() <= COPY_THRESHOLD {
            head.reserve_exact(payload.len() + tail.len());
            head.extend_from_slice(&payload);
            head.extend_from_slice(tail);
            return Self::one(head.into());
        }
        Self { parts: [head.into(), payload, Bytes::copy_from_slice(tail)], rest: VecDeque::new() }
    }

    /// Takes the next segment that is not empty.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let [head, payload, tail] = &mut self.parts;
        if let Some(part) = [head, payload].into_iter().find(|part| !part.is_empty()) {
            return Some(std::mem::take(part));
        }
        while let Some(part) = self.rest.pop_front() {
            if !part.is_empty() {
                return Some(part);
            }
        }
        (!tail.is_empty()).then(|| std::mem::take(tail))
    }

    /// Number of bytes left.
    pub fn len(&self) -> usize {
        self.parts.iter().chain(&self.rest).map(Bytes::len).sum()
    }

    /// Whether no bytes are left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns all bytes left in one piece. Copies them unless they are one segment.
    pub fn into_bytes(mut self) -> Bytes {
        let Some(first) = self.pop() else { return Bytes::new() };
        if self.is_empty() {
            return first;
        }
        let mut all = BytesMut::with_capacity(first.len() + self.len());
        all.put(first);
        while let Some(part) = self.pop() {
            all.put(part);
        }
        all.freeze()
    }
}

/// Member of a response that holds its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// `result`.
    Result,
    /// `error`.
    Error,
}

/// Appends `{"jsonrpc":"2.0","id":…,"result":` to `out`. `id` is raw JSON.
pub(crate) fn open_response(out: &mut Vec<u8>, id: &[u8], member: Member) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id);
    out.extend_from_slice(match member {
        Member::Result => br#","result":"#,
        Member::Error => br#","error":"#,
    });
}

/// Builds a complete response. `id` and `payload` are raw JSON.
pub(crate) fn response(id: &[u8], member: Member, payload: Bytes) -> Segments {
    let copied = if payload.len() <= COPY_THRESHOLD { payload.len() } else { 0 };
    let mut head = Vec::with_capacity(40 + id.len() + copied);
    open_response(&mut head, id, member);
    Segments::joined(head, payload, b"}")
}

/// Builds a complete response of a payload that came in pieces.
pub(crate) fn response_of_pieces(id: &[u8], member: Member, mut pieces: VecDeque<Bytes>) -> Segments {
    let first = pieces.pop_front().unwrap_or_default();
    if pieces.is_empty() {
        return response(id, member, first);
    }
    let mut head = Vec::with_capacity(40 + id.len());
    open_response(&mut head, id, member);
    Segments { parts: [head.into(), first, Bytes::from_static(b"}")], rest: pieces }
}

/// What stands in place of the id in an error response to a message whose id could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownId {
    /// `null`, as JSON-RPC 2.0 has it and with it the versions of MCP before 2025-11-25.
    Null,
    /// No member: the schemas since 2025-11-25 forbid `null` (`JSONRPCErrorResponse`), and so do SDKs, whatever version they speak.
    Absent,
}

impl UnknownId {
    /// Returns what a client of this version gets.
    pub(crate) fn of(version: Version) -> Self {
        if version < Version::V2025_11_25 { Self::Null } else { Self::Absent }
    }
}

/// Builds a complete error response. Without an id, a legacy client is one of a version before 2025-11-25.
pub(crate) fn error_response(id: Option<&[u8]>, failure: &Failure, era: Era) -> Segments {
    let unknown = if era == Era::Modern { UnknownId::Absent } else { UnknownId::Null };
    match id {
        Some(id) => response(id, Member::Error, failure.error_object(era).into()),
        None => Segments::one(error_without_id(failure, era, unknown).into()),
    }
}

/// Builds a complete error response to a message whose id could not be read.
pub(crate) fn error_without_id(failure: &Failure, era: Era, id: UnknownId) -> String {
    let id = if id == UnknownId::Null { r#""id":null,"# } else { "" };
    format!(r#"{{"jsonrpc":"2.0",{id}"error":{}}}"#, failure.error_object(era))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_payloads_are_copied_and_long_ones_referred_to() {
        let mut short = response(b"\"a\"", Member::Result, Bytes::from_static(b"{}"));
        assert_eq!(short.len(), 38);
        assert_eq!(&short.pop().unwrap()[..], br#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
        assert!(short.pop().is_none());

        let payload = Bytes::from(vec![b'7'; COPY_THRESHOLD + 1]);
        let mut long = response(b"1", Member::Error, payload.clone());
        let whole = long.clone().into_bytes();
        assert_eq!(&long.pop().unwrap()[..], br#"{"jsonrpc":"2.0","id":1,"error":"#);
        assert_eq!(long.pop().unwrap().as_ptr(), payload.as_ptr());
        assert_eq!(&long.pop().unwrap()[..], b"}");
        assert!(long.pop().is_none() && long.is_empty());
        assert!(whole.ends_with(b"7}"));
    }

    #[test]
    fn pieces_are_taken_in_their_order_whichever_are_empty() {
        for pieces in [&[][..], &["{}"], &["{", "}"], &["", "{", "", "}", ""], &["[1", ",2", ",3]"]] {
            let all: VecDeque<_> = pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
            let mut message = response_of_pieces(b"1", Member::Result, all);
            let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#, pieces.concat());
            assert_eq!(message.len(), expected.len());
            assert_eq!(message.clone().into_bytes(), expected);
            let mut taken = Vec::new();
            while let Some(segment) = message.pop() {
                taken.extend_from_slice(&segment);
                assert_eq!(message.len(), expected.len() - taken.len());
            }
            assert_eq!(taken, expected.as_bytes());
        }
    }
}
