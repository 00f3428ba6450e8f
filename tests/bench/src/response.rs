//! An incremental parser of one HTTP/1.1 response: head, then a body of known length or in chunks.
//!
//! Supports what mcp-relay and nginx send to keep-alive clients. Knows no sockets and keeps no body.

use memchr::{memchr, memmem};

use crate::error::BenchError;

/// Longest response head that is read, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The parts of the head that are needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Status code.
    pub(crate) status: u16,
    /// `Content-Type` starts with `application/json`.
    pub(crate) json: bool,
    /// `Mcp-Session-Id`, where there is one.
    pub(crate) session: Option<String>,
}

/// A consumer of a body.
pub(crate) trait Body {
    /// The next bytes of it.
    fn take(&mut self, piece: &[u8]);
}

impl Body for Vec<u8> {
    fn take(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Fixed(usize),
    ChunkSize(usize),
    ChunkData(usize),
    /// The line end after a chunk's data: how many of its two bytes are missing.
    ChunkEnd(usize),
    /// Trailer lines; how many bytes of the current line were seen.
    Trailer(usize),
    Done,
}

/// A response that is being read. [`Response::reset`] prepares it for the next one.
#[derive(Debug)]
pub(crate) struct Response {
    state: State,
    partial: Vec<u8>,
    head: Head,
}

impl Default for Response {
    fn default() -> Self {
        Self { state: State::Head, partial: Vec::new(), head: Head::default() }
    }
}

impl Response {
    /// Expects a new response.
    pub(crate) fn reset(&mut self) {
        self.state = State::Head;
        self.partial.clear();
    }

    /// What the head said; meaningful once [`Response::feed`] gave `true`.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Takes the next bytes off the socket; `true` when the response is whole. Bytes beyond its end are an error:
    /// the client does not pipeline.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], body: &mut impl Body) -> Result<bool, BenchError> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head => self.take_head(bytes)?,
                State::ChunkSize(size) => self.take_size(bytes, size)?,
                State::Fixed(left) | State::ChunkData(left) => self.take_data(bytes, left, body),
                State::ChunkEnd(left) => {
                    self.state = if left > 1 { State::ChunkEnd(left - 1) } else { State::ChunkSize(0) };
                    &bytes[1..]
                }
                State::Trailer(seen) => self.take_trailer(bytes, seen),
                State::Done => return Err(BenchError::BadResponse("bytes after the end of the response")),
            };
        }
        Ok(self.state == State::Done)
    }

    fn take_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], BenchError> {
        // The usual case, the whole head in one read, is parsed in place.
        if self.partial.is_empty()
            && let Some(end) = memmem::find(bytes, b"\r\n\r\n")
        {
            self.parse_head(&bytes[..end + 2])?;
            return Ok(&bytes[end + 4..]);
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        if let Some(end) = memmem::find(&self.partial, b"\r\n\r\n") {
            let head = std::mem::take(&mut self.partial);
            self.parse_head(&head[..end + 2])?;
            return Ok(&bytes[end + 4 - before..]);
        }
        if self.partial.len() > MAX_HEAD {
            return Err(BenchError::BadResponse("head too long"));
        }
        Ok(&[])
    }

    fn parse_head(&mut self, head: &[u8]) -> Result<(), BenchError> {
        let status = head
            .strip_prefix(b"HTTP/1.1 ")
            .and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok())
            .ok_or(BenchError::BadResponse("no HTTP/1.1 status line"))?;
        self.head = Head { status, ..Head::default() };
        let mut length = None;
        let mut chunked = false;
        let mut rest = &head[memchr(b'\n', head).map_or(head.len(), |at| at + 1)..];
        while let Some(end) = memchr(b'\n', rest) {
            let line = rest[..end].trim_ascii();
            rest = &rest[end + 1..];
            let Some(colon) = memchr(b':', line) else { continue };
            let value = line[colon + 1..].trim_ascii();
            let name = &line[..colon];
            if name.eq_ignore_ascii_case(b"content-length") {
                length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                chunked = value.eq_ignore_ascii_case(b"chunked");
            } else if name.eq_ignore_ascii_case(b"content-type") {
                self.head.json = value.starts_with(b"application/json");
            } else if name.eq_ignore_ascii_case(b"mcp-session-id") {
                self.head.session = Some(String::from_utf8_lossy(value).into_owned());
            }
        }
        self.state = match (length, chunked) {
            (_, true) => State::ChunkSize(0),
            (Some(0), _) => State::Done,
            (Some(length), _) => State::Fixed(length),
            (None, _) if status == 204 || status == 202 => State::Done,
            (None, _) => return Err(BenchError::BadResponse("neither Content-Length nor chunked")),
        };
        Ok(())
    }

    fn take_data<'a>(&mut self, bytes: &'a [u8], left: usize, body: &mut impl Body) -> &'a [u8] {
        let here = left.min(bytes.len());
        body.take(&bytes[..here]);
        self.state = match (self.state, left - here) {
            (State::Fixed(_), 0) => State::Done,
            (State::Fixed(_), left) => State::Fixed(left),
            (_, 0) => State::ChunkEnd(2),
            (_, left) => State::ChunkData(left),
        };
        &bytes[here..]
    }

    fn take_size<'a>(&mut self, bytes: &'a [u8], size: usize) -> Result<&'a [u8], BenchError> {
        let digit = match bytes[0] {
            b'\r' => {
                self.state = State::ChunkSize(size);
                return Ok(&bytes[1..]);
            }
            b'\n' => {
                self.state = if size == 0 { State::Trailer(0) } else { State::ChunkData(size) };
                return Ok(&bytes[1..]);
            }
            byte => char::from(byte).to_digit(16).ok_or(BenchError::BadResponse("bad chunk size"))? as usize,
        };
        let size = size.checked_mul(16).and_then(|s| s.checked_add(digit));
        self.state = State::ChunkSize(size.ok_or(BenchError::BadResponse("bad chunk size"))?);
        Ok(&bytes[1..])
    }

    fn take_trailer<'a>(&mut self, bytes: &'a [u8], seen: usize) -> &'a [u8] {
        self.state = match bytes[0] {
            b'\r' => State::Trailer(seen),
            b'\n' if seen == 0 => State::Done,
            b'\n' => State::Trailer(0),
            _ => State::Trailer(seen + 1),
        };
        &bytes[1..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXED: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s-1\r\ncontent-length: 5\r\n\r\nhello";
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n10\r\nlo, 16 bytes her\r\n1\r\ne\r\n0\r\nx-t: 1\r\n\r\n";

    /// Feeds `bytes` in pieces of `size` and gives what was read, and whether exactly the last piece completed it.
    fn read(bytes: &[u8], size: usize) -> Result<(Head, String), BenchError> {
        let mut response = Response::default();
        let mut body = Vec::new();
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        for (i, piece) in pieces.iter().enumerate() {
            assert_eq!(response.feed(piece, &mut body)?, i + 1 == pieces.len(), "piece {i} of size {size}");
        }
        Ok((response.head().clone(), String::from_utf8(body).unwrap()))
    }

    #[test]
    fn any_split_gives_the_same_response() {
        for size in 1..=FIXED.len() {
            let (head, body) = read(FIXED, size).unwrap();
            assert_eq!(head, Head { status: 200, json: true, session: Some("s-1".into()) });
            assert_eq!(body, "hello");
        }
        for size in 1..=CHUNKED.len() {
            assert_eq!(read(CHUNKED, size).unwrap().1, "hello, 16 bytes here");
        }
    }

    #[test]
    fn a_reader_is_reused_for_the_next_response() {
        let mut response = Response::default();
        for bytes in [CHUNKED, FIXED, b"HTTP/1.1 202 Accepted\r\n\r\n"] {
            response.reset();
            assert!(response.feed(bytes, &mut Vec::new()).unwrap());
        }
        assert_eq!(response.head(), &Head { status: 202, ..Head::default() });
    }

    #[test]
    fn what_is_not_a_response_is_refused() {
        for bytes in [
            &b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        ] {
            assert!(read(bytes, bytes.len()).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(Response::default().feed(&vec![b'x'; MAX_HEAD + 1], &mut Vec::new()).is_err());
    }
}
