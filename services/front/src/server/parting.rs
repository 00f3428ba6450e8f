//! What a client is told before its connection ends without a response: that its request's head took too long, or that HTTP/2 without
//! negotiation is not spoken. Must not know connections.

use protocol::mcp::failure::Failure;

use super::automatic::answer;
use super::progress::Overdue;

/// First bytes of a client that speaks HTTP/2 without having negotiated it (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What an HTTP/2 client reads before the connection ends.
const ONLY_HTTP_1: &[u8] = b"this port speaks HTTP/1.1";

/// Code of GOAWAY by which a server asks for HTTP/1.1 (RFC 9113, 7: `HTTP_1_1_REQUIRED`).
const HTTP_1_1_REQUIRED: u8 = 0x0d;

/// The first bytes of a connection, as far as they tell what the client speaks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Opening {
    /// How many bytes were looked at.
    read: usize,
    /// Whether one of them is not the preface's.
    differs: bool,
}

impl Opening {
    /// Takes the bytes that came next.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        if let Some(expected) = PREFACE.get(self.read..).filter(|_| !self.differs) {
            self.differs = bytes.iter().zip(expected).any(|(byte, expected)| byte != expected);
        }
        self.read = self.read.saturating_add(bytes.len()).min(PREFACE.len() + 1);
    }

    fn is_http_2(self) -> bool {
        !self.differs && self.read >= PREFACE.len()
    }

    /// Returns what is written before the connection ends; `None`: nothing. `overdue`: what the connection ends for, if it is that.
    pub(super) fn parting_words(self, overdue: Option<Overdue>) -> Option<Vec<u8>> {
        if self.is_http_2() {
            return Some(go_away());
        }
        // A client that has sent nothing may have opened the connection for later.
        let is_slow = overdue == Some(Overdue::Head) && self.read > 0;
        is_slow.then(|| answer(&Failure::HeadTimeout).into_bytes())
    }
}

/// Returns an empty SETTINGS frame and a GOAWAY frame.
fn go_away() -> Vec<u8> {
    let length = u8::try_from(8 + ONLY_HTTP_1.len()).unwrap_or(u8::MAX);
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let head = [0, 0, length, 7, 0, 0, 0, 0, 0];
    [&settings[..], &head, &[0; 4], &[0, 0, 0, HTTP_1_1_REQUIRED], ONLY_HTTP_1].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(parts: &[&[u8]], overdue: Option<Overdue>) -> Option<Vec<u8>> {
        let mut opening = Opening::default();
        for part in parts {
            opening.read(part);
        }
        opening.parting_words(overdue)
    }

    #[test]
    fn a_preface_in_any_pieces_gets_go_away_and_a_head_timeout_its_status() {
        for at in 0..PREFACE.len() {
            let (one, two) = PREFACE.split_at(at);
            assert_eq!(words(&[one, two], None), Some(go_away()), "{at}");
        }
        assert_eq!(words(&[PREFACE, b"more"], Some(Overdue::Head)), Some(go_away()));
        assert_eq!(words(&[b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n"], None), None);
        assert_eq!(words(&[], Some(Overdue::Head)), None, "opened for later");
        assert_eq!(words(&[b"POST /mcp HT"], Some(Overdue::Idle)), None);
        let slow = String::from_utf8(words(&[b"POST /mcp HT"], Some(Overdue::Head)).unwrap()).unwrap();
        assert!(slow.starts_with("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"), "{slow}");
        assert!(slow.contains("head_timeout"), "{slow}");
    }

    #[test]
    fn the_frames_have_the_lengths_that_they_say() {
        let bytes = go_away();
        assert_eq!(bytes.len(), 9 + 9 + usize::from(bytes[9 + 2]));
        assert_eq!((bytes[3], bytes[9 + 3]), (4, 7));
        assert!(bytes.ends_with(ONLY_HTTP_1));
    }
}
