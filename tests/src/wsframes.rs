//! Splits a byte stream into WebSocket frames, so that faults can strike at one native frame. Knows nothing of sockets.
//!
//! A unit is forwarded as a whole: the HTTP upgrade, or one WebSocket frame. A native batch is split into one WebSocket
//! message for each frame, which means the same to the receiver.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use protocol::link::frame::{Frame, FrameKind};

const BINARY: u8 = 0x2;
/// Length byte: two bytes of length follow.
const MEDIUM: u8 = 0x7e;
/// Length byte: eight bytes of length follow.
const LONG: u8 = 0x7f;

/// Bytes that are forwarded as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The received bytes, or equivalent ones.
    pub bytes: Bytes,
    /// The native frame inside, if it is one.
    pub frame: Option<Frame>,
}

/// Cuts one direction of a connection into units.
#[derive(Debug, Default)]
pub struct Scanner {
    pending: BytesMut,
    upgraded: bool,
}

impl Scanner {
    /// Takes bytes and returns the units that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Unit> {
        self.pending.extend_from_slice(bytes);
        let mut units = Vec::new();
        while self.cut(&mut units) {}
        units
    }

    fn cut(&mut self, units: &mut Vec<Unit>) -> bool {
        if !self.upgraded {
            let Some(end) = self.pending.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
            units.push(Unit { bytes: self.pending.split_to(end + 4).freeze(), frame: None });
            self.upgraded = true;
            return true;
        }
        let Some((header, length)) = measure(&self.pending) else { return false };
        if self.pending.len() < header + length {
            return false;
        }
        units.extend(split(&self.pending.split_to(header + length).freeze(), header));
        true
    }
}

/// Returns the lengths of the WebSocket header and of the payload; `None` while the header is incomplete.
fn measure(bytes: &[u8]) -> Option<(usize, usize)> {
    let second = *bytes.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (at, length) = match second & 0x7f {
        MEDIUM => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        LONG => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some((at + mask, length))
}

fn split(bytes: &Bytes, header: usize) -> Vec<Unit> {
    let whole = vec![Unit { bytes: bytes.clone(), frame: None }];
    // FIN and opcode "binary": the only messages with content of the native dialect.
    if bytes[0] != 0x80 | BINARY {
        return whole;
    }
    let masked = bytes[1] & 0x80 != 0;
    let mut payload = bytes[header..].to_vec();
    if masked {
        let key: [u8; 4] = bytes[header - 4..header].try_into().expect("four bytes of key");
        payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    }
    let mut batch = Bytes::from(payload);
    let mut units = Vec::new();
    while let Ok(Some(frame)) = Frame::decode(&mut batch) {
        units.push(Unit { bytes: wrap(&frame, masked), frame: Some(frame) });
    }
    // A message that is no batch is forwarded as received.
    if batch.has_remaining() || units.is_empty() { whole } else { units }
}

/// Returns a frame as a WebSocket message, masked with zeros where masking is required.
fn wrap(frame: &Frame, masked: bool) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0x80 | BINARY);
    let flag = if masked { 0x80 } else { 0 };
    match u16::try_from(frame.encoded_len()) {
        Ok(short) if short < 126 => out.put_u8(flag | u8::try_from(short).expect("below 126")),
        Ok(medium) => {
            out.put_u8(flag | MEDIUM);
            out.put_u16(medium);
        }
        Err(_) => {
            out.put_u8(flag | LONG);
            out.put_u64(frame.encoded_len() as u64);
        }
    }
    if masked {
        out.put_u32(0);
    }
    frame.encode(&mut out);
    out.freeze()
}

/// The kind of a unit's frame.
pub fn kind(unit: &Unit) -> Option<FrameKind> {
    unit.frame.as_ref().map(|frame| frame.kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::link::ids::CallId;

    fn batch(masked: bool) -> Vec<u8> {
        let long = Frame { payload: vec![7; 60_000].into(), ..Frame::bare(FrameKind::Event, CallId(1), 4) };
        let mut payload = BytesMut::new();
        Frame::bare(FrameKind::Accepted, CallId(1), 1).encode(&mut payload);
        long.encode(&mut payload);
        let mut out = vec![0x82, if masked { 0x80 } else { 0 } | 127];
        out.extend((payload.len() as u64).to_be_bytes());
        if masked {
            let key = [1, 2, 3, 4];
            out.extend(key);
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        }
        out.extend(payload);
        out
    }

    #[test]
    fn a_batch_is_split_from_pieces_of_any_size_and_can_be_split_again() {
        for masked in [false, true] {
            let mut stream = b"GET / HTTP/1.1\r\na: b\r\n\r\n".to_vec();
            stream.extend(batch(masked));
            stream.extend([0x81, 2, b'h', b'i']);
            for size in [1, 7, 1000, stream.len()] {
                let mut scanner = Scanner::default();
                let units: Vec<Unit> = stream.chunks(size).flat_map(|chunk| scanner.push(chunk)).collect();
                let kinds: Vec<_> = units.iter().map(kind).collect();
                assert_eq!(kinds, [None, Some(FrameKind::Accepted), Some(FrameKind::Event), None]);
                let mut again = Scanner::default();
                let joined: Vec<u8> = units.iter().flat_map(|unit| unit.bytes.to_vec()).collect();
                assert_eq!(again.push(&joined), units);
            }
        }
    }
}
