//! The reader of server-sent events (WHATWG HTML, 9.2.6, "Interpreting an event stream"): bytes in, events out. Must not know what events
//! say, nor sockets.

use std::time::Duration;

/// UTF-8's byte order mark, which may stand in front of a stream.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Longest wait before a new connection that a server may ask for.
const MAX_RETRY: Duration = Duration::from_mins(1);

/// An event. One without `data` is passed as well if it has an `id` or a `retry`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `id`, where the event has one that may be used.
    pub id: Option<String>,
    /// `event`; empty where the event has none.
    pub name: String,
    /// The lines of `data`, joined by newlines. Not checked to be UTF-8.
    pub data: Vec<u8>,
    /// `retry`, at most a minute.
    pub retry: Option<Duration>,
}

/// An event has more bytes than its reader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {0} bytes")]
pub struct EventTooLong(pub usize);

/// A reader of one stream, which holds one event at most.
#[derive(Debug)]
pub struct EventReader {
    limit: usize,
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// Whether a line feed ends the line that a carriage return has ended already.
    after_return: bool,
    at_start: bool,
}

impl EventReader {
    /// Returns a reader of events of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: Event::default(),
            has_data: false,
            after_return: false,
            at_start: true,
        }
    }

    /// Takes the next bytes and adds the events that they end.
    ///
    /// # Errors
    /// An event is too long: the stream cannot be read on.
    pub fn feed(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), EventTooLong> {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.line.extend_from_slice(piece);
            if self.line.len() + self.event.data.len() > self.limit {
                return Err(EventTooLong(self.limit));
            }
            let Some((end, rest)) = rest.split_first() else { break };
            self.after_return = *end == b'\r';
            bytes = rest;
            let line = std::mem::take(&mut self.line);
            self.on_line(&line, events);
        }
        Ok(())
    }

    fn on_line(&mut self, line: &[u8], events: &mut Vec<Event>) {
        let at_start = std::mem::take(&mut self.at_start);
        let line = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| at_start).unwrap_or(line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) || event.id.is_some() || event.retry.is_some() {
                events.push(event);
            }
            return;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        self.on_field(field, value);
    }

    fn on_field(&mut self, field: &[u8], value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match field {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            b"event" => self.event.name = text(),
            b"id" if !value.contains(&0) => self.event.id = Some(text()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let wanted = text().parse().map_or(MAX_RETRY, Duration::from_millis);
                self.event.retry = Some(wanted.min(MAX_RETRY));
            }
            // A comment, or a field without a meaning.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<Event> {
        let (mut reader, mut events) = (EventReader::new(1000), Vec::new());
        for piece in pieces {
            reader.feed(piece, &mut events).unwrap();
        }
        events
    }

    fn data(text: &str) -> Vec<String> {
        read(&[text.as_bytes()])
            .into_iter()
            .map(|event| String::from_utf8_lossy(&event.data).into_owned())
            .collect()
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        for (text, expected) in [
            ("data: a\n\n", &["a"][..]),
            ("data:a\r\rdata:b\r\n\r\n", &["a", "b"]),
            ("\u{feff}data: a\ndata:  b\ndata\n\n", &["a\n b\n"]),
            (": comment\n\ndata: a\n\n:\n\n", &["a"]),
            ("event: x\n\ndata: a\n\n", &["a"]),
            ("data: cut off", &[]),
            ("data: cut off\n", &[]),
            ("id: 1\nretry: 5\n\n", &[""]),
            ("DATA: a\nunknown: b\n\n", &[]),
        ] {
            assert_eq!(data(text), expected, "{text:?}");
        }
        let one = &read(&[b"id: 7\nevent: message\nretry: 250\ndata: x\n\n"])[0];
        assert_eq!((one.id.as_deref(), one.name.as_str()), (Some("7"), "message"));
        assert_eq!(one.retry, Some(Duration::from_millis(250)));
        let odd = &read(&[b"id: a\0b\nretry: -1\nretry: 99999999999999999999999\ndata: x\n\n"])[0];
        assert_eq!((odd.id.as_deref(), odd.retry), (None, Some(MAX_RETRY)));
    }

    #[test]
    fn what_is_held_is_bounded() {
        for piece in ["data: aaaaaaaa", "data: a\n", ":aaaaaaaaa"] {
            let (mut reader, mut events) = (EventReader::new(100), Vec::new());
            let mut fed = (0..1000).map(|_| reader.feed(piece.as_bytes(), &mut events));
            assert!(fed.any(|fed| fed == Err(EventTooLong(100))), "{piece:?}");
        }
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_how_bytes_arrive(
            text in "(data|id|event|retry|:|\r|\n|\r\n|a| ){0,60}",
            cuts in proptest::collection::vec(0_usize..200, 0..6),
        ) {
            let whole = read(&[text.as_bytes()]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(read(&pieces), whole);
        }
    }
}
