//! A parser of server-sent events. Knows nothing of HTTP or MCP.

use std::collections::VecDeque;

/// A server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `id:`, where given.
    pub id: Option<String>,
    /// `data:` lines joined by newlines; empty for a priming event.
    pub data: String,
    /// `retry:`, where given.
    pub retry: Option<String>,
}

/// Assembles events from bytes.
#[derive(Debug, Default)]
pub struct Parser {
    pending: Vec<u8>,
    event: Event,
    started: bool,
    ready: VecDeque<Event>,
    /// Comment lines seen (keep-alives).
    pub comments: usize,
}

impl Parser {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                let mut line = std::mem::take(&mut self.pending);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                self.line(&String::from_utf8(line).expect("SSE is UTF-8"));
            } else {
                self.pending.push(byte);
            }
        }
    }

    /// The next whole event, if there is one.
    pub fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            if std::mem::take(&mut self.started) {
                self.ready.push_back(std::mem::take(&mut self.event));
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comments += 1,
            "data" => self.data(value),
            "id" => self.set(|event| event.id = Some(value.to_owned())),
            "retry" => self.set(|event| event.retry = Some(value.to_owned())),
            "event" => assert_eq!(value, "message", "MCP uses the default event type"),
            _ => panic!("unexpected SSE line {line:?}"),
        }
    }

    fn set(&mut self, change: impl FnOnce(&mut Event)) {
        self.started = true;
        change(&mut self.event);
    }

    fn data(&mut self, value: &str) {
        self.started = true;
        if !self.event.data.is_empty() {
            self.event.data.push('\n');
        }
        self.event.data.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_assembled_from_pieces_of_any_size() {
        let text =
            b"id: 1\nretry: 5\ndata: \n\n: keep-alive\n\nevent: message\ndata: {\"a\":\r\ndata: 1}\n\n";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            text.chunks(size).for_each(|chunk| parser.push(chunk));
            let priming = Event { id: Some("1".into()), data: String::new(), retry: Some("5".into()) };
            assert_eq!(parser.pop(), Some(priming));
            assert_eq!(parser.pop().unwrap().data, "{\"a\":\n1}");
            assert_eq!(parser.pop(), None);
            assert_eq!(parser.comments, 1);
        }
    }
}
