//! The bytes of a request's head, looked through for a Content-Length: hyper removes it where there is a Transfer-Encoding too, so
//! that its users cannot see that both were sent (RFC 9112, 6.1). Must not know what the headers say.

use memchr::memchr_iter;

/// The name of the header, as each line is compared with it.
const NAME: &[u8] = b"content-length:";

/// Whether the head of a request had a Content-Length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Declared,
    Absent,
    /// The head was not seen from its start to its end: it came in one piece with the request before it.
    Unseen,
}

/// The head of the next request, as far as it arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RawHead {
    line: Line,
    /// Whether the first line was one of a request.
    is_request: bool,
    is_complete: bool,
    has_length: bool,
}

/// The line of a head that is not complete yet.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// How many of its bytes were seen, but for the carriage return.
    seen: usize,
    /// How many of them are those of the name; `None`: it is another one.
    matched: Option<usize>,
    /// Whether there was a colon or a space, and which of them was the first.
    separator: Option<u8>,
}

impl Line {
    /// Takes the bytes that came next, as far as they say anything. `is_first`: it may be the line of the request.
    fn read(&mut self, bytes: &[u8], is_first: bool) {
        for byte in bytes.iter().filter(|byte| **byte != b'\r') {
            if self.is_decided(is_first) {
                return;
            }
            self.read_byte(*byte);
        }
    }

    fn read_byte(&mut self, byte: u8) {
        if matches!(byte, b':' | b' ') {
            self.separator = self.separator.or(Some(byte));
        }
        if self.seen == 0 {
            self.matched = Some(0);
        }
        self.matched = self.matched.and_then(|matched| match NAME.get(matched) {
            None => Some(matched),
            Some(expected) => byte.eq_ignore_ascii_case(expected).then_some(matched + 1),
        });
        self.seen += 1;
    }

    /// Returns whether the rest of the line says nothing more. `is_first`: it may be the line of the request.
    fn is_decided(&self, is_first: bool) -> bool {
        self.seen > 0
            && self.matched.is_none_or(|matched| matched == NAME.len())
            && (!is_first || self.separator.is_some())
    }
}

/// Returns whether a whole line is the header; `None` where that needs a look at each byte.
fn names_length(line: &[u8]) -> Option<bool> {
    let name = line.get(..NAME.len()).filter(|name| !name.contains(&b'\r'))?;
    Some(name.eq_ignore_ascii_case(NAME))
}

impl RawHead {
    /// Takes the bytes that came next; those after the end of the head are not looked at.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let (mut start, mut ends) = (0, memchr_iter(b'\n', bytes));
        while !self.is_complete {
            let end = ends.next();
            let whole = end.filter(|_| self.is_request && self.line.seen == 0).map(|end| &bytes[start..end]);
            if let (Some(end), Some(is_length)) = (end, whole.and_then(names_length)) {
                self.has_length |= is_length;
                start = end + 1;
                continue;
            }
            self.line.read(&bytes[start..end.unwrap_or(bytes.len())], !self.is_request);
            let Some(end) = end else { return };
            self.end_line();
            start = end + 1;
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let is_first = !self.is_request;
        if line.seen == 0 {
            // Empty lines before a request are skipped (RFC 9112, 2.2).
            self.is_complete = self.is_request;
        } else if is_first {
            self.is_request = true;
            // The rest of a head whose start was not seen begins with a header, or with a part of one.
            self.is_complete = line.separator != Some(b' ');
            self.is_request &= !self.is_complete;
        } else {
            self.has_length |= line.matched == Some(NAME.len());
        }
    }

    /// Returns what was seen.
    pub(super) fn length(self) -> Length {
        match (self.is_complete && self.is_request, self.has_length) {
            (false, _) => Length::Unseen,
            (true, true) => Length::Declared,
            (true, false) => Length::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(pieces: &[&[u8]]) -> Length {
        let mut head = RawHead::default();
        for piece in pieces {
            head.read(piece);
        }
        head.length()
    }

    #[test]
    fn a_length_is_seen_wherever_it_is_and_in_any_pieces() {
        for (head, expected) in [
            (
                "POST /mcp HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                Length::Declared,
            ),
            (
                "POST /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH:5\r\n\r\n",
                Length::Declared,
            ),
            ("\r\n\nPOST /mcp HTTP/1.1\nContent-Length: 5\n\n", Length::Declared),
            ("POST /mcp HTTP/1.1\r\nX-Content-Length: 5\r\nContent-Lengths: 5\r\n\r\n", Length::Absent),
            ("POST /content-length:5 HTTP/1.1\r\nA: content-length:5\r\n\r\n", Length::Absent),
            ("POST /mcp HTTP/1.1\r\nHost: proxy.example\r\nContent-Length: 5\r\n\r\n", Length::Declared),
            ("POST /mcp HTTP/1.1\r\nHost: proxy.example\r\nContent-Lengths: 5\r\n\r\n", Length::Absent),
            ("POST /mcp HTTP/1.1\nHost: proxy.example\nConte\rnt-Length: 5\n\n", Length::Declared),
            ("POST /mcp HTTP/1.1\r\nA: b\r\n\r\nContent-Length: 5\r\n\r\n", Length::Absent),
            ("POST /mcp HTTP/1.1\r\nContent-Length: 5\r\n", Length::Unseen),
            ("ength: 5\r\nHost: a\r\n\r\n", Length::Unseen),
            ("Content-Length: 5\r\n\r\n", Length::Unseen),
            ("5\r\nA b\r\n\r\n", Length::Unseen),
            ("", Length::Unseen),
        ] {
            for at in 0..=head.len() {
                let (one, two) = head.as_bytes().split_at(at);
                assert_eq!(length(&[one, two]), expected, "{head:?} at {at}");
            }
        }
    }
}
