//! JSON-RPC responses put together from bytes: payloads are referred to, not built anew. Must not know HTTP.

use bytes::{BufMut, Bytes, BytesMut};
use protocol::mcp::era::Version;
use protocol::mcp::failure::Failure;

/// Up to this many bytes of payload, copying it into one buffer costs less than another segment.
const COPY_THRESHOLD: usize = 8 * 1024;

/// A few byte strings that belong together, handed out one after the other.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    parts: [Bytes; 3],
}

impl Segments {
    /// One piece.
    pub fn one(bytes: Bytes) -> Self {
        Self { parts: [bytes, Bytes::new(), Bytes::new()] }
    }

    /// Three pieces; with a short payload they become one.
    pub(crate) fn joined(mut head: Vec<u8>, payload: Bytes, tail: &[u8]) -> Self {
        if payload.len() <= COPY_THRESHOLD {
            head.reserve_exact(payload.len() + tail.len());
            head.extend_from_slice(&payload);
            head.extend_from_slice(tail);
            return Self::one(head.into());
        }
        Self { parts: [head.into(), payload, Bytes::copy_from_slice(tail)] }
    }

    /// The next piece that is not empty.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        self.parts.iter_mut().find(|part| !part.is_empty()).map(std::mem::take)
    }

    /// Bytes left.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that is left in one piece. Copies unless there is only one.
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

/// Which member a response has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// `result`.
    Result,
    /// `error`.
    Error,
}

/// Writes `{"jsonrpc":"2.0","id":…,"result":` to the end of `out`. `id` is raw JSON.
pub(crate) fn open_response(out: &mut Vec<u8>, id: &[u8], member: Member) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id);
    out.extend_from_slice(match member {
        Member::Result => br#","result":"#,
        Member::Error => br#","error":"#,
    });
}

/// A whole response. `id` and `payload` are raw JSON.
pub(crate) fn response(id: &[u8], member: Member, payload: Bytes) -> Segments {
    let room = if payload.len() <= COPY_THRESHOLD { payload.len() } else { 0 };
    let mut head = Vec::with_capacity(40 + id.len() + room);
    open_response(&mut head, id, member);
    Segments::joined(head, payload, b"}")
}

/// A whole error response; `null` stands for an id that could not be read.
pub(crate) fn error_response(id: Option<&[u8]>, failure: &Failure) -> Segments {
    response(id.unwrap_or(b"null"), Member::Error, failure.error_object().into())
}

/// What the edge says to one request.
pub(crate) enum Answer<S> {
    /// A whole response.
    Message(Segments),
    /// The response to `initialize`, and the version agreed on.
    Initialized(Version, Segments),
    /// Whatever a call brings.
    Call(S),
    /// An error.
    Error(Failure),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_payloads_are_joined_and_long_ones_referred_to() {
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
}
