//! A reader of lines with bounded memory, for the output of child processes. Must not know what the lines say.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a read at the beginning of a line, and the least that is worth a read within one: most lines are shorter.
const FIRST_READ_SIZE: usize = 16 * 1024;

/// Most bytes that are set aside for a line after a long one: a child that has written one is likely to write another.
const MAX_EXPECTED: usize = 128 * 1024;

/// Bytes of a read within a line: what a pipe holds.
const READ_SIZE: usize = 64 * 1024;

/// Bytes up to which a line is copied, so that it does not keep a large buffer alive.
const COPY_THRESHOLD: usize = 16 * 1024;

/// The limits of a line reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineLimits {
    /// Bytes of the longest line that is read as a whole.
    pub(super) line: usize,
    /// Bytes that are kept of the beginning of a longer line.
    pub(super) head: usize,
    /// Bytes of one line after which reading fails; `u64::MAX`: never.
    pub(super) endless: u64,
}

/// A line without its line end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The whole line.
    Whole(Bytes),
    /// The first bytes of a line that was too long; the others were dropped.
    TooLong(Bytes),
}

/// A reader of lines.
pub(super) struct LineReader<R> {
    from: R,
    limits: LineLimits,
    buffer: BytesMut,
    /// Bytes at the beginning of the buffer that are known to contain no line end.
    scanned: usize,
    /// Length of the last line, if it was a long one.
    expected: usize,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Returns a reader of `from` with these limits.
    pub(super) fn new(from: R, limits: LineLimits) -> Self {
        Self { from, limits, buffer: BytesMut::new(), scanned: 0, expected: 0 }
    }

    /// Returns the next line; `None` at the end. Cancel-safe, except within a line that is too long.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        self.next_watched(|_| {}).await
    }

    /// Returns the next line as [`Self::next`] does. All bytes of a line that is too long are shown to `watch` while they are dropped.
    pub(super) async fn next_watched(&mut self, mut watch: impl FnMut(&[u8])) -> io::Result<Option<Line>> {
        loop {
            let end = self.line_end();
            if end.unwrap_or(self.buffer.len()) > self.limits.line {
                return self.skip(&mut watch).await.map(Some);
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
        if self.buffer.is_empty() {
            self.buffer.reserve(FIRST_READ_SIZE.max(self.expected));
        } else if self.buffer.capacity() - self.buffer.len() < FIRST_READ_SIZE {
            self.buffer.reserve(READ_SIZE);
        }
        self.from.read_buf(&mut self.buffer).await
    }

    /// Takes the line that ends before `at`, and its line end, out of the buffer.
    fn take(&mut self, at: usize) -> Bytes {
        self.scanned = 0;
        let end = if at.checked_sub(1).and_then(|last| self.buffer.get(last)) == Some(&b'\r') {
            at - 1
        } else {
            at
        };
        let next = (at + 1).min(self.buffer.len());
        self.expected = 0;
        if end <= COPY_THRESHOLD {
            let line = Bytes::copy_from_slice(self.buffer.get(..end).unwrap_or_default());
            self.buffer.advance(next);
            return line;
        }
        self.expected = (next + FIRST_READ_SIZE).min(MAX_EXPECTED);
        let mut line = self.buffer.split_to(next);
        // The bytes that follow must not keep the long line's memory.
        self.buffer = BytesMut::from(&self.buffer[..]);
        line.truncate(end);
        line.freeze()
    }

    /// Reads to the end of a line that is too long, in bounded memory.
    async fn skip(&mut self, watch: &mut impl FnMut(&[u8])) -> io::Result<Line> {
        let head = Bytes::copy_from_slice(self.buffer.get(..self.limits.head).unwrap_or(&self.buffer));
        self.scanned = 0;
        let mut skipped = 0_u64;
        loop {
            let end = self.line_end();
            watch(self.buffer.get(..end.unwrap_or(self.buffer.len())).unwrap_or_default());
            if let Some(at) = end {
                self.buffer.advance(at + 1);
                // The bytes that follow must not keep the long line's memory.
                self.buffer = BytesMut::from(&self.buffer[..]);
                return Ok(Line::TooLong(head));
            }
            skipped = skipped.saturating_add(self.buffer.len() as u64);
            if skipped > self.limits.endless {
                return Err(io::Error::other("a line without end"));
            }
            self.buffer.clear();
            self.scanned = 0;
            if self.fill().await? == 0 {
                return Ok(Line::TooLong(head));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const LIMITS: LineLimits = LineLimits { line: 100_000, head: 10, endless: 1_000_000 };

    async fn all(input: &[u8], limits: LineLimits) -> Vec<Line> {
        let mut lines = LineReader::new(input, limits);
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
    async fn lines_end_with_lf_crlf_or_the_end_of_input() {
        assert_eq!(all(b"a\r\n\nb\rc\nd", LIMITS).await, [whole("a"), whole(""), whole("b\rc"), whole("d")]);
        assert_eq!(all(b"", LIMITS).await, []);
    }

    #[tokio::test]
    async fn lines_around_a_long_line_are_read_whole() {
        let long = "x".repeat(90_000);
        let input = format!("short\n{long}\nafter\n");
        assert_eq!(all(input.as_bytes(), LIMITS).await, [whole("short"), whole(&long), whole("after")]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_shown_and_dropped_and_the_next_line_is_read() {
        let long = format!("0123456789{}THE END", "x".repeat(500_000));
        let input = format!("{long}\nnext\n");
        let mut lines = LineReader::new(input.as_bytes(), LIMITS);
        let mut shown = Vec::new();
        let line = lines.next_watched(|piece| shown.extend_from_slice(piece)).await.unwrap();
        assert_eq!(line, Some(Line::TooLong("0123456789".into())));
        assert!(shown == long.as_bytes());
        assert_eq!(lines.next_watched(|_| unreachable!()).await.unwrap(), Some(whole("next")));
        assert!(lines.buffer.capacity() < 100_000, "{}", lines.buffer.capacity());
    }

    #[tokio::test]
    async fn an_endless_line_fails_in_bounded_memory() {
        let input = vec![b'x'; 2_000_000];
        let mut lines = LineReader::new(&input[..], LIMITS);
        lines.next().await.unwrap_err();
        assert!(lines.buffer.capacity() < 400_000, "{}", lines.buffer.capacity());
    }

    proptest::proptest! {
        #[test]
        fn lines_do_not_depend_on_the_sizes_of_reads(parts in proptest::collection::vec("[a\\r\\n]{0,40}", 0..20)) {
            let limits = LineLimits { line: 30, head: 8, endless: u64::MAX };
            let nothing: Box<dyn AsyncRead + Unpin> = Box::new(tokio::io::empty());
            let piecewise = parts.iter().fold(nothing, |before, part| Box::new(before.chain(part.as_bytes())));
            let read = async {
                let mut lines = LineReader::new(piecewise, limits);
                let mut out = Vec::new();
                while let Some(line) = lines.next().await.unwrap() {
                    out.push(line);
                }
                (out, all(parts.concat().as_bytes(), limits).await)
            };
            let (piecewise, at_once) = read.now_or_never().unwrap();
            proptest::prop_assert_eq!(piecewise, at_once);
        }
    }
}
