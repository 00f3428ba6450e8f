//! Lines of a child's output with bounded memory. Must not know what the lines say.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes asked for at the beginning of a line: most are shorter.
const READ: usize = 16 * 1024;

/// Bytes asked for within a line: what a pipe holds.
const READ_ON: usize = 64 * 1024;

/// Lines up to here are copied: they must not keep a large buffer alive.
const COPIED: usize = 16 * 1024;

/// Bytes of the end of a line that is too long.
const TAIL: usize = 256;

/// Bounds of a reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caps {
    /// Longest line, in bytes.
    pub(super) line: usize,
    /// Bytes kept of the beginning of a longer one.
    pub(super) head: usize,
    /// Bytes of one line after which it counts as endless; `u64::MAX`: never.
    pub(super) endless: u64,
}

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// All of it.
    Whole(Bytes),
    /// It was too long; what lies between was thrown away.
    TooLong {
        /// Its beginning.
        head: Bytes,
        /// Its last bytes, without those that `head` has.
        tail: Bytes,
    },
}

/// Reads lines.
pub(super) struct Lines<R> {
    from: R,
    caps: Caps,
    buffer: BytesMut,
    /// Bytes of the buffer that have no line end.
    scanned: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads `from` within the bounds.
    pub(super) fn new(from: R, caps: Caps) -> Self {
        Self { from, caps, buffer: BytesMut::new(), scanned: 0 }
    }

    /// The next line; `None` at the end. Cancel-safe but within a line that is too long.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let end = self.line_end();
            if end.unwrap_or(self.buffer.len()) > self.caps.line {
                return self.skip().await.map(Some);
            }
            if let Some(at) = end {
                return Ok(Some(Line::Whole(self.take(at))));
            }
            if self.fill().await? == 0 {
                let rest = self.buffer.len();
                return Ok((rest > 0).then(|| Line::Whole(self.take(rest))));
            }
        }
    }

    fn line_end(&mut self) -> Option<usize> {
        let found = memchr::memchr(b'\n', self.buffer.get(self.scanned..)?);
        let at = found.map(|at| self.scanned + at);
        self.scanned = if at.is_some() { 0 } else { self.buffer.len() };
        at
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(if self.buffer.is_empty() { READ } else { READ_ON });
        self.from.read_buf(&mut self.buffer).await
    }

    /// Takes the line that ends before `at`, and its end.
    fn take(&mut self, at: usize) -> Bytes {
        self.scanned = 0;
        let end = if at.checked_sub(1).and_then(|last| self.buffer.get(last)) == Some(&b'\r') {
            at - 1
        } else {
            at
        };
        let next = (at + 1).min(self.buffer.len());
        if end <= COPIED {
            let line = Bytes::copy_from_slice(self.buffer.get(..end).unwrap_or_default());
            self.buffer.advance(next);
            return line;
        }
        let mut line = self.buffer.split_to(next);
        // What follows must not keep the long line's memory.
        self.buffer = BytesMut::from(&self.buffer[..]);
        line.truncate(end);
        line.freeze()
    }

    /// Reads on to the end of a line that is too long, in bounded memory.
    async fn skip(&mut self) -> io::Result<Line> {
        let head = Bytes::copy_from_slice(self.buffer.get(..self.caps.head).unwrap_or(&self.buffer));
        self.buffer.advance(head.len());
        let mut passed = head.len() as u64;
        loop {
            self.scanned = 0;
            if let Some(at) = self.line_end() {
                let line = self.buffer.split_to(at);
                let tail = Bytes::copy_from_slice(line.get(at.saturating_sub(TAIL)..).unwrap_or_default());
                self.buffer.advance(1);
                self.buffer = BytesMut::from(&self.buffer[..]);
                return Ok(Line::TooLong { head, tail });
            }
            let surplus = self.buffer.len().saturating_sub(TAIL);
            self.buffer.advance(surplus);
            passed = passed.saturating_add(surplus as u64);
            if passed > self.caps.endless {
                return Err(io::Error::other("a line without end"));
            }
            if self.fill().await? == 0 {
                let tail = self.buffer.split().freeze();
                return Ok(Line::TooLong { head, tail });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const CAPS: Caps = Caps { line: 100_000, head: 10, endless: 1_000_000 };

    async fn all(input: &[u8], caps: Caps) -> Vec<Line> {
        let mut lines = Lines::new(input, caps);
        let mut out = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            out.push(line);
        }
        out
    }

    fn whole(text: &str) -> Line {
        Line::Whole(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[tokio::test]
    async fn lines_end_with_either_end_or_none() {
        assert_eq!(all(b"a\r\n\nb\rc\nd", CAPS).await, [whole("a"), whole(""), whole("b\rc"), whole("d")]);
        assert_eq!(all(b"", CAPS).await, []);
    }

    #[tokio::test]
    async fn a_long_line_keeps_no_memory_of_its_neighbours() {
        let long = "x".repeat(90_000);
        let input = format!("short\n{long}\nafter\n");
        assert_eq!(all(input.as_bytes(), CAPS).await, [whole("short"), whole(&long), whole("after")]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_leaves_its_ends_and_the_next_line() {
        let input = format!("0123456789{}THE END\nnext\n", "x".repeat(500_000));
        let lines = all(input.as_bytes(), CAPS).await;
        let Line::TooLong { head, tail } = &lines[0] else { panic!("{lines:?}") };
        assert_eq!(&head[..], b"0123456789");
        assert_eq!(tail.len(), TAIL);
        assert!(tail.ends_with(b"xTHE END"));
        assert_eq!(lines[1..], [whole("next")]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_an_error_in_bounded_memory() {
        let input = vec![b'x'; 2_000_000];
        let mut lines = Lines::new(&input[..], CAPS);
        lines.next().await.unwrap_err();
        assert!(lines.buffer.capacity() < 400_000, "{}", lines.buffer.capacity());
    }

    proptest::proptest! {
        #[test]
        fn lines_do_not_depend_on_how_they_arrive(parts in proptest::collection::vec("[a\\r\\n]{0,40}", 0..20)) {
            let caps = Caps { line: 30, head: 8, endless: u64::MAX };
            let nothing: Box<dyn AsyncRead + Unpin> = Box::new(tokio::io::empty());
            let piecewise = parts.iter().fold(nothing, |before, part| Box::new(before.chain(part.as_bytes())));
            let read = async {
                let mut lines = Lines::new(piecewise, caps);
                let mut out = Vec::new();
                while let Some(line) = lines.next().await.unwrap() {
                    out.push(line);
                }
                (out, all(parts.concat().as_bytes(), caps).await)
            };
            let (piecewise, at_once) = read.now_or_never().unwrap();
            proptest::prop_assert_eq!(piecewise, at_once);
        }
    }
}
