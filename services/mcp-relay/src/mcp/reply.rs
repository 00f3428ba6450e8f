//! The reply to a request: one JSON message, or a stream of server-sent events with one message each. Knows no request.

use std::collections::VecDeque;

use anyhow::Context;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::{McpError, Refused, lenient};

/// One JSON-RPC message of a reply.
#[derive(Debug)]
pub(crate) struct Message {
    /// The line as received: `data: …` in a stream, JSON otherwise.
    pub(crate) line: String,
    /// The message itself, as far as a [`Value`] can hold it.
    pub(crate) value: Value,
}

/// A reply that is read message by message.
#[derive(Debug)]
pub(crate) struct Reply {
    body: Incoming,
    status: u16,
    headers: HeaderMap,
    streams: bool,
    read: Vec<u8>,
    ready: VecDeque<Message>,
    over: bool,
}

impl Reply {
    pub(super) fn new(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get("content-type").and_then(|value| value.to_str().ok());
        let streams = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        let status = parts.status.as_u16();
        let (read, ready) = (Vec::new(), VecDeque::new());
        Self { body, status, headers: parts.headers, streams, read, ready, over: false }
    }

    /// A header of the response.
    pub(super) fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.headers.get(name)
    }

    /// Returns the next JSON-RPC message, `None` at the end. A JSON-RPC error is a message as well; an error status
    /// without one is an error.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, McpError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            if self.over {
                return Ok(None);
            }
            let Some(frame) = self.body.frame().await else {
                self.over = true;
                if !self.streams {
                    self.take_message()?;
                }
                continue;
            };
            let frame = frame.map_err(|_| McpError::broken("the connection broke"))?;
            self.read.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            if self.streams {
                self.take_events().map_err(McpError::Broken)?;
            }
        }
    }

    /// Skips notifications and requests and returns the response.
    pub(crate) async fn result(&mut self) -> Result<Message, McpError> {
        while let Some(message) = self.next().await? {
            if let Some(response) = self.response(message)? {
                return Ok(response);
            }
        }
        Err(McpError::broken("the answer ended without a result"))
    }

    /// Returns the message if it is a response with a `result`, `None` for other messages, and an error for an error
    /// response.
    pub(crate) fn response(&self, message: Message) -> Result<Option<Message>, McpError> {
        match message.value.get("error") {
            Some(error) => Err(Refused::of(self.status, error).into()),
            None => Ok(message.value.get("result").is_some().then_some(message)),
        }
    }

    /// Reads the whole body as one message; an empty body of status 202 is none.
    fn take_message(&mut self) -> Result<(), McpError> {
        let line = String::from_utf8_lossy(&self.read).into_owned();
        match lenient::value(&line) {
            Some(value) if value.is_object() => self.ready.push_back(Message { line, value }),
            _ if line.is_empty() && self.status == 202 => {}
            _ => return Err(Refused::by_status(self.status).into()),
        }
        Ok(())
    }

    /// Parses the complete events of the buffer.
    fn take_events(&mut self) -> anyhow::Result<()> {
        while let Some((end, gap)) = blank_line(&self.read) {
            let event: Vec<u8> = self.read.drain(..end + gap).collect();
            let event = String::from_utf8(event).context("an event is not UTF-8")?;
            let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
            let data = data.join("\n").trim().to_owned();
            if !data.is_empty() {
                let value = lenient::value(&data).context("an event is not JSON")?;
                self.ready.push_back(Message { line: format!("data: {data}"), value });
            }
        }
        Ok(())
    }
}

/// Returns the end of the first event and the length of the blank line after it. Lines end with LF or CRLF.
fn blank_line(read: &[u8]) -> Option<(usize, usize)> {
    let find = |gap: &[u8]| read.windows(gap.len()).position(|part| part == gap).map(|at| (at, gap.len()));
    [find(b"\n\n"), find(b"\r\n\r\n")].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_at_a_blank_line_with_lf_or_crlf() {
        assert_eq!(blank_line(b"data: 1\n\ndata: 2\r\n\r\n"), Some((7, 2)));
        assert_eq!(blank_line(b"data: 1\r\n\r\ndata: 2\n\n"), Some((7, 4)));
        assert_eq!(blank_line(b"data: 1\n"), None);
    }
}
